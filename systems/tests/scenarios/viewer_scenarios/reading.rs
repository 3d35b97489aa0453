//! How far a viewer reads: through rings, clears and the end of streams.

use baton_components::limits::LIVE_HOLD_BACK;
use baton_components::path::RelativePath;
use baton_systems::memory::Operation;
use baton_systems::ports::Storage;

use crate::stage::{self, create_chunk, payload};
use crate::viewer_words::{ATTACH, DATA, DELETE, METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, Scene};
use baton_components::wire::viewer::Request;

#[test]
fn a_viewer_that_a_ring_overtakes_goes_on_with_what_is_there() {
    let mut scene = Scene::with_ring(3);
    for sequence in 0..10 {
        scene.send(sequence);
    }
    scene.hear(ATTACH);
    assert_eq!(scene.indexes(1), "OK 4 at 0");
    for sequence in 10..16 {
        scene.send(sequence);
    }
    let Scene { stage, viewer, .. } = &mut scene;
    // Its file is gone from the disk, and open.
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), payload(DATA, 4));
    assert_eq!(scene.indexes(1), "OK 10 at 0");
    assert_eq!(
        scene.indexes(5),
        (11..16).map(in_ring).collect::<Vec<_>>().join(", ")
    );
    assert_eq!(scene.indexes(1), "RETRY");
    scene.end();
}

/// A packet in a ring of files of two packets each.
fn in_ring(sequence: u64) -> String {
    format!("OK {sequence} at {}", sequence % 2 * 64)
}

/// Not as the original, on purpose.
#[test]
fn a_ring_of_one_file_goes_on_with_the_oldest_packet() {
    let mut scene = Scene::with_ring(1);
    scene.hear(ATTACH);
    for sequence in 0..2 {
        scene.send(sequence);
    }
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    for sequence in 2..5 {
        scene.send(sequence);
    }
    assert_eq!(scene.indexes(2), "OK 4 at 0, RETRY");
    scene.send(5);
    scene.send(6);
    assert_eq!(scene.indexes(2), "OK 6 at 0, RETRY");
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn indexes_that_complete_after_a_switch_of_files_are_told() {
    let mut scene = Scene::with_ring(3);
    scene.hear(ATTACH);
    scene.send(0);
    scene.send_bytes(1);
    scene.send_bytes(2);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    // The later one first: the viewer waits, in order.
    scene.send_index(2);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.send_index(1);
    assert_eq!(scene.indexes(3), "OK 1 at 64, OK 2 at 0, RETRY");
    scene.end();
}

#[test]
fn a_clear_skips_what_was_not_read() {
    let mut scene = Scene::watched(3);
    scene.command(&create_chunk(1));
    // Ours: requests are served while it goes on.
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.command(&stage::rotate(Some(1), &[(METADATA, 0), (DATA, 3)]));
    assert_eq!(scene.indexes(1), "OK 1 at 64");
    scene.close_chunk(0, DELETE);
    assert_eq!(scene.indexes(1), "RETRY");
    assert_eq!(scene.metadata(1), "NO_NEW");
    scene.send(3);
    assert_eq!(scene.indexes(2), "OK 3 at 0, RETRY");
    // All of it comes again, and something more.
    scene.send_metadata(b"meta");
    assert_eq!(scene.metadata(1), "NO_NEW");
    scene.send_metadata(b" and more");
    assert_eq!(scene.indexes(1), "RETRY NEW_METADATA");
    assert_eq!(scene.metadata(2), "OK  and more, NO_NEW");
    scene.end();
}

#[test]
fn a_viewer_reads_on_after_a_stop_a_clear_and_a_start() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.stop_and_clear(0, 2);
    assert_eq!(scene.indexes(2), "RETRY, RETRY");
    assert_eq!(scene.metadata(1), "NO_NEW");
    let listed = "[1: host/session clients 1 streams 2]";
    assert_eq!(scene.hear(Request::ListSessions), listed);
    let late = scene.another();
    assert_eq!(late.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
    assert_eq!(late.index(&mut scene.stage, DATA), "RETRY");
    scene.rotate(1, 2);
    scene.send(2);
    assert_eq!(scene.indexes(2), "OK 2 at 0, RETRY");
    assert_eq!(late.index(&mut scene.stage, DATA), "OK 2 at 0");
    late.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn every_stream_ends_when_its_session_is_cleared_and_gone() {
    let mut scene = Scene::watched(2);
    scene.stop_and_clear(0, 2);
    scene.producer_leaves();
    assert_eq!(scene.metadata(3), "NO_NEW, ERR, ERR");
    assert_eq!(scene.indexes(2), "HUP, ERR");
    assert_eq!(scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]), "HUP, HUP");
    scene.end();
}

#[test]
fn a_closed_stream_is_read_to_its_end() {
    let mut scene = Scene::watched(2);
    scene.producer.close_stream(&mut scene.stage, DATA, Some(1));
    assert_eq!(scene.indexes(4), "OK 0 at 0, OK 1 at 64, HUP, ERR");
    scene.end();
}

#[test]
fn an_application_that_came_and_went_between_two_questions_is_read() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(ATTACH), "OK []");
    scene.producer.add_trace(&mut scene.stage, "ust/pid/1");
    scene.send_metadata(b"meta");
    scene.send(0);
    scene.send(1);
    scene.close_streams(2);
    assert_eq!(scene.hear(NEW_STREAMS), "OK [1, 2]");
    assert_eq!(scene.metadata(3), "OK meta, NO_NEW, ERR");
    // Ours: not before all that may begin earlier is known.
    scene.stage.pass(LIVE_HOLD_BACK * 2);
    assert_eq!(scene.indexes(4), "OK 0 at 0, OK 1 at 64, HUP, ERR");
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    scene.end();
}

#[test]
fn a_file_that_is_gone_is_read_and_one_that_fails_is_an_error() {
    let mut scene = Scene::watched(2);
    let data = format!("{}/ust/chan_0", stage::DIRECTORY);
    let data = RelativePath::parse(data.as_bytes()).unwrap();
    scene.stage.storage.remove_file(&data).unwrap();
    // Ours: files are open from their beginning to their end.
    assert_eq!(
        scene.hear_all(&[NEXT_INDEX, PACKET]),
        "OK 0 at 0, OK 64 bytes"
    );
    let read = Operation::Read;
    scene.stage.storage.fail(read, 1, "the disk is dying");
    assert_eq!(scene.indexes(2), "ERR, OK 1 at 64");
    scene.stage.storage.fail(read, 1, "the disk is dying");
    assert_eq!(scene.hear_all(&[PACKET, PACKET]), "ERR, OK 64 bytes");
    scene.end();
}
