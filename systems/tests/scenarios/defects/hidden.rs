//! Chunks whose files the disk does not move: they are not hidden for ever behind a
//! temporary name.

use baton_components::limits::CHUNK_RETRY;
use baton_systems::memory::Operation;

use super::*;
use crate::stage::DIRECTORY;

const EIO: &str = "input/output error";
const CHUNK_0: &str = "20261122T064435+0000-0";
const ARCHIVE_0: &str = "archives/20261122T064435+0000-20261122T064535+0000-0";

fn fail_renames(stage: &Stage, count: u64) {
    for nth in 1..=count {
        stage.storage.fail(Operation::Rename, nth, EIO);
    }
}

/// A producer in whose session chunk 0 is left for chunk 1 and is to be archived, or
/// deleted, when its last packet has come: number 1.
fn rotating(stage: &mut Stage, close: u32) -> Producer {
    let producer = recording(stage);
    producer.expect_ok(stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 2)];
    producer.expect_ok(stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(stage, 0, Some(close));
    producer
}

fn hidden(stage: &Stage) -> Vec<String> {
    let mut names = stage.tree();
    names.retain(|name| name.contains(".tmp"));
    names
}

#[test]
fn a_chunk_that_cannot_be_archived_is_tried_again() {
    let mut stage = Stage::new();
    let producer = rotating(&mut stage, 0);
    fail_renames(&stage, 3);
    producer.send_whole_packet(&mut stage, DATA, 1);
    for _ in 0..2 {
        assert!(!hidden(&stage).is_empty());
        stage.pass(CHUNK_RETRY);
    }
    assert!(!hidden(&stage).is_empty(), "three times it failed");
    // Its session may be over by then.
    producer.leave(&mut stage);
    stage.pass(CHUNK_RETRY);
    stage.assert_empty();
    assert_eq!(hidden(&stage), [""; 0]);
    let packets = [stage::payload(DATA, 0), stage::payload(DATA, 1)].concat();
    let path = format!("{DIRECTORY}/{ARCHIVE_0}/ust/chan_0");
    assert!(stage.file(&path) == packets);
}

/// Twice: in the command, whose session ends with it, and at the end of the session.
#[test]
fn a_chunk_that_was_moved_by_half_comes_out_again() {
    for half in [false, true] {
        let mut stage = Stage::new();
        let producer = recording(&mut stage);
        let (_, other) = producer.add_trace(&mut stage, "zst");
        producer.send_whole_packet(&mut stage, other, 0);
        if half {
            // Of two directories the first is moved.
            stage.storage.fail(Operation::Rename, 2, EIO);
            stage.storage.fail(Operation::Rename, 3, EIO);
        } else {
            fail_renames(&stage, 2);
        }
        producer.ask(&mut stage, &stage::create_chunk(1));
        assert!(producer.control.is_closed());
        producer.data.finish();
        stage.settle();
        if half {
            assert!(!hidden(&stage).is_empty());
        }
        stage.pass(CHUNK_RETRY);
        stage.assert_empty();
        assert_eq!(hidden(&stage), [""; 0]);
        for (trace, data) in [("ust", DATA), ("zst", other)] {
            let path = format!("{DIRECTORY}/{CHUNK_0}/{trace}/chan_0");
            assert!(stage.file(&path) == stage::payload(data, 0));
        }
    }
}

#[test]
fn a_chunk_that_cannot_be_deleted_is_tried_again() {
    let mut stage = Stage::new();
    let producer = rotating(&mut stage, 2);
    stage.storage.fail(Operation::Remove, 1, EIO);
    producer.send_whole_packet(&mut stage, DATA, 1);
    assert!(!hidden(&stage).is_empty());
    stage.pass(CHUNK_RETRY);
    assert_eq!(hidden(&stage), [""; 0]);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_relay_that_stops_tries_once_more_and_keeps_nothing() {
    for works in [false, true] {
        let mut stage = Stage::new();
        let producer = rotating(&mut stage, 0);
        fail_renames(&stage, if works { 1 } else { 9 });
        producer.send_whole_packet(&mut stage, DATA, 1);
        assert!(!hidden(&stage).is_empty());
        stage.relay.hang_up_all();
        stage.assert_empty();
        assert_eq!(hidden(&stage).is_empty(), works);
    }
}
