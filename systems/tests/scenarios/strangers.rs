//! Strangers on the data port: who cannot guess a handle disturbs nobody, and who knows
//! one spoils no packet and ends no session. And what the end of a data connection costs.

use baton_components::connection::Port;
use baton_components::limits::DRAIN_GRACE;
use baton_components::wire::producer::{
    CloseStream, Command, CreateSession, DataPending, NONE, code,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::memory::Peer;

use crate::stage::{self, DIRECTORY, Producer, Stage, Viewer};

/// The header of a packet.
const HEADER_BYTES: usize = 32;
const MID: usize = HEADER_BYTES + 40;

/// A session with a trace, which recorded packet 0.
fn recording(stage: &mut Stage) -> (Producer, u64) {
    let producer = Producer::with_session(stage, 15);
    let (_, data) = producer.add_trace(stage, "ust");
    producer.send_whole_packet(stage, data, 0);
    (producer, data)
}

fn stranger(stage: &mut Stage, bytes: &[u8]) -> Peer {
    let peer = stage.network.connect(Port::Data, "stranger");
    peer.write(bytes);
    stage.settle();
    peer
}

/// The packets of the data stream as they stand on disk.
fn assert_packets(stage: &Stage, directory: &str, data: u64, numbers: &[u64]) {
    let packets: Vec<u8> = numbers
        .iter()
        .flat_map(|number| stage::payload(data, *number))
        .collect();
    let path = format!("{DIRECTORY}/{directory}ust");
    assert!(stage.file(&format!("{path}/chan_0")) == packets);
    let index = stage.index_records(&format!("{path}/index/chan_0.idx"));
    let indexed: Vec<u64> = index.iter().map(|it| it.timestamp_begin / 1000).collect();
    assert_eq!(indexed, numbers);
}

fn ask_pending(producer: &Producer, stage: &mut Stage, stream: u64, last: u64) -> u32 {
    let question = DataPending {
        stream,
        last_sequence: last,
    };
    producer.code(stage, &Command::DataPending(question))
}

#[test]
fn a_header_that_names_no_stream_closes_its_connection_alone() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    let stranger = stranger(&mut stage, &stage::packet_bytes(4711, 0)[..HEADER_BYTES]);
    assert!(stranger.is_closed());
    producer.send_whole_packet(&mut stage, data, 1);
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 1]);
}

#[test]
fn a_second_packet_of_a_stream_is_refused_while_the_first_arrives() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    let packet = stage::packet_bytes(data, 1);
    producer.data.write(&packet[..MID]);
    stage.settle();
    for bytes in [&stage::packet_bytes(data, 9)[..], &packet[..HEADER_BYTES]] {
        assert!(stranger(&mut stage, bytes).is_closed());
    }
    producer.data.write(&packet[MID..]);
    stage.settle();
    assert!(!producer.data.is_closed());
    producer.send_index(&mut stage, data, 1);
    producer.send_whole_packet(&mut stage, data, 2);
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 1, 2]);
}

#[test]
fn a_packet_that_a_stranger_begins_and_leaves_is_cut_off_and_nothing_else_is_lost() {
    for breaks in [false, true] {
        let mut stage = Stage::new();
        let (producer, data) = recording(&mut stage);
        let stranger = stranger(&mut stage, &stage::packet_bytes(data, 1)[..MID]);
        producer.send_index(&mut stage, data, 1);
        if breaks {
            stranger.reset("reset by peer");
        } else {
            stranger.finish();
        }
        stage.pass(DRAIN_GRACE);
        assert_eq!(ask_pending(&producer, &mut stage, data, 1), code::PENDING);
        let packet = stage::payload(data, 1);
        producer.send_packet(&mut stage, data, 1, &packet);
        producer.send_whole_packet(&mut stage, data, 2);
        producer.leave(&mut stage);
        stage.assert_empty();
        assert_packets(&stage, "", data, &[0, 1, 2]);
    }
}

#[test]
fn nonsense_after_a_packet_ends_its_connection_and_not_the_session() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.data.write(&stage::packet_bytes(4711, 0));
    stage.settle();
    assert!(producer.data.is_closed() && !producer.control.is_closed());
    let again = stage.network.connect(Port::Data, "producer:data again");
    again.write(&stage::packet_bytes(data, 1));
    stage.settle();
    producer.send_index(&mut stage, data, 1);
    again.finish();
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 1]);
}

#[test]
fn a_packet_that_broke_off_may_come_again() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.data.write(&stage::packet_bytes(data, 1)[..MID]);
    producer.data.finish();
    producer.send_index(&mut stage, data, 1);
    let again = stranger(&mut stage, &stage::packet_bytes(data, 1));
    assert_eq!(
        ask_pending(&producer, &mut stage, data, 1),
        code::NOT_PENDING
    );
    again.finish();
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 1]);
}

/// As it is when a connection breaks: nobody sends the packet again.
#[test]
fn the_next_packet_shows_that_the_one_before_is_lost() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.data.write(&stage::packet_bytes(data, 1)[..MID]);
    producer.data.finish();
    producer.send_index(&mut stage, data, 1);
    let again = stranger(&mut stage, &stage::packet_bytes(data, 2));
    producer.send_index(&mut stage, data, 2);
    // Beacons say nothing while a description waits.
    assert!(stage.stream(data).unwrap().pending.is_empty());
    producer.close_stream(&mut stage, data, Some(2));
    assert!(stage.stream(data).is_none());
    again.finish();
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 2]);
}

#[test]
fn a_stop_does_not_wait_for_ever_for_packets_without_a_connection() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.data.write(&stage::packet_bytes(data, 1)[..MID]);
    producer.data.finish();
    producer.send_index(&mut stage, data, 1);
    producer.send_index(&mut stage, data, 2);
    assert_eq!(ask_pending(&producer, &mut stage, data, 2), code::PENDING);
    stage.pass(DRAIN_GRACE);
    assert_eq!(
        ask_pending(&producer, &mut stage, data, 2),
        code::NOT_PENDING
    );
    // Nor does what comes later.
    producer.send_index(&mut stage, data, 3);
    assert_eq!(
        ask_pending(&producer, &mut stage, data, 3),
        code::NOT_PENDING
    );
    producer.close_stream(&mut stage, data, Some(3));
    assert!(stage.stream(data).is_none());
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0]);
}

#[test]
fn a_close_does_not_wait_for_ever_for_packets_without_a_connection() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.send_index(&mut stage, data, 1);
    producer.close_stream(&mut stage, data, Some(1));
    producer.data.finish();
    stage.settle();
    stage.pass(DRAIN_GRACE / 2);
    assert!(stage.stream(data).is_some());
    stage.pass(DRAIN_GRACE / 2);
    assert!(stage.stream(data).is_none());
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_rotation_does_not_wait_for_ever_for_packets_without_a_connection() {
    // Described or not.
    for described in [true, false] {
        let mut stage = Stage::new();
        let (producer, data) = recording(&mut stage);
        producer.expect_ok(&mut stage, &stage::create_chunk(1));
        producer.expect_ok(&mut stage, &stage::rotate(Some(1), &[(1, 0), (data, 2)]));
        producer.close_chunk(&mut stage, 0, Some(0));
        if described {
            producer.send_index(&mut stage, data, 1);
        }
        producer.data.finish();
        stage.settle();
        assert!(producer.chunk_exists(&mut stage, 0));
        stage.pass(DRAIN_GRACE);
        assert!(!producer.chunk_exists(&mut stage, 0));
        // A connection of its own tools goes on.
        let again = stranger(&mut stage, &stage::packet_bytes(data, 2));
        producer.send_index(&mut stage, data, 2);
        again.finish();
        producer.leave(&mut stage);
        stage.assert_empty();
        let archive = "archives/20261122T064435+0000-20261122T064535+0000-0/";
        assert_packets(&stage, archive, data, &[0]);
        assert_packets(&stage, "20261122T064436+0000-1/", data, &[2]);
    }
}

/// Snapshots have no descriptions: their closes wait for bytes alone.
#[test]
fn a_snapshot_does_not_wait_for_ever_for_packets_without_a_connection() {
    let mut stage = Stage::new();
    let snapshot = CreateSession {
        snapshot: true,
        live_timer_us: 0,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, snapshot);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    let (_, data) = producer.add_trace(&mut stage, "ust");
    producer.send_packet(&mut stage, data, 0, &stage::payload(data, 0));
    producer.data.write(&stage::packet_bytes(data, 1)[..MID]);
    producer.data.finish();
    producer.close_stream(&mut stage, data, Some(1));
    stage.pass(DRAIN_GRACE);
    assert!(stage.stream(data).is_none());
    producer.leave(&mut stage);
    stage.assert_empty();
    let bytes = stage.file(&format!("{DIRECTORY}/20261122T064435+0000-0/ust/chan_0"));
    assert!(bytes == stage::payload(data, 0));
}

#[test]
fn an_old_session_outlives_a_data_connection() {
    let mut stage = Stage::new();
    let old = CreateSession {
        origin: None,
        live_timer_us: 0,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 8, old);
    let path = "host/old-20261122-064435/ust";
    let data = producer.add_stream(&mut stage, path, "chan_0");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.data.reset("reset by peer");
    producer.send_index(&mut stage, data, 1);
    let again = stranger(&mut stage, &stage::packet_bytes(data, 1));
    assert_eq!(
        ask_pending(&producer, &mut stage, data, 1),
        code::NOT_PENDING
    );
    again.finish();
    let close = CloseStream {
        stream: data,
        last_sequence: NONE,
    };
    producer.expect_ok(&mut stage, &Command::CloseStream(close));
    producer.leave(&mut stage);
    stage.assert_empty();
    let both = [stage::payload(data, 0), stage::payload(data, 1)].concat();
    assert!(stage.file(&format!("{path}/chan_0")) == both);
}

#[test]
fn a_session_without_control_lives_while_a_data_connection_does() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    let second = stranger(&mut stage, &stage::packet_bytes(data, 1));
    for number in 1..4 {
        producer.send_index(&mut stage, data, number);
    }
    producer.control.finish();
    producer.data.write(&stage::packet_bytes(4711, 0));
    stage.settle();
    assert!(producer.data.is_closed());
    second.write(&stage::packet_bytes(data, 2));
    stage.settle();
    second.write(&stage::packet_bytes(data, 3));
    stage.settle();
    assert_eq!(stage.census(), "1 connections, 1 sessions");
    second.finish();
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0, 1, 2, 3]);
}

#[test]
fn a_relay_that_stops_ends_sessions_that_wait() {
    let mut stage = Stage::new();
    let (producer, data) = recording(&mut stage);
    producer.send_index(&mut stage, data, 1);
    producer.data.finish();
    stage.settle();
    producer.control.finish();
    stage.settle();
    assert!(stage.stream(data).is_some(), "it is waited for");
    stage.relay.hang_up_all();
    stage.assert_empty();
    assert_packets(&stage, "", data, &[0]);
}

#[test]
fn handles_are_what_chance_gives_with_a_sign_that_some_viewers_need() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[u64::MAX - 4, 6, 1 << 63, 0, 9, 8]);
    let metadata = producer.add_stream(&mut stage, "ust", "metadata");
    assert_eq!(metadata, i64::MAX as u64 - 4);
    // 0 is none, with the highest bit or without.
    assert_eq!(producer.add_stream(&mut stage, "ust", "chan_0"), 9);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_handle_that_a_stream_has_is_not_given_to_another() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[7, 70, 7, 7, 8, 80]);
    assert_eq!(producer.add_stream(&mut stage, "ust", "metadata"), 7);
    assert_eq!(producer.add_stream(&mut stage, "ust", "chan_0"), 8);
    assert_eq!(stage.stream(8).unwrap().viewer_id, 80);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn viewers_are_not_told_the_handles_of_streams() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[501, 601, 502, 602]);
    assert_eq!(producer.add_trace(&mut stage, "ust"), (501, 502));
    let viewer = Viewer::connect(&mut stage, 15);
    let (session, seek) = (1, SEEK_BEGINNING);
    let reply = viewer.ask(&mut stage, Request::Attach { session, seek });
    let has = |id: u64| reply.windows(8).any(|bytes| bytes == id.to_be_bytes());
    assert!(has(601) && has(602), "{reply:?}");
    assert!(!has(501) && !has(502), "{reply:?}");
    let asked = |stream| Request::NextIndex { stream };
    let status = |reply: Vec<u8>| u32::from_be_bytes(*reply[56..].first_chunk().unwrap());
    assert_eq!(status(viewer.ask(&mut stage, asked(602))), RETRY);
    assert_eq!(status(viewer.ask(&mut stage, asked(502))), ERROR);
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Statuses of NEXT_INDEX.
const RETRY: u32 = 2;
const ERROR: u32 = 4;
