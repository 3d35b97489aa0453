//! `--serve all`: sessions that are not live, and those that are over.

use baton_components::wire::producer::{
    CloseTraceChunk, Command, CreateSession, RotatePosition, RotateStreams,
};
use baton_components::wire::viewer::reply::{self, Reply};
use baton_components::wire::viewer::{
    AttachStatus, MetadataStatus, NewStreamsStatus, NextIndexStatus, Request, RequestKind,
    SEEK_LAST,
};
use baton_systems::settings::{Served, Settings};

use crate::stage::{self, Producer, Stage, Viewer};

fn serving_all() -> Stage {
    Stage::with(Settings {
        serve: Served::All,
        ..Settings::default()
    })
}

/// A session that is not live, with one packet of its one data stream.
fn record(stage: &mut Stage) -> (Producer, u64, u64) {
    let producer = Producer::connect(stage, 13);
    let session = CreateSession {
        live_timer_us: 0,
        ..stage::session("session")
    };
    producer.ask(stage, &Command::CreateSession(session));
    producer.expect_ok(stage, &stage::create_chunk(0));
    let (metadata, data) = producer.add_trace(stage, "ust");
    producer.send_metadata(stage, metadata, b"metadata");
    producer.send_whole_packet(stage, data, 0);
    (producer, metadata, data)
}

/// As a session daemon ends a session: its streams leave their chunk first.
fn destroy(stage: &mut Stage, producer: &Producer, metadata: u64, data: u64) {
    let positions =
        [(metadata, 0), (data, 1)].map(|(stream, position)| RotatePosition { stream, position });
    let rotate = RotateStreams {
        new_chunk: None,
        positions: positions.into_iter().collect(),
    };
    producer.expect_ok(stage, &Command::RotateStreams(rotate));
    let close = CloseTraceChunk {
        chunk: 0,
        close_time_s: stage::CREATED_S + 60,
        command: None,
    };
    producer.ask(stage, &Command::CloseTraceChunk(close));
    producer.close_stream(stage, metadata, None);
    producer.close_stream(stage, data, Some(0));
    producer.leave(stage);
}

fn index_status(bytes: &[u8]) -> NextIndexStatus {
    match reply::decode(RequestKind::NextIndex, 15, bytes) {
        Ok(Some((Reply::NextIndex(index), _))) => index.status,
        other => panic!("{other:?}"),
    }
}

/// Reads what a viewer that came with "seek last" gets of the one data stream.
fn read_to_the_end(stage: &mut Stage, viewer: &Viewer, metadata: u64, data: u64) {
    let bytes = viewer.ask(stage, Request::Metadata { stream: metadata });
    match reply::decode(RequestKind::Metadata, 15, &bytes) {
        Ok(Some((Reply::Metadata(head, bytes), _))) => {
            assert_eq!(head.status, MetadataStatus::Ok);
            assert_eq!(bytes, b"metadata");
        }
        other => panic!("{other:?}"),
    }
    let next = Request::NextIndex { stream: data };
    assert_eq!(index_status(&viewer.ask(stage, next)), NextIndexStatus::Ok);
    let packet = Request::Packet {
        stream: data,
        offset: 0,
        length: stage::PACKET_BYTES as u32,
    };
    assert_eq!(viewer.ask(stage, packet)[12..], stage::payload(data, 0));
    assert_eq!(index_status(&viewer.ask(stage, next)), NextIndexStatus::Hup);
    let bytes = viewer.ask(stage, Request::NewStreams { session: 1 });
    assert_eq!(bytes[..4], NewStreamsStatus::Hup.number().to_be_bytes());
}

fn attach(stage: &mut Stage, viewer: &Viewer, session: u64) -> AttachStatus {
    let attach = Request::Attach {
        session,
        seek: SEEK_LAST,
    };
    let bytes = viewer.ask(stage, attach);
    match reply::decode(RequestKind::Attach, 15, &bytes) {
        Ok(Some((Reply::Attach(status, _), _))) => status,
        other => panic!("{other:?}"),
    }
}

fn listed_names(stage: &mut Stage, viewer: &Viewer) -> Vec<String> {
    let bytes = viewer.ask(stage, Request::ListSessions);
    match reply::decode(RequestKind::ListSessions, 15, &bytes) {
        Ok(Some((Reply::ListSessions(sessions), _))) => sessions
            .iter()
            .map(|session| String::from_utf8_lossy(session.name).into_owned())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_that_is_over_is_read_from_its_beginning() {
    let mut stage = serving_all();
    let (producer, metadata, data) = record(&mut stage);
    destroy(&mut stage, &producer, metadata, data);
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::Ok);
    read_to_the_end(&mut stage, &viewer, metadata, data);
    viewer.leave(&mut stage);
    // The next viewer finds it as well.
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::Ok);
    viewer.leave(&mut stage);
    stage.relay.hang_up_all();
    stage.assert_empty();
}

#[test]
fn a_session_that_is_not_live_is_read_while_it_records() {
    let mut stage = serving_all();
    let (producer, metadata, data) = record(&mut stage);
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::Ok);
    let next = Request::NextIndex { stream: data };
    assert_eq!(
        index_status(&viewer.ask(&mut stage, next)),
        NextIndexStatus::Retry
    );
    producer.send_whole_packet(&mut stage, data, 1);
    assert_eq!(
        index_status(&viewer.ask(&mut stage, next)),
        NextIndexStatus::Ok
    );
    producer.close_stream(&mut stage, metadata, None);
    producer.leave(&mut stage);
    assert_eq!(
        index_status(&viewer.ask(&mut stage, next)),
        NextIndexStatus::Hup
    );
    viewer.leave(&mut stage);
    stage.relay.hang_up_all();
    stage.assert_empty();
}

#[test]
fn the_running_session_has_the_name() {
    let mut stage = serving_all();
    let (producer, metadata, data) = record(&mut stage);
    destroy(&mut stage, &producer, metadata, data);
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(
        listed_names(&mut stage, &viewer),
        ["session-20261122-064435"]
    );
    let (second, ..) = record(&mut stage);
    let names = listed_names(&mut stage, &viewer);
    assert_eq!(names, ["session-20261122-064435", "session"]);
    second.leave(&mut stage);
    viewer.leave(&mut stage);
    stage.relay.hang_up_all();
    stage.assert_empty();
}

#[test]
fn only_the_last_ones_are_kept() {
    let mut stage = serving_all();
    for _ in 0..=baton_components::limits::KEPT_SESSIONS {
        let (producer, metadata, data) = record(&mut stage);
        destroy(&mut stage, &producer, metadata, data);
    }
    let viewer = Viewer::connect(&mut stage, 15);
    let kept = listed_names(&mut stage, &viewer).len();
    assert_eq!(kept, baton_components::limits::KEPT_SESSIONS);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::Unknown);
    viewer.leave(&mut stage);
    stage.relay.hang_up_all();
    stage.assert_empty();
}

#[test]
fn by_default_only_live_sessions_are_served() {
    let mut stage = Stage::new();
    let (producer, metadata, data) = record(&mut stage);
    let viewer = Viewer::connect(&mut stage, 15);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::NotLive);
    destroy(&mut stage, &producer, metadata, data);
    assert_eq!(attach(&mut stage, &viewer, 1), AttachStatus::Unknown);
    viewer.leave(&mut stage);
    stage.assert_empty();
}
