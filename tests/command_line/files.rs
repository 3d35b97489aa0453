//! Configuration files.

use crate::table::{Row, fails, means, prints};

pub fn rows() -> Vec<Row> {
    const QUIET: &str = "lttng-relayd";
    vec![
        means(QUIET, &["mode daemon"]).home_file("[relayd]\ndaemonize=yes\n"),
        means(QUIET, &["mode background"]).home_file("[relayd]\nbackground = TRUE ; note\n"),
        means(QUIET, &["clear-allowed false"]).home_file("[relayd]\ndisallow-clear: on\n"),
        means(QUIET, &["clear-allowed true"]).home_file("[relayd]\ndisallow-clear=off\n"),
        means(QUIET, &["clear-allowed false"]).home_file("[relayd]\ndisallow-clear=7\n"),
        means(QUIET, &["live 0.0.0.0:4567"]).home_file("[relayd]\nlive-port=tcp://0.0.0.0:4567\n"),
        means(QUIET, &["control 127.0.0.1:1"]).home_file("[relayd]\ncontrol-port : tcp://127.0.0.1:1\n"),
        means(QUIET, &["control 127.0.0.1:2"]).home_file("[relayd]\ncontrol-port=tcp://127.0.0.1:1\n  tcp://127.0.0.1:2\n"),
        means(QUIET, &["output /a b"]).home_file("[relayd]\noutput = /a b \n"),
        means(QUIET, &["grouped-by session"]).home_file("# first\n[relayd]\ngroup-output-by-session=yes\n"),
        means(QUIET, &["verbosity 2"]).home_file("[relayd]\nverbose=2\n"),
        means("lttng-relayd -v", &["verbosity 3"]).home_file("[relayd]\nverbose=2\n"),
        means(QUIET, &["verbosity 0"]).home_file("[relayd]\nverbose=0\n"),
        means(QUIET, &["working-directory /tmp"]).home_file("[relayd]\nworking-directory=/tmp\n"),
        means(QUIET, &["pid-file /tmp/p", "group staff", "descriptors 150", "live 127.0.0.1:0"])
            .home_file("[relayd]\npid-file=/tmp/p\ngroup=staff\nfd-pool-size=150\ndynamic-port-allocation=1\nsig-parent=1\n"),
        means(QUIET, &["serve all"]).home_file("[relayd]\nserve=all\n"),
        means(QUIET, &["mode daemon"]).home_file("\u{feff}[relayd]\ndaemonize=yes\n"),
        means(QUIET, &["mode foreground"]).home_file("[Relayd]\ndaemonize=yes\n[sessiond]\ndaemonize=yes\n"),
        means(QUIET, &["mode foreground"]).home_file("[relayd]\nhelp=yes\nversion=yes\nconfig=/none\n"),
        means(QUIET, &["mode foreground"])
            .home_file("[relayd]\nDaemonize=yes\n")
            .warns("Warning: Unrecognized option \"Daemonize\" in daemon configuration file."),
        means(QUIET, &["mode foreground"])
            .home_file("[relayd]\nd=yes\n")
            .warns("Warning: Unrecognized option \"d\" in daemon configuration file."),
        means(QUIET, &["clear-allowed true", "mode daemon"])
            .home_file("[relayd]\ndisallow-clear=maybe\ndaemonize=yes\n")
            .warns("Warning: Invalid configuration value \"maybe\" for option disallow-clear"),
        means(QUIET, &["mode daemon"])
            .home_file("[relayd]\nnonsense\ndaemonize=yes\n")
            .warns("Warning: {}/.lttng/lttng.conf:2: not `key = value`, ignored"),
        fails(QUIET, "Error: {}/.lttng/lttng.conf:2: Invalid control URI specified: URI parse unknown protocol foo; expected tcp://HOST[:PORT]")
            .home_file("[relayd]\ncontrol-port=foo\n"),
        fails(QUIET, "Error: {}/.lttng/lttng.conf:2: Please specify an absolute path for -o, --output PATH")
            .home_file("[relayd]\noutput=here\n"),
        fails("lttng-relayd -s", "Error: Cannot set --group-output-by-session, another --group-output-by argument is present")
            .home_file("[relayd]\ngroup-output-by-host=yes\n"),
        fails(QUIET, "Error: {}/.lttng/lttng.conf:3: Cannot set --group-output-by-session, another --group-output-by argument is present")
            .home_file("[relayd]\ngroup-output-by-host=yes\ngroup-output-by-session=yes\n"),
        fails("lttng-relayd -f {}/none", "Error: Failed to open daemon configuration file at {}/none: No such file or directory"),
        fails("lttng-relayd -V -f none", "Error: Failed to open daemon configuration file at none: No such file or directory"),
        means("lttng-relayd -f {}/mine", &["mode daemon"]).file("mine", "[relayd]\ndaemonize=yes\n"),
        means("lttng-relayd --config=mine", &["mode daemon"]).file("mine", "[relayd]\ndaemonize=yes\n"),
        means("lttng-relayd -f mine", &["output /mine", "group home"])
            .home_file("[relayd]\noutput=/home\ngroup=home\n")
            .file("mine", "[relayd]\noutput=/mine\n"),
        means("lttng-relayd -o /typed -f mine", &["output /typed"]).file("mine", "[relayd]\noutput=/mine\n"),
        means("lttng-relayd -f mine", &["mode foreground"])
            .home_file("[relayd]\ndaemonize=yes\n")
            .file("mine", "[relayd]\ndaemonize=no\n"),
        means("lttng-relayd -f one -f two", &["output /two"])
            .file("one", "[relayd]\noutput=/one\n")
            .file("two", "[relayd]\noutput=/two\n"),
        means(QUIET, &["output {}/else/lttng-traces", "mode daemon"])
            .variable("LTTNG_HOME", "{}/else")
            .file("else/.lttng/lttng.conf", "[relayd]\ndaemonize=yes\n"),
        // `baton` takes no typo: it could open a port that was to be closed.
        fails("baton", "baton: {}/.lttng/lttng.conf:2: option live-prot is unknown; did you mean live-port?")
            .home_file("[relayd]\nlive-prot=tcp://localhost\n"),
        fails("baton", "baton: {}/.lttng/lttng.conf:2: option zzz is unknown; baton --help has all of them")
            .home_file("[relayd]\nzzz=1\n"),
        fails("baton", "baton: {}/.lttng/lttng.conf:1: section [relay] is unknown; did you mean [relayd]?")
            .home_file("[relay]\nlive-port=tcp://localhost\n"),
        fails("baton", "baton: {}/.lttng/lttng.conf:1: live-port is in no section; write [relayd] above it")
            .home_file("live-port=tcp://localhost\n"),
        fails("baton", "baton: {}/.lttng/lttng.conf:2: not `key = value`")
            .home_file("[relayd]\nnonsense\n"),
        fails("baton", "baton: {}/.lttng/lttng.conf:3: Invalid configuration value \"maybe\" for option disallow-clear")
            .home_file("[relayd]\n\ndisallow-clear=maybe\n"),
        means("baton", &["mode foreground"]).home_file("[sessiond]\nanything=1\n[relayd]\n"),
        prints("lttng-relayd -V", "2.15.0\n").home_file("[relayd]\ndisallow-clear=maybe\n"),
    ]
}
