//! Replies to viewers when producers, streams and viewers come and go.

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
fn a_viewer_reads_to_the_end_of_a_producer_that_ends_in_order() {
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

/// Not as the original, on purpose.
#[test]
fn a_stream_has_no_end_while_an_announced_packet_is_on_its_way() {
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
fn a_stream_ends_without_an_announced_packet_that_never_comes() {
    let mut scene = Scene::watched(1);
    scene.send_index(1);
    scene.control_ends();
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.data_ends();
    assert_eq!(scene.indexes(1), "HUP");
    assert_eq!(scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]), "HUP, HUP");
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_packet_of_a_connection_that_never_came_is_given_up() {
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
fn a_packet_that_is_never_described_is_never_told() {
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
fn streams_that_were_never_published_are_never_announced() {
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
fn a_viewer_that_leaves_holds_nothing() {
    let mut scene = Scene::watched(2);
    scene.indexes(1);
    let before = scene.stage.storage.open_files();
    let other = scene.another();
    other.hear(&mut scene.stage, ATTACH);
    scene.viewer.leave(&mut scene.stage);
    assert_eq!(scene.stage.storage.open_files(), before);
    let listed = "[1: host/session clients 1 streams 2]";
    assert_eq!(other.hear(&mut scene.stage, Request::ListSessions), listed);
    // The remaining viewer has lost nothing.
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
fn a_viewer_leaves_with_streams_that_it_was_not_told_of() {
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
fn a_stream_that_was_not_announced_is_polled_to_its_end() {
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

/// Not as the original, on purpose.
#[test]
fn a_refused_attach_leaves_nothing_attached() {
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

/// Not as the original, on purpose.
#[test]
fn a_seek_to_the_last_after_a_rotation_begins_with_the_next_packet() {
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
fn a_viewer_that_lags_behind_a_ring_goes_on_with_what_is_there() {
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

/// Not as the original, on purpose.
#[test]
fn the_second_of_two_metadata_streams_of_a_trace_is_read() {
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

/// Not as the original, on purpose.
#[test]
fn a_path_is_used_again_while_the_old_metadata_is_read() {
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
