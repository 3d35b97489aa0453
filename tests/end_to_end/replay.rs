//! Recorded sessions sent again by `baton replay`: to viewers, and to relays.
//!
//! A replay must be equal to the recording: a viewer reads what is on disk, and a relay
//! writes the files that were read.

use crate::application::Workload;
use crate::events::{Event, assert_complete};
use crate::layout;
use crate::lttng::{Buffers, Mode, Producer, Session, Setup};
use crate::ports::{self, Ports};
use crate::process::{Process, eventually, retry};
use crate::relay::{self, Relay, skipped};
use crate::sandbox;
use crate::viewer::{Viewer, read_directory};
use crate::{come_and_go, end, turn};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_recorded_session_is_viewed_again() {
    let _turn = turn::take();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerUser),
        |producer, _| {
            producer.launch(Workload::default()).finish();
        },
    );
    recorded.assert_viewed_as_read();
    assert!(recorded.read.len() > 1_000, "a short recording");

    // Without indexes, too.
    for file in layout::files(&recorded.trace) {
        if file.extension().is_some_and(|it| it == "idx") {
            fs::remove_file(file).expect("an index file");
        }
    }
    recorded.assert_viewed_as_read();
}

#[test]
fn a_live_session_is_viewed_again_by_two() {
    let _turn = turn::take();
    let recorded = record(Setup::new(Mode::Live, Buffers::PerUser), |producer, _| {
        producer.launch(Workload::default()).finish();
    });
    // At its own pace: there are gaps, and beacons in them.
    let mut replay = Replay::serve(&recorded.trace, &["--speed=1", "--viewers=2"]);
    let first = Viewer::open_url(&replay.url());
    let second = Viewer::open_url(&replay.url());
    assert_same(first.finish(), recorded.read.clone());
    assert_same(second.finish(), recorded.read.clone());
    replay.process.wait_for_success(PATIENCE);
}

#[test]
fn processes_that_came_and_went_are_viewed_again() {
    let _turn = turn::take();
    let mut runs = Vec::new();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerProcess),
        |producer, _| runs = come_and_go(producer, 10, 3),
    );
    assert_complete(&recorded.read, &runs);
    recorded.assert_viewed_as_read();
}

#[test]
fn a_rotated_session_is_viewed_again_as_a_whole() {
    let _turn = turn::take();
    let mut runs = Vec::new();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerUser),
        |producer, session| {
            for _ in 0..2 {
                runs.push(producer.launch(Workload::default()).finish());
                session.rotate();
            }
            runs.push(producer.launch(Workload::default()).finish());
        },
    );
    assert_complete(&recorded.read, &runs);
    recorded.assert_viewed_as_read();
    let archives = layout::archives(&recorded.trace);
    assert_eq!(archives.len(), 3, "{archives:?}");
    let (archive, expected) = (&archives[1], read_directory(&archives[1]));
    assert!(!expected.is_empty(), "an archive without events");
    assert_same(viewed(archive), expected);
}

#[test]
fn a_ring_of_trace_files_is_viewed_again() {
    let _turn = turn::take();
    let setup = Setup {
        channel: &["--tracefile-size=32k", "--tracefile-count=3"],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let recorded = record(setup, |producer, _| {
        let much = Workload {
            events_per_thread: 8_000,
            sleep_us: 10,
            ..Workload::default()
        };
        producer.launch(much).finish();
    });
    assert!(recorded.read.len() < 16_000, "nothing was written over");
    recorded.assert_viewed_as_read();
}

#[test]
fn a_relay_writes_what_is_sent_to_it() {
    let _turn = turn::take();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerProcess),
        |producer, _| {
            producer.launch(Workload::default()).finish();
            producer.launch(Workload::default()).finish();
        },
    );
    let relay = Relay::start();
    send(&recorded.trace, &relay.producer_url());
    let written = relay.trace_directory("replayed");
    assert_same_files(&recorded.trace, &written);
    assert_same(read_directory(&written), recorded.read);
    end([], relay);
}

#[test]
fn the_original_writes_what_is_sent_to_it() {
    let _turn = turn::take();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerUser),
        |producer, _| {
            producer.launch(Workload::default()).finish();
        },
    );
    let (home, ports) = (sandbox::home(), Ports::free());
    let output = home.path().join("traces");
    let mut command = relay::original(ports, &output, home.path());
    let mut original = Process::spawn(&mut command, home.path(), "lttng-relayd");
    eventually("an original that listens", PATIENCE, || {
        let listens = |port| TcpStream::connect(ports::local(port)).is_ok();
        listens(ports.control) && listens(ports.data) && listens(ports.live)
    });
    let url = format!("net://127.0.0.1:{}:{}", ports.control, ports.data);
    send(&recorded.trace, &url);
    original.signal("TERM");
    original.wait(PATIENCE);
    let written = layout::dated_directory(&output.join(sandbox::host()), "replayed");
    assert_same_files(&recorded.trace, &written);
    assert_same(read_directory(&written), recorded.read);
}

#[test]
fn a_viewer_of_another_relay_follows_what_is_sent_to_it() {
    let _turn = turn::take();
    if skipped("it loses what its viewer has not read when a session ends") {
        return;
    }
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerUser),
        |producer, _| {
            producer.launch(Workload::default()).finish();
        },
    );
    let relay = Relay::start();
    // Slow enough that a viewer comes in time for the last packets.
    let mut sending = Replay::start(
        &recorded.trace,
        &["--speed=0.1", "--to", &relay.producer_url()],
    );
    eventually("a session that is announced", PATIENCE, || {
        sending.process.errors().contains("is sent to")
    });
    let viewer = Viewer::attach(&relay, "replayed");
    let seen = viewer.finish();
    sending.process.wait_for_success(PATIENCE);
    assert!(!seen.is_empty(), "a viewer that saw nothing");
    let last = recorded.read.last().expect("an event");
    assert!(seen.contains(last), "the last event was not seen");
    end([], relay);
}

#[test]
fn a_replay_that_nobody_views_ends_when_it_is_told_to() {
    let _turn = turn::take();
    let recorded = record(
        Setup::new(Mode::Recorded, Buffers::PerUser),
        |producer, _| {
            producer.launch(Workload::default()).finish();
        },
    );
    let mut replay = Replay::serve(&recorded.trace, &[]);
    replay.url();
    replay.process.signal("INT");
    replay.process.wait_for_success(PATIENCE);
}

/// A recording: its directory, and what a reader finds in it.
struct Recorded {
    trace: PathBuf,
    read: Vec<Event>,
    // The relay that wrote it, and its directory.
    _relay: Relay,
}

/// Records a session, called `replayed`.
fn record(setup: Setup<'_>, work: impl FnOnce(&Producer, &Session<'_>)) -> Recorded {
    let mut relay = Relay::start();
    let producer = Producer::start();
    let session = producer.session(&relay, "replayed", setup);
    work(&producer, &session);
    session.destroy();
    drop(producer);
    relay.assert_idle();
    relay.terminate();
    let trace = relay.trace_directory("replayed");
    Recorded {
        read: read_directory(&trace),
        trace,
        _relay: relay,
    }
}

impl Recorded {
    fn assert_viewed_as_read(&self) {
        assert_same(viewed(&self.trace), self.read.clone());
    }
}

/// A running `baton replay`.
struct Replay {
    // Before `_home`: fields are dropped in this order.
    process: Process,
    _home: TempDir,
}

impl Replay {
    fn start(trace: &Path, options: &[&str]) -> Self {
        let home = sandbox::home();
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("replay").arg(trace).args(options);
        Self {
            process: Process::spawn(&mut command, home.path(), "replay"),
            _home: home,
        }
    }

    /// Starts one for viewers.
    fn serve(trace: &Path, options: &[&str]) -> Self {
        let port = ["--live-port=tcp://127.0.0.1:0"];
        Self::start(trace, &[&port, options].concat())
    }

    /// The URL that it prints for viewers.
    fn url(&self) -> String {
        retry(PATIENCE, || {
            let said = self.process.errors();
            let (_, url) = said.split_once("net://").ok_or("the URL of a replay")?;
            let (url, _) = url.split_once('\n').ok_or("all of the URL of a replay")?;
            Ok::<_, &str>(format!("net://{url}"))
        })
    }
}

/// The output of Babeltrace for a replay without gaps. Both exit by themselves.
fn viewed(trace: &Path) -> Vec<Event> {
    let mut replay = Replay::serve(trace, &["--speed=max"]);
    let seen = Viewer::open_url(&replay.url()).finish();
    replay.process.wait_for_success(PATIENCE);
    seen
}

fn send(trace: &Path, url: &str) {
    let mut replay = Replay::start(trace, &["--speed=max", "--to", url]);
    replay.process.wait_for_success(PATIENCE);
}

/// The same events, in the order of each thread: what happened at the same moment in two
/// streams has no other.
fn assert_same(mut seen: Vec<Event>, mut expected: Vec<Event>) {
    for events in [&mut seen, &mut expected] {
        events.sort_by_key(|event| (event.pid, event.thread));
    }
    assert_eq!(seen.len(), expected.len(), "events seen, and expected");
    let odd = seen.iter().zip(&expected).find(|(a, b)| a != b);
    assert!(odd.is_none(), "seen, and expected: {odd:?}");
}

/// The same files but for those without packets, byte for byte.
fn assert_same_files(recorded: &Path, written: &Path) {
    let files = |directory: &Path| {
        let mut files = layout::files(directory);
        files.retain(|path| fs::metadata(path).expect("a file").len() > 0);
        let below = |path: PathBuf| {
            path.strip_prefix(directory)
                .expect("a path below")
                .to_owned()
        };
        files.into_iter().map(below).collect::<Vec<_>>()
    };
    let names = files(recorded);
    assert!(names.len() > 3, "{names:?}");
    assert_eq!(files(written), names);
    for name in names {
        let read = |directory: &Path| fs::read(directory.join(&name)).expect("a file");
        assert!(
            read(recorded) == read(written),
            "{} differs",
            name.display()
        );
    }
}
