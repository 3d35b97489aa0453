//! Traces in memory (`--output memory:SIZE`): live viewers, and no disk.
//!
//! `BATON_TEST_MEMORY_SECONDS`: how long the session is followed.

use crate::application::Workload;
use crate::events::{self, assert_ascending};
use crate::live_client::{LiveClient, Seek};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::relay::{Relay, skipped};
use crate::retention::number;
use crate::viewer::Viewer;
use crate::{BRIEF, end, turn};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

const SIZE: u64 = 32 << 20;

/// Seconds in each run of the tests.
const SECONDS: u64 = 5;

/// As much as babeltrace2 can print meanwhile.
const STEADY: Workload = Workload {
    threads: 2,
    events_per_thread: 10_000,
    sleep_us: 20,
    payload_length: 400,
};

/// Memory of a process in bytes: resident, and in its files without a name.
fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|line| line.split_whitespace().next());
    let resident_kib: u64 = resident.expect("VmRSS").parse().expect("a number");
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let files = descriptors.flatten().filter_map(|descriptor| {
        let target = fs::read_link(descriptor.path()).ok()?;
        let is_memory = target.to_string_lossy().starts_with("/memfd:");
        let file = is_memory.then(|| fs::metadata(descriptor.path()).ok());
        Some(file??.blocks() * 512)
    });
    (resident_kib << 10, files.sum())
}

#[test]
fn two_viewers_follow_a_live_session_that_is_in_memory_only() {
    let _turn = turn::take_alone();
    if skipped("it needs a disk") {
        return;
    }
    let relay = Relay::start_surrounded(|mut relay, _| {
        relay.args(["--output", "memory:32M"]);
        relay
    });
    let (before, empty) = memory(relay.pid());
    assert_eq!(empty, 0);
    let producer = Producer::start();
    let setup = Setup {
        channel: &["--subbuf-size=128k", "--num-subbuf=8"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    let session = producer.session(&relay, "endless", setup);
    let viewers = Viewer::attach_all(&relay, "endless", 2);

    let seconds = number("BATON_TEST_MEMORY_SECONDS", SECONDS);
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut runs, mut largest) = (Vec::new(), 0);
    // More than there is memory for.
    while runs.len() < 8 || Instant::now() < until {
        runs.push(producer.launch(STEADY).finish());
        let (resident, files) = memory(relay.pid());
        assert!(files > 0, "nothing is in memory");
        largest = largest.max(resident.saturating_sub(before) + files);
    }
    let late = LiveClient::connect(relay.live_address()).attach("endless", Seek::Beginning);
    let late = thread::spawn(|| late.read_to_end());
    let last = producer.launch(BRIEF).finish();
    session.destroy();

    eprintln!("{} runs, at most {largest} bytes of memory", runs.len());
    assert!(
        largest > SIZE / 2 && largest <= SIZE + SIZE / 10,
        "{largest}"
    );
    let log = relay.log();
    assert!(!log.contains("packets are being lost"), "{log}");
    let first = runs[0];
    runs.push(last);
    for viewer in viewers {
        let seen = viewer.finish();
        assert_eq!(events::of(last, &seen).len(), 400);
        assert!(!events::of(first, &seen).is_empty());
        assert_ascending(&seen, &runs);
    }
    // One that comes late has begun at the oldest that there was.
    let seen = late.join().expect("a viewer that has read to the end");
    assert_eq!(events::of(last, &seen).len(), 400);
    let all: u64 = runs
        .iter()
        .map(|run| 2 * run.workload.events_per_thread)
        .sum();
    let (seen_bytes, seen_count) = (seen.len() as u64 * STEADY.payload_length, seen.len() as u64);
    assert!(
        seen_bytes > SIZE / 2 && seen_count < all,
        "{seen_count} of {all}"
    );
    assert!(events::of(first, &seen).is_empty());
    assert_ascending(&seen, &runs);
    assert!(!relay.output().exists());
    end([producer], relay);
}
