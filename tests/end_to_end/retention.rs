//! Caps of disk space, with real producers, viewers and readers.

use crate::application::Workload;
use crate::events::{self, assert_ascending, assert_complete};
use crate::full_disk::SmallDisk;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::{eventually, retry};
use crate::raw_producer::RawProducer;
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, is_readable, read_directory};
use crate::{BRIEF, end, ports, sandbox, status, turn};
use baton_components::path::RelativePath;
use baton_systems::lists::Entry;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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

/// A disk that is not much larger than its cap.
const SMALL: &str = "size=200m";
const SMALL_BYTES: u64 = 200 << 20;
const SMALL_CAP: u64 = 150 << 20;
/// As much as a viewer reads meanwhile.
const STEADY: Workload = Workload {
    threads: 2,
    events_per_thread: 5_000,
    sleep_us: 20,
    payload_length: 400,
};

/// `BATON_TEST_RETENTION_MIB`: how much the producer sends that needs no tracer.
/// `BATON_TEST_RETENTION_DISK=ext4`: on a disk of that kind, instead of one in memory.
#[test]
fn far_more_than_the_disk_is_recorded_under_a_cap() {
    let _turn = turn::take_alone();
    if skipped(WHY) {
        return;
    }
    let disk = match std::env::var("BATON_TEST_RETENTION_DISK").as_deref() {
        Ok("ext4") => SmallDisk::ext4(SMALL_BYTES),
        _ => SmallDisk::mount_of(SMALL),
    };
    let Some(disk) = disk else {
        return;
    };
    let output = disk.path().join("traces");
    let address = ports::local(ports::free_port());
    let relay = Relay::start_surrounded(|mut relay, _| {
        relay.arg("--output").arg(&output);
        relay.args(["--max-size", "150M", "--min-free", "0"]);
        relay.args(["--status-port", &format!("tcp://{address}")]);
        relay
    });
    let producer = Producer::start();
    let session = producer.session(&relay, "steady", Setup::new(Mode::Live, Buffers::PerUser));
    let viewer = Viewer::attach(&relay, "steady");
    let mut raw = RawProducer::connect(&relay, "raw");
    let (mut runs, mut largest) = (Vec::new(), 0);
    let mib = number("BATON_TEST_RETENTION_MIB", 400);
    thread::scope(|scope| {
        let flood = scope.spawn(|| raw.flood(mib << 20));
        while !flood.is_finished() || runs.is_empty() {
            runs.push(producer.launch(STEADY).finish());
            largest = largest.max(allocated(&output));
        }
    });
    let last = producer.launch(BRIEF).finish();
    session.destroy();
    let page = status::try_get(address, "/metrics").expect("a page");
    let ticks: Vec<_> = page.lines().filter(|it| it.contains("_tick_")).collect();
    eprintln!("{mib} MiB, at most {largest} bytes on disk; {ticks:#?}");

    let log = relay.log();
    assert!(!log.contains("No space left"), "{log}");
    assert!(!log.contains("packets are being lost"), "{log}");
    assert!(largest > SMALL_CAP / 2, "{largest}");
    assert!(largest <= SMALL_CAP + (4 << 20), "{largest}");
    let seen = viewer.finish();
    assert_eq!(events::of(last, &seen).len(), 400);
    runs.push(last);
    assert_ascending(&seen, &runs);
    drop(raw);
    for entry in fs::read_dir(output.join(sandbox::host())).expect("sessions") {
        assert!(is_readable(&entry.expect("a session").path()));
    }
    end([producer], relay);
}

/// Chunks that an earlier relay has left, with this many files each.
const FILES_PER_CHUNK: u64 = 1_000;

/// `BATON_TEST_FILES`: how many there are.
#[test]
fn a_relay_that_finds_many_files_at_its_start_counts_them_while_it_works() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let files = number("BATON_TEST_FILES", 20_000);
    let chunks = files.div_ceil(FILES_PER_CHUNK);
    let place = tempfile::tempdir().expect("a directory");
    for chunk in 1..=chunks {
        leave_chunk(place.path(), chunk);
    }
    let address = ports::local(ports::free_port());
    let status = format!("tcp://{address}");
    let begun = Instant::now();
    let relay = Relay::start_in(
        place.path(),
        &["--max-size", "1T", "--status-port", &status],
    );
    let ready = begun.elapsed();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "now", Buffers::PerUser);
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    let recorded = begun.elapsed();
    retry(PATIENCE * 4, || {
        let page = status::try_get(address, "/metrics").map_err(|it| it.to_string())?;
        let used = status::value(&page, "baton_storage_bytes");
        let all = chunks * LEFT.len() as u64;
        (used >= all)
            .then_some(())
            .ok_or(format!("{used} of {all}"))
    });
    eprintln!(
        "{files} files: it listens after {ready:?}, has recorded a session after {recorded:?}, and \
         has counted them after {:?}",
        begun.elapsed()
    );
    assert_complete(&read_directory(&relay.trace_directory("now")), &[run]);
    end([producer], relay);
}

const LEFT: [u8; 4096] = [7; 4096];

/// Makes a closed chunk as a relay leaves it.
fn leave_chunk(output: &Path, number: u64) {
    let path = |text: &str| RelativePath::parse(text.as_bytes()).expect("a path");
    let session = format!("vm/s{number}-20261122-100754");
    let directory = output.join(&session).join("ust");
    fs::create_dir_all(&directory).expect("a directory");
    let mut entries = vec![
        Entry::Session(path(&session)),
        Entry::Directory(path(&session)),
    ];
    for file in 0..FILES_PER_CHUNK {
        let name = format!("chan_{file}");
        let bytes = if file == 0 { &LEFT[..] } else { &[] };
        fs::write(directory.join(&name), bytes).expect("a file");
        entries.push(Entry::File(path(&format!("ust/{name}"))));
    }
    entries.push(Entry::Closed(1_795_000_000 + number));
    let mut list = Vec::new();
    for entry in &entries {
        entry.encode(&mut list);
    }
    let lists = output.join(".baton-chunks");
    fs::create_dir_all(&lists).expect("a directory");
    fs::write(lists.join(format!("{number:016x}")), list).expect("a list");
}

pub fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

fn baton(arguments: &[&std::ffi::OsStr]) {
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(arguments)
        .status();
    assert!(status.expect("the program").success());
}
