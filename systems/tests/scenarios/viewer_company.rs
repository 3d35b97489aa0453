//! Sessions that end, several sessions, several viewers, and what is announced together.

use baton_components::wire::producer::{Command, CreateSession, Origin};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;

use crate::stage::{Producer, Stage, Viewer, add_stream, create_chunk, session};
use crate::viewer_words::{
    ATTACH, DATA, DETACH, GET_METADATA, METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, SESSION, Scene,
    tell_all,
};

/// A session of the same session daemon, and not the one of `session()`.
fn other_session(name: &str) -> CreateSession<'_> {
    let origin = session(name).origin.unwrap();
    CreateSession {
        origin: Some(Origin {
            session: 1,
            ..origin
        }),
        ..session(name)
    }
}

fn attach(session: u64) -> Request {
    Request::Attach {
        session,
        seek: SEEK_BEGINNING,
    }
}

#[test]
fn a_viewer_reads_what_a_producer_left_when_it_dropped_its_connections() {
    let mut scene = Scene::watched(2);
    scene.producer_leaves();
    let late = scene.another();
    let requests = [Request::ListSessions, ATTACH];
    assert_eq!(late.hear_all(&mut scene.stage, &requests), "[], UNK");
    // Ours: no HUP while there is something to read.
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    assert_eq!(scene.indexes(2), "OK 0 at 0, OK 1 at 64");
    assert_eq!(scene.hear_all(&[PACKET, NEW_STREAMS]), "OK 64 bytes, OK []");
    assert_eq!(scene.indexes(2), "HUP, ERR");
    assert_eq!(scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]), "HUP, HUP");
    assert_eq!(scene.hear_all(&[DETACH, ATTACH]), "OK, UNK");
    late.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_rotation_holds_up_no_viewer_of_the_same_user_session() {
    let mut scene = Scene::watched(1);
    let kernel = Producer::create(&mut scene.stage, 15, session("session"));
    kernel.expect_ok(&mut scene.stage, &create_chunk(0));
    let (metadata, data) = kernel.add_trace(&mut scene.stage, "kernel");
    kernel.send_metadata(&mut scene.stage, metadata, b"tsdl");
    kernel.send_whole_packet(&mut scene.stage, data, 0);
    assert_eq!(scene.hear(attach(2)), "OK [3, 4]");
    kernel.expect_ok(&mut scene.stage, &create_chunk(1));
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.index(stage, data), "OK 0 at 0 NEW_METADATA");
    assert_eq!(viewer.metadata(stage, metadata), "OK tsdl");
    let news = [NEW_STREAMS, Request::NewStreams { session: 2 }];
    assert_eq!(viewer.hear_all(stage, &news), "OK [], OK []");
    kernel.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn unrelated_sessions_do_not_interfere() {
    let mut scene = Scene::watched(1);
    let other = Producer::create(&mut scene.stage, 15, other_session("other"));
    other.expect_ok(&mut scene.stage, &create_chunk(0));
    let (_, data) = other.add_trace(&mut scene.stage, "ust");
    other.send_whole_packet(&mut scene.stage, data, 0);
    assert_eq!(scene.hear(attach(2)), "OK [3, 4]");
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    // The flag is of all sessions; the streams are of one.
    assert_eq!(
        scene.viewer.index(&mut scene.stage, data),
        "OK 0 at 0 NEW_STREAM"
    );
    let news = [Request::NewStreams { session: 2 }, NEXT_INDEX, NEW_STREAMS];
    assert_eq!(scene.hear_all(&news), "OK [], OK 0 at 0 NEW_STREAM, OK [5]");
    assert_eq!(scene.viewer.index(&mut scene.stage, new), "RETRY");
    // Their chunks have the same numbers.
    scene.clear(1, 1);
    scene.send(1);
    assert_eq!(scene.indexes(1), "OK 1 at 0");
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "RETRY");
    other.send_whole_packet(&mut scene.stage, data, 1);
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "OK 1 at 64");
    other.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn streams_wait_for_their_metadata() {
    let mut scene = Scene::new();
    for channel in ["chan_0", "chan_1"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear_all(&[ATTACH, NEW_STREAMS]), "OK [], OK []");
    scene
        .producer
        .add_stream(&mut scene.stage, "ust", "metadata");
    scene.command(&Command::StreamsSent);
    assert_eq!(
        scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]),
        "OK [3, 1, 2], OK []"
    );
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_new_viewer_session_detaches_what_the_last_had() {
    let mut scene = Scene::watched(1);
    let create = Request::CreateSession;
    assert_eq!(scene.hear_all(&[create; 5]), "OK, OK, OK, OK, OK");
    assert_eq!(scene.indexes(1), "ERR");
    let listed = "[1: host/session clients 0 streams 2]";
    assert_eq!(scene.hear(Request::ListSessions), listed);
    let requests = [ATTACH, NEXT_INDEX, create, ATTACH, NEXT_INDEX];
    let index = "OK 0 at 0 NEW_METADATA";
    let expected = format!("OK [1, 2], {index}, OK, OK [1, 2], {index}");
    assert_eq!(scene.hear_all(&requests), expected);
    // One after another as well.
    assert_eq!(scene.hear(create), "OK");
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    let listed = "[1: host/session clients 1 streams 2]";
    assert_eq!(scene.hear(Request::ListSessions), listed);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn half_a_header_holds_up_nobody() {
    let mut scene = Scene::watched(1);
    let slow = Viewer::connect(&mut scene.stage, 15);
    let bytes = client::request(Request::ListSessions);
    slow.peer.write(&bytes[..7]);
    scene.stage.settle();
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    slow.peer.write(&bytes[7..]);
    scene.stage.settle();
    let listed = "[1: host/session clients 1 streams 2]";
    let reply = slow.peer.take_received();
    assert_eq!(tell_all(&[Request::ListSessions], 15, &reply), listed);
    slow.peer.write(&bytes[..7]);
    slow.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn a_viewer_that_reads_nothing_holds_up_nobody() {
    let mut scene = Scene::new();
    let mut commands = Vec::new();
    // A list of 200 streams is more than is queued for a peer.
    let channels: Vec<String> = (1..200).map(|n| format!("chan_{n}")).collect();
    for channel in std::iter::once("metadata").chain(channels.iter().map(String::as_str)) {
        commands.extend(client::command(15, &add_stream("ust", channel)));
    }
    commands.extend(client::command(15, &Command::StreamsSent));
    assert_eq!(
        scene.producer.send(&mut scene.stage, &commands).len(),
        200 * 12 + 4
    );
    let silent = scene.another();
    silent.peer.block();
    silent.write_all(&[ATTACH, NEXT_INDEX, NEW_STREAMS]);
    scene.stage.settle();
    assert_eq!(silent.peer.take_received(), []);
    scene.send(0);
    assert!(scene.hear(ATTACH).starts_with("OK [1, 2, 3, "));
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    // When it reads, it gets all of it.
    silent.peer.accept_bytes(usize::MAX);
    scene.stage.settle();
    let told = tell_all(
        &[ATTACH, NEXT_INDEX, NEW_STREAMS],
        15,
        &silent.peer.take_received(),
    );
    assert!(told.ends_with("199, 200], OK 0 at 0, OK []"), "{told}");
    silent.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_packet_of_more_than_there_is_is_refused() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    for (offset, length) in [
        (0, 0xf000_0000),
        (0, u32::MAX),
        (0, 65),
        (64, 64),
        (65, 0),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (u64::MAX - 63, 64),
        (1 << 63, 0),
    ] {
        let packet = scene.viewer.packet(&mut scene.stage, DATA, offset, length);
        assert_eq!(packet, None, "{length} bytes at {offset}");
    }
    let packet = scene.viewer.packet(&mut scene.stage, DATA, 0, 0);
    assert_eq!(packet, Some(Vec::new()));
    scene.end();
}

#[test]
fn streams_of_a_session_that_was_not_attached_are_refused() {
    let mut scene = Scene::watched(1);
    scene.indexes(1);
    let other = scene.another();
    let requests = [NEXT_INDEX, PACKET, GET_METADATA, NEW_STREAMS, DETACH];
    let told = other.hear_all(&mut scene.stage, &requests);
    assert_eq!(told, "ERR, ERR, ERR, ERR, ERR");
    // The viewer that has attached the session is not affected.
    assert_eq!(scene.hear_all(&[PACKET, NEXT_INDEX]), "OK 64 bytes, RETRY");
    other.leave(&mut scene.stage);
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn metadata_waits_for_data_streams() {
    let mut scene = Scene::new();
    scene.hear(ATTACH);
    scene
        .producer
        .add_stream(&mut scene.stage, "ust", "metadata");
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]), "OK [], OK []");
    for channel in ["chan_0", "chan_1"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    scene.command(&Command::StreamsSent);
    assert_eq!(
        scene.hear_all(&[NEW_STREAMS, NEW_STREAMS]),
        "OK [1, 2, 3], OK []"
    );
    scene.end();
}

/// Not as the original, on purpose.
#[test]
fn metadata_is_announced_again_when_all_its_streams_had_ended() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.producer.close_stream(&mut scene.stage, DATA, Some(0));
    assert_eq!(scene.indexes(1), "HUP");
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_0");
    scene.command(&Command::StreamsSent);
    let entries = scene.viewer.entries(&mut scene.stage, NEW_STREAMS);
    let told: Vec<(u64, u64, bool)> = entries
        .iter()
        .map(|e| (e.stream, e.trace, e.metadata))
        .collect();
    assert_eq!(told, [(METADATA, 1, true), (new, 1, false)]);
    assert_eq!(
        scene.viewer.index(&mut scene.stage, new),
        "RETRY NEW_METADATA"
    );
    assert_eq!(scene.metadata(2), "OK meta, NO_NEW");
    // While one is open the others come alone.
    let next = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear(NEW_STREAMS), format!("OK [{next}]"));
    scene.end();
}

#[test]
fn names_that_are_too_long_are_told_as_those_of_the_files() {
    let mut scene = Scene::new();
    let names = ["metadata".to_owned(), "c".repeat(254), "d".repeat(255)];
    for name in &names {
        scene.producer.add_stream(&mut scene.stage, "ust", name);
    }
    scene.command(&Command::StreamsSent);
    let entries = scene.viewer.entries(&mut scene.stage, ATTACH);
    let told: Vec<&str> = entries.iter().map(|entry| entry.channel.as_str()).collect();
    let shortened = [
        "c".repeat(234) + "~681db09b503090af",
        "d".repeat(234) + "~c7088901ae0ef3a3",
    ];
    assert_eq!(told, ["metadata", &shortened[0], &shortened[1]]);
    for name in shortened {
        let file = format!("ust/{name}");
        let tree = scene.stage.tree();
        assert!(tree.iter().any(|it| it.contains(&file)), "{tree:?}");
    }
    scene.end();
}

#[test]
fn a_list_in_the_order_of_creation() {
    let mut stage = Stage::new();
    let names = ["c", "a", "b"];
    let producers: Vec<Producer> = names
        .iter()
        .map(|name| Producer::create(&mut stage, 15, session(name)))
        .collect();
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(
        viewer.hear(&mut stage, Request::ListSessions),
        "[1: host/c clients 0 streams 0, 2: host/a clients 0 streams 0, \
         3: host/b clients 0 streams 0]"
    );
    producers[1].leave(&mut stage);
    assert_eq!(
        viewer.hear(&mut stage, Request::ListSessions),
        "[1: host/c clients 0 streams 0, 3: host/b clients 0 streams 0]"
    );
    assert_eq!(viewer.hear(&mut stage, attach(SESSION + 1)), "UNK");
    for producer in &producers {
        producer.leave(&mut stage);
    }
    viewer.leave(&mut stage);
    stage.assert_empty();
}
