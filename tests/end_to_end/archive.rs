//! `baton archive` beside a relay that records: what rotated is archived while recording goes on,
//! and comes back as it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::application::Workload;
use crate::events::assert_complete;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::{Process, eventually, retry};
use crate::relay::{Relay, skipped};
use crate::server::{Server, Store};
use crate::skip;
use crate::viewer::read_directory;
use crate::{BRIEF, UNHURRIED, end, turn};

/// Rotations of the session while it records.
const ROTATIONS: usize = 8;
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn rotations_are_archived_while_they_come() {
    let _turn = turn::take();
    let relay = Relay::start();
    archive_rotations(relay);
}

#[test]
fn rotations_of_the_original_are_archived_while_they_come() {
    let _turn = turn::take();
    if let Some(relay) = original() {
        archive_rotations(relay);
    }
}

/// The original relay, where it is installed.
fn original() -> Option<Relay> {
    if Command::new("lttng-relayd")
        .arg("--version")
        .output()
        .is_err()
    {
        skip::say("since there is no lttng-relayd");
        return None;
    }
    Some(Relay::start_original())
}

fn archive_rotations(relay: Relay) {
    let Some(server) = Server::start() else {
        return;
    };
    let program = Path::new(env!("CARGO_BIN_EXE_baton")).with_file_name("baton-archive");
    if !program.exists() {
        return skip::say("since baton-archive is not built");
    }
    let store = server.store();
    let place = tempfile::tempdir().expect("a directory");
    let mut words = baton(store, "archive");
    words
        .args(["--to", &store.url, "--quiet-period=0s", "--interval=0s"])
        .arg(relay.output());
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "turns", Buffers::PerUser);
    let archiver = Process::spawn(&mut words, place.path(), "archiver");
    let across = producer.launch(UNHURRIED);
    for _ in 0..ROTATIONS {
        session.rotate();
        thread::sleep(Duration::from_millis(50));
    }
    let run = across.finish();
    session.rotate();
    session.destroy();
    // All of it is archived while the archiver runs, and not once more.
    let chunks = marks(&relay.output(), false);
    eventually("a mark in each chunk", PATIENCE, || {
        marks(&relay.output(), true) == chunks
    });
    eventually("a note that nothing waits", PATIENCE, || {
        let note = fs::read_to_string(relay.output().join(".baton-archiver"));
        note.is_ok_and(|note| note.contains("\"waiting_chunks\":0,"))
    });
    drop(archiver);
    assert!(chunks > ROTATIONS, "{chunks} chunks");

    let back = place.path().join("back");
    let fetched = baton(store, "fetch")
        .arg(&store.url)
        .arg(&back)
        .output()
        .expect("baton runs");
    assert!(fetched.status.success(), "{fetched:?}");
    assert_eq!(files(&back), files(&relay.output()));
    assert_complete(&read_directory(&back), &[run]);
    end([producer], relay);
}

/// A cap that all sessions before the last two are below.
const CAPPED: &[&str] = &["--max-size", "16M", "--min-free", "0"];
const MUCH: Workload = Workload {
    threads: 2,
    events_per_thread: 15_000,
    sleep_us: 0,
    payload_length: 400,
};

/// Rotated chunks, snapshots, and a session that is over.
#[test]
fn retention_takes_what_is_archived_first_and_leaves_nothing_of_it() {
    let _turn = turn::take();
    if skipped("it has no caps") {
        return;
    }
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let mut relay = Relay::start_with(CAPPED);
    let producer = Producer::start();
    let record = |relay: &Relay, name: &str, mode, load| {
        let setup = Setup::new(mode, Buffers::PerUser);
        let session = producer.session(relay, name, setup);
        producer.launch(load).finish();
        match mode {
            Mode::Snapshot => session.record_snapshot(&[]),
            _ if name == "turned" => drop(session.rotate()),
            _ => {}
        }
        session.destroy();
        // The consumer daemon keeps the connections of snapshots.
        let end = match mode {
            Mode::Snapshot => ": a snapshot is in ",
            _ => " is over",
        };
        relay.wait_for_line(&[&format!("session {name}@"), end]);
    };
    for name in ["stays", "plain", "turned"] {
        record(&relay, name, Mode::Recorded, BRIEF);
    }
    record(&relay, "snapped", Mode::Snapshot, BRIEF);
    let archived = ["plain", "turned", "snapped"].map(|name| relay.trace_directory(name));
    for directory in &archived {
        let run = baton(store, "archive")
            .args(["--once", "--quiet-period=0s", "--to", &store.url])
            .arg(directory)
            .output()
            .expect("baton runs");
        assert!(run.status.success(), "{run:?}");
        let chunks = marks(directory, false);
        assert!(chunks > 0 && marks(directory, true) == chunks, "{run:?}");
    }
    // The next relay looks at what is there.
    relay.kill();
    relay.restart();
    record(&relay, "large", Mode::Recorded, MUCH);
    record(&relay, "larger", Mode::Recorded, MUCH);
    relay.wait_for_line(&["a chunk of ", "/large-", " goes"]);
    let log = relay.log();
    let gone: Vec<_> = log
        .lines()
        .filter(|it| it.contains("a chunk of "))
        .collect();
    let first = gone.iter().position(|it| it.contains("/stays-"));
    let before = &gone[..first.expect("it goes too, later")];
    for name in ["plain", "turned", "snapped"] {
        let is_of = |line: &&&str| line.contains(&format!("/{name}-"));
        assert!(before.iter().any(|line| is_of(&line)), "{name}: {log}");
        assert!(
            !gone[before.len()..].iter().any(|line| is_of(&line)),
            "{name}: {log}"
        );
    }
    // Neither files nor marks nor directories of them are left.
    for directory in &archived {
        retry(PATIENCE, || {
            let left = Command::new("find").arg(directory).output();
            let left = String::from_utf8_lossy(&left.expect("find runs").stdout).into_owned();
            left.is_empty().then_some(()).ok_or(left)
        });
    }
    end([producer], relay);
}

/// A verb of the archive's, by the program that users type.
fn baton(store: &Store, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command
        .arg(verb)
        .args(["--endpoint", &store.endpoint, "--region", &store.region])
        .arg("--path-style")
        .env("AWS_ACCESS_KEY_ID", &store.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &store.secret);
    command
}

/// The number of chunks at and below a directory, or of those with a mark.
fn marks(directory: &Path, are_marked: bool) -> usize {
    let is_marked = directory.join(".baton-archived").exists();
    let has_trace = directory.join("ust").is_dir();
    let own = usize::from(has_trace && (is_marked || !are_marked));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    own + below.map(|path| marks(&path, are_marked)).sum::<usize>()
}

/// The files of a directory; not the hidden ones.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    gather(directory, Path::new(""), &mut found);
    found
}

fn gather(directory: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            gather(&path, &below.join(name), found);
        } else if !name.as_bytes().starts_with(b".") {
            found.insert(below.join(name), fs::read(path).expect("a file"));
        }
    }
}
