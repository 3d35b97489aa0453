//! Halves that wait for the other half, and streams one by one.

use baton_components::wire::producer::{
    BeginDataPending, CloseStream, Command, DataPending, EndDataPending, NONE, ResetMetadata, code,
};

use super::*;

#[test]
fn an_announced_packet_is_recorded_after_control_ended() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.producer.control.finish();
    assert_eq!(
        scene.census(),
        "1 connections, 1 indexes, 1 streams, 1 traces, 1 sessions, 1 chunks, 1 trace files, 2 files"
    );
    scene.bytes(1);
    assert_eq!(scene.census(), "1 connections, 1 sessions");
    assert_eq!(scene.indexed(""), [0, 1]);
    scene.producer.data.finish();
    scene.stage.assert_empty();
}

/// Ours: in the original the stream is there for ever.
#[test]
fn an_announced_packet_that_cannot_come_any_more_is_given_up() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.producer.control.finish();
    scene.stage.settle();
    scene.producer.data.finish();
    scene.stage.assert_empty();
    assert_eq!(scene.packets(""), [0]);
    assert_eq!(scene.indexed(""), [0]);
}

/// The same when the data connection never brought anything: it may still be there.
#[test]
fn an_announced_packet_is_waited_for_and_given_up() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, TRACE);
    producer.send_index(&mut stage, data, 0);
    producer.control.finish();
    stage.settle();
    stage.pass(DRAIN_GRACE / 2);
    assert!(stage.stream(data).is_some());
    stage.pass(DRAIN_GRACE / 2);
    assert_eq!(stage.census(), "1 connections");
    producer.data.finish();
    stage.assert_empty();
    assert_eq!(stage_names(&stage, DIRECTORY), fresh_trace(""));
}

/// The same, and the data connection brings the packet in time.
#[test]
fn an_announced_packet_is_waited_for_and_comes() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, TRACE);
    producer.send_index(&mut stage, data, 0);
    producer.control.finish();
    stage.settle();
    stage.pass(DRAIN_GRACE / 2);
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    assert_eq!(stage.census(), "1 connections, 1 sessions");
    producer.data.finish();
    stage.pass(DRAIN_GRACE);
    stage.assert_empty();
    assert_eq!(stage_names(&stage, DIRECTORY), trace(""));
}

#[test]
fn a_session_ends_when_its_data_connection_fails_while_a_packet_is_waited_for() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.producer.control.finish();
    scene.stage.settle();
    scene.producer.data.write(&stage::packet_bytes(99, 0));
    scene.stage.assert_empty();
    assert_eq!(scene.indexed(""), [0]);
}

#[test]
fn a_packet_without_an_index_keeps_its_bytes_and_ends_with_control() {
    let (mut scene, viewer) = Scene::watched();
    scene.bytes(1);
    assert!(scene.census().contains("1 indexes"));
    scene.producer.control.finish();
    scene.stage.settle();
    assert!(!scene.census().contains("indexes"));
    assert!(scene.stage.stream(DATA).unwrap().closed);
    // Its bytes stay; readers of the files find the packet.
    assert_eq!(scene.packets(""), [0, 1]);
    assert_eq!(scene.indexed(""), [0]);
    viewer.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_stream_that_is_closed_early_waits_for_its_last_packet() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.producer.close_stream(&mut scene.stage, DATA, Some(1));
    let ask = Command::DataPending(DataPending {
        stream: DATA,
        last_sequence: 1,
    });
    let end = Command::EndDataPending(EndDataPending { session: 1 });
    scene.ok(&Command::BeginDataPending(BeginDataPending { session: 1 }));
    assert_eq!(scene.producer.code(&mut scene.stage, &ask), code::PENDING);
    assert_eq!(scene.producer.code(&mut scene.stage, &end), code::PENDING);
    scene.bytes(1);
    assert!(scene.stage.stream(DATA).is_none());
    assert_eq!(scene.indexed(""), [0, 1]);
    assert_eq!(
        scene.producer.code(&mut scene.stage, &ask),
        code::PENDING_ERROR
    );
    assert!(scene.producer.control.is_closed());
    scene.end();
}

#[test]
fn a_short_lived_application_is_not_lost_to_a_viewer() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let viewer = Viewer::connect(&mut stage, 15);
    let (session, seek) = (1, SEEK_BEGINNING);
    viewer.ask(&mut stage, Request::Attach { session, seek });
    let (metadata, data) = producer.add_trace(&mut stage, TRACE);
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.close_stream(&mut stage, data, Some(0));
    producer.close_stream(&mut stage, metadata, None);
    let counts = stage
        .session(1)
        .map(|it| (it.open_streams.len(), it.stream_count));
    assert_eq!(counts, Some((0, 2)), "closed, and there for the viewer");
    assert_eq!(stage.chunk_holders(0), 1, "the session");
    viewer.leave(&mut stage);
    assert_eq!(stage.census(), "2 connections, 1 sessions, 1 chunks");
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Ours (position 0 before any packet): the stream moves at once. In the original it
/// waits for its first packet, which then lands in the old chunk.
#[test]
fn a_rotation_before_the_first_packet_moves_the_stream() {
    let mut scene = Scene::without_packets();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 0);
    scene.close_chunk(0, Some(0));
    assert!(!scene.chunk_exists(0));
    scene.packet(0);
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0; 0]);
    assert_eq!(scene.packets(&format!("{CHUNK_1}/")), [0]);
    scene.end();
}

/// At a later position it waits: that packet belongs to the old chunk.
#[test]
fn a_rotation_after_packets_that_are_on_their_way_waits_for_them() {
    let mut scene = Scene::without_packets();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 1);
    scene.close_chunk(0, Some(0));
    assert!(scene.chunk_exists(0));
    scene.packet(0);
    assert!(!scene.chunk_exists(0));
    scene.packet(1);
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0]);
    assert_eq!(scene.packets(&format!("{CHUNK_1}/")), [1]);
    scene.end();
}

/// Ours: the trace has one metadata file; the second stream begins it anew.
#[test]
fn the_second_of_two_metadata_streams_of_a_trace_has_the_file() {
    let mut scene = Scene::new();
    let second = scene
        .producer
        .add_stream(&mut scene.stage, TRACE, "metadata");
    scene.ok(&Command::StreamsSent);
    scene
        .producer
        .send_metadata(&mut scene.stage, second, b"again");
    assert_eq!(
        scene.stage.file(&format!("{DIRECTORY}/ust/metadata")),
        b"again"
    );
    assert_eq!(scene.names(), trace(""));
    scene.end();
}

#[test]
fn a_trace_comes_back_under_its_old_path() {
    let (mut scene, viewer) = Scene::watched();
    scene.close_streams(0);
    let (metadata, data) = scene.producer.add_trace(&mut scene.stage, TRACE);
    assert_eq!((metadata, data), (3, 4));
    scene
        .producer
        .send_metadata(&mut scene.stage, metadata, b"again");
    scene.producer.send_whole_packet(&mut scene.stage, data, 0);
    // Ours: the packets of the first are not written over.
    assert_eq!(scene.packets(""), [0]);
    assert_eq!(
        scene.stage.file(&format!("{DIRECTORY}/ust/chan_0-2")),
        stage::payload(data, 0)
    );
    viewer.leave(&mut scene.stage);
    scene.end();
}

/// Ours: the stream of another is as unknown as one that never was.
#[test]
fn a_foreign_handle_closes_nobody_elses_stream() {
    let mut scene = Scene::new();
    let mut command = stage::session("other");
    command.origin = command
        .origin
        .map(|it| baton_components::wire::producer::Origin { session: 1, ..it });
    let other = Producer::create(&mut scene.stage, 15, command);
    let close = |stream| {
        Command::CloseStream(CloseStream {
            stream,
            last_sequence: NONE,
        })
    };
    let reply = other.code(&mut scene.stage, &close(DATA));
    assert_eq!(reply, code::UNKNOWN_ERR);
    assert!(other.control.is_closed());
    assert!(!scene.stage.stream(DATA).unwrap().closed);
    scene.packet(1);
    assert_eq!(scene.indexed(""), [0, 1]);
    other.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn metadata_that_is_sent_anew_replaces_the_old() {
    let mut stage = Stage::new();
    let stored = baton_components::wire::producer::CreateSession {
        live_timer_us: 0,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, stored);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    let (metadata, _) = producer.add_trace(&mut stage, TRACE);
    producer.send_metadata(&mut stage, metadata, b"first and long");
    let reset = ResetMetadata {
        stream: metadata,
        version: 1,
    };
    producer.expect_ok(&mut stage, &Command::ResetMetadata(reset));
    let path = format!("{DIRECTORY}/ust/metadata");
    assert_eq!(stage.file(&path), b"");
    assert_eq!(stage.storage.open_files(), 2, "the old file is closed");
    producer.send_metadata(&mut stage, metadata, b"second");
    assert_eq!(stage.file(&path), b"second");
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Ours: records are written in batches, and the last one waits for no other packet.
#[test]
fn the_record_of_a_packet_that_nothing_follows_is_written() {
    let mut scene = Scene::new();
    scene.index(1);
    // Nothing that the description began is left to be done.
    scene.stage.pass(std::time::Duration::from_secs(1));
    scene.bytes(1);
    assert_eq!(scene.indexed(""), [0, 1]);
}
