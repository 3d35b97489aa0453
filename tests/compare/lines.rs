//! The command lines, and why ours comes out differently.

/// A command line with its surroundings.
#[derive(Debug)]
pub struct Line {
    pub words: &'static str,
    pub variable: Option<(&'static str, &'static str)>,
    /// The file of the home directory; also at `{}/file`.
    pub file: &'static str,
    /// Empty: both do the same.
    pub why: &'static str,
}

impl Line {
    /// Variables and files of the row, for people.
    pub fn surroundings(&self) -> String {
        let variable = self
            .variable
            .map(|(name, value)| format!(", `{name}={value}`"));
        let file = (!self.file.is_empty())
            .then(|| format!(", file `{}`", self.file.trim().replace('\n', " ")));
        [variable, file].into_iter().flatten().collect()
    }
}

const fn line(words: &'static str, why: &'static str) -> Line {
    Line {
        words,
        variable: None,
        file: "",
        why,
    }
}

const fn with_file(words: &'static str, file: &'static str, why: &'static str) -> Line {
    Line {
        words,
        variable: None,
        file,
        why,
    }
}

const fn with_variable(
    words: &'static str,
    name: &'static str,
    value: &'static str,
    why: &'static str,
) -> Line {
    Line {
        words,
        variable: Some((name, value)),
        file: "",
        why,
    }
}

const VERSION: &str = "Baton implements the command line of LTTng 2.15";
const HELP: &str = "Baton prints its own help text; `lttng-relayd` prints its man page";
const ONE_LINE: &str = "Baton prints one line with the whole cause";
const STATUS: &str = "Baton exits with status 1 after a failure; `lttng-relayd` exits with 0";
const NEW: &str = "option since LTTng 2.14";
const IN_FILE: &str = "Baton refuses to start on an invalid address in a configuration file; `lttng-relayd` prints the error and runs";
const WATCH: &str = "Baton runs with keep-alive on, so the message is a warning";
const LISTENS: &str = "option that LTTng 2.13 does not have";

/// Not `--sig-parent`: the parent is this test, and the signal would end it.
pub const LINES: &[Line] = &[
    line("-V", VERSION),
    line("--version", VERSION),
    line("--vers", VERSION),
    line("foo -V", VERSION),
    line("-xV", VERSION),
    line("-d -V", VERSION),
    line("--fd-pool-size 0x100 -V", VERSION),
    line("--fd-pool-size 100junk -V", VERSION),
    line("-C net://127.0.0.1:9961:9962 -V", VERSION),
    line("-h", HELP),
    line("-V -h", HELP),
    line("--bogus", ""),
    line("-V --bogus", ""),
    line("-Z", ""),
    line("-xZ", ""),
    line("-o", ""),
    line("--output", ""),
    line("--verbose=1", ""),
    line("--version=3", ""),
    line("--group-output-by", ""),
    line("--g x", ""),
    line("--co x", ""),
    line("--v", ""),
    line("-o rel", ""),
    line("-s -p", ""),
    line("-s -s", ""),
    line("--fd-pool-size 5", ""),
    line("--fd-pool-size abc", ""),
    line("--fd-pool-size -5", ""),
    line("--fd-pool-size 999999999", ""),
    line("-C foo://x", ONE_LINE),
    line("-C file:///x", STATUS),
    line("-C tcp://", ONE_LINE),
    line("-C tcp6://[::1", ONE_LINE),
    line("-C tcp6://[::1]x", ONE_LINE),
    line("-C tcp6://127.0.0.1", ONE_LINE),
    line("-C tcp://[::1]:9961", ONE_LINE),
    line("-C tcp://127.0.0.1:0", ONE_LINE),
    line("-C tcp://127.0.0.1:x", ONE_LINE),
    line("-D tcp://127.0.0.1:99999", ONE_LINE),
    line("-L tcp://127.0.0.1:1:2", ONE_LINE),
    line("-L *", ONE_LINE),
    line("LISTEN -o /proc/x", ONE_LINE),
    line("LISTEN -w /none", STATUS),
    line(
        "LISTEN -b -w /none",
        "Baton exits with status 1; `lttng-relayd` keeps running",
    ),
    line("LISTEN -D tcp://127.0.0.1:9961", STATUS),
    line("LISTEN -L tcp://127.0.0.1:9961", STATUS),
    line("LISTEN -f /none", ONE_LINE),
    with_file(
        "LISTEN -f {}/file",
        "[relayd]\ndisallow-clear=yes\n",
        "Baton reads the file; `lttng-relayd` 2.13 exits with status 1",
    ),
    line("LISTEN", ""),
    line("LISTEN -xs word", ""),
    line("LISTEN --group-output-by-h --fd-pool-size 100", ""),
    line("LISTEN -d", ""),
    line("LISTEN -b", ""),
    line("LISTEN -d -w {}", ""),
    line(
        "LISTEN -g nosuchgroup",
        "Baton's log lines begin with time and level",
    ),
    line("LISTEN -P {}/pid", NEW),
    line("LISTEN --dynamic-port-allocation", LISTENS),
    with_file("LISTEN", "[relayd]\ndisallow-clear=yes\n", ""),
    with_file("LISTEN", "[relayd]\nbogus=1\n", ""),
    with_file("LISTEN", "[relayd]\ndisallow-clear=maybe\n", ""),
    with_file("LISTEN", "[relayd]\ndaemonize=yes\n", ""),
    with_file("LISTEN", "[relayd]\ncontrol-port=foo\n", IN_FILE),
    with_file(
        "LISTEN",
        "[relayd]\nnonsense\n",
        "Baton warns about a line that is not `key = value`",
    ),
    with_file("LISTEN -p", "[relayd]\ngroup-output-by-session=yes\n", ""),
    with_variable("LISTEN", "LTTNG_RELAYD_DISALLOW_CLEAR", "1", ""),
    with_variable("LISTEN", "LTTNG_RELAYD_DISALLOW_CLEAR", "odd", ""),
    with_variable("LISTEN", "LTTNG_RELAYD_WORKING_DIRECTORY", "/none", STATUS),
    with_variable("LISTEN", "LTTNG_RELAYD_TCP_KEEP_ALIVE", "odd", WATCH),
    with_variable("LISTEN", "LTTNG_RELAYD_TCP_KEEP_ALIVE_IDLE_TIME", "10", ""),
];
