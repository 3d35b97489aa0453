//! Replies to a viewer, request by request: `docs/protocol.md#how-a-viewer-begins` and
//! `docs/protocol.md#rules-that-viewers-depend-on`. Packets and metadata are in `reading`;
//! several sessions and viewers are in `viewer_company`.

mod reading;

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::{Command, CreateSession, SendIndex};
use baton_components::wire::viewer::{Header, Request};
use baton_systems::client;

use crate::stage::{self, Producer, Stage, Viewer, payload, session};
use crate::viewer_words::{
    ATTACH, ATTACH_LAST, DATA, DETACH, GET_METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, SESSION,
    Scene, UNKNOWN, connect, tell,
};

#[test]
fn connect_is_answered_with_the_relays_own_version() {
    let mut stage = Stage::new();
    for (minor, expected) in [
        (2, "2.15 number 1"),
        (4, "2.15 number 2"),
        (20, "2.15 number 3"),
    ] {
        let viewer = Viewer::dial(&mut stage, minor);
        assert_eq!(viewer.hear(&mut stage, connect(minor)), expected);
        viewer.leave(&mut stage);
    }
    stage.assert_empty();
}

#[test]
fn a_first_request_that_is_not_connect_closes_the_connection() {
    let major = Request::Connect {
        major: 1,
        minor: 15,
        kind: 1,
    };
    let kind = Request::Connect {
        major: 2,
        minor: 15,
        kind: 3,
    };
    let mut stage = Stage::new();
    for request in [
        major,
        kind,
        Request::ListSessions,
        Request::CreateSession,
        ATTACH,
    ] {
        let viewer = Viewer::dial(&mut stage, 15);
        assert_eq!(viewer.hear(&mut stage, request), "closed", "{request:?}");
    }
    stage.assert_empty();
}

#[test]
fn an_unknown_request_is_refused_and_the_connection_closed() {
    let mut stage = Stage::new();
    for number in [0, 10, u32::MAX] {
        let header = Header {
            payload_size: 0,
            command: number,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        let viewer = Viewer::connect(&mut stage, 15);
        viewer.peer.write(&bytes);
        // Before CONNECT nothing is answered.
        let silent = Viewer::dial(&mut stage, 15);
        silent.peer.write(&bytes);
        stage.settle();
        assert_eq!(viewer.peer.take_received(), [0, 0, 0, 11]);
        assert!(viewer.peer.is_closed());
        assert_eq!(silent.peer.take_received(), []);
        assert!(silent.peer.is_closed());
    }
    stage.assert_empty();
}

#[test]
fn sizes_and_versions_in_headers_mean_nothing() {
    let mut scene = Scene::watched(1);
    let first = [
        (Request::CreateSession, "OK"),
        (
            Request::ListSessions,
            "[1: host/session clients 0 streams 2]",
        ),
        (ATTACH, "OK [1, 2]"),
        (GET_METADATA, "OK meta"),
        (NEXT_INDEX, "OK 0 at 0"),
        (PACKET, "OK 64 bytes"),
        (NEW_STREAMS, "OK []"),
        (DETACH, "OK"),
    ];
    for (request, expected) in first {
        let mut bytes = client::request(request);
        // Sizes in the other byte order, as viewers of 2014 sent them; and a version.
        bytes[..8].reverse();
        bytes[3] ^= 0x4d;
        bytes[12..16].copy_from_slice(&[1, 2, 3, 4]);
        scene.viewer.peer.write(&bytes);
        scene.stage.settle();
        let reply = scene.viewer.peer.take_received();
        let (words, size) = tell(request.kind(), 15, &reply);
        assert_eq!((words.as_str(), size), (expected, reply.len()));
    }
    scene.end();
}

#[test]
fn requests_without_a_viewer_session_are_refused() {
    let mut scene = Scene::with_trace();
    let viewer = Viewer::dial(&mut scene.stage, 15);
    let requests = [connect(15), ATTACH, DETACH, NEW_STREAMS];
    assert_eq!(
        viewer.hear_all(&mut scene.stage, &requests),
        "2.15 number 2, NO_SESSION, ERR, ERR"
    );
    viewer.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_handle_that_does_not_exist_is_an_error_and_keeps_the_connection() {
    let mut scene = Scene::watched(1);
    let requests = [
        Request::NextIndex { stream: UNKNOWN },
        Request::Packet {
            stream: UNKNOWN,
            offset: 0,
            length: 64,
        },
        Request::Metadata { stream: UNKNOWN },
    ];
    scene.viewer.write_all(&requests);
    scene.stage.settle();
    assert_eq!(scene.viewer.peer.take_received().len(), 64 + 12 + 12);
    assert_eq!(scene.hear_all(&requests), "ERR, ERR, ERR");
    scene.end();
}

#[test]
fn viewers_see_streams_once_they_are_all_sent() {
    let mut scene = Scene::new();
    for channel in ["metadata", "chan_0", "chan_1"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    assert_eq!(
        scene.hear(Request::ListSessions),
        "[1: host/session clients 0 streams 3]"
    );
    assert_eq!(scene.hear(ATTACH), "OK []");
    scene.command(&Command::StreamsSent);
    assert_eq!(
        scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]),
        "OK [1, 2, 3], OK []"
    );
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn any_number_of_viewers_attaches_one_session() {
    let mut scene = Scene::watched(0);
    assert_eq!(scene.hear(ATTACH), "ALREADY");
    assert_eq!(scene.hear(ATTACH_LAST), "ALREADY");
    let other = scene.another();
    assert_eq!(other.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
    assert_eq!(other.hear(&mut scene.stage, ATTACH), "ALREADY");
    assert_eq!(
        scene.hear(Request::ListSessions),
        "[1: host/session clients 2 streams 2]"
    );
    other.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn new_metadata_is_flagged_only_when_it_is_there() {
    let mut scene = Scene::with_trace();
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    assert_eq!(scene.indexes(1), "RETRY");
    scene.end();
}

#[test]
fn metadata_comes_once() {
    let mut scene = Scene::with_trace();
    scene.hear(ATTACH);
    scene.send_metadata(&[b'm'; 100]);
    assert_eq!(scene.indexes(2), "RETRY NEW_METADATA, RETRY NEW_METADATA");
    let text = "m".repeat(100);
    assert_eq!(scene.metadata(2), format!("OK {text}, NO_NEW"));
    assert_eq!(scene.indexes(1), "RETRY");
    scene.end();
}

#[test]
fn a_beacon_before_the_first_index_is_told_as_inactive() {
    let mut scene = Scene::watched(0);
    let Command::SendIndex(beacon) = stage::beacon(DATA, 5000) else {
        unreachable!("law: a beacon is an index")
    };
    scene.command(&Command::SendIndex(SendIndex { class: 7, ..beacon }));
    assert_eq!(
        scene.indexes(2),
        "INACTIVE 5000 class 7, INACTIVE 5000 class 7"
    );
    scene.end();
}

#[test]
fn a_packet_whose_data_came_first_is_told_with_its_description() {
    let mut scene = Scene::watched(0);
    scene.send_beacon(5000);
    scene.send_bytes(0);
    assert_eq!(scene.indexes(1), "INACTIVE 5000");
    scene.send_index(0);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    let Scene { stage, viewer, .. } = &mut scene;
    let whole = payload(DATA, 0);
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), whole);
    assert_eq!(viewer.packet(stage, DATA, 10, 20).unwrap(), whole[10..30]);
    assert_eq!(viewer.packet(stage, DATA, 0, 65), None);
    scene.end();
}

#[test]
fn a_packet_that_was_described_first_is_told_with_its_data() {
    let mut scene = Scene::watched(0);
    scene.send_beacon(5000);
    scene.send_index(0);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.send_bytes(0);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.end();
}

#[test]
fn a_beacon_while_a_packet_is_half_is_dropped() {
    let mut scene = Scene::watched(0);
    scene.send_beacon(50);
    scene.send_bytes(0);
    scene.send_beacon(9000);
    assert_eq!(scene.indexes(1), "INACTIVE 50");
    scene.send_index(0);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.end();
}

#[test]
fn new_streams_are_flagged_until_they_are_asked_for() {
    let mut scene = Scene::watched(0);
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    scene.producer.send_whole_packet(&mut scene.stage, new, 0);
    assert_eq!(scene.indexes(2), "RETRY NEW_STREAM, RETRY NEW_STREAM");
    scene.send_beacon(400);
    // Ours: no time before the viewer knows what may begin before that.
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    assert_eq!(scene.hear(NEW_STREAMS), "OK [3]");
    assert_eq!(scene.indexes(1), "INACTIVE 400");
    assert_eq!(scene.viewer.index(&mut scene.stage, new), "OK 0 at 0");
    scene.end();
}

#[test]
fn a_viewer_that_attaches_again_begins_anew() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(2), "OK 0 at 0, OK 1 at 64");
    assert_eq!(scene.hear_all(&[DETACH, DETACH]), "OK, ERR");
    assert_eq!(scene.indexes(1), "ERR");
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    assert_eq!(scene.metadata(2), "OK meta, NO_NEW");
    assert_eq!(scene.indexes(3), "OK 0 at 0, OK 1 at 64, RETRY");
    scene.end();
}

#[test]
fn a_seek_to_the_last_begins_with_the_first_packet_after_the_attach() {
    let mut scene = Scene::with_trace();
    scene.send(0);
    assert_eq!(scene.hear(ATTACH_LAST), "OK [1, 2]");
    assert_eq!(scene.indexes(1), "RETRY");
    scene.send(1);
    assert_eq!(scene.indexes(2), "OK 1 at 64, RETRY");
    scene.end();
}

#[test]
fn an_unknown_seek_attaches_nothing() {
    let mut scene = Scene::with_trace();
    for seek in [0, 3, 7, u32::MAX] {
        let attach = Request::Attach {
            session: SESSION,
            seek,
        };
        assert_eq!(scene.hear(attach), "SEEK_ERR");
    }
    assert_eq!(
        scene.hear(Request::ListSessions),
        "[1: host/session clients 0 streams 2]"
    );
    assert_eq!(scene.hear(DETACH), "ERR");
    scene.end();
}

#[test]
fn a_session_that_is_not_live_is_listed_and_not_attached() {
    let mut stage = Stage::new();
    let session = CreateSession {
        live_timer_us: 0,
        ..session("session")
    };
    let producer = Producer::create(&mut stage, 15, session);
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(
        viewer.hear_all(&mut stage, &[Request::ListSessions, ATTACH]),
        "[1: host/session clients 0 streams 0 timer 0], NOT_LIVE"
    );
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn ctf_2_is_told_to_viewers_that_know_it() {
    let mut stage = Stage::new();
    let session = CreateSession {
        trace_format: TraceFormat::Ctf2,
        ..session("session")
    };
    let producer = Producer::create(&mut stage, 15, session);
    let listed = "[1: host/session clients 0 streams 0 CTF 2], OK []";
    for minor in [4, 14, 15, 20] {
        let viewer = Viewer::connect(&mut stage, minor);
        let told = viewer.hear_all(&mut stage, &[Request::ListSessions, ATTACH]);
        let expected = if minor < 15 { "[], UNK" } else { listed };
        assert_eq!(told, expected, "minor {minor}");
        viewer.leave(&mut stage);
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Not as the original, on purpose.
#[test]
fn a_long_host_name_is_cut_for_old_viewers() {
    let mut stage = Stage::new();
    let host = "h".repeat(64);
    let session = CreateSession {
        host: host.as_bytes(),
        ..session("session")
    };
    let producer = Producer::create(&mut stage, 15, session);
    for minor in [4, 15] {
        let viewer = Viewer::connect(&mut stage, minor);
        let told = viewer.hear(&mut stage, Request::ListSessions);
        let host = if minor < 15 { &host[..63] } else { &host };
        assert_eq!(told, format!("[1: {host}/session clients 0 streams 0]"));
        viewer.leave(&mut stage);
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let mut scene = Scene::with_trace();
    let list = Request::ListSessions;
    assert_eq!(
        scene.hear_all(&[list, list, list, Request::CreateSession]),
        "[1: host/session clients 0 streams 2], ".repeat(3) + "OK"
    );
    scene.end();
}
