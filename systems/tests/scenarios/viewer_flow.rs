//! Bytes on their way: large replies, viewers that take nothing, requests in pieces,
//! and viewers that leave in the middle.

use baton_components::limits::{RECEIVE_BYTES_MAX, UNSENT_BYTES_MAX};
use baton_components::wire::viewer::Request;
use baton_systems::client;
use baton_systems::memory::Operation;
use baton_systems::ports::NetworkPort;

use crate::stage::{Stage, Viewer};
use crate::viewer_words::{
    ATTACH, DATA, GET_METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, Scene, connect, pattern, tell_all,
    whole,
};

/// Larger than what is copied into a reply, than a slice of a body and than a
/// viewer's share of a tick.
const LARGE: [usize; 5] = [16 * 1024, 16 * 1024 + 1, 100_000, 300_000, 1_200_000];

/// The input of the connection that has most of it, in bytes.
fn largest_input(stage: &Stage) -> usize {
    let network = stage.relay.read::<NetworkPort>();
    let connections = stage.entities().connections.iter();
    let sizes = connections.map(|(key, _)| network.input(key).len());
    sizes.max().unwrap_or(0)
}

#[test]
fn large_packets_arrive_whole() {
    for size in LARGE {
        let mut scene = Scene::with_large_packet(size);
        let Scene { stage, viewer, .. } = &mut scene;
        let packet = viewer.packet(stage, DATA, 0, size as u32).unwrap();
        assert!(packet == pattern(size), "{size} bytes");
        // In pieces that overlap, as some viewers ask for them.
        let piece = viewer
            .packet(stage, DATA, 1000, size as u32 - 1000)
            .unwrap();
        assert!(piece == pattern(size)[1000..], "{size} bytes");
        assert_eq!(viewer.packet(stage, DATA, 1, size as u32), None);
        scene.end();
    }
}

#[test]
fn large_metadata_comes_in_one_reply() {
    for size in LARGE {
        let mut scene = Scene::with_trace();
        scene.hear(ATTACH);
        // Two messages, one reply: NO_NEW means that everything was sent.
        let bytes = pattern(size);
        scene.send_metadata(&bytes[..size / 3]);
        scene.send_metadata(&bytes[size / 3..]);
        let reply = scene.viewer.ask(&mut scene.stage, GET_METADATA);
        assert!(reply[12..] == bytes, "{size} bytes");
        assert_eq!(scene.metadata(1), "NO_NEW");
        scene.end();
    }
}

#[test]
fn padding_is_a_part_of_the_metadata() {
    let mut scene = Scene::with_trace();
    scene.hear(ATTACH);
    let message = baton_components::wire::producer::SendMetadata {
        stream: 1,
        padding_size: 20_000,
        bytes: b"meta",
    };
    let command = baton_components::wire::producer::Command::SendMetadata(message);
    scene.producer.ask(&mut scene.stage, &command);
    let reply = scene.viewer.ask(&mut scene.stage, GET_METADATA);
    assert_eq!(reply[12..], [b"meta".to_vec(), vec![0; 20_000]].concat());
    scene.end();
}

#[test]
fn requests_behind_a_large_reply_are_answered_after_it() {
    for size in LARGE {
        let mut scene = Scene::with_large_packet(size);
        let packet = whole(size);
        let requests = [
            packet,
            NEXT_INDEX,
            GET_METADATA,
            packet,
            PACKET,
            NEW_STREAMS,
        ];
        let expected =
            format!("OK {size} bytes, RETRY, NO_NEW, OK {size} bytes, OK 64 bytes, OK []");
        assert_eq!(scene.hear_all(&requests), expected);
        scene.end();
    }
}

#[test]
fn a_reply_is_taken_in_any_pieces() {
    let size = 600_000;
    for piece in [7_777, 100_000, 262_144] {
        let mut scene = Scene::with_large_packet(size);
        let requests = [NEW_STREAMS, whole(size), NEXT_INDEX];
        scene.viewer.peer.block();
        scene.viewer.write_all(&requests);
        // One byte at a time until well into the packet.
        for _ in 0..40 {
            scene.viewer.peer.accept_bytes(1);
            scene.stage.settle();
        }
        let mut taken = 40;
        while taken < size + 200 {
            scene.viewer.peer.accept_bytes(piece);
            scene.stage.settle();
            taken += piece;
        }
        let reply = scene.viewer.peer.take_received();
        let expected = format!("OK [], OK {size} bytes, RETRY");
        assert_eq!(tell_all(&requests, 15, &reply), expected);
        assert!(reply[8 + 12..][..size] == pattern(size));
        scene.end();
    }
}

#[test]
fn a_viewer_that_takes_nothing_holds_up_nobody() {
    let size = 600_000;
    let mut scene = Scene::with_large_packet(size);
    scene.viewer.peer.block();
    scene.viewer.write_all(&[whole(size), NEXT_INDEX]);
    scene.stage.settle();
    let other = scene.another();
    let requests = [ATTACH, GET_METADATA, NEXT_INDEX, whole(size)];
    let told = other.hear_all(&mut scene.stage, &requests);
    let index = format!("OK 0 at 0 size {size}");
    assert_eq!(
        told,
        format!("OK [1, 2], OK meta, {index}, OK {size} bytes")
    );
    scene.send(1);
    assert_eq!(
        other.index(&mut scene.stage, DATA),
        format!("OK 1 at {size}")
    );
    other.leave(&mut scene.stage);
    // The requested bytes can be read although the file was unlinked.
    scene.clear(1, 2);
    scene.viewer.peer.accept_bytes(usize::MAX);
    scene.stage.settle();
    let reply = scene.viewer.peer.take_received();
    let told = tell_all(&[whole(size), NEXT_INDEX], 15, &reply);
    assert_eq!(told, format!("OK {size} bytes, RETRY"));
    assert!(reply[12..][..size] == pattern(size));
    scene.end();
}

#[test]
fn others_are_served_while_a_large_reply_is_sent() {
    let size = 4_000_000;
    let mut scene = Scene::with_large_packet(size);
    let other = scene.another();
    other.hear(&mut scene.stage, ATTACH);
    scene.viewer.write_all(&[whole(size)]);
    scene.stage.tick();
    other.write_all(&[NEW_STREAMS]);
    scene.stage.tick();
    scene.stage.tick();
    assert_eq!(
        tell_all(&[NEW_STREAMS], 15, &other.peer.take_received()),
        "OK []"
    );
    let received = scene.viewer.peer.take_received().len();
    assert!(received < size, "all of it came before the other's reply");
    scene.stage.settle();
    let rest = scene.viewer.peer.take_received().len();
    assert_eq!(received + rest, 12 + size);
    other.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_viewer_that_takes_nothing_is_not_read_from() {
    let size = 400_000;
    let mut scene = Scene::with_large_packet(size);
    scene.viewer.peer.block();
    // Less is queued than makes it wait, and the body is not at its end.
    scene.viewer.write_all(&[whole(size)]);
    scene.stage.settle();
    scene.viewer.peer.accept_bytes(UNSENT_BYTES_MAX / 2);
    scene.stage.settle();
    for _ in 0..40 {
        scene.viewer.write_all(&vec![Request::ListSessions; 2000]);
        scene.stage.settle();
    }
    let kept = largest_input(&scene.stage);
    assert!(kept <= RECEIVE_BYTES_MAX, "{kept} bytes are kept for it");
    scene.viewer.peer.reset("it went away");
    scene.end();
}

#[test]
fn replies_that_are_not_taken_do_not_pile_up() {
    let mut scene = Scene::watched(0);
    scene.viewer.peer.block();
    for _ in 0..10 {
        scene.viewer.write_all(&vec![Request::ListSessions; 5000]);
        scene.stage.settle();
    }
    assert!(largest_input(&scene.stage) <= RECEIVE_BYTES_MAX);
    scene.viewer.peer.accept_bytes(usize::MAX);
    scene.stage.settle();
    let reply = scene.viewer.peer.take_received();
    assert_eq!(reply.len() % 50_000, 0);
    assert!(reply.len() >= 50_000 * 40);
    scene.end();
}

#[test]
fn a_viewer_leaves_in_the_middle_of_a_reply() {
    for taken in [0, 5, 12, 1000, 300_000] {
        for resets in [false, true] {
            let size = 600_000;
            let mut scene = Scene::with_large_packet(size);
            let other = scene.another();
            other.hear_all(&mut scene.stage, &[ATTACH, NEXT_INDEX]);
            scene.viewer.peer.block();
            scene.viewer.peer.accept_bytes(taken);
            scene.viewer.write_all(&[whole(size), whole(size)]);
            scene.stage.settle();
            if resets {
                scene.viewer.peer.reset("it went away");
            } else {
                // It sends nothing more, and takes what it has asked for.
                scene.viewer.peer.finish();
                scene.viewer.peer.accept_bytes(usize::MAX);
            }
            scene.stage.settle();
            assert!(scene.viewer.peer.is_closed(), "{taken} bytes taken");
            let told = other.hear(&mut scene.stage, whole(size));
            assert_eq!(told, format!("OK {size} bytes"));
            other.leave(&mut scene.stage);
            scene.end();
        }
    }
}

#[test]
fn requests_are_taken_in_any_pieces() {
    let requests = [
        connect(15),
        Request::ListSessions,
        Request::CreateSession,
        ATTACH,
        GET_METADATA,
        NEXT_INDEX,
        PACKET,
        NEW_STREAMS,
    ];
    let expected = "2.15 number 2, [1: host/session clients 0 streams 2], OK, OK [1, 2], \
                    OK meta, OK 0 at 0, OK 64 bytes, OK []";
    let mut scene = Scene::with_trace();
    scene.send_metadata(b"meta");
    scene.send(0);
    for (size, number) in [(1, 2), (3, 3), (16, 4), (20, 5), (35, 6)] {
        let viewer = Viewer::dial(&mut scene.stage, 15);
        viewer.peer.cut_every(size);
        let told = viewer.hear_all(&mut scene.stage, &requests);
        let expected = expected.replace("number 2", &format!("number {number}"));
        assert_eq!(told, expected, "{size} bytes at a time");
        viewer.leave(&mut scene.stage);
    }
    // Header and payload in two writes, and the end of the stream in every request.
    let bytes = client::request(ATTACH);
    for cut in 0..bytes.len() {
        let viewer = scene.another();
        viewer.peer.write(&bytes[..cut]);
        scene.stage.settle();
        assert_eq!(viewer.peer.take_received(), []);
        if cut % 2 == 0 {
            viewer.peer.write(&bytes[cut..]);
            scene.stage.settle();
            let told = tell_all(&[ATTACH], 15, &viewer.peer.take_received());
            assert_eq!(told, "OK [1, 2]", "cut after {cut} bytes");
        }
        viewer.leave(&mut scene.stage);
        assert!(viewer.peer.is_closed());
    }
    scene.end();
}

#[test]
fn a_request_and_the_end_in_one_segment() {
    let mut scene = Scene::watched(1);
    scene.viewer.write_all(&[NEXT_INDEX, PACKET]);
    scene.viewer.peer.finish();
    scene.stage.settle();
    let reply = scene.viewer.peer.take_received();
    assert_eq!(
        tell_all(&[NEXT_INDEX, PACKET], 15, &reply),
        "OK 0 at 0, OK 64 bytes"
    );
    scene.end();
}

#[test]
fn a_large_packet_that_cannot_be_read_ends_the_connection() {
    // Its size was promised: nothing else can follow.
    let mut scene = Scene::with_large_packet(600_000);
    scene
        .stage
        .storage
        .fail(Operation::Read, 2, "the disk is dying");
    scene.viewer.write_all(&[whole(600_000)]);
    scene.stage.settle();
    assert!(scene.viewer.peer.is_closed());
    scene.end();
}

#[test]
fn small_metadata_that_cannot_be_read_is_an_error_and_comes_later() {
    let mut scene = Scene::with_trace();
    scene.hear(ATTACH);
    scene.send_metadata(b"meta");
    scene
        .stage
        .storage
        .fail(Operation::Read, 1, "the disk is dying");
    assert_eq!(scene.metadata(3), "ERR, OK meta, NO_NEW");
    scene.end();
}

#[test]
fn many_viewers_each_at_its_own_place() {
    let mut scene = Scene::watched(6);
    let viewers: Vec<Viewer> = (0..20).map(|_| scene.another()).collect();
    let Scene { stage, .. } = &mut scene;
    for (place, viewer) in viewers.iter().enumerate() {
        assert_eq!(
            viewer.hear_all(stage, &[ATTACH, GET_METADATA]),
            "OK [1, 2], OK meta"
        );
        for number in 0..place % 7 {
            let told = viewer.index(stage, DATA);
            assert_eq!(told, format!("OK {number} at {}", number * 64));
        }
    }
    for (place, viewer) in viewers.iter().enumerate() {
        let next = place % 7;
        let expected = match next {
            6 => "RETRY".to_owned(),
            _ => format!("OK {next} at {}", next * 64),
        };
        assert_eq!(viewer.index(stage, DATA), expected);
        viewer.leave(stage);
    }
    scene.end();
}
