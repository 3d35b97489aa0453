//! `baton archive` beside a relay that records: what rotated is archived while recording goes on,
//! and comes back as it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::events::assert_complete;
use crate::lttng::{Buffers, Producer};
use crate::process::{Process, eventually};
use crate::relay::Relay;
use crate::server::{Server, Store};
use crate::skip;
use crate::viewer::read_directory;
use crate::{UNHURRIED, end, turn};

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

/// The number of chunks, or of those with a mark.
fn marks(directory: &Path, are_marked: bool) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += marks(&path, are_marked);
            let is_marked = path.join(".baton-archived").exists();
            let has_trace = path.join("ust").is_dir();
            count += usize::from(has_trace && (is_marked || !are_marked));
        }
    }
    count
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
