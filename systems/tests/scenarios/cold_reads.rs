//! Cold reads: what a viewer gets is not in memory. The viewer waits until it is fetched, and
//! nobody else does.

use baton_components::limits::{BODY_COPIED_BYTES_MAX, REPLY_PATIENCE};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::memory::{MemoryStorage, Operation};

use crate::stage::{self, Viewer};
use crate::viewer_words::{
    ATTACH, DATA, GET_METADATA, METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, Scene, pattern,
    tell_all, whole,
};

/// The next look finds that what is wanted is not in memory.
fn chill_once(storage: &MemoryStorage) {
    let mut is_cold = true;
    storage.chill(move || std::mem::take(&mut is_cold));
}

/// Packets that are copied into their reply, and some that are sent from their file.
const SIZES: [usize; 4] = [1000, BODY_COPIED_BYTES_MAX as usize, 100_000, 1_200_000];

/// A viewer that waits for the disk, which hangs.
fn waiting(scene: &mut Scene, request: Request) {
    chill_once(&scene.stage.storage);
    scene.stage.storage.hold_answers(true);
    scene.viewer.write_all(&[request]);
    scene.stage.settle();
}

#[test]
fn others_are_served_while_a_viewer_waits_for_what_is_not_in_memory() {
    for request in [NEXT_INDEX, PACKET, GET_METADATA, whole(100_000)] {
        let mut scene = Scene::watched(0);
        scene.send_large(0, &pattern(100_000));
        if matches!(request, Request::Packet { .. }) {
            scene.indexes(1);
        }
        scene.send_metadata(b"more");
        waiting(&mut scene, request);
        let head = scene.viewer.peer.take_received();
        let is_large = request == whole(100_000);
        assert_eq!(head.len(), if is_large { 12 } else { 0 }, "{request:?}");
        let told = scene.stage.relay.unanswered();
        assert_eq!(told, ["files are read for the viewer at viewer"]);

        scene.send(1);
        let other = scene.another();
        let stage = &mut scene.stage;
        assert_eq!(other.hear(stage, ATTACH), "OK [1, 2]");
        assert_eq!(other.metadata(stage, METADATA), "OK metamore");
        assert_eq!(other.index(stage, DATA), "OK 0 at 0 size 100000");
        let packet = other.packet(stage, DATA, 0, 100_000).unwrap();
        assert!(packet == pattern(100_000));
        assert_eq!(other.index(stage, DATA), "OK 1 at 100000");
        other.leave(stage);

        stage.storage.hold_answers(false);
        stage.settle();
        let reply = [head, scene.viewer.peer.take_received()].concat();
        let expected = match request {
            Request::NextIndex { .. } => "OK 0 at 0 size 100000 NEW_METADATA",
            PACKET => "OK 64 bytes",
            Request::Packet { .. } => "OK 100000 bytes",
            _ => "OK more",
        };
        assert_eq!(tell_all(&[request], 15, &reply), expected);
        if is_large {
            assert!(reply[12..] == pattern(100_000));
        }
        scene.end();
    }
}

#[test]
fn all_is_read_where_nothing_is_ever_in_memory() {
    for size in SIZES {
        let mut scene = Scene::with_trace();
        scene.stage.storage.chill(|| true);
        scene.send_metadata(&pattern(size));
        scene.send_large(0, &pattern(size));
        scene.send(1);
        scene.hear(ATTACH);
        let reply = scene.viewer.ask(&mut scene.stage, GET_METADATA);
        assert!(reply[12..] == pattern(size), "{size} bytes");
        // Each waits until the one before is answered.
        let requests = [NEXT_INDEX, whole(size), NEXT_INDEX, NEW_STREAMS, NEXT_INDEX];
        let expected =
            format!("OK 0 at 0 size {size}, OK {size} bytes, OK 1 at {size}, OK [], RETRY");
        assert_eq!(scene.hear_all(&requests), expected);
        let packet = scene
            .viewer
            .packet(&mut scene.stage, DATA, 0, size as u32)
            .unwrap();
        assert!(packet == pattern(size), "{size} bytes");
        scene.end();
    }
}

#[test]
fn what_cannot_be_fetched_is_an_error_and_the_next_request_is_answered() {
    let mut scene = Scene::watched(2);
    scene.indexes(1);
    scene.send_metadata(b"more");
    for (request, expected) in [
        (PACKET, "ERR"),
        (GET_METADATA, "ERR"),
        (NEXT_INDEX, "ERR NEW_METADATA"),
    ] {
        waiting(&mut scene, request);
        scene.stage.storage.fail(Operation::Read, 1, "bad sector");
        scene.stage.storage.hold_answers(false);
        scene.stage.settle();
        let reply = scene.viewer.peer.take_received();
        assert_eq!(tell_all(&[request], 15, &reply), expected);
    }
    assert_eq!(scene.indexes(1), "OK 1 at 64 NEW_METADATA");
    assert_eq!(scene.metadata(1), "OK more");
    scene.end();
}

#[test]
fn a_reply_whose_rest_cannot_be_fetched_ends_its_connection() {
    let mut scene = Scene::with_large_packet(100_000);
    waiting(&mut scene, whole(100_000));
    scene.stage.storage.fail(Operation::Read, 1, "bad sector");
    scene.stage.storage.hold_answers(false);
    scene.stage.settle();
    assert!(scene.viewer.peer.is_closed());
    scene.end();
}

#[test]
fn a_viewer_that_leaves_while_it_waits_leaves_nothing() {
    for request in [NEXT_INDEX, whole(100_000)] {
        let mut scene = Scene::with_large_packet(100_000);
        scene.send(1);
        waiting(&mut scene, request);
        scene.viewer.peer.reset("gone");
        scene.producer.leave(&mut scene.stage);
        scene.stage.storage.hold_answers(false);
        scene.stage.assert_empty();
    }
}

#[test]
fn a_relay_that_stops_waits_for_no_viewers_reads() {
    for request in [NEXT_INDEX, whole(100_000)] {
        let mut scene = Scene::with_large_packet(100_000);
        scene.send(1);
        waiting(&mut scene, request);
        scene.stage.relay.hang_up_all();
        scene.stage.tick();
        assert_eq!(scene.stage.relay.unanswered(), [""; 0]);
        assert_eq!(scene.stage.storage.open_files(), 0);
        // The answer comes to nobody.
        scene.stage.storage.hold_answers(false);
        scene.stage.assert_empty();
    }
}

#[test]
fn a_slow_disk_closes_no_viewer() {
    for request in [NEXT_INDEX, whole(100_000)] {
        let mut scene = Scene::with_large_packet(100_000);
        scene.send(1);
        waiting(&mut scene, request);
        let head = scene.viewer.peer.take_received();
        for _ in 0..3 {
            scene.stage.pass(REPLY_PATIENCE);
        }
        assert!(!scene.viewer.peer.is_closed());
        scene.stage.storage.hold_answers(false);
        scene.stage.settle();
        let reply = [head, scene.viewer.peer.take_received()].concat();
        let told = tell_all(&[request], 15, &reply);
        let expected = ["OK 1 at 100000", "OK 100000 bytes"];
        assert!(expected.contains(&told.as_str()), "{told}");
        scene.end();
    }
}

#[test]
fn a_viewer_that_reads_nothing_is_closed_though_its_disk_was_slow() {
    let mut scene = Scene::with_large_packet(1_200_000);
    scene.viewer.peer.block();
    scene.viewer.peer.accept_bytes(12);
    waiting(&mut scene, whole(1_200_000));
    scene.stage.pass(2 * REPLY_PATIENCE);
    scene.stage.storage.hold_answers(false);
    scene.stage.settle();
    scene.stage.pass(REPLY_PATIENCE / 2);
    assert!(!scene.viewer.peer.is_closed());
    scene.stage.pass(REPLY_PATIENCE);
    assert!(scene.viewer.peer.is_closed());
    scene.end();
}

/// It was fetched for nothing.
#[test]
fn a_record_that_is_cleared_while_it_is_fetched_is_not_told() {
    let mut scene = Scene::watched(1);
    waiting(&mut scene, NEXT_INDEX);
    scene.clear(1, 1);
    scene.stage.storage.hold_answers(false);
    scene.stage.settle();
    let reply = scene.viewer.peer.take_received();
    assert_eq!(tell_all(&[NEXT_INDEX], 15, &reply), "RETRY");
    scene.send(1);
    scene.stage.storage.chill(|| true);
    assert_eq!(scene.indexes(2), "OK 1 at 0, RETRY");
    scene.end();
}

#[test]
fn viewers_of_two_sessions_wait_for_their_own_reads() {
    let mut scene = Scene::watched(1);
    let stage = &mut scene.stage;
    let other = stage::Producer::create(stage, 15, stage::session("other"));
    other.expect_ok(stage, &stage::create_chunk(0));
    let (metadata, data) = other.add_trace(stage, "ust");
    other.send_metadata(stage, metadata, b"metadata");
    other.send_whole_packet(stage, data, 0);
    let viewer = Viewer::connect(stage, 15);
    let attach = Request::Attach {
        session: 2,
        seek: SEEK_BEGINNING,
    };
    assert_eq!(viewer.hear(stage, attach), "OK [3, 4]");
    stage.storage.chill(|| true);
    stage.storage.hold_answers(true);
    let requests = [NEXT_INDEX, Request::NextIndex { stream: 4 }];
    scene.viewer.write_all(&requests[..1]);
    viewer.write_all(&requests[1..]);
    stage.settle();
    stage.storage.hold_answers(false);
    stage.settle();
    for (peer, request) in [
        (&scene.viewer.peer, NEXT_INDEX),
        (&viewer.peer, requests[1]),
    ] {
        let told = tell_all(&[request], 15, &peer.take_received());
        assert!(told.starts_with("OK 0 at 0"), "{told}");
    }
    viewer.leave(&mut scene.stage);
    other.leave(&mut scene.stage);
    scene.end();
}
