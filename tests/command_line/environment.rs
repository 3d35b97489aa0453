//! Environment variables.

use crate::table::{Row, fails, means};

pub fn rows() -> Vec<Row> {
    const QUIET: &str = "lttng-relayd";
    let keep_alive = |suffix: &'static str, value: &'static str, line: &'static [&'static str]| {
        means(QUIET, line).variable(suffix, value)
    };
    vec![
        means(QUIET, &["output {}/lttng-traces"]),
        means(QUIET, &["output /h/lttng-traces"]).variable("LTTNG_HOME", "/h"),
        means(QUIET, &["output {}/lttng-traces"]).variable("LTTNG_HOME", ""),
        means(QUIET, &["run-directory /r"]).variable("LTTNG_RUNDIR", "/r"),
        means(QUIET, &["run-directory {}/r"]).variable("LTTNG_RUNDIR", "r"),
        means(QUIET, &["health-socket -"]),
        means(QUIET, &["health-socket /s"]).variable("LTTNG_RELAYD_HEALTH", "/s"),
        means(QUIET, &["working-directory /tmp"]).variable("LTTNG_RELAYD_WORKING_DIRECTORY", "/tmp"),
        means("lttng-relayd -d", &["working-directory /tmp"])
            .variable("LTTNG_RELAYD_WORKING_DIRECTORY", "/tmp"),
        means("lttng-relayd -w /usr", &["working-directory /usr"])
            .variable("LTTNG_RELAYD_WORKING_DIRECTORY", "/tmp"),
        means(QUIET, &["working-directory /usr"])
            .variable("LTTNG_RELAYD_WORKING_DIRECTORY", "/tmp")
            .home_file("[relayd]\nworking-directory=/usr\n"),
        means(QUIET, &["clear-allowed false"]).variable("LTTNG_RELAYD_DISALLOW_CLEAR", "1"),
        means(QUIET, &["clear-allowed false"]).variable("LTTNG_RELAYD_DISALLOW_CLEAR", "yes"),
        means(QUIET, &["clear-allowed true"]).variable("LTTNG_RELAYD_DISALLOW_CLEAR", "0"),
        means("lttng-relayd -x", &["clear-allowed false"]).variable("LTTNG_RELAYD_DISALLOW_CLEAR", "0"),
        means("lttng-relayd -x", &["clear-allowed false"]).variable("LTTNG_RELAYD_DISALLOW_CLEAR", "odd"),
        fails(QUIET, "Error: Invalid value for LTTNG_RELAYD_DISALLOW_CLEAR specified")
            .variable("LTTNG_RELAYD_DISALLOW_CLEAR", "odd"),
        means(QUIET, &["keep-alive 60 10 6"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE", "1", &["keep-alive 60 10 6"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE", "0", &["keep-alive off"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE", "no", &["keep-alive off"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE", "odd", &["keep-alive 60 10 6"])
            .warns("Warning: Invalid value for LTTNG_RELAYD_TCP_KEEP_ALIVE"),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_IDLE_TIME", "0x10", &["keep-alive 16 10 6"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_IDLE_TIME", "0", &["keep-alive system 10 6"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_PROBE_INTERVAL", "5", &["keep-alive 60 5 6"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_MAX_PROBE_COUNT", "-1", &["keep-alive 60 10 system"]),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_MAX_PROBE_COUNT", "-2", &["keep-alive 60 10 6"])
            .warns("Warning: Invalid value for LTTNG_RELAYD_TCP_KEEP_ALIVE_MAX_PROBE_COUNT: -2 is not a number from -1"),
        keep_alive("LTTNG_RELAYD_TCP_KEEP_ALIVE_ABORT_THRESHOLD", "1", &["keep-alive 60 10 6"])
            .warns("Warning: LTTNG_RELAYD_TCP_KEEP_ALIVE_ABORT_THRESHOLD has no meaning on this system"),
        means("baton", &["output /by/variable"]).variable("LTTNG_RELAYD_OUTPUT", "/by/variable"),
        // It is a default: a file and the command line win.
        means("baton", &["output /mine"])
            .variable("LTTNG_RELAYD_OUTPUT", "/by/variable")
            .home_file("[relayd]\noutput=/mine\n"),
        means("baton -o /typed", &["output /typed"]).variable("LTTNG_RELAYD_OUTPUT", "/by/variable"),
        means(QUIET, &["colored auto", "aborts-on-error false"]),
        means(QUIET, &["colored true"]).variable("LTTNG_TERM_COLOR", "always"),
        means(QUIET, &["colored false"]).variable("LTTNG_TERM_COLOR", "never"),
        means(QUIET, &["colored auto"]).variable("LTTNG_TERM_COLOR", "odd"),
        means(QUIET, &["colored false"]).variable("NO_COLOR", "1"),
        means(QUIET, &["colored auto"]).variable("NO_COLOR", ""),
        means(QUIET, &["colored true"])
            .variable("NO_COLOR", "1")
            .variable("LTTNG_TERM_COLOR", "always"),
        means(QUIET, &["aborts-on-error true"]).variable("LTTNG_ABORT_ON_ERROR", "1"),
        means(QUIET, &["aborts-on-error false"]).variable("LTTNG_ABORT_ON_ERROR", "0"),
        keep_alive("LTTNG_NETWORK_SOCKET_TIMEOUT", "1500", &["socket-timeout 1500"]),
        keep_alive("LTTNG_NETWORK_SOCKET_TIMEOUT", "-1", &["socket-timeout -"]),
        keep_alive("LTTNG_NETWORK_SOCKET_TIMEOUT", "abc", &["socket-timeout -"])
            .warns("Warning: Invalid value for LTTNG_NETWORK_SOCKET_TIMEOUT: abc is not a number from -1"),
    ]
}
