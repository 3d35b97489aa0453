//! The same options under our own name.

use crate::table::{Row, begins, fails, means, prints, usage};

pub fn rows() -> Vec<Row> {
    let mut rows = meanings();
    rows.extend(texts());
    rows.extend(refusals());
    rows
}

fn meanings() -> Vec<Row> {
    vec![
        means(
            "baton",
            &[
                "control 0.0.0.0:5342",
                "data 0.0.0.0:5343",
                "live 127.0.0.1:5344",
            ],
        ),
        means("baton relay", &["output {}/lttng-traces", "serves live"]),
        means("baton relay -o here", &["output {}/here"]),
        means(
            "baton relay --serve all -vv",
            &["serves all", "verbosity 2"],
        ),
        means(
            "baton relay -C tcp://127.0.0.1:1 -C tcp://127.0.0.1:2",
            &["control 127.0.0.1:2"],
        ),
        means(
            "baton relay -d -P pid -g users",
            &["mode daemon", "pid-file {}/pid", "group users"],
        ),
        means(
            "baton relay -b -w .",
            &["mode background", "working-directory {}"],
        ),
        means(
            "baton relay -x -s --fd-pool-size=128 -S",
            &[
                "clear-allowed false",
                "grouped-by session",
                "descriptors 128",
            ],
        ),
        means(
            "baton relay --dynamic-port-allocation",
            &["control 0.0.0.0:0"],
        ),
        means(
            "baton relay --journal here --journal-payload=reference",
            &["journal {}/here", "journal-payload reference"],
        ),
        means("baton relay --journal there", &["journal {}/there"]).file("there", "an earlier one"),
        means("baton relay", &["journal -", "journal-payload copy"]),
        means("baton relay", &["live-hold-back auto"]),
        means(
            "baton relay --live-hold-back auto",
            &["live-hold-back auto"],
        ),
        means("baton relay --live-hold-back=250", &["live-hold-back 250"]),
        means("baton relay", &["live-hold-back 0"]).home_file("[relayd]\nlive-hold-back=0\n"),
        means("baton relay", &["busy-poll 100"]),
        means("baton relay --busy-poll 0", &["busy-poll 0"]),
        means("baton relay --busy-poll=10000", &["busy-poll 10000"]),
        means("baton relay", &["busy-poll 50"]).home_file("[relayd]\nbusy-poll=50\n"),
        means("baton relay", &["journal {}/j"]).home_file("[relayd]\njournal=j\n"),
        means("baton relay -f mine", &["mode daemon"]).file("mine", "[relayd]\ndaemonize=yes\n"),
        means("baton relay", &["mode foreground"])
            .home_file("[relayd]\nodd=1\n")
            .warns("baton: warning: Unrecognized option \"odd\" in daemon configuration file."),
    ]
}

fn texts() -> Vec<Row> {
    vec![
        prints(
            "baton --version",
            concat!("baton ", env!("CARGO_PKG_VERSION"), "\n"),
        ),
        begins("baton --help", "A relay daemon for LTTng traces"),
        begins("baton relay --help", "Run the relay"),
        begins("baton replay --help", "Replay a recorded journal"),
    ]
}

fn refusals() -> Vec<Row> {
    vec![
        fails(
            "baton replay nothing",
            "baton: cannot read the journal nothing: No such file or directory",
        ),
        usage(
            "baton replay journal --watch cat:1v1",
            "error: invalid value 'cat:1v1' for '--watch <KIND:KEY>': \"cat:1v1\" is not a kind and a key, such as `stream:3v1`",
        ),
        usage(
            "baton replay . --verify",
            "error: --verify is for journals, and this is a directory: .",
        ),
        fails(
            "baton relay --check --journal there/journal",
            "baton: cannot write the journal {}/there/journal: No such file or directory",
        ),
        usage(
            "baton relay --journal-payload some",
            "error: invalid value 'some' for '--journal-payload <HOW>'",
        ),
        fails(
            "baton relay --live-hold-back 60001",
            "baton: Wrong value in --live-hold-back parameter: 60001; expected auto or milliseconds, at most 60000",
        ),
        fails(
            "baton relay --live-hold-back soon",
            "baton: Wrong value in --live-hold-back parameter: soon; expected auto or milliseconds, at most 60000",
        ),
        fails(
            "baton relay --busy-poll 10001",
            "baton: Wrong value in --busy-poll parameter: 10001; expected microseconds, at most 10000",
        ),
        fails(
            "baton relay --busy-poll=-1",
            "baton: Wrong value in --busy-poll parameter: -1; expected microseconds, at most 10000",
        ),
        fails(
            "baton relay -C foo",
            "baton: Invalid control URI specified: URI parse unknown protocol foo; expected tcp://HOST[:PORT]",
        ),
        fails(
            "baton relay -s -p",
            "baton: Cannot set --group-output-by-host, another --group-output-by argument is present",
        ),
        usage(
            "baton relay --bogus",
            "error: unexpected argument '--bogus' found",
        ),
        usage(
            "baton relay --serve some",
            "error: invalid value 'some' for '--serve <WHICH>'",
        ),
        usage(
            "baton relay -o",
            "error: a value is required for '--output <DIR>' but none was supplied",
        ),
    ]
}
