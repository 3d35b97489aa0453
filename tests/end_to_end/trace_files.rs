//! Limits of the files of a stream: their size, and how many there are.

use crate::application::{Run, Workload};
use crate::events::{Event, assert_complete, assert_suffix};
use crate::layout;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{end, turn};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Five times what the limits of the cases leave room for.
const MUCH: Workload = Workload {
    threads: 2,
    events_per_thread: 8_000,
    sleep_us: 10,
    payload_length: 40,
};

/// Longer than a viewer is behind, at a pace that it can keep up with.
const STEADY: Workload = Workload {
    threads: 2,
    events_per_thread: 5_000,
    sleep_us: 500,
    payload_length: 40,
};

/// Two packets.
const SIZE: u64 = 32 * 1024;
const SIZE_OPTION: &str = "--tracefile-size=32k";

#[test]
fn three_files_hold_the_last_events() {
    let _turn = turn::take();
    a_ring_holds_the_last_events(3, "--tracefile-count=3");
}

#[test]
fn one_file_holds_the_last_events() {
    let _turn = turn::take();
    a_ring_holds_the_last_events(1, "--tracefile-count=1");
}

#[test]
fn files_of_limited_size_hold_all_events() {
    let _turn = turn::take();
    if skipped("it divides by zero when the first file is full") {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        channel: &[SIZE_OPTION],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let session = producer.session(&relay, "endless", setup);

    let run = producer.launch(MUCH).finish();
    session.destroy();

    let directory = relay.trace_directory("endless");
    for count in count_files(&directory) {
        assert!(count > 3, "files of a stream: {count}");
    }
    assert_complete(&read_directory(&directory), &[run]);
    end([producer], relay);
}

#[test]
fn a_viewer_keeps_up_with_a_ring_of_files() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        channel: &[SIZE_OPTION, "--tracefile-count=7"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    let session = producer.session(&relay, "carousel", setup);
    let viewer = Viewer::attach(&relay, "carousel");

    let run = producer.launch(STEADY).finish();
    session.destroy();

    assert_complete(&viewer.finish(), &[run]);
    let recorded = read_directory(&relay.trace_directory("carousel"));
    assert_suffix(&recorded, run);
    assert_partial(&recorded, run);
    end([producer], relay);
}

fn a_ring_holds_the_last_events(count: usize, option: &str) {
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        channel: &[SIZE_OPTION, option],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let session = producer.session(&relay, "ring", setup);

    let run = producer.launch(MUCH).finish();
    session.destroy();

    let directory = relay.trace_directory("ring");
    for found in count_files(&directory) {
        assert_eq!(found, count, "files of a stream");
    }
    let recorded = read_directory(&directory);
    assert_suffix(&recorded, run);
    assert_partial(&recorded, run);
    end([producer], relay);
}

/// How many files each stream of a session has: they are numbered from 0, none
/// is too large, and each has an index.
fn count_files(session: &Path) -> Vec<usize> {
    let mut streams: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for file in layout::files(session) {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name in UTF-8");
        if name == "metadata" || file.extension().is_some_and(|kind| kind == "idx") {
            continue;
        }
        let (stream, number) = name.rsplit_once('_').expect("a number");
        let numbers = streams.entry(file.with_file_name(stream)).or_default();
        numbers.push(number.parse().expect("a number"));
        let length = fs::metadata(&file).expect("a file").len();
        assert!(length <= SIZE, "{}: {length} bytes", file.display());
        let index = file.with_file_name(format!("index/{name}.idx"));
        assert!(index.is_file(), "{} is missing", index.display());
    }
    assert!(!streams.is_empty(), "no streams in {}", session.display());
    streams
        .into_iter()
        .map(|(stream, mut numbers)| {
            numbers.sort_unstable();
            let all: Vec<_> = (0..numbers.len()).collect();
            assert_eq!(numbers, all, "files of {}", stream.display());
            all.len()
        })
        .collect()
}

/// Something was overwritten, and something is left.
fn assert_partial(recorded: &[Event], run: Run) {
    let all = run.workload.events_per_thread * u64::from(run.workload.threads);
    let some = 1..all;
    assert!(
        some.contains(&(recorded.len() as u64)),
        "{}",
        recorded.len()
    );
}
