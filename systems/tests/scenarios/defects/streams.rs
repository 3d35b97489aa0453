//! Streams and packets that the original mixes up, loses or dies of.

use baton_components::wire::producer::data::PacketHeader;
use baton_components::wire::producer::{AddStream, Command, SendMetadata, code};
use baton_systems::client;

use super::*;
use crate::stage::DIRECTORY;

fn file(stage: &Stage, name: &str) -> Vec<u8> {
    stage.file(&format!("{DIRECTORY}/ust/{name}"))
}

fn ring(channel: &'static str, tracefile_count: u64) -> Command<'static> {
    Command::AddStream(AddStream {
        channel: channel.as_bytes(),
        path: b"ust",
        tracefile_size: stage::PACKET_BYTES as u64,
        tracefile_count,
        chunk: None,
    })
}

/// The original divides by zero when the first file is full, or refuses the stream.
#[test]
fn files_of_a_size_without_a_count_have_no_end() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    producer.ask(&mut stage, &ring("chan_0", 0));
    for number in 0..5 {
        producer.send_whole_packet(&mut stage, 1, number);
        assert_eq!(
            file(&stage, &format!("chan_0_{number}")),
            stage::payload(1, number)
        );
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_ring_of_files_wraps() {
    for count in 1..4 {
        let mut stage = Stage::new();
        let producer = Producer::with_session(&mut stage, 15);
        producer.ask(&mut stage, &ring("chan_0", count));
        for number in 0..7 {
            producer.send_whole_packet(&mut stage, 1, number);
        }
        for number in 7 - count..7 {
            let name = format!("chan_0_{}", number % count);
            assert_eq!(file(&stage, &name), stage::payload(1, number));
            let records = stage.index_records(&format!("{DIRECTORY}/ust/index/{name}.idx"));
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].packet_sequence, number);
        }
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

/// An index that comes when its packet's file is not the current one any more goes
/// beside the file of its packet.
#[test]
fn a_late_index_finds_the_file_of_its_packet() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    producer.ask(&mut stage, &ring("chan_0", 0));
    for number in 0..3 {
        producer.send_packet(&mut stage, 1, number, &stage::payload(1, number));
    }
    for number in [2, 0, 1] {
        producer.send_index(&mut stage, 1, number);
        let path = format!("{DIRECTORY}/ust/index/chan_0_{number}.idx");
        assert_eq!(stage.index_records(&path).len(), 1);
    }
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// The original truncates the file of the first.
#[test]
fn two_streams_of_one_name_have_two_files() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let twin = producer.add_stream(&mut stage, "ust", "chan_0");
    producer.send_whole_packet(&mut stage, twin, 0);
    producer.send_whole_packet(&mut stage, DATA, 1);
    let both = [stage::payload(DATA, 0), stage::payload(DATA, 1)].concat();
    assert_eq!(file(&stage, "chan_0"), both);
    assert_eq!(file(&stage, "chan_0-2"), stage::payload(twin, 0));
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// The same when the twin is in the next chunk before the first follows.
#[test]
fn two_streams_of_one_name_have_two_files_after_a_rotation() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let twin = producer.add_stream(&mut stage, "ust", "chan_0");
    producer.send_whole_packet(&mut stage, twin, 0);
    let positions = [(METADATA, 0), (DATA, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.close_chunk(&mut stage, 0, Some(0));
    producer.send_whole_packet(&mut stage, DATA, 1);
    let directory = format!("{DIRECTORY}/20261122T064436+0000-1/ust");
    let files: Vec<Vec<u8>> = stage
        .tree()
        .iter()
        .filter(|name| name.starts_with(&format!("{directory}/chan_0")))
        .map(|name| stage.file(name))
        .collect();
    assert!(
        files.contains(&stage::payload(twin, 0)),
        "the twin's packet"
    );
    assert!(
        files.contains(&stage::payload(DATA, 1)),
        "the first's packet"
    );
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Channel "chan_0" of CPU 1, and the second file of channel "chan" of CPU 0.
#[test]
fn a_ring_of_files_writes_over_no_other_stream() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let other = producer.add_stream(&mut stage, "ust", "chan_0_1");
    producer.send_whole_packet(&mut stage, other, 0);
    let reply = producer.ask(&mut stage, &ring("chan_0", 0));
    assert_eq!(reply[8..], code::OK.to_be_bytes());
    for number in 0..3 {
        producer.send_whole_packet(&mut stage, 2, number);
    }
    assert_eq!(file(&stage, "chan_0_1"), stage::payload(other, 0));
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// A stream that could not be made has not taken its name.
#[test]
fn a_stream_that_failed_can_be_added_again_under_its_name() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let create = baton_systems::memory::Operation::CreateFile;
    stage.storage.fail(create, 1, "it was wished");
    let failed = producer.ask(&mut stage, &stage::add_stream("ust", "chan_0"));
    assert_eq!(failed[8..], code::UNKNOWN_ERR.to_be_bytes());
    producer.add_stream(&mut stage, "ust", "chan_0");
    assert_eq!(file(&stage, "chan_0"), b"");
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// The original mixes packets into the metadata, and gives it an index.
#[test]
fn packets_and_metadata_are_not_mixed() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.send_packet(&mut stage, METADATA, 1, &stage::payload(METADATA, 1));
    assert!(producer.data.is_closed());
    assert_eq!(file(&stage, "metadata"), b"metadata");
    producer.leave(&mut stage);
    stage.assert_empty();

    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let misled = Command::SendMetadata(SendMetadata {
        stream: DATA,
        padding_size: 0,
        bytes: b"metadata",
    });
    assert_eq!(producer.ask(&mut stage, &misled), []);
    assert!(producer.control.is_closed());
    assert_eq!(file(&stage, "chan_0"), stage::payload(DATA, 0));
    producer.data.finish();
    stage.assert_empty();
}

/// The original completes it when something follows.
#[test]
fn a_packet_without_bytes_is_complete_at_once() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.send_packet(&mut stage, DATA, 1, &[]);
    assert_eq!(stage.stream(DATA).unwrap().last_data, Some(1));
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// In the original it waits for ever for data that does not come.
#[test]
fn an_index_that_repeats_a_number_leaves_nothing_behind() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    producer.send_index(&mut stage, DATA, 0);
    assert_eq!(stage.entities().indexes.len(), 0);
    let records = stage.index_records(&format!("{DIRECTORY}/ust/index/chan_0.idx"));
    assert_eq!(records.len(), 1);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// The original writes zeros while every other producer waits.
#[test]
fn padding_takes_no_time_and_may_find_no_room() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let used = stage.storage.used_bytes();
    stage.storage.limit_bytes(Some(used + 1_000_000));
    let header = PacketHeader {
        stream: DATA,
        sequence: 1,
        size: 1,
        padding: 0x8000_0000,
    };
    producer.data.write(&client::headed(&header, &[0x55]));
    stage.settle();
    assert_eq!(stage.stream(DATA).unwrap().rare().lost, 1);
    assert_eq!(stage.storage.used_bytes(), used);
    producer.send_whole_packet(&mut stage, DATA, 2);
    let both = [stage::payload(DATA, 0), stage::payload(DATA, 2)].concat();
    assert_eq!(file(&stage, "chan_0"), both);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Sizes are added in 64 bits, and padding is in the file.
#[test]
fn padding_is_a_part_of_its_packet() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let padded = PacketHeader {
        stream: DATA,
        sequence: 1,
        size: 4,
        padding: 60,
    };
    producer.data.write(&client::headed(&padded, b"data"));
    stage.settle();
    producer.send_index(&mut stage, DATA, 1);
    producer.send_whole_packet(&mut stage, DATA, 2);
    let mut expected = stage::payload(DATA, 0);
    expected.extend_from_slice(b"data");
    expected.resize(128, 0);
    expected.extend_from_slice(&stage::payload(DATA, 2));
    assert_eq!(file(&stage, "chan_0"), expected);
    let records = stage.index_records(&format!("{DIRECTORY}/ust/index/chan_0.idx"));
    let offsets: Vec<u64> = records.iter().map(|it| it.offset_bytes).collect();
    assert_eq!(offsets, [0, 64, 128]);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// Up to 2.7 an index file is of version 1.0, from 2.8 on of 1.1.
#[test]
fn index_files_have_the_version_of_their_session() {
    for (minor, header) in [(4, [0, 56]), (7, [0, 56]), (8, [1, 72]), (15, [1, 72])] {
        let mut stage = Stage::new();
        let producer = Producer::create(&mut stage, minor, stage::session("session"));
        if minor >= 11 {
            producer.expect_ok(&mut stage, &stage::create_chunk(0));
        }
        producer.add_stream(&mut stage, "ust", "chan_0");
        producer.send_whole_packet(&mut stage, 1, 0);
        let directory = if minor < 11 {
            "ust"
        } else {
            &format!("{DIRECTORY}/ust")
        };
        let bytes = stage.file(&format!("{directory}/index/chan_0.idx"));
        let [version, size] = header;
        assert_eq!(bytes[..8], [0xc1, 0xf1, 0xdc, 0xc1, 0, 0, 0, 1]);
        assert_eq!(bytes[8..16], [0, 0, 0, version, 0, 0, 0, size]);
        assert_eq!(bytes.len(), 16 + usize::from(size));
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

/// Snapshots have no index files; every packet is in the file of the chunk's own name.
#[test]
fn a_snapshot_is_one_directory_without_indexes() {
    let mut stage = Stage::new();
    let snapshot = CreateSession {
        live_timer_us: 0,
        snapshot: true,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, snapshot);
    let named = baton_components::wire::producer::CreateTraceChunk {
        chunk: 0,
        creation_time_s: stage::CREATED_S,
        override_name: Some(b"snapshot-1"),
    };
    producer.expect_ok(&mut stage, &Command::CreateTraceChunk(named));
    let stream = producer.add_stream(&mut stage, "ust", "chan_0");
    // A consumer goes on counting where its last snapshot ended.
    producer.close_stream(&mut stage, stream, Some(6));
    producer.send_packet(&mut stage, stream, 5, &stage::payload(stream, 5));
    producer.send_packet(&mut stage, stream, 6, &stage::payload(stream, 6));
    assert!(stage.stream(stream).is_none());
    let path = producer.close_chunk(&mut stage, 0, None);
    assert_eq!(path, format!("{DIRECTORY}/snapshot-1"));
    assert_eq!(
        stage.tree()[2..],
        [
            format!("{DIRECTORY}/snapshot-1/"),
            format!("{DIRECTORY}/snapshot-1/ust/"),
            format!("{DIRECTORY}/snapshot-1/ust/chan_0"),
        ]
    );
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// A stream that was added since the chunk was opened is in it already.
#[test]
fn a_stream_that_is_moved_to_its_own_chunk_keeps_its_packets() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (metadata, data) = producer.add_trace(&mut stage, "ust");
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.send_whole_packet(&mut stage, data, 0);
    producer.expect_ok(
        &mut stage,
        &stage::rotate(Some(0), &[(metadata, 0), (data, 1)]),
    );
    producer.send_whole_packet(&mut stage, data, 1);
    producer.leave(&mut stage);
    let both = [stage::payload(data, 0), stage::payload(data, 1)].concat();
    assert_eq!(file(&stage, "chan_0"), both);
    assert_eq!(file(&stage, "metadata"), b"metadata");
    stage.assert_empty();
}
