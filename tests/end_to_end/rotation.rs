//! Rotation: what was recorded so far becomes an archive, and recording goes on.
//!
//! Each archive is a trace of its own, and all of them together are the recording.

use crate::application::Workload;
use crate::events::{self, assert_complete, assert_prefix};
use crate::layout::{self, Current, archives, assert_tidy, names, open_chunks, read_archives};
use crate::lttng::{Buffers, Mode, Producer, Session, Setup};
use crate::process::{eventually, signal};
use crate::relay::{Relay, is_original, skipped};
use crate::viewer::read_directory;
use crate::{BRIEF, UNHURRIED, end, turn};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

const PAGE: u64 = 4_096;

/// How long anything here may take: a few archives of a schedule, or the first signs of one.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_session_with_buffers_per_user_is_rotated() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "turns", Buffers::PerUser);
    let directory = relay.trace_directory("turns");
    assert_tidy(&directory, Current::Nothing);

    let early = producer.launch(Workload::default()).finish();
    assert_tidy(&directory, Current::First);
    rotate(&relay, &session);
    assert_complete(&read_archives(&directory), &[early]);
    let mut across = producer.launch(UNHURRIED);
    while across.is_running() {
        rotate(&relay, &session);
        assert_tidy(&directory, Current::Later);
    }
    let across = across.finish();
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_complete(&read_archives(&directory), &[early, across]);
    end([producer], relay);
}

#[test]
fn a_session_with_buffers_per_process_is_rotated() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "crowd", Buffers::PerProcess);
    let directory = relay.trace_directory("crowd");

    // There are applications that end before a rotation, that begin after it,
    // and that live through one or more.
    let mut across = producer.launch(UNHURRIED);
    let mut runs = vec![across.run()];
    while across.is_running() {
        runs.push(producer.launch(BRIEF).finish());
        let neighbour = producer.launch(BRIEF);
        rotate(&relay, &session);
        runs.push(neighbour.finish());
        assert_tidy(&directory, Current::Later);
    }
    across.finish();
    // Nobody is left to record when these rotate.
    rotate(&relay, &session);
    rotate(&relay, &session);
    runs.push(producer.launch(BRIEF).finish());
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_complete(&read_archives(&directory), &runs);
    end([producer], relay);
}

#[test]
fn a_session_is_rotated_before_there_is_anything_in_it() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "hollow", Buffers::PerUser);
    let directory = relay.trace_directory("hollow");

    rotate(&relay, &session);
    rotate(&relay, &session);
    assert_tidy(&directory, Current::Later);
    let run = producer.launch(BRIEF).finish();
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_eq!(archives(&directory).len(), 3, "archives");
    assert_complete(&read_archives(&directory), &[run]);
    end([producer], relay);
}

#[test]
fn a_session_is_rotated_while_it_is_stopped() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "pauses", Buffers::PerUser);
    let directory = relay.trace_directory("pauses");

    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(producer.launch(BRIEF).finish());
        session.stop();
        rotate(&relay, &session);
        assert_tidy(&directory, Current::Nothing);
        assert_complete(&read_archives(&directory), &runs);
        session.start();
        assert_tidy(&directory, Current::Later);
    }
    runs.push(producer.launch(BRIEF).finish());
    rotate(&relay, &session);
    runs.push(producer.launch(BRIEF).finish());
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_eq!(archives(&directory).len(), 4, "archives");
    assert_complete(&read_archives(&directory), &runs);
    end([producer], relay);
}

#[test]
fn a_session_rotates_every_now_and_then() {
    let _turn = turn::take();
    rotates_by_itself("--timer=300ms");
}

#[test]
fn a_session_rotates_whenever_it_has_grown() {
    let _turn = turn::take();
    rotates_by_itself("--size=64k");
}

#[test]
fn a_producer_is_killed_while_it_rotates() {
    let _turn = turn::take();
    if skipped("it leaves parts of packets, under hidden names") {
        return;
    }
    let relay = Relay::start();
    // After the new chunk is there, the streams go over to it, one by one.
    for (name, delay_ms) in [("at-once", 0), ("soon", 2), ("later", 8), ("late", 40)] {
        kill_while_rotating(&relay, name, Duration::from_millis(delay_ms));
    }
    end([], relay);
}

/// Kills a producer some time after the relay began to rotate.
fn kill_while_rotating(relay: &Relay, name: &str, delay: Duration) {
    let producer = Producer::start();
    let session = producer.recorded_session(relay, name, Buffers::PerUser);
    let directory = relay.trace_directory(name);
    let early = producer.launch(BRIEF).finish();
    // Metadata comes with the first rotation. So the second one cuts off a
    // chunk that has some.
    session.rotate();
    let application = producer.launch(UNHURRIED);
    let cut = application.run();
    eventually("events in the second chunk", PATIENCE, || {
        // A chunk begins with a packet of a page without events.
        let files = layout::files(&open_chunks(&directory)[0]);
        files.iter().any(|file| length(file) > 2 * PAGE)
    });

    let consumer = producer.consumer().to_string();
    let before = names(&directory);
    let client = session.begin_to_rotate();
    let deadline = Instant::now() + PATIENCE;
    // Not polled with a pause: that would be longer than what is waited for lasts.
    while names(&directory) == before {
        assert!(Instant::now() < deadline, "{name}: no rotation");
        thread::yield_now();
    }
    thread::sleep(delay);
    signal("KILL", &consumer);
    drop((client, application, producer));
    relay.assert_idle();

    let mut seen = read_archives(&directory);
    for chunk in open_chunks(&directory) {
        // It is the producer who sends the metadata; without it nothing can be read.
        let files = layout::files(&chunk);
        if files
            .iter()
            .any(|file| file.ends_with("metadata") && length(file) > 0)
        {
            seen.extend(read_directory(&chunk));
        }
    }
    let (of_early, of_cut) = (events::of(early, &seen), events::of(cut, &seen));
    assert_complete(&of_early, &[early]);
    assert!(!of_cut.is_empty(), "{name}: no events of the second chunk");
    assert_prefix(&of_cut, &[cut]);
    assert_eq!(seen.len(), of_early.len() + of_cut.len(), "all events");
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).expect("a file").len()
}

/// A session with a schedule makes archives while an application runs.
fn rotates_by_itself(schedule: &str) {
    let relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        // So often the size is looked at.
        channel: &["--monitor-timer=100000"],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let session = producer.session(&relay, "clockwork", setup);
    let directory = relay.trace_directory("clockwork");

    session.rotate_by_itself(schedule);
    let mut runs = vec![producer.launch(UNHURRIED).finish()];
    eventually("two archives", PATIENCE, || {
        if archives(&directory).len() < 2 {
            runs.push(producer.launch(BRIEF).finish());
        }
        archives(&directory).len() >= 2
    });
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_complete(&read_archives(&directory), &runs);
    end([producer], relay);
}

/// Rotates by hand. The client must say where the new archive is.
fn rotate(relay: &Relay, session: &Session) {
    let directory = relay.trace_directory(session.name());
    let before = archives(&directory);
    let location = relay.output().join(session.rotate());

    let mut new = archives(&directory);
    new.retain(|archive| !before.contains(archive));
    assert_eq!(new.len(), 1, "new archives: {new:?}");
    // For the first archive of a session, the original names the session.
    if is_original() && before.is_empty() {
        assert_eq!(location, directory, "what the client says");
    } else {
        assert_eq!(location, new[0], "what the client says");
    }
}
