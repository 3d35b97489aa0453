//! The same options under our own name.

use crate::table::{Row, begins, fails, means, prints, usage};

pub fn rows() -> Vec<Row> {
    let mut rows = meanings();
    rows.extend(texts());
    rows.extend(refused_replays());
    rows.extend(refusals());
    rows.extend(refusals_of_access());
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
        means("baton relay", &["output {}/lttng-traces", "serve live"]),
        means("baton relay -o here", &["output {}/here"]),
        means("baton relay --serve all -vv", &["serve all", "verbosity 2"]),
        means(
            "baton relay -C tcp://127.0.0.1:1 -C tcp://127.0.0.1:2",
            &["control 127.0.0.1:1", "control 127.0.0.1:2"],
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
        means("baton relay", &["status-port auto"]),
        means("baton relay --status-port off", &["status-port off"]),
        means("baton relay --metrics-sessions 7", &["metrics-sessions 7"]),
        means(
            "baton relay --status-port tcp://localhost:9990",
            &["status-port tcp://localhost:9990"],
        ),
        means(
            "baton relay --status-port tcp://localhost:9990 --status-port tcp://127.0.0.2",
            &["status-port tcp://localhost:9990 tcp://127.0.0.2"],
        ),
        means(
            "baton relay -L tcp://localhost -L tcp://127.0.0.1:1",
            &["live 127.0.0.1:5344", "live 127.0.0.1:1"],
        ),
        means(
            "baton relay",
            &[
                "allow-producers all",
                "allow-viewers all",
                "allow-status all",
            ],
        ),
        means(
            "baton relay --allow-producers 10.0.0.0/8,::1 --allow-viewers=none",
            &["allow-producers 10.0.0.0/8,::1", "allow-viewers none"],
        ),
        means(
            "baton relay --live-hold-back auto",
            &["live-hold-back auto"],
        ),
        means("baton relay --live-hold-back=250", &["live-hold-back 250"]),
        means(
            "baton relay --live-hold-back=0500 --busy-poll=0100 --fd-pool-size=0200",
            &["live-hold-back 500", "busy-poll 100", "descriptors 128"],
        ),
        means("baton relay", &["live-hold-back 0"]).home_file("[relayd]\nlive-hold-back=0\n"),
        means("baton relay", &["busy-poll 0"]),
        means("baton relay --busy-poll 100", &["busy-poll 100"]),
        means("baton relay --busy-poll=10000", &["busy-poll 10000"]),
        means("baton relay", &["busy-poll 50"]).home_file("[relayd]\nbusy-poll=50\n"),
        means("baton relay", &["memory 512M", "address-share 25"]),
        means("lttng-relayd", &["memory 512M", "address-share 100"]),
        means(
            "baton relay --memory 1024M --address-share=100",
            &["memory 1G", "address-share 100"],
        ),
        means("lttng-relayd --address-share=10", &["address-share 10"]),
        means("baton relay", &["memory 0"]).home_file("[relayd]\nmemory=0\n"),
        means("baton relay", &["journal {}/j"]).home_file("[relayd]\njournal=j\n"),
        means("baton relay -f mine", &["mode daemon"]).file("mine", "[relayd]\ndaemonize=yes\n"),
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

/// Of options about who may connect, and have how much.
fn refusals_of_access() -> Vec<Row> {
    vec![
        fails(
            "baton relay --address-share 0",
            "baton: Wrong value in --address-share parameter: 0; expected percent, from 1 to 100",
        ),
        fails(
            "baton relay --allow-producers 10.0.0.1/8",
            "baton: Wrong value in --allow-producers parameter: 10.0.0.1/8; expected addresses, such as 10.0.0.0/8,192.0.2.1, or none (10.0.0.1/8 has bits beyond its prefix; the network is 10.0.0.0/8)",
        ),
        fails(
            "baton relay --check -L tls://localhost",
            "baton: tls:// needs --tls-certificate; for a trial: baton certificates",
        ),
        fails(
            "baton relay --check -L tls://localhost --tls-certificate none --tls-key none",
            "baton: cannot read {}/none: No such file or directory",
        ),
        usage(
            "baton relay --tls-minimum 1.1",
            "error: invalid value '1.1' for '--tls-minimum <VERSION>'",
        ),
        usage(
            "baton tunnel --server tcp://relay --tls-ca ca.pem",
            "error: invalid value 'tcp://relay' for '--server <URL>': \"tcp://relay\" is not tls://HOST[:CONTROL[:DATA[:LIVE]]]",
        ),
        fails(
            "baton tunnel --server tls://relay --tls-ca none",
            "baton: cannot read none: No such file or directory",
        ),
        fails(
            "baton relay --check --tls-client-ca {}/ca.pem",
            "baton: --tls-client-ca has no effect, since no port has TLS: nothing is encrypted, and nobody has to show a certificate; name ports as tls://HOST",
        ),
        fails(
            "baton certificates {} --relay localhost",
            "baton: {}/relay.key exists, and no key or certificate is overwritten: delete it for a new one, or leave its name out to make only others",
        )
        .file("relay.key", ""),
        fails(
            "baton certificates there --client a/b",
            "baton: \"a/b\" cannot be the name of a file",
        ),
    ]
}

fn refused_replays() -> Vec<Row> {
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
        usage(
            "baton replay journal --from 5 --until 3",
            "error: --from 5 is after --until 3: nothing would be printed",
        ),
        usage(
            "baton replay . --speed -1",
            "error: invalid value '-1' for '--speed <FACTOR>': expected `max` or a number above 0, as 1, 10 or 0.5",
        ),
        usage(
            "baton replay journal --until -1",
            "error: invalid value '-1' for '--until <TICK>': invalid digit found in string",
        ),
    ]
}

fn refusals() -> Vec<Row> {
    vec![
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
            "baton relay --memory 1M",
            "baton: Wrong value in --memory parameter: 1M; expected bytes, such as 512M, at least 16M; or 0 for no limit",
        ),
        fails(
            "baton relay --output=",
            "baton: the path of --output is empty: name one, or leave it out",
        ),
        fails(
            "baton relay --journal=",
            "baton: the path of --journal is empty: name one, or leave it out",
        ),
        fails(
            "baton relay --check -o file",
            "baton: Unable to use {}/file: Not a directory; choose another directory with --output",
        )
        .file("file", ""),
        fails(
            "baton relay --check -o file/x/y",
            "baton: Unable to create {}/file/x/y: Not a directory; choose another directory with --output",
        )
        .file("file", ""),
        fails(
            "baton relay -o file",
            "baton: Unable to use {}/file: Not a directory; choose another directory with --output",
        )
        .file("file", ""),
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
