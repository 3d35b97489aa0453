//! Caps of disk space, with real producers, viewers and readers.

use crate::application::Workload;
use crate::events::{self, assert_ascending};
use crate::full_disk::SmallDisk;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, end, turn};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

const WHY: &str = "it has no caps";

const PATIENCE: Duration = Duration::from_secs(30);

/// The disk has room for little more than the cap, and several times as much is recorded.
const DISK: &str = "size=24m";
const CAP: u64 = 16 << 20;
const CAPPED: &[&str] = &["--max-size", "16M", "--min-free", "0"];

const MUCH: Workload = Workload {
    threads: 2,
    events_per_thread: 15_000,
    sleep_us: 0,
    payload_length: 400,
};

/// Files take what they have allocated.
fn allocated(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    let sizes = entries.map(|entry| {
        let Ok(entry) = entry else { return 0 };
        match entry.metadata() {
            Ok(it) if it.is_dir() => allocated(&entry.path()),
            Ok(it) => it.blocks() * 512,
            // It was removed meanwhile.
            Err(_) => 0,
        }
    });
    sizes.sum()
}

#[test]
fn a_live_session_is_kept_to_a_cap_and_followed_all_the_time() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let Some(disk) = SmallDisk::mount_of(DISK) else {
        return;
    };
    let output = disk.path().join("traces");
    let relay = Relay::start_in(&output, CAPPED);
    let producer = Producer::start();
    let setup = Setup {
        channel: &["--subbuf-size=128k", "--num-subbuf=8"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    let session = producer.session(&relay, "endless", setup);
    let viewer = Viewer::attach(&relay, "endless");
    let mut runs = Vec::new();
    let mut largest = 0;
    for _ in 0..5 {
        runs.push(producer.launch(MUCH).finish());
        largest = largest.max(allocated(&output));
    }
    let last = producer.launch(BRIEF).finish();
    session.destroy();

    let log = relay.log();
    assert!(!log.contains("No space left"), "{log}");
    assert!(!log.contains("packets are being lost"), "{log}");
    assert!(largest > CAP / 2 && largest <= CAP + (2 << 20), "{largest}");
    // The viewer has the end, even if it has missed something.
    let followed = viewer.finish();
    assert_eq!(events::of(last, &followed).len(), 400);
    let seen = read_directory(&relay.trace_directory("endless"));
    assert_eq!(events::of(last, &seen).len(), 400);
    assert!(events::of(runs[0], &seen).is_empty(), "nothing was removed");
    runs.push(last);
    assert_ascending(&seen, &runs);
    end([producer], relay);
}

#[test]
fn sessions_that_are_over_make_room_and_one_that_is_kept_does_not() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let mut relay = Relay::start_with(CAPPED);
    let producer = Producer::start();
    let record = |relay: &Relay, name: &str| {
        let setup = Setup::new(Mode::Recorded, Buffers::PerUser);
        let session = producer.session(relay, name, setup);
        let run = producer.launch(MUCH).finish();
        session.destroy();
        run
    };
    record(&relay, "first");
    let first = relay.trace_directory("first");
    fs::write(first.join("notes"), "mine").expect("notes");
    let precious = record(&relay, "precious");
    let kept = relay.trace_directory("precious");
    baton(&["keep".as_ref(), kept.as_os_str()]);
    // The next relay finds what this one has recorded.
    relay.kill();
    relay.restart();
    record(&relay, "third");
    record(&relay, "fourth");
    let output = relay.output();
    eventually("room", PATIENCE, || allocated(&output) <= CAP);
    eventually("that all but the notes is gone", PATIENCE, || {
        fs::read_dir(&first).is_ok_and(|names| names.count() == 1)
    });
    assert_eq!(fs::read(first.join("notes")).expect("notes"), b"mine");
    let seen = read_directory(&kept);
    assert!(!events::of(precious, &seen).is_empty());
    assert!(relay.trace_directory("fourth").exists());
    end([producer], relay);
}

fn baton(arguments: &[&std::ffi::OsStr]) {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(arguments)
        .status();
    assert!(status.expect("the program").success());
}
