//! Strangers on the data port, who cannot guess a handle and with one spoil no packet and end
//! no session; and what the end of a data connection costs.

use baton_components::connection::Endpoint;
use baton_components::wire::producer::data::HEADER_SIZE;
use baton_components::wire::producer::{CreateSession, DataPending, code};
use baton_systems::agenda::Agenda;
use baton_systems::client;
use baton_systems::deadlines::Timer;
use baton_systems::memory::Peer;

use super::*;

/// Bytes of a packet that breaks off.
const MID: usize = 40;

impl Scene {
    /// A new data connection that sends these bytes.
    fn data_connection(&mut self, bytes: &[u8]) -> Peer {
        let peer = self.stage.network.connect(Endpoint::Data, "stranger");
        peer.write(bytes);
        self.stage.settle();
        peer
    }

    fn packet_on_a_new_connection(&mut self, number: u64) -> Peer {
        self.data_connection(&stage::packet_bytes(DATA, number))
    }

    /// The data connection ends in the middle of packet 1, which is described.
    fn with_a_broken_packet() -> Self {
        let mut scene = Self::new();
        scene.part(1, MID);
        scene.end_data();
        scene.index(1);
        scene
    }

    fn end_data(&mut self) {
        self.producer.data.finish();
        self.stage.settle();
    }

    /// The producer sends a header that names no stream.
    fn nonsense(&mut self) {
        self.producer.data.write(&stage::packet_bytes(4711, 0));
        self.stage.settle();
        assert!(self.producer.data.is_closed() && !self.producer.control.is_closed());
    }

    /// Whether data up to that packet is on its way.
    fn is_pending(&mut self, last_sequence: u64) -> bool {
        let question = Command::DataPending(DataPending {
            stream: DATA,
            last_sequence,
        });
        let code = self.producer.code(&mut self.stage, &question);
        assert!([code::PENDING, code::NOT_PENDING].contains(&code));
        code == code::PENDING
    }

    /// The producer closes the stream.
    fn close(&mut self, last: u64) {
        let producer = &self.producer;
        producer.close_stream(&mut self.stage, DATA, Some(last));
    }

    fn has_stream(&self) -> bool {
        self.stage.stream(DATA).is_some()
    }

    /// The producer goes, and at once nothing is left but these packets in a directory.
    fn leaves(mut self, packets: &[(&str, &[u64])]) {
        self.producer.leave(&mut self.stage);
        self.stage.assert_empty();
        for (directory, numbers) in packets {
            assert_eq!(self.packets(directory), *numbers);
            assert_eq!(self.indexed(directory), *numbers);
        }
    }
}

#[test]
fn a_header_that_names_no_stream_closes_its_connection_alone() {
    let mut scene = Scene::new();
    let header = &stage::packet_bytes(4711, 0)[..HEADER_SIZE];
    assert!(scene.data_connection(header).is_closed());
    scene.packet(1);
    scene.leaves(&[("", &[0, 1])]);
}

#[test]
fn a_second_packet_of_a_stream_is_refused_while_the_first_arrives() {
    let mut scene = Scene::new();
    scene.part(1, MID);
    assert!(scene.packet_on_a_new_connection(9).is_closed());
    let again = &stage::packet_bytes(DATA, 1)[..HEADER_SIZE];
    assert!(scene.data_connection(again).is_closed());
    scene.rest(1, MID);
    assert!(!scene.producer.data.is_closed());
    scene.index(1);
    scene.packet(2);
    scene.leaves(&[("", &[0, 1, 2])]);
}

#[test]
fn a_packet_that_a_stranger_begins_and_leaves_is_cut_off_and_nothing_else_is_lost() {
    for breaks in [false, true] {
        let mut scene = Scene::new();
        let part = &stage::packet_bytes(DATA, 1)[..HEADER_SIZE + MID];
        let stranger = scene.data_connection(part);
        scene.index(1);
        if breaks {
            stranger.reset("reset by peer");
        } else {
            stranger.finish();
        }
        scene.stage.pass(DRAIN_GRACE);
        assert!(scene.is_pending(1));
        scene.bytes(1);
        scene.packet(2);
        scene.leaves(&[("", &[0, 1, 2])]);
    }
}

#[test]
fn nonsense_after_a_packet_ends_its_connection_and_not_the_session() {
    let mut scene = Scene::new();
    scene.nonsense();
    let again = scene.packet_on_a_new_connection(1);
    scene.index(1);
    again.finish();
    scene.leaves(&[("", &[0, 1])]);
}

#[test]
fn a_packet_that_broke_off_may_come_again() {
    let mut scene = Scene::with_a_broken_packet();
    let again = scene.packet_on_a_new_connection(1);
    assert!(!scene.is_pending(1));
    again.finish();
    scene.leaves(&[("", &[0, 1])]);
}

/// As it is when a connection breaks: nobody sends the packet again.
#[test]
fn the_next_packet_shows_that_the_one_before_is_lost() {
    let mut scene = Scene::with_a_broken_packet();
    let again = scene.packet_on_a_new_connection(2);
    scene.index(2);
    // Beacons say nothing while a description waits.
    assert!(scene.stage.stream(DATA).unwrap().pending.is_empty());
    scene.close(2);
    assert!(!scene.has_stream());
    again.finish();
    scene.leaves(&[("", &[0, 2])]);
}

#[test]
fn a_stop_does_not_wait_for_ever_for_packets_without_a_connection() {
    let mut scene = Scene::with_a_broken_packet();
    scene.index(2);
    assert!(scene.is_pending(2));
    scene.stage.pass(DRAIN_GRACE);
    assert!(!scene.is_pending(2));
    // Nor does what comes later.
    scene.index(3);
    assert!(!scene.is_pending(3));
    scene.close(3);
    assert!(!scene.has_stream());
    scene.leaves(&[("", &[0])]);
}

#[test]
fn a_session_has_one_timer_for_data_connections_that_may_come() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.data.finish();
    stage.settle();
    let timers = |stage: &Stage| {
        let timers = stage.relay.read::<Agenda>().deadlines.iter();
        timers.filter(|it| matches!(it, Timer::Drain(_))).count()
    };
    for sequence in 1..5 {
        let peer = stage.network.connect(Endpoint::Data, "producer:data");
        stage.settle();
        peer.write(&client::packet(
            data,
            sequence,
            &stage::payload(data, sequence),
        ));
        stage.pass(DRAIN_GRACE / 2);
        assert!(!peer.is_closed());
        peer.finish();
        stage.settle();
        assert_eq!(timers(&stage), 1);
    }
    // The wait began anew with the last of them.
    stage.pass(DRAIN_GRACE / 2);
    assert_eq!(timers(&stage), 1);
    stage.pass(DRAIN_GRACE / 2);
    assert_eq!(timers(&stage), 0);
    producer.control.finish();
    stage.assert_empty();
}

#[test]
fn a_close_does_not_wait_for_ever_for_packets_without_a_connection() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.close(1);
    scene.end_data();
    scene.stage.pass(DRAIN_GRACE / 2);
    assert!(scene.has_stream());
    scene.stage.pass(DRAIN_GRACE / 2);
    assert!(!scene.has_stream());
    scene.leaves(&[]);
}

#[test]
fn a_rotation_does_not_wait_for_ever_for_packets_without_a_connection() {
    // Described or not.
    for described in [true, false] {
        let mut scene = Scene::new();
        scene.rotate_to(1, 2, 0);
        if described {
            scene.index(1);
        }
        scene.end_data();
        assert!(scene.chunk_exists(0));
        scene.stage.pass(DRAIN_GRACE);
        assert!(!scene.chunk_exists(0));
        // A connection of its own tools goes on.
        let again = scene.packet_on_a_new_connection(2);
        scene.index(2);
        again.finish();
        let [archive, chunk] = [ARCHIVE_0, CHUNK_1].map(|it| format!("{it}/"));
        scene.leaves(&[(&archive, &[0]), (&chunk, &[2])]);
    }
}

/// Snapshots have no descriptions: their closes wait for bytes alone.
#[test]
fn a_snapshot_does_not_wait_for_ever_for_packets_without_a_connection() {
    let snapshot = CreateSession {
        snapshot: true,
        live_timer_us: 0,
        ..stage::session("session")
    };
    let mut stage = Stage::new();
    let producer = Producer::create(&mut stage, 15, snapshot);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    producer.add_trace(&mut stage, TRACE);
    let mut scene = Scene { stage, producer };
    scene.bytes(0);
    scene.part(1, MID);
    scene.end_data();
    scene.close(1);
    scene.stage.pass(DRAIN_GRACE);
    assert!(!scene.has_stream());
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
    assert_eq!(scene.packets(&format!("{CHUNK_0}/")), [0]);
}

#[test]
fn an_old_session_outlives_a_data_connection() {
    let old = CreateSession {
        origin: None,
        live_timer_us: 0,
        ..stage::session("session")
    };
    let mut stage = Stage::new();
    let producer = Producer::create(&mut stage, 8, old);
    let path = "host/old-20261122-064435/ust";
    producer.add_stream(&mut stage, path, "metadata");
    assert_eq!(producer.add_stream(&mut stage, path, "chan_0"), DATA);
    let mut scene = Scene { stage, producer };
    scene.packet(0);
    scene.producer.data.reset("reset by peer");
    scene.index(1);
    let again = scene.packet_on_a_new_connection(1);
    assert!(!scene.is_pending(1));
    again.finish();
    scene.producer.close_stream(&mut scene.stage, DATA, None);
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
    let bytes = scene.stage.file(&format!("{path}/chan_0"));
    assert_eq!(numbers(&bytes), [0, 1]);
}

#[test]
fn a_session_without_control_lives_while_a_data_connection_does() {
    let mut scene = Scene::new();
    let second = scene.packet_on_a_new_connection(1);
    for number in 1..4 {
        scene.index(number);
    }
    scene.nonsense();
    scene.producer.control.finish();
    for number in 2..4 {
        second.write(&stage::packet_bytes(DATA, number));
        scene.stage.settle();
    }
    assert_eq!(scene.census(), "1 connections, 1 sessions");
    second.finish();
    scene.leaves(&[("", &[0, 1, 2, 3])]);
}

#[test]
fn a_relay_that_stops_ends_sessions_that_wait() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.end_data();
    scene.producer.control.finish();
    scene.stage.settle();
    assert!(scene.has_stream(), "it is waited for");
    scene.stage.relay.hang_up_all();
    scene.leaves(&[("", &[0])]);
}

#[test]
fn handles_are_what_chance_gives_with_a_sign_that_some_viewers_need() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[u64::MAX - 4, 6, 1 << 63, 0, 9, 8]);
    let metadata = producer.add_stream(&mut stage, TRACE, "metadata");
    assert_eq!(metadata, i64::MAX as u64 - 4);
    // 0 is none, with the highest bit or without.
    assert_eq!(producer.add_stream(&mut stage, TRACE, "chan_0"), 9);
    Scene { stage, producer }.leaves(&[]);
}

#[test]
fn a_handle_that_a_stream_has_is_not_given_to_another() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[7, 70, 7, 7, 8, 80]);
    assert_eq!(producer.add_stream(&mut stage, TRACE, "metadata"), 7);
    assert_eq!(producer.add_stream(&mut stage, TRACE, "chan_0"), 8);
    assert_eq!(stage.stream(8).unwrap().viewer_id, 80);
    Scene { stage, producer }.leaves(&[]);
}

#[test]
fn viewers_are_not_told_the_handles_of_streams() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    stage.chance.load(&[501, 601, 502, 602]);
    assert_eq!(producer.add_trace(&mut stage, TRACE), (501, 502));
    let viewer = Viewer::connect(&mut stage, 15);
    let (session, seek) = (1, SEEK_BEGINNING);
    let attached = viewer.hear(&mut stage, Request::Attach { session, seek });
    assert_eq!(attached, "OK [601, 602]");
    assert_eq!(viewer.index(&mut stage, 602), "RETRY");
    assert_eq!(viewer.index(&mut stage, 502), "ERR");
    viewer.leave(&mut stage);
    Scene { stage, producer }.leaves(&[]);
}
