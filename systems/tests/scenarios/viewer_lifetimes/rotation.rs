//! Rotations and clears under a viewer: `docs/protocol.md#chunks`.

use baton_components::wire::producer::Command;
use baton_components::wire::viewer::Request;

use crate::stage::{Producer, create_chunk, payload, rotate, session};
use crate::viewer_words::{ARCHIVE, ATTACH, DATA, DELETE, METADATA, NEW_STREAMS, PACKET, Scene};

/// Not as the original, on purpose.
#[test]
fn a_rotated_chunk_is_read_to_its_end() {
    let mut scene = Scene::watched(3);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.command(&create_chunk(1));
    assert_eq!(scene.hear_all(&[PACKET, NEW_STREAMS]), "OK 64 bytes, OK []");
    scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 3)]));
    assert_eq!(scene.indexes(1), "OK 1 at 64");
    scene.close_chunk(0, ARCHIVE);
    assert!(!scene.producer.chunk_exists(&mut scene.stage, 0));
    scene.send(3);
    // The chunk's directory is in the archives now.
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(
        viewer.packet(stage, DATA, 64, 64).unwrap(),
        payload(DATA, 1)
    );
    assert_eq!(scene.indexes(3), "OK 2 at 128, OK 3 at 0, RETRY");
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn nothing_is_skipped_by_two_rotations_between_two_questions() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    for chunk in 1..4 {
        scene.rotate(chunk, chunk + 1);
        scene.close_chunk(chunk - 1, ARCHIVE);
        scene.send(chunk + 1);
    }
    // Nobody has the last one's files but the viewer.
    let late = scene.another();
    assert_eq!(late.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
    assert_eq!(late.index(&mut scene.stage, DATA), "OK 4 at 0");
    assert_eq!(
        scene.indexes(5),
        "OK 1 at 64, OK 2 at 0, OK 3 at 0, OK 4 at 0, RETRY"
    );
    // Files that both viewers have passed are closed.
    assert_eq!(scene.stage.stream(DATA).unwrap().files.len(), 1);
    late.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_viewer_reads_on_over_a_rotation_while_data_lags() {
    let mut scene = Scene::watched(1);
    scene.send_index(1);
    scene.send_index(2);
    scene.rotate(1, 3);
    scene.close_chunk(0, ARCHIVE);
    assert!(scene.producer.chunk_exists(&mut scene.stage, 0));
    // Ours: a rotation that waits holds up nobody.
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.send_bytes(1);
    assert_eq!(scene.indexes(2), "OK 1 at 64, RETRY");
    scene.send_bytes(2);
    assert!(!scene.producer.chunk_exists(&mut scene.stage, 0));
    scene.send(3);
    assert_eq!(scene.indexes(3), "OK 2 at 128, OK 3 at 0, RETRY");
    scene.end();
}

#[test]
fn a_viewer_reads_on_over_a_rotation_when_data_ran_ahead() {
    let mut scene = Scene::watched(2);
    scene.send_bytes(2);
    scene.send_bytes(3);
    scene.rotate(1, 2);
    scene.close_chunk(0, ARCHIVE);
    assert_eq!(scene.indexes(3), "OK 0 at 0, OK 1 at 64, RETRY");
    assert_eq!(scene.viewer.packet(&mut scene.stage, DATA, 0, 129), None);
    scene.send_index(2);
    scene.send_index(3);
    assert_eq!(scene.indexes(3), "OK 2 at 0, OK 3 at 64, RETRY");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(
        viewer.packet(stage, DATA, 64, 64).unwrap(),
        payload(DATA, 3)
    );
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn streams_end_when_control_dies_in_the_middle_of_a_rotation() {
    for rotated in [false, true] {
        let mut scene = Scene::watched(2);
        assert_eq!(scene.indexes(1), "OK 0 at 0");
        scene.command(&create_chunk(1));
        if rotated {
            scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 2)]));
        }
        scene.producer_leaves();
        assert_eq!(scene.indexes(2), "OK 1 at 64, HUP");
        assert_eq!(scene.hear(NEW_STREAMS), "HUP");
        assert_eq!(scene.metadata(2), "NO_NEW, ERR");
        scene.end();
    }
}

/// Not as the original, on purpose.
#[test]
fn a_stream_ends_when_control_dies_while_it_waits_to_rotate() {
    let mut scene = Scene::watched(1);
    scene.rotate(1, 3);
    scene.close_chunk(0, ARCHIVE);
    scene.producer_leaves();
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    assert_eq!(scene.indexes(2), "OK 0 at 0, HUP");
    assert_eq!(scene.hear(NEW_STREAMS), "HUP");
    // Ours: a session whose producer is gone lets go of its chunk, whoever reads it.
    assert_eq!(scene.stage.chunk_holders(1), 0);
    scene.end();
}

#[test]
fn a_packet_is_read_to_its_end_while_it_is_cleared() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.clear(1, 2);
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), payload(DATA, 0));
    assert_eq!(scene.indexes(1), "RETRY");
    // Ours: readable until the next index.
    assert_eq!(scene.hear(PACKET), "OK 64 bytes");
    scene.send(2);
    assert_eq!(scene.indexes(1), "OK 2 at 0");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), payload(DATA, 2));
    assert_eq!(scene.stage.stream(DATA).unwrap().files.len(), 1);
    scene.end();
}

#[test]
fn streams_end_when_their_application_exits_after_a_clear() {
    let mut scene = Scene::watched(2);
    scene.clear(1, 2);
    scene.close_streams(2);
    assert_eq!(scene.indexes(2), "HUP, ERR");
    assert_eq!(scene.metadata(2), "NO_NEW, ERR");
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    scene.control_ends();
    assert_eq!(scene.hear(NEW_STREAMS), "HUP");
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_packet_after_a_clear_is_delivered_though_its_stream_closed() {
    let mut scene = Scene::watched(2);
    scene.clear(1, 2);
    scene.send(2);
    scene.close_streams(3);
    assert_eq!(scene.indexes(3), "OK 2 at 0, HUP, ERR");
    scene.end();
}

#[test]
fn a_viewer_reads_two_sessions_that_share_their_chunks() {
    let mut scene = Scene::watched(2);
    let other = Producer::create(&mut scene.stage, 15, session("session"));
    other.expect_ok(&mut scene.stage, &create_chunk(0));
    let (metadata, data) = other.add_trace(&mut scene.stage, "kernel");
    for sequence in 0..2 {
        other.send_whole_packet(&mut scene.stage, data, sequence);
    }
    let second = Request::Attach {
        session: 2,
        seek: 1,
    };
    assert_eq!(scene.hear(second), "OK [3, 4]");
    scene.clear(1, 2);
    other.expect_ok(&mut scene.stage, &create_chunk(1));
    // Its streams are in chunk 0, which is deleted when they have left it.
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "OK 0 at 0");
    scene.producer_leaves();
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "OK 1 at 64");
    let both = [(metadata, 0), (data, 2)];
    other.expect_ok(&mut scene.stage, &rotate(Some(1), &both));
    other.close_chunk(&mut scene.stage, 0, DELETE);
    assert!(!other.chunk_exists(&mut scene.stage, 0));
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "RETRY");
    other.send_whole_packet(&mut scene.stage, data, 2);
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "OK 2 at 0");
    // The first session was cleared before its producer left.
    assert_eq!(scene.indexes(1), "HUP");
    other.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_viewer_attaches_during_a_rotation() {
    let mut scene = Scene::with_trace();
    scene.send_metadata(b"meta");
    scene.send(0);
    scene.command(&create_chunk(1));
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    assert_eq!(scene.metadata(1), "OK meta");
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear(NEW_STREAMS), format!("OK [{new}]"));
    scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 1)]));
    let late = scene.another();
    let told = late.hear(&mut scene.stage, ATTACH);
    assert_eq!(told, format!("OK [1, 2, {new}]"));
    scene.close_chunk(0, ARCHIVE);
    scene.producer.send_whole_packet(&mut scene.stage, new, 0);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    assert_eq!(scene.viewer.index(&mut scene.stage, new), "OK 0 at 0");
    // A viewer that came after its stream had left the chunk begins in the next one.
    assert_eq!(late.index(&mut scene.stage, DATA), "RETRY");
    late.leave(&mut scene.stage);
    scene.end();
}
