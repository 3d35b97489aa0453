//! `LTTng` as a user has it, end to end: instrumented applications, session and
//! consumer daemons, the relay, and viewers, all as processes on this machine.
//!
//! The tests count events, as a user does: each event that an application emitted is read
//! once, live and from disk; and a relay without peers holds nothing.
//!
//! `BATON_TEST_RELAY=lttng-relayd` runs the same cases against the original.

mod application;
mod archive;
mod broken;
#[allow(dead_code, reason = "made for the cases of monitor")]
#[path = "../monitor/browser.rs"]
mod browser;
mod clear;
mod crash;
mod data_port;
mod document;
mod durability;
mod events;
mod full_disk;
mod go_between;
mod guarded;
mod handshakes;
mod journal;
mod late_streams;
mod layout;
mod live_client;
mod losses;
mod lttng;
mod many_viewers;
mod memory;
mod missed;
mod monitors;
mod nonsense;
mod page;
mod places;
mod ports;
mod process;
mod raw_producer;
mod refusals;
mod relay;
mod replay;
mod requirements;
mod retention;
mod rotation;
mod sandbox;
#[allow(dead_code, reason = "made for the cases of the archive")]
#[path = "../../archive/tests/archive/server.rs"]
mod server;
#[path = "../skip/mod.rs"]
mod skip;
mod slow_disk;
mod snapshot;
mod status;
mod strict_viewer;
mod surroundings;
mod tls;
mod trace_files;
mod tunnel;
mod turn;
mod viewer;

use application::{Application, Run, Workload};
use events::{assert_complete, assert_prefix, assert_suffix};
use live_client::{LiveClient, Seek};
use lttng::{Buffers, Mode, Producer, Setup};
use ports::Ports;
use process::Process;
use relay::{Relay, skipped};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};
use viewer::{Viewer, read_directory};

/// Fills packets of a mebibyte, as fast as it can.
const BULKY: Workload = Workload {
    threads: 2,
    events_per_thread: 8_000,
    sleep_us: 0,
    payload_length: 400,
};

/// Slow enough that things can be done to it while it runs.
const UNHURRIED: Workload = Workload {
    threads: 2,
    events_per_thread: 2_500,
    sleep_us: 600,
    payload_length: 40,
};

/// Short, for the cases with many applications.
const BRIEF: Workload = Workload {
    threads: 2,
    events_per_thread: 200,
    sleep_us: 200,
    payload_length: 40,
};

#[test]
fn one_application_is_read_live_and_from_disk() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "one", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "one");

    let run = producer.launch(Workload::default()).finish();
    session.destroy();

    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory("one")), &[run]);
    end([producer], relay);
}

#[test]
fn large_packets_are_read_live_and_from_disk() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        channel: &["--subbuf-size=1M", "--num-subbuf=4"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    let session = producer.session(&relay, "large", setup);
    let viewer = Viewer::attach(&relay, "large");

    let run = producer.launch(BULKY).finish();
    session.destroy();

    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory("large")), &[run]);
    end([producer], relay);
}

#[test]
fn applications_come_and_go_with_buffers_per_user() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "crowd", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "crowd");

    let runs = come_and_go(&producer, 10, 3);
    session.destroy();

    assert_complete(&viewer.finish(), &runs);
    assert_complete(&read_directory(&relay.trace_directory("crowd")), &runs);
    end([producer], relay);
}

#[test]
fn applications_come_and_go_with_buffers_per_process() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "crowd", Buffers::PerProcess);
    let live = !skipped("a stream that ends takes what its viewer has not read with it");
    // Babeltrace 2.0.4 takes no notice of new streams while those it knows are idle or
    // end, and then gives up on a stream that begins before the time it has reached: in
    // one run of ten here, whatever the relay. Our own client has no such limit.
    let attach = || LiveClient::connect(relay.live_address()).attach("crowd", Seek::Last);
    let viewer = live.then(attach);

    let runs = come_and_go(&producer, 10, 3);
    session.destroy();

    if let Some(viewer) = viewer {
        assert_complete(&viewer.read_to_end(), &runs);
    }
    assert_complete(&read_directory(&relay.trace_directory("crowd")), &runs);
    end([producer], relay);
}

#[test]
fn the_younger_of_two_sessions_ends_first() {
    let _turn = turn::take();
    one_of_two_sessions_ends(&Elder::EndsLast);
}

#[test]
fn the_elder_of_two_sessions_ends_first() {
    let _turn = turn::take();
    if skipped("it finds the files of the elder in use as long as the younger lives") {
        return;
    }
    one_of_two_sessions_ends(&Elder::EndsFirst);
}

#[test]
fn two_producers_share_a_relay() {
    let _turn = turn::take();
    let relay = Relay::start();
    let (left, right) = (Producer::start(), Producer::start());
    let left_session = left.live_session(&relay, "left", Buffers::PerUser);
    let right_session = right.live_session(&relay, "right", Buffers::PerUser);
    let left_viewer = Viewer::attach(&relay, "left");
    let right_viewer = Viewer::attach(&relay, "right");

    let left_application = left.launch(Workload::default());
    let right_application = right.launch(Workload::default());
    let (left_run, right_run) = (left_application.finish(), right_application.finish());
    left_session.destroy();
    right_session.destroy();

    assert_complete(&left_viewer.finish(), &[left_run]);
    assert_complete(&right_viewer.finish(), &[right_run]);
    assert_complete(&read_directory(&relay.trace_directory("left")), &[left_run]);
    assert_complete(
        &read_directory(&relay.trace_directory("right")),
        &[right_run],
    );
    end([left, right], relay);
}

#[test]
fn a_session_that_is_not_live_is_on_disk() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "recorded", Buffers::PerUser);

    let run = producer.launch(Workload::default()).finish();
    session.stop();
    session.destroy();

    assert_complete(&read_directory(&relay.trace_directory("recorded")), &[run]);
    end([producer], relay);
}

#[test]
fn a_late_viewer_reads_from_the_beginning() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "past", Buffers::PerUser);

    let before = producer.launch(Workload::default()).finish();
    let client = LiveClient::connect(relay.live_address());
    let viewer = client.attach("past", Seek::Beginning);
    let reading = thread::spawn(|| viewer.read_to_end());
    let after = producer.launch(Workload::default()).finish();
    session.destroy();

    let seen = reading.join().expect("a viewer that has read to the end");
    assert_complete(&seen, &[before, after]);
    end([producer], relay);
}

#[test]
fn a_late_viewer_reads_from_where_the_session_is() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "present", Buffers::PerUser);

    let before = producer.launch(Workload::default()).finish();
    // With a stop the relay has all packets of `before`: none is in flight any more.
    session.stop();
    session.start();
    let across = producer.launch(UNHURRIED);
    let viewer = Viewer::attach(&relay, "present");
    let after = producer.launch(Workload::default()).finish();
    let across = across.finish();
    session.destroy();

    let seen = viewer.finish();
    assert!(events::of(before, &seen).is_empty(), "events of the past");
    assert_suffix(&events::of(across, &seen), across);
    assert_complete(&events::of(after, &seen), &[after]);
    assert_complete(
        &read_directory(&relay.trace_directory("present")),
        &[before, across, after],
    );
    end([producer], relay);
}

#[test]
fn two_viewers_read_one_session() {
    let _turn = turn::take();
    if skipped("a session has one viewer at most") {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "shared", Buffers::PerUser);
    let babeltrace = Viewer::attach(&relay, "shared");
    let client = LiveClient::connect(relay.live_address());
    let viewer = client.attach("shared", Seek::Last);
    let reading = thread::spawn(|| viewer.read_to_end());

    let run = producer.launch(Workload::default()).finish();
    session.destroy();

    assert_complete(&babeltrace.finish(), &[run]);
    let seen = reading.join().expect("a viewer that has read to the end");
    assert_complete(&seen, &[run]);
    end([producer], relay);
}

#[test]
fn a_killed_viewer_makes_room_for_the_next() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "watched", Buffers::PerUser);
    let killed = Viewer::attach(&relay, "watched");

    let across = producer.launch(UNHURRIED);
    killed.wait_for_events();
    drop(killed);
    let viewer = Viewer::attach(&relay, "watched");
    let after = producer.launch(Workload::default()).finish();
    let across = across.finish();
    session.destroy();

    let seen = viewer.finish();
    assert_suffix(&events::of(across, &seen), across);
    assert_complete(&events::of(after, &seen), &[after]);
    let recorded = read_directory(&relay.trace_directory("watched"));
    assert_complete(&recorded, &[across, after]);
    end([producer], relay);
}

#[test]
fn a_viewer_of_a_quiet_session_can_be_interrupted() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "quiet", Buffers::PerUser);
    let interrupted = Viewer::attach(&relay, "quiet");
    let before = producer.launch(Workload::default()).finish();
    interrupted.wait_for_events();
    // No packets and no beacons: the viewer asks again and again.
    session.stop();
    thread::sleep(Duration::from_secs(1));
    interrupted.interrupt();

    let viewer = Viewer::attach(&relay, "quiet");
    session.start();
    let after = producer.launch(Workload::default()).finish();
    session.destroy();

    assert_complete(&viewer.finish(), &[after]);
    let recorded = read_directory(&relay.trace_directory("quiet"));
    assert_complete(&recorded, &[before, after]);
    end([producer], relay);
}

#[test]
fn a_killed_producer_leaves_a_readable_trace() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let _session = producer.live_session(&relay, "cut", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "cut");

    let application = producer.launch(UNHURRIED);
    viewer.wait_for_events();
    // The viewer is half a second behind when the producer dies, still sending.
    viewer.pause();
    let ended = producer.launch(Workload::default()).finish();
    producer.kill_consumer();
    viewer.resume();
    let seen = viewer.finish();

    let runs = [application.run(), ended];
    let recorded = read_directory(&relay.trace_directory("cut"));
    assert_prefix(&seen, &runs);
    assert_prefix(&recorded, &runs);
    assert!(!seen.is_empty(), "a viewer that has seen nothing");
    if !skipped("a viewer loses what it has not read when the producer goes") {
        // A packet may have come whole, and its producer died before it described it:
        // readers of the file find it, viewers do not. A copy has the packets that were
        // described, and no others: those, and exactly those, were seen.
        let copy = tempfile::tempdir().expect("a directory");
        layout::copy(&relay.trace_directory("cut"), copy.path());
        layout::cut_to_described(copy.path());
        let described = read_directory(copy.path());
        assert_eq!(seen.len(), described.len(), "seen live, and described");
    }
    drop(application);
    end([producer], relay);
}

#[test]
fn a_terminated_relay_leaves_a_readable_trace() {
    let _turn = turn::take();
    let mut relay = Relay::start();
    let producer = Producer::start();
    let _session = producer.live_session(&relay, "broken-off", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "broken-off");

    let application = producer.launch(UNHURRIED);
    viewer.wait_for_events();
    relay.terminate_within(Duration::from_secs(5));

    let recorded = read_directory(&relay.trace_directory("broken-off"));
    assert_prefix(&recorded, &[application.run()]);
    assert!(!recorded.is_empty(), "a trace without events");
}

#[test]
fn a_peer_that_talks_nonsense_disturbs_nobody() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "undisturbed", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "undisturbed");
    let application = producer.launch(UNHURRIED);

    let (control, data) = (relay.control_address(), relay.data_address());
    let hello = nonsense::command(nonsense::VERSION, 8, &[0, 0, 0, 2, 0, 0, 0, 13]);
    let unknown = [&hello[..], &nonsense::command(99, 0, &[])].concat();
    let huge = [
        &hello[..],
        &nonsense::command(nonsense::VERSION, 1 << 63, &[]),
    ]
    .concat();
    let peers = [
        nonsense::say(control, &nonsense::noise()),
        nonsense::say(data, &nonsense::noise()),
        nonsense::say(control, &hello[..10]),
        nonsense::say(data, &hello[..10]),
        nonsense::say(control, &unknown),
        nonsense::say(control, &huge),
    ];

    let run = application.finish();
    session.destroy();
    assert_complete(&viewer.finish(), &[run]);
    assert_complete(
        &read_directory(&relay.trace_directory("undisturbed")),
        &[run],
    );
    if !skipped("it does not log the address of a peer") {
        let log = relay.log();
        for peer in peers {
            assert!(log.contains(&peer.to_string()), "{peer} is not in:\n{log}");
        }
    }
    end([producer], relay);
}

#[test]
fn a_relay_does_not_start_on_ports_in_use() {
    let _turn = turn::take();
    if skipped("it ends with status 0") {
        return;
    }
    let relay = Relay::start();
    let home = sandbox::home();
    let ports = relay.ports();
    let error = refusal(ports, &home.path().join("traces"), home.path());
    assert!(error.contains(&ports.control.to_string()), "{error}");
    end([], relay);
}

#[test]
fn a_relay_does_not_start_without_an_output_directory() {
    let _turn = turn::take();
    if skipped("it explains itself in several lines") {
        return;
    }
    let home = sandbox::home();
    let file = home.path().join("file");
    fs::write(&file, "in the way").expect("a file");
    let output = file.join("traces");
    let error = refusal(Ports::free(), &output, home.path());
    assert!(error.contains(&*output.to_string_lossy()), "{error}");
}

enum Elder {
    EndsFirst,
    EndsLast,
}

/// Two sessions of one producer, with a viewer each.
fn one_of_two_sessions_ends(elder_session: &Elder) {
    let relay = Relay::start();
    let producer = Producer::start();
    let elder = producer.live_session(&relay, "elder", Buffers::PerUser);
    let younger = producer.live_session(&relay, "younger", Buffers::PerUser);
    let (first, last) = match elder_session {
        Elder::EndsFirst => (elder, younger),
        Elder::EndsLast => (younger, elder),
    };
    let first_viewer = Viewer::attach(&relay, first.name());
    let last_viewer = Viewer::attach(&relay, last.name());

    let (first_name, last_name) = (first.name(), last.name());

    // Both record the application as long as they live.
    let early = producer.launch(Workload::default()).finish();
    first.destroy();
    let late = producer.launch(Workload::default()).finish();
    last.destroy();

    assert_complete(&first_viewer.finish(), &[early]);
    assert_complete(&last_viewer.finish(), &[early, late]);
    assert_complete(
        &read_directory(&relay.trace_directory(first_name)),
        &[early],
    );
    assert_complete(
        &read_directory(&relay.trace_directory(last_name)),
        &[early, late],
    );
    end([producer], relay);
}

/// Runs a number of applications, some of them at a time.
fn come_and_go(producer: &Producer, count: u32, at_once: usize) -> Vec<Run> {
    let mut running = VecDeque::new();
    let mut ended = Vec::new();
    for _ in 0..count {
        if running.len() == at_once {
            ended.extend(running.pop_front().map(Application::finish));
        }
        running.push_back(producer.launch(BRIEF));
    }
    ended.extend(running.into_iter().map(Application::finish));
    ended
}

/// The end of a case: without producers the relay holds nothing, and ends well.
fn end(producers: impl IntoIterator<Item = Producer>, mut relay: Relay) {
    producers.into_iter().for_each(drop);
    relay.assert_idle();
    relay.terminate();
}

/// The one line with which a relay says why it does not start.
fn refusal(ports: Ports, output: &Path, home: &Path) -> String {
    let mut relay = Process::spawn(&mut relay::command(ports, output, home), home, "relay");
    let status = relay.wait(Duration::from_secs(10));
    let errors = relay.errors();
    assert!(!status.success(), "{status}:\n{errors}");
    assert_eq!(errors.lines().count(), 1, "not one line:\n{errors}");
    errors
}
