//! Kills at each step: what is listed is whole, and the next run finishes what was begun.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::program::{archive, archive_command, fetch, list, start};
use crate::proxy::{Fault, Proxy, Seen};
use crate::round_trip::noise;
use crate::server::{Server, Store};
use crate::tree::{Output, assert_same, hidden};

/// Kills an archiver when it has sent as many requests, before the server gets the last one or
/// before the answer comes. Returns whether there were so many.
fn kill_at(store: &Store, output: &Output, number: u32, is_received: bool) -> bool {
    let reached = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&reached);
    let proxy = Proxy::start(store.address(), move |it: &Seen| {
        // The killed one sends no more.
        if it.number != number {
            return Fault::None;
        }
        *flag.lock().expect("the flag") = true;
        if !is_received {
            // Nothing comes to the server before it is killed.
            thread::sleep(Duration::from_mins(10));
        }
        Fault::Silence
    });
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.args(["--concurrency=1"]);
    let mut run = start(words);
    let is_killed = loop {
        if is_received && proxy.seen().len() > number as usize + 1 {
            // It has begun to try again: the server has answered.
            break true;
        }
        if !is_received && *reached.lock().expect("the flag") {
            break true;
        }
        if run.try_wait().expect("a state").is_some() {
            break false;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let _ = run.kill();
    run.wait().expect("an end");
    is_killed
}

#[test]
fn a_kill_at_any_request_leaves_nothing_half() {
    let Some(server) = Server::start() else {
        return;
    };
    for is_received in [false, true] {
        let mut steps = 0;
        for number in 0.. {
            let store = server.store().below(&format!("{is_received}-{number}"));
            let output = Output::of(&["2.13-live-uid"]);
            let before = output.files();
            if !kill_at(&store, &output, number, is_received) {
                break;
            }
            steps += 1;
            // Each listed chunk can be fetched.
            if !list(&store).is_empty() {
                let back = Output::empty();
                fetch(&store, back.path()).done();
                assert_same(&back.files(), &before);
            }
            assert_same(&output.files(), &before);
            archive(&store, output.path()).done();
            let back = Output::empty();
            fetch(&store, back.path()).done();
            assert_same(&back.files(), &before);
            assert_eq!(list(&store).len(), 1);
            let marks = hidden(output.path());
            assert_eq!(marks.len(), 1, "{marks:?}");
        }
        // A list, an object and its check for each file, the manifest and its check, the head.
        assert!(steps >= 2 * before_count() + 3, "{steps}");
    }
}

fn before_count() -> usize {
    Output::of(&["2.13-live-uid"]).files().len()
}

#[test]
fn a_large_file_goes_on_behind_its_last_part_and_is_not_read_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    let metadata = output
        .files()
        .into_keys()
        .find(|it| it.ends_with("metadata"));
    let large = output.path().join(metadata.expect("metadata"));
    let large = large.with_file_name("large_0");
    fs::write(&large, noise(40 << 20)).expect("a file");
    let before = output.files();
    let reached = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&reached);
    let proxy = Proxy::start(store.address(), move |seen: &Seen| {
        if !seen.target.contains("partNumber=3") {
            return Fault::None;
        }
        *flag.lock().expect("the flag") = true;
        thread::sleep(Duration::from_mins(10));
        Fault::Drop
    });
    let mut words = archive_command(&store.through(proxy.port), output.path());
    words.args(["--concurrency=1"]);
    let mut run = start(words);
    while !*reached.lock().expect("the flag") {
        assert!(run.try_wait().expect("a state").is_none());
        thread::sleep(Duration::from_millis(2));
    }
    run.kill().expect("a kill");
    run.wait().expect("an end");
    // Other bytes where it is stored already: they would be noticed if they were read.
    let file = File::options().write(true).open(&large).expect("a file");
    let modified = file
        .metadata()
        .and_then(|it| it.modified())
        .expect("a time");
    file.write_all_at(&vec![0; 8 << 20], 0).expect("zeros");
    file.set_modified(modified).expect("a time");
    drop(file);
    archive(store, output.path()).done();
    let back = Output::empty();
    fetch(store, back.path()).done();
    assert_same(&back.files(), &before);
}
