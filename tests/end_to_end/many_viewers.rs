//! Many viewers at once, and viewers that are slow, in a hurry, or in the way.
//!
//! Each of them is served as if it were alone. The original lets one viewer at
//! a time attach to a session.

use crate::application::{Run, Workload};
use crate::events::{self, Event, assert_ascending, assert_complete, assert_suffix};
use crate::live_client::{LiveClient, Seek};
use crate::lttng::{Buffers, Producer};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, listed, read_directory};
use crate::{BRIEF, UNHURRIED, end, sandbox, turn};
use std::time::{Duration, Instant};
use std::{env, thread};

const PATIENCE: Duration = Duration::from_mins(1);

const CROWD: u32 = 64;

/// Little enough for a crowd to read on a small machine.
const MODEST: Workload = Workload {
    threads: 2,
    events_per_thread: 1_000,
    sleep_us: 200,
    payload_length: 40,
};

const WHY: &str = "a session has one viewer at most";

#[test]
fn eight_viewers_read_one_session() {
    let _turn = turn::take();
    viewers_of_sessions(8, 1, Workload::default());
}

#[test]
fn a_crowd_of_viewers_reads_one_session() {
    let _turn = turn::take_alone();
    viewers_of_sessions(CROWD, 1, MODEST);
}

#[test]
fn a_crowd_of_viewers_reads_eight_sessions() {
    let _turn = turn::take_alone();
    viewers_of_sessions(CROWD / 8, 8, MODEST);
}

#[test]
fn viewers_come_and_go_all_the_time() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "busy", Buffers::PerUser);

    let mut across = producer.launch(UNHURRIED);
    let mut visits = 0;
    while across.is_running() || visits < 3 {
        let visitor = Viewer::attach(&relay, "busy");
        if across.is_running() {
            visitor.wait_for_events();
        }
        visits += 1;
    }
    let across = across.finish();
    let last = Viewer::attach(&relay, "busy");
    let after = producer.launch(Workload::default()).finish();
    session.destroy();

    let seen = last.finish();
    assert_suffix(&events::of(across, &seen), across);
    assert_complete(&events::of(after, &seen), &[after]);
    let recorded = read_directory(&relay.trace_directory("busy"));
    assert_complete(&recorded, &[across, after]);
    end([producer], relay);
}

#[test]
fn a_session_with_eight_viewers_is_cleared_again_and_again() {
    let _turn = turn::take_alone();
    if skipped(WHY) {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "fresh", Buffers::PerUser);
    let viewers = Viewer::attach_all(&relay, "fresh", 8);

    let across = producer.launch(UNHURRIED);
    let mut before = Vec::new();
    for _ in 0..5 {
        before.push(producer.launch(BRIEF).finish());
        session.clear();
    }
    let across = across.finish();
    session.clear();
    let after = producer.launch(Workload::default()).finish();
    session.destroy();

    let runs = [&before[..], &[across, after]].concat();
    for viewer in viewers {
        let seen = viewer.finish();
        assert_ascending(&seen, &runs);
        assert_complete(&events::of(after, &seen), &[after]);
    }
    assert_complete(&read_directory(&relay.trace_directory("fresh")), &[after]);
    end([producer], relay);
}

#[test]
fn viewers_of_a_session_that_is_not_live_read_over_rotations() {
    let _turn = turn::take();
    if skipped("it serves live sessions only") {
        return;
    }
    let relay = Relay::start_with(&["--serve", "all"]);
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "turns", Buffers::PerUser);
    let viewers = Viewer::attach_all(&relay, "turns", 4);

    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(producer.launch(BRIEF).finish());
        session.rotate();
    }
    let mut across = producer.launch(UNHURRIED);
    while across.is_running() {
        session.rotate();
    }
    runs.push(across.finish());
    session.destroy();

    for viewer in viewers {
        assert_complete(&viewer.finish(), &runs);
    }
    end_keeping_sessions(producer, relay);
}

#[test]
fn a_session_that_is_over_is_listed_and_read() {
    let _turn = turn::take();
    if skipped("it serves live sessions only") {
        return;
    }
    let relay = Relay::start_with(&["--serve", "all"]);
    let producer = Producer::start();
    let live = producer.live_session(&relay, "past-live", Buffers::PerUser);
    let recorded = producer.recorded_session(&relay, "past", Buffers::PerUser);
    let run = producer.launch(Workload::default()).finish();
    live.destroy();
    recorded.destroy();

    for session in ["past-live", "past"] {
        let directory = relay.trace_directory(session);
        let name = directory.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name in UTF-8");
        eventually("the session with its time in the list", PATIENCE, || {
            let list = listed(&relay);
            let entry = format!("/host/{}/{name} (", sandbox::host());
            list.contains(&entry)
        });
        for _ in 0..2 {
            let seen = Viewer::open(&relay, name).finish();
            assert_complete(&seen, &[run]);
        }
        assert_complete(&read_directory(&directory), &[run]);
    }
    end_keeping_sessions(producer, relay);
}

#[test]
fn a_viewer_that_sleeps_holds_up_nobody() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "slow", Buffers::PerUser);
    let sleeper = Viewer::attach(&relay, "slow");
    let others = Viewer::attach_all(&relay, "slow", 3);

    let first = producer.launch(UNHURRIED);
    sleeper.wait_for_events();
    sleeper.pause();
    let stalled = Instant::now();
    let first = first.finish();
    let mut runs = vec![first, producer.launch(Workload::default()).finish()];
    for other in &others {
        other.wait_for_all(first);
    }
    while stalled.elapsed() < stall() {
        runs.push(producer.launch(BRIEF).finish());
    }
    sleeper.resume();
    session.destroy();

    for viewer in others.into_iter().chain([sleeper]) {
        assert_complete(&viewer.finish(), &runs);
    }
    let recorded = read_directory(&relay.trace_directory("slow"));
    assert_complete(&recorded, &runs);
    end([producer], relay);
}

#[test]
fn a_viewer_that_asks_and_does_not_listen_holds_up_nobody() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "deaf", Buffers::PerUser);
    let others = Viewer::attach_all(&relay, "deaf", 3);
    let client = LiveClient::connect(relay.live_address());
    let viewer = client.attach("deaf", Seek::Last);
    // More replies than the sockets on their way have room for.
    let flood = viewer.ask_much();

    let stalled = Instant::now();
    let first = producer.launch(UNHURRIED).finish();
    let mut runs = vec![first, producer.launch(Workload::default()).finish()];
    for other in &others {
        other.wait_for_all(first);
    }
    while stalled.elapsed() < stall() {
        runs.push(producer.launch(BRIEF).finish());
    }
    let reading = thread::spawn(|| flood.listen().read_to_end());
    session.destroy();

    for other in others {
        assert_complete(&other.finish(), &runs);
    }
    let seen = reading.join().expect("a viewer that has read to the end");
    assert_complete(&seen, &runs);
    end([producer], relay);
}

/// Some viewers of each of some sessions, which record the same application.
fn viewers_of_sessions(viewers: u32, sessions: usize, workload: Workload) {
    if skipped(WHY) {
        return;
    }
    let names: Vec<_> = (1..=sessions).map(|n| format!("shared{n}")).collect();
    let relay = Relay::start();
    let producer = Producer::start();
    let sessions: Vec<_> = names
        .iter()
        .map(|name| producer.live_session(&relay, name, Buffers::PerUser))
        .collect();
    let audience: Vec<_> = names
        .iter()
        .flat_map(|name| Viewer::attach_all(&relay, name, viewers))
        .collect();
    let list = listed(&relay);
    for name in &names {
        let count = format!("{viewers} client(s) connected");
        let line = list.lines().find(|line| line.contains(name.as_str()));
        assert!(line.is_some_and(|line| line.contains(&count)), "{list}");
    }

    let run = producer.launch(workload).finish();
    for session in sessions {
        session.destroy();
    }

    assert_all_complete(audience, run);
    for name in &names {
        assert_complete(&read_directory(&relay.trace_directory(name)), &[run]);
    }
    end([producer], relay);
}

/// The end of a case of a relay that keeps sessions which are over.
fn end_keeping_sessions(producer: Producer, mut relay: Relay) {
    drop(producer);
    relay.assert_keeps_only(&relay.output());
    relay.terminate();
}

fn assert_all_complete(audience: Vec<Viewer>, run: Run) {
    for viewer in audience {
        let seen: Vec<Event> = viewer.finish();
        assert_complete(&seen, &[run]);
    }
}

/// How long a viewer is out of action; `BATON_STALL_SECONDS` can make it longer.
fn stall() -> Duration {
    let seconds = env::var("BATON_STALL_SECONDS").map(|text| text.parse());
    Duration::from_secs(seconds.map_or(10, |number| number.expect("a number of seconds")))
}
