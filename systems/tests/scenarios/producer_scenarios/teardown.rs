//! How producers leave, in order and not.

use baton_components::connection::Endpoint;
use baton_components::wire::producer::{Command, CreateSession, SendMetadata};
use baton_systems::client;

use super::*;

#[test]
fn an_orderly_end_leaves_files_alone() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.census(),
        "2 connections, 2 streams, 1 traces, 1 sessions, 1 chunks, 2 trace files, 3 files"
    );
    assert_eq!(scene.stage.chunk_holders(0), 3, "the session, two streams");
    scene.rotate(None, 1);
    assert_eq!(scene.stage.chunk_holders(0), 1, "the session");
    assert_eq!(scene.stage.storage.open_files(), 0);
    assert_eq!(scene.close_chunk(0, None), DIRECTORY);
    assert!(!scene.chunk_exists(0));
    scene.close_streams(0);
    assert_eq!(scene.census(), "2 connections, 1 sessions");
    assert_eq!(scene.names(), trace(""));
    assert_eq!(scene.packets(""), [0]);
    assert_eq!(scene.indexed(""), [0]);
    scene.end();
}

#[test]
fn a_session_that_lost_control_takes_no_new_packet() {
    let mut scene = Scene::new();
    scene.producer.control.finish();
    assert_eq!(scene.census(), "1 connections, 1 sessions");
    // Ours: no stream can be added any more, so the session lets go of its chunk.
    assert_eq!(scene.stage.chunk_holders(0), 0);
    scene.bytes(1);
    assert!(scene.producer.data.is_closed());
    scene.stage.assert_empty();
    assert_eq!(scene.names(), trace(""));
    assert_eq!(scene.packets(""), [0]);
}

#[test]
fn a_session_ends_with_data_after_control() {
    let mut scene = Scene::new();
    scene.producer.control.finish();
    scene.stage.settle();
    scene.producer.data.finish();
    scene.stage.assert_empty();
    assert_eq!(scene.packets(""), [0]);
}

/// Ours: the session goes on, with another data connection if one comes. In the original
/// its streams are closed.
#[test]
fn control_adds_streams_after_data_ended() {
    let mut scene = Scene::new();
    scene.producer.data.finish();
    let late = scene
        .producer
        .add_stream(&mut scene.stage, "late", "chan_0");
    assert_eq!(late, 3);
    scene.ok(&Command::StreamsSent);
    assert_eq!(scene.stage.session(1).unwrap().open_streams.len(), 3);
    scene.index(1);
    scene.producer.control.finish();
    scene.stage.settle();
    // Its packet has the usual time to come.
    assert!(scene.stage.stream(DATA).is_some());
    scene.stage.pass(DRAIN_GRACE);
    scene.stage.assert_empty();
    assert_eq!(
        scene.names(),
        [vec!["late/chan_0".to_owned()], trace("")].concat()
    );
}

#[test]
fn a_data_connection_that_brought_nothing_changes_nothing() {
    let mut scene = Scene::new();
    let before = scene.census();
    let other = scene.stage.network.connect(Endpoint::Data, "other:data");
    scene.stage.settle();
    other.finish();
    assert_eq!(scene.census(), before);
    let lost = scene.stage.network.connect(Endpoint::Data, "lost:data");
    lost.write(&stage::packet_bytes(99, 0));
    scene.stage.settle();
    assert!(lost.is_closed());
    assert_eq!(scene.census(), before);
    assert!(!scene.stage.session(1).unwrap().given_up);
    scene.end();
}

#[test]
fn an_orderly_end_does_not_wait_for_a_viewer() {
    let (mut scene, viewer) = Scene::watched();
    scene.packet(1);
    scene.rotate(None, 2);
    assert_eq!(
        scene.close_chunk(0, Some(0)),
        format!("{DIRECTORY}/{ARCHIVE_0}")
    );
    assert!(!scene.chunk_exists(0), "though a viewer has it before it");
    scene.close_streams(1);
    scene.producer.leave(&mut scene.stage);
    assert!(scene.stage.stream(DATA).unwrap().closed);
    assert_eq!(scene.names(), trace(&format!("{ARCHIVE_0}/")));
    viewer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

#[test]
fn streams_that_were_never_published_end_with_control() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    producer.add_stream(&mut stage, TRACE, "metadata");
    producer.add_stream(&mut stage, TRACE, "chan_0");
    assert_eq!(stage.chunk_holders(0), 3);
    producer.control.finish();
    stage.settle();
    producer.data.finish();
    stage.assert_empty();
    assert_eq!(stage_names(&stage, DIRECTORY), fresh_trace(""));
}

#[test]
fn a_session_without_streams_leaves_nothing() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    assert_eq!(stage.census(), "2 connections, 1 sessions, 1 chunks");
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_eq!(stage.tree(), ["host/", &format!("{DIRECTORY}/")]);
}

#[test]
fn a_message_that_control_leaves_unfinished_does_nothing() {
    for cut in [1, 23, 24, 30] {
        let mut scene = Scene::new();
        let mut bytes = Vec::new();
        let command = Command::SendMetadata(SendMetadata {
            stream: METADATA,
            padding_size: 0,
            bytes: b"never",
        });
        bytes.extend(client::command(15, &command));
        scene.producer.control.write(&bytes[..cut]);
        scene.producer.control.finish();
        scene.stage.settle();
        assert!(!scene.stage.session(1).unwrap().given_up);
        assert_eq!(
            scene.stage.file(&format!("{DIRECTORY}/ust/metadata")),
            b"metadata"
        );
        scene.end();
    }
}

/// Ours: a killed producer ends with a reset; what its data connection has is kept.
#[test]
fn data_is_taken_to_its_end_after_control_broke() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.producer.control.reset("connection reset by peer");
    scene.stage.settle();
    assert!(!scene.stage.session(1).unwrap().given_up);
    scene.bytes(1);
    assert_eq!(scene.indexed(""), [0, 1]);
    scene.end();
}

#[test]
fn a_packet_that_data_leaves_unfinished_is_cut_off() {
    let mut scene = Scene::new();
    scene.part(1, 40);
    assert_eq!(scene.stage.stream(DATA).unwrap().last_data, Some(0));
    scene.producer.data.finish();
    scene.stage.settle();
    // Ours: the 40 bytes are cut off.
    assert_eq!(scene.packets(""), [0]);
    // Ours: the packet is lost, the session is not.
    scene.producer.close_stream(&mut scene.stage, DATA, Some(1));
    assert!(scene.stage.stream(DATA).is_some(), "it may come again");
    scene.stage.pass(DRAIN_GRACE);
    assert!(scene.stage.stream(DATA).is_none());
    assert!(!scene.producer.control.is_closed());
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

#[test]
fn a_stream_without_a_chunk_is_counted_nowhere() {
    let mut stage = Stage::new();
    let producer = Producer::create(&mut stage, 15, stage::session("session"));
    let reply = producer.ask(&mut stage, &stage::add_stream(TRACE, "chan_0"));
    assert_eq!(reply, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11]);
    assert_eq!(stage.census(), "2 connections, 1 sessions");
    assert_eq!(stage.session(1).unwrap().stream_count, 0);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    assert_eq!(producer.add_stream(&mut stage, TRACE, "chan_0"), 2);
    assert_eq!(stage.session(1).unwrap().stream_count, 1);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_session_that_is_refused_leaves_nothing() {
    let mut stage = Stage::new();
    let producer = Producer::connect(&mut stage, 15);
    let leads_up = CreateSession {
        base_path: b"a/../..",
        ..stage::session("session")
    };
    let refused = producer.ask(&mut stage, &Command::CreateSession(leads_up));
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0];
    assert_eq!(refused, expected);
    assert_eq!(stage.census(), "2 connections");
    assert_eq!(stage.tree(), [""; 0]);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_relay_that_stops_in_the_middle_of_everything_leaves_nothing() {
    let (mut scene, viewer) = Scene::watched();
    scene.ok(&stage::create_chunk(1));
    scene.ok(&stage::rotate(Some(1), &[(METADATA, 0), (DATA, 5)]));
    scene.index(1);
    scene.bytes(2);
    scene.part(3, 40);
    scene.stage.relay.hang_up_all();
    scene.stage.assert_empty();
    assert!(scene.producer.control.is_closed() && viewer.peer.is_closed());
    // Ours: no torn packet, and no chunk is hidden behind a temporary name.
    assert_eq!(scene.packets(&format!("{CHUNK_0}/")), [0, 2]);
    assert_eq!(scene.indexed(&format!("{CHUNK_0}/")), [0]);
    let names = [
        trace(&format!("{CHUNK_0}/")),
        vec![format!("{CHUNK_1}/ust/metadata")],
    ]
    .concat();
    assert_eq!(scene.names(), names);
}
