//! Losses are counted exactly, by cause: in the stream, in its session, in the relay.

use baton_components::connection::Endpoint;
use baton_components::tally::{Cause, Tally};
use baton_components::wire::producer::{Command, CreateSession, NONE, SendIndex};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::entities::Entities;

use crate::stage::{self, Producer, Stage, Viewer};

/// The session and the streams of [`recording`].
const SESSION: u64 = 1;
const METADATA: u64 = 1;
const DATA: u64 = 2;

fn recording(minor: u32) -> (Stage, Producer) {
    let mut stage = Stage::new();
    let producer = Producer::create(&mut stage, minor, stage::session("session"));
    if minor >= 11 {
        producer.expect_ok(&mut stage, &stage::create_chunk(0));
    }
    let streams = producer.add_trace(&mut stage, "ust");
    assert_eq!(streams, (METADATA, DATA));
    producer.send_metadata(&mut stage, METADATA, b"metadata");
    (stage, producer)
}

/// Sends a packet whose tracer counts that.
fn send(stage: &mut Stage, producer: &Producer, sequence: u64, number: u64, discarded: u64) {
    let payload = stage::payload(DATA, sequence);
    producer.send_packet(stage, DATA, sequence, &payload);
    describe(stage, producer, sequence, number, discarded);
}

fn describe(stage: &mut Stage, producer: &Producer, sequence: u64, number: u64, discarded: u64) {
    let description = SendIndex {
        packet_sequence: number,
        events_discarded: discarded,
        ..stage::index(DATA, sequence)
    };
    producer.expect_ok(stage, &Command::SendIndex(description));
}

/// Packets, discarded events, and packets lost by cause: of the session, which is what the
/// stream and the relay have too.
fn tally(stage: &Stage) -> (u64, u64, Vec<(Cause, u64)>) {
    let session = stage.session(SESSION).unwrap().tally;
    let totals = stage.relay.read::<Entities>().totals.tally;
    assert_eq!(session, totals);
    if let Some(stream) = stage.stream(DATA) {
        let stream = &stream.tally;
        let losses = stream.losses();
        assert_eq!(stream.packets, session.packets);
        assert_eq!(stream.bytes, session.bytes);
        assert_eq!(losses.events_discarded, session.events_discarded);
        assert_eq!(losses.packets, session.lost.total());
    }
    shown(&session)
}

fn shown(tally: &Tally) -> (u64, u64, Vec<(Cause, u64)>) {
    let lost = Cause::ALL.map(|cause| (cause, tally.lost.of(cause)));
    let lost = lost.into_iter().filter(|(_, packets)| *packets > 0);
    (tally.packets, tally.events_discarded, lost.collect())
}

fn leave(mut stage: Stage, producer: &Producer) -> Stage {
    producer.leave(&mut stage);
    stage.assert_empty();
    stage
}

#[test]
fn events_that_a_tracer_discarded_are_its_last_count() {
    let (mut stage, producer) = recording(15);
    for (sequence, discarded) in [(0, 0), (1, 40), (2, 40), (3, 97_948)] {
        send(&mut stage, &producer, sequence, sequence, discarded);
    }
    assert_eq!(tally(&stage), (4, 97_948, vec![]));
    leave(stage, &producer);
}

#[test]
fn a_32_bit_tracer_counts_on_after_its_largest_number() {
    let (mut stage, producer) = recording(15);
    let last = u64::from(u32::MAX);
    for (sequence, discarded) in [(0, last - 1), (1, last), (2, 3), (3, 3)] {
        send(&mut stage, &producer, sequence, sequence, discarded);
    }
    assert_eq!(tally(&stage), (4, last + 4, vec![]));
    leave(stage, &producer);
}

/// Not what is before the first: neither LTTng nor Babeltrace counts it.
#[test]
fn packets_that_a_tracer_overwrote_are_the_gaps_of_its_numbers() {
    let (mut stage, producer) = recording(15);
    for (sequence, number) in [(0, 2), (1, 3), (2, 10)] {
        send(&mut stage, &producer, sequence, number, 0);
    }
    assert_eq!(tally(&stage), (3, 0, vec![(Cause::Overwritten, 6)]));
    leave(stage, &producer);
}

#[test]
fn beacons_count_nothing() {
    let (mut stage, producer) = recording(15);
    send(&mut stage, &producer, 0, 0, 9);
    producer.expect_ok(&mut stage, &stage::beacon(DATA, 5_000));
    send(&mut stage, &producer, 1, 1, 9);
    assert_eq!(tally(&stage), (2, 9, vec![]));
    leave(stage, &producer);
}

#[test]
fn old_producers_number_nothing() {
    let (mut stage, producer) = recording(7);
    for sequence in 0..3 {
        send(&mut stage, &producer, sequence, NONE, sequence);
    }
    assert_eq!(tally(&stage), (3, 2, vec![]));
    leave(stage, &producer);
}

/// Its packets come without descriptions, and begin anywhere.
#[test]
fn of_a_snapshot_packets_are_counted() {
    let mut stage = Stage::new();
    let snapshot = CreateSession {
        snapshot: true,
        live_timer_us: 0,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, snapshot);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    producer.add_trace(&mut stage, "ust");
    for sequence in 70..73 {
        let payload = stage::payload(DATA, sequence);
        producer.send_packet(&mut stage, DATA, sequence, &payload);
    }
    assert_eq!(tally(&stage), (3, 0, vec![]));
    leave(stage, &producer);
}

#[test]
fn halves_may_come_in_any_order() {
    let (mut stage, producer) = recording(15);
    for sequence in 0..3 {
        describe(&mut stage, &producer, sequence, 2 * sequence, 5 * sequence);
    }
    for sequence in 0..3 {
        let payload = stage::payload(DATA, sequence);
        producer.send_packet(&mut stage, DATA, sequence, &payload);
    }
    assert_eq!(tally(&stage), (3, 10, vec![(Cause::Overwritten, 2)]));
    leave(stage, &producer);
}

/// The numbers of the tracer go on: what is deleted or moved was there.
#[test]
fn a_clear_and_a_rotation_lose_nothing() {
    let (mut stage, producer) = recording(15);
    let command = [Some(2), Some(0)];
    for (chunk, command) in (0..).zip(command) {
        send(&mut stage, &producer, 2 * chunk, 2 * chunk, 4);
        send(&mut stage, &producer, 2 * chunk + 1, 2 * chunk + 1, 4);
        producer.expect_ok(&mut stage, &stage::create_chunk(chunk + 1));
        let positions = [(METADATA, 0), (DATA, 2 * chunk + 2)];
        producer.expect_ok(&mut stage, &stage::rotate(Some(chunk + 1), &positions));
        producer.close_chunk(&mut stage, chunk, command);
    }
    assert_eq!(tally(&stage), (4, 4, vec![]));
    leave(stage, &producer);
}

/// A clear empties the ring buffers, too: packets that were in them are never sent.
#[test]
fn what_a_clear_took_from_the_ring_buffers_is_not_lost() {
    let (mut stage, producer) = recording(15);
    send(&mut stage, &producer, 0, 0, 0);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 3)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(&mut stage, 0, Some(2));
    send(&mut stage, &producer, 1, 3, 0);
    // The tracer empties its ring buffers after it has rotated.
    send(&mut stage, &producer, 2, 5, 0);
    assert_eq!(tally(&stage), (3, 0, vec![]));
    // Later losses are.
    send(&mut stage, &producer, 3, 7, 0);
    assert_eq!(tally(&stage), (4, 0, vec![(Cause::Overwritten, 1)]));
    leave(stage, &producer);
}

/// A packet of the next chunk may come before the old chunk's end is known.
#[test]
fn a_gap_between_two_chunks_is_lost_if_the_first_is_kept() {
    for (command, expected) in [(Some(2), vec![]), (Some(0), vec![(Cause::Overwritten, 2)])] {
        let (mut stage, producer) = recording(15);
        send(&mut stage, &producer, 0, 0, 0);
        producer.expect_ok(&mut stage, &stage::create_chunk(1));
        let positions = [(METADATA, 0), (DATA, 1)];
        producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
        send(&mut stage, &producer, 1, 3, 0);
        producer.close_chunk(&mut stage, 0, command);
        let session = stage.session(SESSION).unwrap();
        assert_eq!(shown(&session.tally), (2, 0, expected));
        assert_eq!(stage.relay.read::<Entities>().totals.tally, session.tally);
        leave(stage, &producer);
    }
}

#[test]
fn a_full_disk_drops_packets() {
    let (mut stage, producer) = recording(15);
    send(&mut stage, &producer, 0, 0, 0);
    stage.storage.limit_bytes(Some(stage.storage.used_bytes()));
    for sequence in 1..4 {
        send(&mut stage, &producer, sequence, sequence, 0);
    }
    stage.storage.limit_bytes(None);
    send(&mut stage, &producer, 4, 4, 0);
    assert_eq!(tally(&stage), (2, 0, vec![(Cause::DiskFull, 3)]));
    leave(stage, &producer);
}

#[test]
fn packets_without_their_metadata_are_dropped() {
    let (mut stage, producer) = recording(15);
    stage.storage.limit_bytes(Some(stage.storage.used_bytes()));
    producer.send_metadata(&mut stage, METADATA, b"more metadata");
    send(&mut stage, &producer, 0, 0, 0);
    assert_eq!(tally(&stage), (0, 0, vec![(Cause::NoMetadata, 1)]));
    stage.storage.limit_bytes(None);
    leave(stage, &producer);
}

/// Its description is given up when the session is over: one packet is lost, not two.
#[test]
fn a_packet_that_breaks_off_is_counted_once() {
    for is_described in [false, true] {
        let (mut stage, producer) = recording(15);
        // A viewer keeps the session.
        let viewer = Viewer::connect(&mut stage, 15);
        viewer.ask(
            &mut stage,
            Request::Attach {
                session: SESSION,
                seek: SEEK_BEGINNING,
            },
        );
        send(&mut stage, &producer, 0, 0, 0);
        if is_described {
            describe(&mut stage, &producer, 1, 1, 7);
        }
        let bytes = stage::packet_bytes(DATA, 1);
        producer.data.write(&bytes[..bytes.len() - 1]);
        stage.settle();
        producer.leave(&mut stage);
        stage.settle();
        let discarded = if is_described { 7 } else { 0 };
        assert_eq!(tally(&stage), (1, discarded, vec![(Cause::Torn, 1)]));
        viewer.leave(&mut stage);
        stage.assert_empty();
    }
}

#[test]
fn a_packet_that_comes_again_is_not_lost() {
    let (mut stage, producer) = recording(15);
    describe(&mut stage, &producer, 0, 0, 0);
    let bytes = stage::packet_bytes(DATA, 0);
    producer.data.write(&bytes[..bytes.len() - 1]);
    stage.settle();
    producer.data.finish();
    stage.settle();
    let again = stage.network.connect(Endpoint::Data, "again");
    again.write(&client::packet(DATA, 0, &stage::payload(DATA, 0)));
    stage.settle();
    assert_eq!(tally(&stage), (1, 0, vec![]));
    again.finish();
    leave(stage, &producer);
}

#[test]
fn packets_that_never_come_are_lost() {
    let (mut stage, producer) = recording(15);
    for sequence in 0..3 {
        describe(&mut stage, &producer, sequence, sequence, 0);
    }
    let payload = stage::payload(DATA, 2);
    producer.send_packet(&mut stage, DATA, 2, &payload);
    assert_eq!(tally(&stage), (1, 0, vec![(Cause::NeverCame, 2)]));
    leave(stage, &producer);
}

#[test]
fn a_viewer_that_asks_twice_changes_nothing() {
    let (mut stage, producer) = recording(15);
    send(&mut stage, &producer, 0, 1, 0);
    send(&mut stage, &producer, 1, 3, 3);
    let viewer = Viewer::connect(&mut stage, 15);
    let attach = Request::Attach {
        session: SESSION,
        seek: SEEK_BEGINNING,
    };
    viewer.ask(&mut stage, attach);
    let stream = stage.stream(DATA).unwrap().viewer_id;
    for _ in 0..2 {
        viewer.ask(&mut stage, Request::NextIndex { stream });
        for _ in 0..2 {
            let request = Request::Packet {
                stream,
                offset: 0,
                length: stage::PACKET_BYTES as u32,
            };
            viewer.ask(&mut stage, request);
        }
    }
    assert_eq!(tally(&stage), (2, 3, vec![(Cause::Overwritten, 1)]));
    viewer.leave(&mut stage);
    leave(stage, &producer);
}

#[test]
fn what_was_counted_outlives_its_stream_and_its_session() {
    let (mut stage, producer) = recording(15);
    send(&mut stage, &producer, 0, 1, 0);
    send(&mut stage, &producer, 1, 3, 3);
    producer.close_stream(&mut stage, DATA, Some(1));
    assert!(stage.stream(DATA).is_none());
    let counted = (2, 3, vec![(Cause::Overwritten, 1)]);
    assert_eq!(tally(&stage), counted);
    let stage = leave(stage, &producer);
    assert_eq!(shown(&stage.relay.read::<Entities>().totals.tally), counted);
}
