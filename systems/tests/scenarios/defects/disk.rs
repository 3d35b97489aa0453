//! A disk that is full: packets are lost, sessions are not.

use super::*;
use crate::stage::DIRECTORY;

/// The numbers of the packets of stream 2, which are whole, and of those with an index.
fn packets(stage: &Stage) -> (Vec<u64>, Vec<u64>) {
    let bytes = stage.file(&format!("{DIRECTORY}/ust/chan_0"));
    let number = |packet: &[u8]| {
        let number = u64::from_be_bytes(*packet[8..].first_chunk().unwrap());
        assert_eq!(packet, stage::payload(DATA, number), "a torn packet");
        number
    };
    let records = stage.index_records(&format!("{DIRECTORY}/ust/index/chan_0.idx"));
    let indexed = records.iter().map(|record| {
        let number = number(&bytes[record.offset_bytes as usize..][..stage::PACKET_BYTES]);
        assert_eq!(number, record.packet_sequence);
        number
    });
    let indexed = indexed.collect();
    (
        bytes.chunks(stage::PACKET_BYTES).map(number).collect(),
        indexed,
    )
}

/// A session whose disk has so many bytes of room for the packets from 1 to `last`.
fn recording_with_room(room: u64, last: u64) -> (Stage, Producer) {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let used = stage.storage.used_bytes();
    stage.storage.limit_bytes(Some(used + room));
    for number in 1..=last {
        producer.send_whole_packet(&mut stage, DATA, number);
    }
    (stage, producer)
}

/// The original ends the session, and leaves a torn packet that spoils the whole trace.
#[test]
fn a_full_disk_costs_packets_and_no_more() {
    let (mut stage, producer) = recording_with_room(100, 4);
    assert_eq!(stage.stream(DATA).unwrap().rare().lost, 3);
    stage.storage.limit_bytes(None);
    producer.send_whole_packet(&mut stage, DATA, 5);
    assert_eq!(stage.stream(DATA).unwrap().rare().lost, 0);
    producer.send_whole_packet(&mut stage, DATA, 6);
    producer.close_stream(&mut stage, DATA, Some(6));
    assert_eq!(packets(&stage), (vec![0, 1, 5, 6], vec![0, 1, 5, 6]));
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Files have whole packets only, with a disk of any size, and recording goes on when there is
/// room again.
#[test]
fn a_disk_may_be_full_at_any_byte() {
    for room in (0..300).step_by(3) {
        let (mut stage, producer) = recording_with_room(room, 3);
        stage.storage.limit_bytes(None);
        producer.send_whole_packet(&mut stage, DATA, 4);
        producer.leave(&mut stage);
        stage.assert_empty();
        let (packets, indexed) = packets(&stage);
        assert_eq!(packets, indexed, "{room} bytes of room");
        assert_eq!(packets.last(), Some(&4));
    }
}

/// The disk stays full: what is on it can be read.
#[test]
fn a_disk_may_stay_full() {
    for room in (0..300).step_by(3) {
        let (mut stage, producer) = recording_with_room(room, 3);
        producer.close_stream(&mut stage, DATA, Some(3));
        producer.leave(&mut stage);
        ask_the_disk_until_the_end(&mut stage);
        stage.assert_empty();
        let (packets, indexed) = packets(&stage);
        assert!(packets.starts_with(&indexed), "{packets:?} {indexed:?}");
    }
}

/// An index that comes before its packet, or after, is answered as if nothing were lost:
/// an error would cost the rest of the trace.
#[test]
fn indexes_of_lost_packets_are_taken() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let used = stage.storage.used_bytes();
    stage.storage.limit_bytes(Some(used + 10));
    producer.send_index(&mut stage, DATA, 1);
    for number in 1..3 {
        producer.send_packet(&mut stage, DATA, number, &stage::payload(DATA, number));
    }
    producer.send_index(&mut stage, DATA, 2);
    assert!(!stage.census().contains("indexes"));
    stage.storage.limit_bytes(None);
    // A rotation does not wait for what was lost.
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 3)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(&mut stage, 0, Some(0));
    assert!(!producer.chunk_exists(&mut stage, 0));
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Another session goes on meanwhile.
#[test]
fn a_session_that_needs_no_room_does_not_notice() {
    let mut stage = Stage::new();
    let full = recording(&mut stage);
    let other = Producer::create(&mut stage, 15, numbered_session(1));
    let used = stage.storage.used_bytes();
    stage.storage.limit_bytes(Some(used));
    full.send_whole_packet(&mut stage, DATA, 1);
    other.expect_ok(&mut stage, &stage::create_chunk(0));
    let (_, data) = other.add_trace(&mut stage, "ust");
    stage.storage.limit_bytes(None);
    other.send_whole_packet(&mut stage, data, 0);
    let path = format!("{DIRECTORY}-2/ust/chan_0");
    assert_eq!(stage.file(&path), stage::payload(data, 0));
    full.leave(&mut stage);
    other.leave(&mut stage);
    stage.assert_empty();
}
