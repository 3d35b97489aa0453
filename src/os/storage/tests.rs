//! Tests of files on disk.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::sync::Arc;

use baton_systems::ports::StorageErrorKind;
use baton_systems::requests::Outcome;
use slotmap::SlotMap;

use rustix::io::Errno;

use super::*;

struct Test {
    output: tempfile::TempDir,
    storage: FileStorage,
    keys: SlotMap<FileKey, ()>,
    connections: SlotMap<ConnectionKey, ()>,
}

impl Test {
    fn new() -> Self {
        let output = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(output.path(), 10).unwrap();
        Self {
            output,
            storage,
            keys: SlotMap::default(),
            connections: SlotMap::default(),
        }
    }

    fn create(&mut self, path: &str) -> Result<FileKey, StorageError> {
        let key = self.keys.insert(());
        let lane = Lane::default();
        self.storage
            .create_file(key, &relative(path), lane)
            .map(|()| key)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.output.path().join(path)
    }
}

fn relative(path: &str) -> RelativePath {
    RelativePath::parse(path.as_bytes()).unwrap()
}

#[test]
fn nothing_planted_leads_out_of_the_output_directory() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "precious").unwrap();
    let mut test = Test::new();
    symlink(outside.path(), test.at("host")).unwrap();
    symlink(outside.path().join("file"), test.at("chan_0")).unwrap();
    symlink("..", test.at("up")).unwrap();
    for path in ["host/session", "up/session"] {
        assert!(
            test.storage.create_directory(&relative(path)).is_err(),
            "{path}"
        );
    }
    for path in ["host/file", "up/file"] {
        assert!(test.create(path).is_err(), "{path}");
    }
    assert!(test.storage.remove_file(&relative("host/file")).is_err());
    assert!(
        test.storage
            .rename(&relative("chan_0"), &relative("host/x"))
            .is_err()
    );
    // An existing link where a file or directory is to be created is an error.
    assert!(test.create("chan_0").is_err());
    symlink("nowhere", test.at("dangling")).unwrap();
    for path in ["host", "chan_0", "dangling"] {
        let claimed = test.storage.claim_directory(&relative(path));
        assert_eq!(claimed, Ok(false), "{path}");
    }
    assert_eq!(fs::read(outside.path().join("file")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// A connection of the storage's, by its key, and its peer.
fn connect(test: &mut Test) -> (ConnectionKey, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    let key = test.connections.insert(());
    let sockets = &test.storage.sockets;
    sockets.insert(key, mio::net::TcpStream::from_std(near));
    (key, peer)
}

#[test]
fn bytes_of_a_file_go_to_the_peer_that_is_named() {
    let mut test = Test::new();
    let file = test.create("file").unwrap();
    // More than sockets hold.
    let bytes: Vec<u8> = (0..1 << 24).map(|at: u32| (at >> 10) as u8).collect();
    test.storage.write(file, 0, &bytes);
    let (named, mut peer) = connect(&mut test);
    let (other, _silent) = connect(&mut test);
    let socket = test.storage.sockets.get(named).unwrap();
    let (mut sent, mut waits) = (0, 0);
    let mut received = Vec::new();
    while sent < bytes.len() as u64 {
        let left = bytes.len() as u64 - sent;
        let taken = test.storage.to_peer(named, file, sent, left).unwrap();
        let taken = taken.unwrap();
        // Where the peer takes no more, the network is to report when it does.
        assert_eq!(socket.has_room(), taken == 0);
        sent += taken;
        if taken == 0 || taken == left {
            waits += 1;
            let start = received.len();
            received.resize(sent as usize, 0);
            peer.read_exact(&mut received[start..]).unwrap();
        }
    }
    assert!(waits > 1 && received == bytes);
    assert!(test.storage.to_peer(named, file, sent, 1).is_err());
    test.storage.sockets.remove(other);
    let unknown = test.storage.to_peer(other, file, 0, 1);
    assert_eq!(unknown, Ok(None));
}

#[test]
fn bytes_of_a_peer_go_to_the_file_that_is_named() {
    let mut test = Test::new();
    let file = test.create("file").unwrap();
    let (key, mut peer) = connect(&mut test);
    let (other, mut other_peer) = connect(&mut test);
    other_peer.write_all(b"other").unwrap();
    peer.write_all(b"a packet").unwrap();
    let mut moved = 0;
    while moved < 8 {
        moved += test.storage.to_file(key, file, 2 + moved, 8 - moved);
    }
    assert_eq!(fs::read(test.at("file")).unwrap(), b"\0\0a packet");
    assert_eq!(test.storage.to_file(key, file, 0, 9), 0);
    test.storage.sockets.remove(other);
    assert_eq!(test.storage.to_file(other, file, 0, 9), 0);
}

#[test]
fn links_that_stay_inside_are_followed() {
    let mut test = Test::new();
    fs::create_dir(test.at("real")).unwrap();
    symlink("real", test.at("link")).unwrap();
    test.create("link/file").unwrap();
    assert!(test.at("real/file").exists());
}

#[test]
fn an_output_directory_that_was_removed_is_made_anew() {
    let mut test = Test::new();
    let output = test.at("below");
    test.storage = FileStorage::open(&output, 10).unwrap();
    test.storage.create_directory(&relative("one")).unwrap();
    fs::remove_dir_all(&output).unwrap();
    test.storage
        .create_directory(&relative("two/three"))
        .unwrap();
    test.create("two/three/file").unwrap();
    assert!(output.join("two/three/file").exists());
}

#[test]
fn a_removed_file_stays_with_whoever_has_it_open() {
    let mut test = Test::new();
    let old = test.create("file").unwrap();
    test.storage.write(old, 0, b"old");
    test.storage.remove_file(&relative("file")).unwrap();
    let new = test.create("file").unwrap();
    test.storage.write(new, 0, b"new");
    let mut bytes = [0; 3];
    test.storage.read(old, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"old");
    assert!(test.storage.read(old, 1, &mut bytes).is_err());
    test.storage.resize(new, 5);
    assert_eq!(fs::read(test.at("file")).unwrap(), b"new\0\0");
}

#[test]
fn an_existing_name_is_never_replaced() {
    let mut test = Test::new();
    fs::write(test.at("file"), "theirs").unwrap();
    fs::create_dir_all(test.at("empty/below")).unwrap();
    fs::remove_dir(test.at("empty/below")).unwrap();
    test.storage.create_directory(&relative("ours")).unwrap();
    let ours = test.create("ours/file").unwrap();
    for there in ["file", "empty"] {
        assert!(test.create(there).is_err());
        assert_eq!(test.storage.claim_directory(&relative(there)), Ok(false));
        for from in ["ours", "ours/file"] {
            let renamed = test.storage.rename(&relative(from), &relative(there));
            assert!(renamed.is_err(), "{from} to {there}");
        }
    }
    test.storage.write(ours, 0, b"ours");
    assert_eq!(fs::read(test.at("file")).unwrap(), b"theirs");
    assert_eq!(fs::read(test.at("ours/file")).unwrap(), b"ours");
    assert_eq!(fs::read_dir(test.at("empty")).unwrap().count(), 0);
    assert_eq!(test.storage.claim_directory(&relative("a/b")), Ok(true));
    assert_eq!(test.storage.claim_directory(&relative("a/b")), Ok(false));
}

#[test]
fn names_are_looked_for_in_a_directory_itself() {
    let mut test = Test::new();
    test.storage
        .create_directory(&relative("a/sought"))
        .unwrap();
    fs::write(test.at("a/file"), "").unwrap();
    let mut has = |path| {
        let directory = relative(path);
        test.storage.has_name(&directory, |name| name == b"sought")
    };
    assert_eq!(has("a"), Ok(true));
    for path in ["", "a/sought", "a/file", "none", "none/below"] {
        assert_eq!(has(path), Ok(false), "{path}");
    }
}

#[test]
fn errors_say_what_and_where_and_why() {
    let mut test = Test::new();
    fs::write(test.at("file"), "").unwrap();
    let error = test
        .storage
        .create_directory(&relative("file/below"))
        .unwrap_err();
    let path = test.at("file/below");
    let expected = format!("cannot make directory {}: Not a directory", path.display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn errors_have_a_kind_to_decide_by() {
    use StorageErrorKind::{Broken, Denied, Gone, InTheWay};
    let mut test = Test::new();
    let kind = |outcome: Result<(), StorageError>| outcome.unwrap_err().kind;
    fs::write(test.at("theirs"), "").unwrap();
    fs::create_dir(test.at("directory")).unwrap();
    symlink("/", test.at("outside")).unwrap();
    let file = test.create("file").unwrap();
    let (none, theirs) = (relative("none"), relative("theirs"));
    assert_eq!(kind(test.storage.rename(&none, &theirs)), Gone);
    let renamed = test.storage.rename(&relative("file"), &theirs);
    assert_eq!(kind(renamed), InTheWay);
    let below = relative("theirs/below");
    assert_eq!(kind(test.storage.create_directory(&below)), InTheWay);
    let removed = test.storage.remove_file(&relative("directory"));
    assert_eq!(kind(removed), InTheWay);
    let outside = relative("outside/below");
    assert_eq!(kind(test.storage.create_directory(&outside)), Denied);
    let ends = test.storage.read(file, 0, &mut [0]);
    assert_eq!(kind(ends), Broken);
    for (errno, expected) in [
        (Errno::NOSPC, StorageErrorKind::Full),
        (Errno::DQUOT, StorageErrorKind::Full),
        (Errno::FBIG, StorageErrorKind::Full),
        (Errno::ACCESS, Denied),
        (Errno::PERM, Denied),
        (Errno::ROFS, Denied),
        (Errno::STALE, Gone),
        (Errno::IO, Broken),
    ] {
        assert_eq!(crate::os::files::kind(&errno.into()), expected, "{errno:?}");
    }
}

#[test]
fn only_empty_directories_are_removed() {
    let mut test = Test::new();
    test.storage.create_directory(&relative("a/b")).unwrap();
    test.storage.remove_directory(&relative("a")).unwrap();
    assert!(test.storage.exists(&relative("a/b")).unwrap());
    test.storage.remove_directory(&relative("a/b")).unwrap();
    test.storage.remove_directory(&relative("a")).unwrap();
    test.storage.remove_directory(&relative("a")).unwrap();
    assert!(!test.storage.exists(&relative("a")).unwrap());
}

#[test]
fn a_sync_reaches_what_is_there_and_says_what_is_missing() {
    let mut test = Test::new();
    test.storage.create_directory(&relative("host/s")).unwrap();
    let key = test.create("host/s/chan_0").unwrap();
    test.storage.write(key, 0, b"packet");
    let sync = |files: &[&str], directories: &[&str]| {
        let all = |names: &[&str]| names.iter().map(|name| relative(name)).collect();
        Request::Sync {
            within: relative("host/s"),
            files: all(files),
            directories: all(directories),
        }
    };
    let whole = sync(&["host/s/chan_0"], &["host/s", "host", ""]);
    assert_eq!(test.storage.act(&whole), Ok(Outcome::Done));
    let renamed = sync(&["host/s/gone", "host/s/chan_0"], &["host/s"]);
    let error = test.storage.act(&renamed).unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Gone, "{error}");
    // A link is not followed.
    symlink("/etc", test.at("host/etc")).unwrap();
    assert!(test.storage.act(&sync(&["host/etc/passwd"], &[])).is_err());
    assert!(test.storage.act(&sync(&[], &["host/etc"])).is_err());
}

/// A storage whose requests are done by other threads, and the end of its polls.
fn with_workers() -> (Test, mio::Poll) {
    let test = Test::new();
    let poll = mio::Poll::new().unwrap();
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
    let workers = Workers::new(Arc::new(waker));
    let storage = test.storage.with_workers(workers);
    (Test { storage, ..test }, poll)
}

fn wait_for_answers(test: &mut Test, poll: &mut mio::Poll, count: usize) -> Vec<Answer> {
    let (mut events, mut answers) = (mio::Events::with_capacity(1), Vec::new());
    while answers.len() < count {
        poll.poll(&mut events, None).unwrap();
        test.storage.answers(&mut answers);
    }
    answers
}

#[test]
fn what_is_fetched_is_read_whatever_the_system_has() {
    let (mut test, mut poll) = with_workers();
    let file = test.create("file").unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at / 7 % 251) as u8).collect();
    test.storage.write(file, 0, &bytes);
    let lane = Lane::default();
    let data = file;
    let ends = vec![FileEnd { data, index: None }];
    test.storage.ask(Ticket(1), Request::Commit { lane, ends });
    wait_for_answers(&mut test, &mut poll, 1);
    let on_disk = File::open(test.at("file")).unwrap();
    on_disk.sync_all().unwrap();
    rustix::fs::fadvise(&on_disk, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let (offset, size) = (0, bytes.len() as u64);
    let extent = Extent { file, offset, size };
    let mut read = vec![0; bytes.len()];
    if !test.storage.read_at_hand(extent, &mut read).unwrap() {
        test.storage.ask(Ticket(2), Request::Fetch(extent));
        let answers = wait_for_answers(&mut test, &mut poll, 1);
        assert_eq!(answers[0].outcome, Ok(Outcome::Done));
        test.storage.read(file, 0, &mut read).unwrap();
    }
    assert!(read == bytes);
}

#[test]
fn a_file_may_be_closed_while_it_is_fetched() {
    let (mut test, mut poll) = with_workers();
    let file = test.create("file").unwrap();
    let (offset, size) = (0, 1 << 20);
    let fetch = Request::Fetch(Extent { file, offset, size });
    test.storage.ask(Ticket(1), fetch);
    test.storage.close(file);
    let answers = wait_for_answers(&mut test, &mut poll, 1);
    assert_eq!(answers[0].outcome, Ok(Outcome::Done));
}
