//! The scenarios of the object model (section 4) as viewers see them, by their numbers.
//! "Ours" marks where Baton differs from the original, on purpose.
//!
//! Elsewhere: 18 in `viewer_flow`; 20 and 42 are acceptance scenarios 8, 18 and 41; 23
//! is 35, 33 is 28, 34 is in 32 here, 37 is 31.

mod rotation;

use std::time::Duration;

use baton_components::wire::producer::Command;
use baton_components::wire::viewer::Request;

use crate::stage::{DIRECTORY, payload};
use crate::viewer_words::{
    ARCHIVE, ATTACH, ATTACH_LAST, DATA, DETACH, GET_METADATA, NEW_STREAMS, NEXT_INDEX, PACKET,
    SESSION, Scene,
};

#[test]
fn m05_a_producer_ends_in_order() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.rotate_to_none(2);
    scene.close_chunk(0, None);
    scene.close_streams(2);
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    scene.producer_leaves();
    assert_eq!(scene.hear(Request::ListSessions), "[]");
    assert_eq!(scene.indexes(1), "OK 1 at 64");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(
        viewer.packet(stage, DATA, 64, 64).unwrap(),
        payload(DATA, 1)
    );
    assert_eq!(scene.indexes(2), "HUP, ERR");
    assert_eq!(scene.hear(PACKET), "ERR");
    assert_eq!(scene.metadata(2), "NO_NEW, ERR");
    assert_eq!(scene.hear_all(&[NEW_STREAMS, DETACH]), "HUP, OK");
    assert_eq!(scene.stage.census(), "1 connections, 1 viewer sessions");
    scene.end();
}

#[test]
fn m06_ours_no_hup_while_an_announced_packet_is_on_its_way() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.send_index(1);
    scene.control_ends();
    assert_eq!(scene.indexes(2), "RETRY, RETRY");
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    scene.send_bytes(1);
    // It was the last one that was announced.
    assert_eq!(scene.indexes(2), "OK 1 at 64, HUP");
    assert_eq!(scene.hear(NEW_STREAMS), "HUP");
    scene.end();
}

#[test]
fn m07_an_announced_packet_never_comes() {
    let mut scene = Scene::watched(1);
    scene.send_index(1);
    scene.control_ends();
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.data_ends();
    assert_eq!(scene.indexes(1), "HUP");
    assert_eq!(scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]), "HUP, HUP");
    scene.end();
}

#[test]
fn m07_ours_a_packet_of_a_connection_that_never_came_is_given_up() {
    let mut scene = Scene::watched(0);
    scene.send_index(0);
    scene.control_ends();
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.pass(Duration::from_secs(9));
    assert_eq!(scene.hear_all(&[NEXT_INDEX, NEW_STREAMS]), "RETRY, OK []");
    scene.stage.pass(Duration::from_secs(1));
    assert_eq!(scene.hear_all(&[NEXT_INDEX, NEW_STREAMS]), "HUP, HUP");
    scene.end();
}

#[test]
fn m08_a_packet_is_never_described() {
    let mut scene = Scene::watched(1);
    scene.send_bytes(1);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.control_ends();
    assert_eq!(scene.indexes(1), "HUP");
    // A viewer reads no further than the index that it has.
    assert_eq!(
        scene.stage.file(&format!("{DIRECTORY}/ust/chan_0")).len(),
        128
    );
    scene.end();
}

#[test]
fn m10_streams_that_were_never_published() {
    let mut scene = Scene::new();
    for channel in ["metadata", "chan_0"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    assert_eq!(
        scene.hear_all(&[ATTACH, Request::ListSessions, NEW_STREAMS]),
        "OK [], [1: host/session clients 1 streams 2], OK []"
    );
    scene.control_ends();
    assert_eq!(scene.hear(NEW_STREAMS), "HUP");
    scene.end();
}

#[test]
fn m17_a_viewer_leaves() {
    let mut scene = Scene::watched(2);
    scene.indexes(1);
    let before = scene.stage.storage.open_files();
    let other = scene.another();
    other.hear(&mut scene.stage, ATTACH);
    scene.viewer.leave(&mut scene.stage);
    assert_eq!(scene.stage.storage.open_files(), before);
    let listed = "[1: host/session clients 1 streams 2]";
    assert_eq!(other.hear(&mut scene.stage, Request::ListSessions), listed);
    // Who stays has lost nothing.
    assert_eq!(
        other.index(&mut scene.stage, DATA),
        "OK 0 at 0 NEW_METADATA"
    );
    other.leave(&mut scene.stage);
    scene.send(2);
    scene.viewer = scene.another();
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    scene.end();
}

#[test]
fn m19_a_viewer_leaves_with_streams_that_it_was_not_told_of() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(ATTACH), "OK []");
    scene.producer.add_trace(&mut scene.stage, "ust");
    scene.send(0);
    scene.close_streams(1);
    // Only the viewer has them.
    assert!(scene.stage.stream(DATA).is_some_and(|stream| stream.closed));
    scene.viewer.leave(&mut scene.stage);
    assert!(scene.stage.stream(DATA).is_none());
    scene.end();
}

#[test]
fn m21_a_stream_that_was_not_announced_is_polled_to_its_end() {
    for asks_again in [false, true] {
        let mut scene = Scene::new();
        assert_eq!(scene.hear(ATTACH), "OK []");
        scene.producer.add_trace(&mut scene.stage, "ust");
        scene.producer_leaves();
        assert_eq!(scene.indexes(1), "HUP NEW_STREAM");
        if asks_again {
            assert_eq!(scene.indexes(1), "ERR");
        } else {
            // Metadata alone is not announced.
            assert_eq!(scene.hear_all(&[NEW_STREAMS, NEXT_INDEX]), "HUP, ERR");
        }
        scene.end();
    }
}

#[test]
fn m22_ours_a_refused_attach_leaves_nothing_attached() {
    let mut scene = Scene::watched(1);
    scene.send_index(1);
    scene.control_ends();
    let late = scene.another();
    let asked = [ATTACH, ATTACH, NEW_STREAMS, DETACH];
    assert_eq!(
        late.hear_all(&mut scene.stage, &asked),
        "UNK, UNK, ERR, ERR"
    );
    assert_eq!(scene.stage.session(SESSION).unwrap().viewers.len(), 1);
    late.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn m24_ours_last_after_a_rotation_is_the_next_packet() {
    let mut scene = Scene::with_trace();
    scene.send(0);
    scene.rotate(1, 1);
    scene.close_chunk(0, ARCHIVE);
    assert_eq!(scene.hear(ATTACH_LAST), "OK [1, 2]");
    assert_eq!(scene.indexes(1), "RETRY");
    scene.send(1);
    assert_eq!(scene.indexes(2), "OK 1 at 0, RETRY");
    scene.send(2);
    scene.close_streams(3);
    assert_eq!(scene.indexes(2), "OK 2 at 64, HUP");
    scene.end();
}

#[test]
fn m25_a_viewer_that_lags_behind_a_ring() {
    let mut scene = Scene::with_ring(2);
    scene.hear(ATTACH);
    for sequence in 0..2 {
        scene.send(sequence);
    }
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    for sequence in 2..8 {
        scene.send(sequence);
    }
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), payload(DATA, 0));
    assert_eq!(
        scene.indexes(5),
        "OK 4 at 0, OK 5 at 64, OK 6 at 0, OK 7 at 64, RETRY"
    );
    scene.end();
}

#[test]
fn m40_ours_two_metadata_streams_in_one_trace() {
    let mut scene = Scene::new();
    for channel in ["metadata", "metadata", "chan_0"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear(ATTACH), "OK [1, 2, 3]");
    scene.producer.send_metadata(&mut scene.stage, 2, b"second");
    assert_eq!(
        scene.viewer.index(&mut scene.stage, 3),
        "RETRY NEW_METADATA"
    );
    assert_eq!(scene.viewer.metadata(&mut scene.stage, 2), "OK second");
    scene.end();
}

#[test]
fn m41_ours_a_path_is_used_again_while_the_old_metadata_is_read() {
    let mut scene = Scene::watched(1);
    scene.close_streams(1);
    let (metadata, data) = scene.producer.add_trace(&mut scene.stage, "ust");
    scene
        .producer
        .send_metadata(&mut scene.stage, metadata, b"new");
    scene.producer.send_whole_packet(&mut scene.stage, data, 0);
    assert_eq!(scene.indexes(2), "OK 0 at 0 NEW_STREAM, HUP NEW_STREAM");
    let entries = scene.viewer.entries(&mut scene.stage, NEW_STREAMS);
    let told: Vec<(u64, u64)> = entries.iter().map(|e| (e.stream, e.trace)).collect();
    assert_eq!(told, [(metadata, 1), (data, 1)]);
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.index(stage, data), "OK 0 at 0 NEW_METADATA");
    assert_eq!(viewer.metadata(stage, metadata), "OK new");
    assert_eq!(
        viewer.hear_all(stage, &[GET_METADATA, GET_METADATA]),
        "NO_NEW, ERR"
    );
    scene.end();
}
