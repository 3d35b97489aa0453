//! How options may be written: the rules of GNU `getopt_long`.

use crate::table::{Row, begins, fails, means, prints};

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    vec![
        means("lttng-relayd --output=/x", &["output /x"]),
        means("lttng-relayd --output /x", &["output /x"]),
        means("lttng-relayd -o /x", &["output /x"]),
        means("lttng-relayd -o/x", &["output /x"]),
        means("lttng-relayd --outp /x", &["output /x"]),
        means("lttng-relayd --out=/x", &["output /x"]),
        means("lttng-relayd --working-dir {}", &["working-directory {}"]),
        means("lttng-relayd --group-output-by-h", &["grouped-by host"]),
        means("lttng-relayd --group-output-by-s", &["grouped-by session"]),
        means("lttng-relayd --dis", &["clear-allowed false"]),
        means("lttng-relayd --fd 200", &["descriptors 200"]),
        means("lttng-relayd --group wheel", &["group wheel"]),
        means("lttng-relayd --pid {}/p", &["pid-file {}/p"]),
        means(
            "lttng-relayd --dyn",
            &["control 0.0.0.0:0", "live 127.0.0.1:0"],
        ),
        means("lttng-relayd --sig", &[]),
        means(
            "lttng-relayd -xvC tcp://127.0.0.1:7001",
            &[
                "control 127.0.0.1:7001",
                "clear-allowed false",
                "verbosity 1",
            ],
        ),
        means(
            "lttng-relayd -xvCtcp://127.0.0.1:7001",
            &["control 127.0.0.1:7001"],
        ),
        means("lttng-relayd -vvv", &["verbosity 3"]),
        means("lttng-relayd -v --verbose -v", &["verbosity 3"]),
        means(
            "lttng-relayd some words",
            &[
                "control 0.0.0.0:5342",
                "data 0.0.0.0:5343",
                "live 127.0.0.1:5344",
            ],
        ),
        means(
            "lttng-relayd word -s word -x",
            &["grouped-by session", "clear-allowed false"],
        ),
        means("lttng-relayd -o /x -o /y", &["output /y"]),
        means(
            "lttng-relayd -C tcp://127.0.0.1:1 -C tcp://127.0.0.1:2",
            &["control 127.0.0.1:2"],
        ),
        means("lttng-relayd -d", &["mode daemon", "working-directory /"]),
        means("lttng-relayd --daemonize", &["mode daemon"]),
        means(
            "lttng-relayd -b",
            &["mode background", "working-directory /"],
        ),
        means(
            "lttng-relayd --background -w {}",
            &["mode background", "working-directory {}"],
        ),
        means("lttng-relayd -d -w .", &["working-directory {}"]),
        means("lttng-relayd -P pid", &["pid-file {}/pid"]),
        means("lttng-relayd -g users -S", &["group users"]),
        means(
            "lttng-relayd -p",
            &["grouped-by host", "mode foreground", "working-directory -"],
        ),
        means("lttng-relayd --serve all", &["serve all"]),
        prints("lttng-relayd -V", "2.15.0\n"),
        prints("lttng-relayd --version", "2.15.0\n"),
        prints("lttng-relayd --vers", "2.15.0\n"),
        prints("lttng-relayd foo -V", "2.15.0\n"),
        prints("lttng-relayd -xvV", "2.15.0\n"),
        prints("lttng-relayd --daemonize --version", "2.15.0\n"),
        begins("lttng-relayd -h", "A relay daemon for LTTng traces"),
        begins("lttng-relayd --help", "A relay daemon for LTTng traces"),
        begins(
            "lttng-relayd --he --bogus",
            "A relay daemon for LTTng traces",
        ),
        begins("lttng-relayd -V -h", "A relay daemon for LTTng traces"),
        fails(
            "lttng-relayd -V --bogus",
            "lttng-relayd: unrecognized option '--bogus'",
        ),
        fails(
            "lttng-relayd -V -o x",
            "Error: Please specify an absolute path for -o, --output PATH",
        ),
        fails(
            "lttng-relayd --bogus",
            "lttng-relayd: unrecognized option '--bogus'",
        ),
        fails(
            "lttng-relayd --bogus=1",
            "lttng-relayd: unrecognized option '--bogus'",
        ),
        fails(
            "lttng-relayd --outputs /x",
            "lttng-relayd: unrecognized option '--outputs'",
        ),
        fails("lttng-relayd -Z", "lttng-relayd: invalid option -- 'Z'"),
        fails("lttng-relayd -xZ", "lttng-relayd: invalid option -- 'Z'"),
        fails(
            "lttng-relayd -o",
            "lttng-relayd: option requires an argument -- 'o'",
        ),
        fails(
            "lttng-relayd -vC",
            "lttng-relayd: option requires an argument -- 'C'",
        ),
        fails(
            "lttng-relayd --output",
            "lttng-relayd: option '--output' requires an argument",
        ),
        fails(
            "lttng-relayd --out",
            "lttng-relayd: option '--output' requires an argument",
        ),
        fails(
            "lttng-relayd --verbose=1",
            "lttng-relayd: option '--verbose' doesn't allow an argument",
        ),
        fails(
            "lttng-relayd --version=3",
            "lttng-relayd: option '--version' doesn't allow an argument",
        ),
        fails(
            "lttng-relayd --group-output-by",
            "lttng-relayd: option '--group-output-by' is ambiguous; possibilities: '--group-output-by-session' '--group-output-by-host'",
        ),
        fails(
            "lttng-relayd --g V",
            "lttng-relayd: option '--g' is ambiguous; possibilities: '--group' '--group-output-by-session' '--group-output-by-host'",
        ),
        fails(
            "lttng-relayd --ver",
            "lttng-relayd: option '--ver' is ambiguous; possibilities: '--verbose' '--version'",
        ),
        fails(
            "lttng-relayd --co",
            "lttng-relayd: option '--co' is ambiguous; possibilities: '--control-port' '--config'",
        ),
    ]
}
