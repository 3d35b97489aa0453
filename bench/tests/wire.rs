//! `baton bench wire`, run as people run it and very small: each workload is done, and
//! amounts are what they should be. Whether bytes got to the disk it checks itself.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// All workloads, with the figures of each, at a five-hundredth of what is usual.
const ROWS: [(&str, &[&str]); 76] = [
    ("4 KiB, waits", LOAD),
    ("4 KiB, 64 in flight", LOAD),
    ("4 KiB, 32 producers x 4", LOAD),
    ("4 KiB, 128 producers x 2", LOAD),
    ("64 KiB, 1 producer", LOAD),
    ("64 KiB, 32 producers x 4", LOAD),
    ("1 MiB, 1 producer", LOAD),
    ("4 KiB, watched by 1", LOAD),
    ("4 KiB, watched by 64", LOAD),
    ("catch up, 4 KiB", LOAD),
    ("catch up, 64 KiB", LOAD),
    ("catch up, 1 MiB", LOAD),
    ("sessions, no data", SESSIONS),
    ("sessions, with data", SESSIONS),
    ("live latency, 1 viewer without pause: p50", &["µs"]),
    ("live latency, 1 viewer without pause: p90", &["µs"]),
    ("live latency, 1 viewer without pause: p99", &["µs"]),
    ("live latency, 1 viewer without pause: max", &["µs"]),
    ("live latency, 1 viewer: p50", ASKED),
    ("live latency, 1 viewer: p90", &["µs"]),
    ("live latency, 1 viewer: p99", &["µs"]),
    ("live latency, 1 viewer: max", &["µs"]),
    ("live latency, 4 viewers: p50", ASKED),
    ("live latency, 4 viewers: p90", &["µs"]),
    ("live latency, 4 viewers: p99", &["µs"]),
    ("live latency, 4 viewers: max", &["µs"]),
    ("live latency, 16 viewers: p50", ASKED),
    ("live latency, 16 viewers: p90", &["µs"]),
    ("live latency, 16 viewers: p99", &["µs"]),
    ("live latency, 16 viewers: max", &["µs"]),
    ("4 KiB, 32 producers x 4: reply p50", &["µs"]),
    ("4 KiB, 32 producers x 4: reply p99", &["µs"]),
    ("neighbours, large packets: producer alone, p50", &["µs"]),
    ("neighbours, large packets: viewer beside, p99", &["µs"]),
    ("neighbours, long lists: producer beside, p50", &["µs"]),
    (
        "neighbours, requests without end: viewer beside, p99",
        &["µs"],
    ),
    ("neighbours, requests without end: memory for it", &["MB"]),
    ("neighbours, large packets: newcomer beside, p99", &["µs"]),
    ("neighbours, a slow disk, 100 ms: memory for it", &["MB"]),
    ("neighbours, a slow disk, 1 s: memory for it", &["MB"]),
    ("neighbours, new streams: memory for it", &["MB"]),
    ("neighbours, chunks: memory for it", &["MB"]),
    ("neighbours, deep paths: memory for it", &["MB"]),
    ("neighbours, padding: memory for it", &["MB"]),
    ("neighbours, half messages: memory for it", &["MB"]),
    (
        "neighbours, a ring of two 1-byte files: memory for it",
        &["MB"],
    ),
    ("neighbours, silent connections: memory for it", &["MB"]),
    ("neighbours, padded metadata: memory for it", &["MB"]),
    ("commands among 1: GET_NEXT_INDEX", ASKED),
    ("commands among 1: BEGIN, END_DATA_PENDING", ASKED),
    ("commands among 1: LIST_SESSIONS", ASKED),
    ("commands among 1: ATTACH, DETACH_SESSION", ASKED),
    ("commands among 4: GET_NEXT_INDEX", ASKED),
    ("commands among 4: BEGIN, END_DATA_PENDING", ASKED),
    ("commands among 4: LIST_SESSIONS", ASKED),
    ("commands among 4: ATTACH, DETACH_SESSION", ASKED),
    ("idle, 4 x 10 streams: before", &["MB"]),
    ("idle, 4 x 10 streams: all of them", &["MB"]),
    ("idle, 4 x 10 streams: a session", &["kB"]),
    ("idle, 4 x 10 streams: a stream", &["kB"]),
    ("idle, 4 x 10 streams: 5 s of silence", &["CPU ms"]),
    ("idle, 4 x 50 streams: a stream", &["kB"]),
    ("idle, 20 x 10 streams: a stream", &["kB"]),
    ("idle, connections: GET_NEXT_INDEX alone", ASKED),
    ("idle, connections: GET_NEXT_INDEX beside 20", ASKED),
    ("idle, connections: a connection", &["kB"]),
    ("limits, receive and write, 64 KiB", MOVED),
    ("limits, receive and write, 1 MiB", MOVED),
    ("limits, splice", MOVED),
    ("limits, sendfile", MOVED),
    ("limits, index and reply", ASKED),
    ("limits, a producer waits, 4 KiB", MOVED),
    ("limits, a producer waits, 64 KiB", MOVED),
    ("limits, a viewer asks, 64 KiB", MOVED),
    ("limits, a viewer asks, 1 MiB", MOVED),
    ("limits, sessions", &["sessions/s", "CPU µs"]),
];

const LOAD: &[&str] = &["MB/s", "CPU s/GB", "MB"];
const SESSIONS: &[&str] = &["sessions/s", "CPU µs", "MB"];
const ASKED: &[&str] = &["µs", "CPU µs"];
const MOVED: &[&str] = &["MB/s", "CPU s/GB"];

const BENCH: &str = env!("CARGO_BIN_EXE_baton-bench");

/// The relay that is loaded: cargo builds it with the workspace, beside the benchmarks.
fn baton() -> String {
    let relay = Path::new(BENCH).with_file_name("baton");
    assert!(relay.exists(), "build it first: cargo build");
    relay.display().to_string()
}

/// The rows that it prints, cell by cell.
fn bench(words: &[&str]) -> Vec<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(BENCH)
        .args(["wire", "--rounds", "1", "--scale", "0.002"])
        .args(["--format", "markdown", "-o"])
        .arg(directory.path())
        .args(words)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "files of a relay are left");
    let cells = |line: &str| {
        let line = line.trim_start_matches("| ").trim_end_matches(" |");
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(cells)
        .collect()
}

/// Whether a cell has figures of these units, and each is a number that can be.
fn assert_figures(cell: &str, units: &[&str]) {
    let figures: Vec<(&str, &str)> = cell
        .split(", ")
        .map(|figure| figure.split_once(' ').unwrap_or((figure, "")))
        .collect();
    let found: Vec<&str> = figures.iter().map(|(_, unit)| *unit).collect();
    assert_eq!(found, units, "{cell}");
    for (value, _) in figures {
        let value: f64 = value.parse().unwrap_or(f64::NAN);
        assert!(value.is_finite(), "{cell}");
    }
}

#[test]
fn every_workload_is_done_and_measured() {
    let rows = bench(&[]);
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    let can = |label: &str| has_strace || !label.contains("a slow disk");
    for (label, units) in ROWS.into_iter().filter(|(label, _)| can(label)) {
        let row = rows.iter().find(|row| row[0] == label);
        let row = row.unwrap_or_else(|| panic!("no row {label} in {rows:#?}"));
        assert_figures(&row[1], units);
    }
    let failed = rows
        .iter()
        .find(|row| can(&row[0]) && row[1].contains("cannot"));
    assert_eq!(failed, None);
}

#[test]
fn two_relays_stand_beside_each_other() {
    let own = &baton();
    let rows = bench(&["--only", "4 KiB, waits", "--relay", own, "--relay", own]);
    let header = &rows[0];
    let row = rows.iter().find(|row| row[0] == "4 KiB, waits");
    let row = row.unwrap_or_else(|| panic!("{rows:#?}"));
    let titles = ["speed ratio", "CPU ratio", "memory ratio", "spread"];
    assert_eq!(header[3..], titles);
    assert_figures(&row[1], LOAD);
    assert_figures(&row[2], LOAD);
    for ratio in &row[3..6] {
        let ratio: f64 = ratio.parse().unwrap();
        assert!(ratio > 0.0, "{row:?}");
    }
}

#[test]
fn the_load_is_a_trace_that_babeltrace_reads() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    // A relay whose files stay when the load is over.
    let relay = directory.path().join("relay");
    let script = format!(
        "#!/bin/sh\nln -s '{}' \"$LTTNG_HOME/traces\"\nexec '{}' \"$@\"\n",
        kept.display(),
        baton()
    );
    std::fs::write(&relay, script).unwrap();
    std::fs::set_permissions(&relay, Permissions::from_mode(0o755)).unwrap();
    let relay = relay.to_str().unwrap();
    bench(&["--only", "64 KiB, 1 producer", "--relay", relay]);
    let babeltrace = Command::new("babeltrace2").arg(&kept).output().unwrap();
    let (output, errors) = (babeltrace.stdout, babeltrace.stderr);
    assert_eq!(String::from_utf8_lossy(&errors), "");
    // 16 packets, each with a header of 64 bytes and events of 16.
    let events = String::from_utf8_lossy(&output).lines().count();
    assert_eq!(events, 16 * (64 * 1024 - 64) / 16);
}

#[test]
fn a_workload_that_fails_is_reported_and_the_others_go_on() {
    let own = &baton();
    let relays = ["--relay", "lttng-relayd", "--relay", own];
    let rows = bench(&[&["--only", "watched by"][..], &relays[..]].concat());
    let [_, _, by_one, by_many] = &rows[..] else {
        panic!("{rows:#?}");
    };
    assert_figures(&by_one[1], LOAD);
    assert_figures(&by_one[2], LOAD);
    let reason = "cannot: the relay answered ATTACH_SESSION with ALREADY";
    assert_eq!(by_many[1], reason);
    assert_figures(&by_many[2], LOAD);
}

#[test]
fn a_stopped_benchmark_leaves_no_relay_and_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Command::new(BENCH)
        .args(["wire", "--only", "4 KiB, waits", "--scale", "1000", "-o"])
        .arg(directory.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(directory.path()).unwrap();
    // The relay writes: it is there.
    let has_traces = || entries().any(|it| it.unwrap().path().join("traces").exists());
    while !has_traces() {
        assert_eq!(bench.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = bench.id().to_string();
    let kill = Command::new("kill").args(["-TERM", &id]).status();
    assert!(kill.unwrap().success());
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "baton bench: stopped\n"
    );
    assert_eq!(entries().count(), 0);
}

#[test]
fn a_name_that_no_workload_has_is_an_error() {
    let output = Command::new(BENCH)
        .args(["wire", "--only", "nothing like it"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    let expected = "baton bench: no workload has \"nothing like it\" in its name\n";
    assert_eq!(errors, expected);
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut bench = Command::new(BENCH);
    bench.arg("--help").stdout(full.unwrap());
    let output = bench.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("cannot write to standard output"),
        "{errors}"
    );
}
