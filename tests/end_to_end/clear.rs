//! Clear: what was recorded is forgotten, and recording goes on.

use crate::application::{Run, Workload};
use crate::events::{self, assert_complete, assert_prefix, assert_suffix};
use crate::layout::{Current, archives, assert_tidy, names, read_archives};
use crate::lttng::{Buffers, Producer};
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, UNHURRIED, end, turn};
use std::path::Path;

#[test]
fn a_running_session_is_cleared() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "fresh", Buffers::PerUser);
    let directory = relay.trace_directory("fresh");

    let across = producer.launch(UNHURRIED);
    producer.launch(Workload::default()).finish();
    session.clear();
    assert_tidy(&directory, Current::First);
    let after = producer.launch(BRIEF).finish();
    let across = across.finish();
    session.destroy();

    assert_tidy(&directory, Current::First);
    assert!(archives(&directory).is_empty(), "archives of nothing");
    assert_cleared(&directory, across, after);
    end([producer], relay);
}

#[test]
fn a_running_session_with_buffers_per_process_is_cleared() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "fresh", Buffers::PerProcess);
    let directory = relay.trace_directory("fresh");

    let across = producer.launch(UNHURRIED);
    producer.launch(BRIEF).finish();
    session.clear();
    let after = producer.launch(BRIEF).finish();
    let across = across.finish();
    session.destroy();

    assert_tidy(&directory, Current::First);
    // The traces of processes that ended before the clear have no packets any more.
    let traces = names(&directory.join("ust/pid"));
    assert_eq!(traces.len(), 2, "traces: {traces:?}");
    assert_cleared(&directory, across, after);
    end([producer], relay);
}

/// Checks that the trace has only the end of a run that went on during the clear, and a run
/// that began later.
fn assert_cleared(directory: &Path, across: Run, after: Run) {
    let seen = read_directory(directory);
    let (of_across, of_after) = (events::of(across, &seen), events::of(after, &seen));
    assert_suffix(&of_across, across);
    assert_complete(&of_after, &[after]);
    assert_eq!(seen.len(), of_across.len() + of_after.len(), "all events");
}

#[test]
fn a_stopped_session_is_cleared() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "fresh", Buffers::PerUser);
    let directory = relay.trace_directory("fresh");

    for _ in 0..2 {
        producer.launch(BRIEF).finish();
        session.stop();
        session.clear();
        assert_tidy(&directory, Current::Nothing);
        session.start();
    }
    let after = producer.launch(BRIEF).finish();
    session.destroy();

    assert_tidy(&directory, Current::First);
    assert_complete(&read_directory(&directory), &[after]);
    end([producer], relay);
}

#[test]
fn a_clear_leaves_the_archives_alone() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "thrift", Buffers::PerUser);
    let directory = relay.trace_directory("thrift");

    let archived = producer.launch(BRIEF).finish();
    session.rotate();
    producer.launch(BRIEF).finish();
    session.clear();
    assert_tidy(&directory, Current::Later);
    assert_complete(&read_archives(&directory), &[archived]);
    let after = producer.launch(BRIEF).finish();
    session.destroy();

    assert_tidy(&directory, Current::Nothing);
    assert_eq!(archives(&directory).len(), 2, "archives");
    assert_complete(&read_archives(&directory), &[archived, after]);
    end([producer], relay);
}

#[test]
fn a_viewer_reads_on_when_its_session_is_cleared() {
    let _turn = turn::take();
    a_viewer_reads_on(Buffers::PerUser);
}

#[test]
fn a_viewer_reads_on_when_its_session_with_buffers_per_process_is_cleared() {
    let _turn = turn::take();
    if skipped("a stream that ends takes what its viewer has not read with it") {
        return;
    }
    a_viewer_reads_on(Buffers::PerProcess);
}

#[test]
fn a_relay_can_refuse_to_clear() {
    let _turn = turn::take();
    let relay = Relay::start_with(&["--disallow-clear"]);
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "safe", Buffers::PerUser);

    let before = producer.launch(BRIEF).finish();
    let refusal = session.refused_clear();
    assert!(refusal.contains("not supported by the relay"), "{refusal}");
    let after = producer.launch(BRIEF).finish();
    session.destroy();

    let recorded = read_directory(&relay.trace_directory("safe"));
    assert_complete(&recorded, &[before, after]);
    end([producer], relay);
}

#[test]
fn a_viewer_of_a_session_in_which_nothing_is_left_ends_with_it() {
    let _turn = turn::take();
    for (buffers, workload) in [
        (Buffers::PerUser, SILENT),
        (Buffers::PerUser, BRIEF),
        (Buffers::PerProcess, BRIEF),
    ] {
        a_viewer_of_nothing_ends(buffers, workload);
    }
}

/// An application that comes and goes, and does nothing.
const SILENT: Workload = Workload {
    events_per_thread: 0,
    ..BRIEF
};

/// A live session is stopped and cleared, and a viewer comes: it ends with the session.
fn a_viewer_of_nothing_ends(buffers: Buffers, workload: Workload) {
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "empty", buffers);

    producer.launch(workload).finish();
    session.stop();
    session.clear();
    let viewer = Viewer::attach(&relay, "empty");
    session.destroy();

    let seen = viewer.finish();
    assert!(seen.is_empty(), "events of an empty session: {seen:?}");
    end([producer], relay);
}

/// A live session is cleared while a viewer reads it.
fn a_viewer_reads_on(buffers: Buffers) {
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "watched", buffers);
    let viewer = Viewer::attach(&relay, "watched");

    let before = producer.launch(Workload::default()).finish();
    viewer.wait_for_events();
    session.clear();
    let after = producer.launch(Workload::default()).finish();
    session.destroy();

    let seen = viewer.finish();
    let (of_before, of_after) = (events::of(before, &seen), events::of(after, &seen));
    // Packets that it had not read when the session was cleared are lost.
    assert_prefix(&of_before, &[before]);
    assert_complete(&of_after, &[after]);
    assert_eq!(seen.len(), of_before.len() + of_after.len(), "all events");
    assert_complete(&read_directory(&relay.trace_directory("watched")), &[after]);
    end([producer], relay);
}
