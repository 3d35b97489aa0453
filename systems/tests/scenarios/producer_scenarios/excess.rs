//! Packets of the next chunk that are there before the rotation.

use baton_components::path::RelativePath;
use baton_components::wire::producer::{AddStream, CreateSession, code};
use baton_components::wire::viewer::NextIndexStatus;
use baton_systems::memory::Operation;

use super::*;

/// Packets after the position that are there when the rotation comes, with and without
/// a part of one more. Ours: the original dies of the first, and tears the second.
#[test]
fn packets_that_ran_ahead_move_along() {
    for ahead in 0..4 {
        for torn in [None, Some(0), Some(1), Some(40)] {
            moves_along(ahead, torn);
        }
    }
}

fn moves_along(ahead: u64, torn: Option<usize>) {
    let mut scene = Scene::new();
    scene.packet(1);
    for number in 2..2 + ahead {
        scene.bytes(number);
    }
    if let Some(size) = torn {
        scene.part(2 + ahead, size);
    }
    scene.rotate_to(1, 2, 0);
    assert_eq!(scene.packets(&format!("{ARCHIVE_0}/")), [0, 1]);
    assert_eq!(scene.indexed(&format!("{ARCHIVE_0}/")), [0, 1]);
    let mut expected: Vec<u64> = (2..2 + ahead).collect();
    if let Some(size) = torn {
        scene.rest(2 + ahead, size);
        expected.push(2 + ahead);
    }
    for number in &expected {
        scene.index(*number);
    }
    scene.packet(9);
    expected.push(9);
    assert_eq!(scene.packets(&format!("{CHUNK_1}/")), expected);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), expected);
    scene.end();
}

/// The same when the position becomes known by the index of its last packet.
#[test]
fn packets_that_ran_ahead_move_with_a_late_index() {
    let mut scene = Scene::new();
    scene.ok(&stage::create_chunk(1));
    scene.rotate(Some(1), 2);
    for number in 1..4 {
        scene.bytes(number);
    }
    scene.part(4, 40);
    scene.close_chunk(0, Some(0));
    assert!(scene.chunk_exists(0));
    scene.index(1);
    assert!(!scene.chunk_exists(0));
    assert_eq!(scene.indexed(&format!("{ARCHIVE_0}/")), [0, 1]);
    scene.rest(4, 40);
    for number in [3, 2, 4] {
        scene.index(number);
    }
    assert_eq!(scene.packets(&format!("{CHUNK_1}/")), [2, 3, 4]);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [3, 2, 4]);
    scene.end();
}

/// An index that ran ahead alone finds its packet in the new chunk.
#[test]
fn indexes_that_ran_ahead_move_along() {
    let mut scene = Scene::new();
    scene.index(1);
    scene.index(2);
    scene.rotate_to(1, 1, 0);
    scene.bytes(1);
    scene.bytes(2);
    assert_eq!(scene.indexed(&format!("{ARCHIVE_0}/")), [0]);
    assert_eq!(scene.indexed(&format!("{CHUNK_1}/")), [1, 2]);
    scene.end();
}

/// Packets that ran ahead are laid out anew by the rules of the ring of files, and are
/// taken out of every file that they stood in.
#[test]
fn packets_that_ran_ahead_in_a_ring_of_files_move_along() {
    for live_timer_us in [0, 200_000] {
        for tracefile_count in [0, 1, 2, 10] {
            for (ahead, torn) in [(0, false), (1, true), (2, false), (2, true), (5, true)] {
                move_along_in_a_ring(live_timer_us, tracefile_count, ahead, torn);
            }
        }
    }
}

fn move_along_in_a_ring(live_timer_us: u32, tracefile_count: u64, ahead: u64, torn: bool) {
    let mut stage = Stage::new();
    let session = CreateSession {
        live_timer_us,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, session);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    let limited = Command::AddStream(AddStream {
        channel: b"chan_0",
        path: TRACE.as_bytes(),
        tracefile_size: 2 * stage::PACKET_BYTES as u64,
        tracefile_count,
        chunk: None,
    });
    producer.ask(&mut stage, &limited);
    producer.ask(&mut stage, &stage::add_stream(TRACE, "metadata"));
    let mut scene = Scene { stage, producer };
    scene.ring_packets(0, ahead + 1);
    scene.producer.send_index(&mut scene.stage, 1, 0);
    let bytes = stage::packet_bytes(1, ahead + 1);
    let (first, rest) = bytes.split_at(60);
    if torn {
        scene.producer.data.write(first);
        scene.stage.settle();
    }
    scene.ok(&stage::create_chunk(1));
    scene.ok(&stage::rotate(Some(1), &[(1, 1), (2, 0)]));
    scene.close_chunk(0, Some(0));
    if torn {
        scene.producer.data.write(rest);
        scene.stage.settle();
    }
    let end = ahead + 1 + u64::from(torn);
    for number in 1..end {
        scene.producer.send_index(&mut scene.stage, 1, number);
    }
    let what =
        format!("timer {live_timer_us}, count {tracefile_count}, {ahead} ahead, torn {torn}");
    let (old, new) = (scene.ring(ARCHIVE_0), scene.ring(CHUNK_1));
    // Packet 0 may have been written over before it was known where its chunk ends.
    let fits = tracefile_count == 0 || end <= 2 * tracefile_count;
    assert_eq!(old, [0][usize::from(!fits)..], "{what}");
    if tracefile_count.is_multiple_of(10) {
        assert_eq!(new, (1..end).collect::<Vec<_>>(), "{what}");
    }
    scene.end();
}

impl Scene {
    /// The bytes of packets of stream 1.
    fn ring_packets(&mut self, from: u64, to: u64) {
        for number in from..to {
            let payload = stage::payload(1, number);
            self.producer
                .send_packet(&mut self.stage, 1, number, &payload);
        }
    }

    /// The packets in all files of stream 1 below a directory. Each is where its index
    /// says, and has one.
    fn ring(&self, place: &str) -> Vec<u64> {
        let directory = format!("{DIRECTORY}/{place}/ust");
        let mut found = Vec::new();
        for file in 0..9 {
            let path =
                RelativePath::parse(format!("{directory}/chan_0_{file}").as_bytes()).unwrap();
            let Some(bytes) = self.stage.storage.file(&path).filter(|it| !it.is_empty()) else {
                continue;
            };
            let records = self
                .stage
                .index_records(&format!("{directory}/index/chan_0_{file}.idx"));
            let indexed: Vec<u64> = records.iter().map(|it| it.packet_sequence).collect();
            for record in &records {
                let packet = &bytes[record.offset_bytes as usize..][..stage::PACKET_BYTES];
                assert_eq!(packet, stage::payload(1, record.packet_sequence));
            }
            assert_eq!(
                bytes.len(),
                stage::PACKET_BYTES * records.len(),
                "{path}: {indexed:?}"
            );
            found.extend(indexed);
        }
        found.sort_unstable();
        found
    }
}

#[test]
fn a_whole_packet_that_ran_ahead_of_the_end_is_kept_and_its_session_given_up() {
    let mut scene = Scene::new();
    scene.bytes(1);
    let end = stage::rotate(None, &[(METADATA, 0), (DATA, 1)]);
    assert_eq!(
        scene.producer.code(&mut scene.stage, &end),
        code::FILE_CREATION
    );
    assert!(scene.producer.control.is_closed());
    assert!(scene.stage.session(1).unwrap().given_up);
    assert_eq!(scene.packets(""), [0, 1], "no bytes are lost");
    scene.end();
}

/// A packet of which only a part is there has nowhere to go.
#[test]
fn a_part_of_a_packet_that_ran_ahead_of_the_end_is_cut_off() {
    let mut scene = Scene::new();
    scene.part(1, 40);
    scene.rotate(None, 1);
    assert_eq!(scene.packets(""), [0], "no torn packet");
    scene.rest(1, 40);
    assert!(scene.producer.data.is_closed());
    // Ours: the packet is lost, the session is not.
    assert!(!scene.producer.control.is_closed());
    scene.end();
}

/// The disk fails in the middle of a rotation: the session ends, and its viewer is told.
#[test]
fn a_rotation_that_fails_halfway_has_an_end_for_its_viewer() {
    for operation in [Operation::Read, Operation::CreateFile, Operation::Write] {
        for nth in 1..4 {
            let (mut scene, viewer) = Scene::watched();
            for number in 1..4 {
                scene.bytes(number);
            }
            scene.ok(&stage::create_chunk(1));
            scene.stage.storage.fail(operation, nth, "it was wished");
            let positions = [(DATA, 1)];
            scene
                .producer
                .ask(&mut scene.stage, &stage::rotate(Some(1), &positions));
            let failed = scene.producer.control.is_closed();
            let mut ask = || {
                let reply = viewer.ask(&mut scene.stage, Request::NextIndex { stream: DATA });
                u32::from_be_bytes(*reply[56..].first_chunk().unwrap())
            };
            let answers: Vec<u32> = (0..4).map(|_| ask()).collect();
            let hup = NextIndexStatus::Hup.number();
            let what = format!("{operation:?} {nth}: {answers:?}");
            assert!(!failed || answers.contains(&hup), "{what}");
            viewer.leave(&mut scene.stage);
            scene.end();
        }
    }
}
