//! Syncs to the disk, seen from outside: strace tells which system calls the relay makes, for
//! which files, and in which of its threads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::events::assert_complete;
use crate::layout::read_archives;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::surroundings::prefixed;
use crate::viewer::read_directory;
use crate::{BRIEF, end, skip, turn};

const WHY: &str = "it syncs nothing";
const PATIENCE: Duration = Duration::from_mins(1);

/// The relay below strace, as its own process. Each line of the file begins with the name of
/// the thread, and has the path of the file.
const SYNCS: [&str; 8] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "-y",
    "--decode-pids=comm",
    "-e",
    "trace=fsync,fdatasync,syncfs,sync",
];

/// A relay with these options, whose syncs are written down.
fn watched(options: &[&str], inject: &[&str]) -> Option<Relay> {
    if skipped(WHY) {
        return None;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        skip::say("since there is no strace");
        return None;
    }
    let relay = Relay::start_surrounded(|mut command, home| {
        command.args(options);
        let to = home.join(FILE);
        let to = ["-o", to.to_str().expect("a path")];
        prefixed(&[&SYNCS[..], inject, &to].concat(), &command)
    });
    Some(relay)
}

const FILE: &str = "syncs";

/// The calls so far that succeeded: name and path.
fn syncs(relay: &Relay) -> Vec<(String, String)> {
    let text = fs::read_to_string(relay.home().join(FILE)).unwrap_or_default();
    let calls = text.lines().filter(|line| line.contains("sync("));
    calls
        .map(|line| {
            assert!(
                line.contains("<disk>"),
                "not in a thread for the disk: {line}"
            );
            let (before, after) = line.split_once("sync(").expect("a call");
            let name = before.rsplit(' ').next().unwrap_or_default();
            let path = after.split_once('<').and_then(|(_, it)| it.split_once('>'));
            (format!("{name}sync"), path.expect("a path").0.to_owned())
        })
        .collect()
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.to_str().expect("a path").to_owned());
        }
    }
    found
}

fn assert_synced(relay: &Relay, directory: &Path) {
    let all = files(directory);
    eventually("all files are synced", PATIENCE, || {
        let synced: BTreeSet<String> = syncs(relay).into_iter().map(|(_, path)| path).collect();
        all.is_subset(&synced)
    });
}

#[test]
fn a_rotation_syncs_the_archive_in_order_and_not_in_the_main_thread() {
    let _turn = turn::take();
    let Some(relay) = watched(&[], &[]) else {
        return;
    };
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "safe", Buffers::PerUser);
    let directory = relay.trace_directory("safe");
    let run = producer.launch(BRIEF).finish();
    assert_eq!(syncs(&relay), []);
    session.rotate();
    let archives = directory.join("archives");
    assert_synced(&relay, &archives);
    let output = relay.output();
    eventually("the output directory is synced last", PATIENCE, || {
        syncs(&relay)
            .last()
            .is_some_and(|(_, path)| Path::new(path) == output)
    });
    let calls = syncs(&relay);
    let kind = |(name, path): &(String, String)| match (&**name, path) {
        ("fdatasync", path) if path.ends_with("/metadata") => 2,
        ("fdatasync", path) if path.contains("/index/") => 1,
        ("fdatasync", _) => 0,
        _ => 3,
    };
    assert!(calls.is_sorted_by_key(kind), "{calls:#?}");
    let count = files(&archives).len();
    assert_eq!(calls.iter().filter(|call| kind(call) < 3).count(), count);
    session.destroy();
    assert_complete(&read_archives(&directory), &[run]);
    end([producer], relay);
}

#[test]
fn a_stop_waits_for_the_sync_if_replies_are_durable() {
    let _turn = turn::take();
    let options = ["--sync", "3600", "--durable-replies"];
    let slow = ["-e", "inject=fdatasync:delay_enter=100000"];
    let Some(relay) = watched(&options, &slow) else {
        return;
    };
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session(&relay, "sure", setup);
    let directory = relay.trace_directory("sure");
    let run = producer.launch(BRIEF).finish();
    session.stop();
    let synced: BTreeSet<String> = syncs(&relay).into_iter().map(|(_, path)| path).collect();
    for file in files(&directory) {
        assert!(synced.contains(&file), "{file} is not among {synced:#?}");
    }
    session.destroy();
    assert_complete(&read_directory(&directory), &[run]);
    end([producer], relay);
}

#[test]
fn after_an_error_of_the_disk_a_stop_waits_and_nothing_is_lost() {
    let _turn = turn::take();
    let options = ["--sync", "3600", "--durable-replies"];
    let broken = ["-e", "inject=fdatasync:error=EIO:when=1"];
    let Some(relay) = watched(&options, &broken) else {
        return;
    };
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session(&relay, "broken", setup);
    let directory = relay.trace_directory("broken");
    let run = producer.launch(BRIEF).finish();
    let mut stop = producer.client(&["stop", session.name()], "stop");
    relay.wait_for_line(&["ERROR", "cannot sync", "Input/output error", "--no-wait"]);
    assert!(stop.is_running(), "it was told that all is safe");
    stop.signal("TERM");
    let destroyed = producer.attempt(&["destroy", "--no-wait", session.name()]);
    destroyed.expect("an end");
    relay.wait_for_line(&["session broken@", "is over"]);
    assert_complete(&read_directory(&directory), &[run]);
    assert_eq!(relay.log().matches("cannot sync").count(), 1);
    end([producer], relay);
}

#[test]
fn a_relay_that_is_asked_to_stop_syncs_what_it_has_before_it_ends() {
    let _turn = turn::take();
    let slow = ["-e", "inject=fdatasync:delay_enter=100000"];
    let Some(mut relay) = watched(&[], &slow) else {
        return;
    };
    let producer = Producer::start();
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    let session = producer.session(&relay, "open", setup);
    let directory = relay.trace_directory("open");
    producer.launch(BRIEF).finish();
    session.stop();
    assert_eq!(syncs(&relay), []);
    relay.terminate();
    assert_synced(&relay, &directory);
}
