//! A disk that is full when metadata comes: the metadata waits, and packets that need it are
//! dropped.

use baton_components::limits::{DISK_PATIENCE, WAITING_METADATA_BYTES_MAX, WAITING_METADATA_RETRY};
use baton_components::wire::producer::{Command, SendMetadata};
use baton_systems::memory::Operation;

use super::*;
use crate::stage::DIRECTORY;
use crate::viewer_words::{NEW_STREAMS, Scene};

fn limit(stage: &Stage, room: u64) {
    let used = stage.storage.used_bytes();
    stage.storage.limit_bytes(Some(used + room));
}

fn send(stage: &mut Stage, producer: &Producer, bytes: &[u8], padding_size: u32) {
    let command = Command::SendMetadata(SendMetadata {
        stream: METADATA,
        padding_size,
        bytes,
    });
    assert_eq!(producer.ask(stage, &command), []);
}

fn metadata(stage: &Stage) -> Vec<u8> {
    stage.file(&format!("{DIRECTORY}/ust/metadata"))
}

/// The numbers of the packets on disk.
fn packets(stage: &Stage) -> Vec<u64> {
    let bytes = stage.file(&format!("{DIRECTORY}/ust/chan_0"));
    let packets = bytes.chunks(stage::PACKET_BYTES).map(|packet| {
        let number = u64::from_be_bytes(*packet[8..].first_chunk().unwrap());
        assert_eq!(packet, stage::payload(DATA, number), "a torn packet");
        number
    });
    packets.collect()
}

/// Two messages wait, with their padding; with room they are there, and so are the
/// packets that follow.
#[test]
fn metadata_waits_for_room() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    limit(&stage, 5);
    send(&mut stage, &producer, b" and more", 3);
    send(&mut stage, &producer, b" and yet more", 2);
    producer.send_whole_packet(&mut stage, DATA, 1);
    assert_eq!(metadata(&stage), b"metadata");
    assert_eq!(stage.stream(DATA).unwrap().rare().lost, 1);
    stage.storage.limit_bytes(None);
    stage.pass(WAITING_METADATA_RETRY);
    producer.send_whole_packet(&mut stage, DATA, 2);
    send(&mut stage, &producer, b" and the last", 0);
    producer.leave(&mut stage);
    stage.assert_empty();
    assert_eq!(
        metadata(&stage),
        b"metadata and more\0\0\0 and yet more\0\0 and the last"
    );
    assert_eq!(packets(&stage), [0, 2]);
}

/// A disk that is full is tried once in a while, however much else happens.
#[test]
fn a_full_disk_is_not_tried_in_every_tick() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    limit(&stage, 5);
    send(&mut stage, &producer, b" and more", 0);
    let writes = stage.storage.count(Operation::Write);
    for round in 0..3 {
        for _ in 0..10 {
            stage.tick();
        }
        let tries = stage.storage.count(Operation::Write) - writes;
        assert_eq!(tries, round, "round {round}");
        stage.clock.advance(WAITING_METADATA_RETRY);
    }
    stage.storage.limit_bytes(None);
    stage.pass(WAITING_METADATA_RETRY);
    assert_eq!(metadata(&stage), b"metadata and more");
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// However much room there is, and whether or not there will be more: what is on disk
/// has whole messages, and no packet that came after one that is missing.
#[test]
fn a_disk_may_be_full_of_metadata_at_any_byte() {
    let messages = [&b"metadata"[..], b" of three", b" messages"];
    for stays_full in [false, true] {
        for room in 0..150 {
            let mut stage = Stage::new();
            let producer = recording(&mut stage);
            limit(&stage, room);
            for (number, message) in (1..).zip(&messages[1..]) {
                send(&mut stage, &producer, message, 0);
                producer.send_whole_packet(&mut stage, DATA, number);
            }
            if !stays_full {
                stage.storage.limit_bytes(None);
                stage.pass(WAITING_METADATA_RETRY);
                producer.send_whole_packet(&mut stage, DATA, 3);
            }
            producer.leave(&mut stage);
            ask_the_disk_until_the_end(&mut stage);
            stage.assert_empty();
            let (metadata, packets) = (metadata(&stage), packets(&stage));
            if !stays_full {
                assert_eq!(metadata, messages.concat(), "{room} bytes of room");
                assert_eq!(packets.last(), Some(&3));
                continue;
            }
            let described = (1..4).find(|count| metadata == messages[..*count].concat());
            let described = described.expect("whole messages");
            assert!(
                packets.iter().all(|packet| *packet < described as u64),
                "{room} bytes of room: packets {packets:?} of {described} messages"
            );
        }
    }
}

/// It need not be the room, nor the write.
#[test]
fn metadata_waits_whatever_the_disk_refuses() {
    for operation in [Operation::Write, Operation::Resize] {
        let mut stage = Stage::new();
        let producer = recording(&mut stage);
        // The first try, the first retry, and taking back what was written.
        for nth in 1..=3 {
            stage.storage.fail(operation, nth, "wished");
        }
        send(&mut stage, &producer, b" and more", 3);
        assert!(!producer.control.is_closed());
        for number in 1..4 {
            producer.send_whole_packet(&mut stage, DATA, number);
            stage.pass(WAITING_METADATA_RETRY);
        }
        assert_eq!(
            metadata(&stage),
            b"metadata and more\0\0\0",
            "{operation:?}"
        );
        assert_eq!(packets(&stage).last(), Some(&3));
        producer.leave(&mut stage);
        stage.assert_empty();
    }
}

/// The waiting bytes are bounded, and the bound is checked before they are allocated.
#[test]
fn a_session_ends_when_too_much_metadata_waits() {
    let most = WAITING_METADATA_BYTES_MAX as u32;
    for (first, second) in [(most - 6, 1), (0, most), (0, u32::MAX), (most - 5, 0)] {
        let mut stage = Stage::new();
        let producer = recording(&mut stage);
        limit(&stage, 2);
        send(&mut stage, &producer, b"first", first);
        assert!(!producer.control.is_closed());
        send(&mut stage, &producer, b"second", second);
        assert!(producer.control.is_closed(), "{first} and {second}");
        assert_eq!(metadata(&stage), b"metadata");
        producer.data.finish();
        stage.assert_empty();
    }
}

/// The bound is one of what waits, and of nothing else.
#[test]
fn metadata_may_be_large_where_there_is_room() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    let most = WAITING_METADATA_BYTES_MAX as usize;
    limit(&stage, 2);
    send(&mut stage, &producer, b"first", most as u32 - 5);
    stage.storage.limit_bytes(None);
    send(&mut stage, &producer, b"second", most as u32);
    assert_eq!(metadata(&stage).len(), b"metadatasecond".len() + 2 * most);
    producer.leave(&mut stage);
    stage.assert_empty();
}

/// A viewer is told of metadata when it is there.
#[test]
fn a_viewer_gets_metadata_that_waited() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    limit(&scene.stage, 0);
    scene.send_metadata(b"more");
    scene.send(1);
    assert_eq!(scene.metadata(1), "NO_NEW");
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.storage.limit_bytes(None);
    scene.stage.pass(WAITING_METADATA_RETRY);
    scene.send(2);
    assert_eq!(scene.indexes(1), "OK 2 at 64 NEW_METADATA");
    assert_eq!(scene.metadata(2), "OK more, NO_NEW");
    scene.end();
}

/// Its bytes may come before the metadata that it needs; its description does not.
#[test]
fn a_viewer_gets_no_packet_without_its_metadata() {
    let mut scene = Scene::watched(1);
    scene.send_bytes(1);
    limit(&scene.stage, 0);
    scene.send_metadata(b"more");
    scene.send_index(1);
    assert_eq!(scene.indexes(2), "RETRY, RETRY");
    // Its end is no other: the viewer waits, and gets all of it.
    scene.producer.leave(&mut scene.stage);
    assert_eq!(scene.metadata(1), "NO_NEW");
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.storage.limit_bytes(None);
    scene.stage.pass(WAITING_METADATA_RETRY);
    assert_eq!(scene.indexes(1), "OK 0 at 0 NEW_METADATA");
    assert_eq!(scene.metadata(1), "OK more");
    assert_eq!(scene.indexes(2), "OK 1 at 64, HUP");
    scene.viewer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

/// The disk stays full for ever: viewers come to an end all the same.
#[test]
fn a_viewer_comes_to_an_end_although_the_disk_stays_full() {
    for (waits_for_metadata, reads_metadata_first) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let mut scene = Scene::watched(1);
        assert_eq!(scene.indexes(1), "OK 0 at 0");
        scene.send_bytes(1);
        limit(&scene.stage, 0);
        if waits_for_metadata {
            scene.send_metadata(b"more");
        }
        scene.send_index(1);
        // While its producer is there the disk may get room, however late.
        scene.stage.pass(2 * DISK_PATIENCE);
        assert_eq!(scene.indexes(1), "RETRY");
        scene.producer.leave(&mut scene.stage);
        assert_eq!(scene.indexes(1), "RETRY");
        scene.stage.pass(DISK_PATIENCE);
        let mut told = Vec::new();
        for what in [reads_metadata_first, !reads_metadata_first] {
            told.push(if what {
                scene.metadata(2)
            } else {
                scene.indexes(1)
            });
        }
        told.sort();
        assert_eq!(told, ["HUP", "NO_NEW, ERR"]);
        assert_eq!(scene.hear(NEW_STREAMS), "HUP");
        scene.viewer.leave(&mut scene.stage);
        scene.stage.assert_empty();
    }
}

/// A chunk that is left gets its metadata then, if there is room.
#[test]
fn metadata_that_waits_stays_in_its_chunk() {
    let mut stage = Stage::new();
    let producer = recording(&mut stage);
    limit(&stage, 0);
    send(&mut stage, &producer, b" and more", 0);
    stage.storage.limit_bytes(None);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(METADATA, 0), (DATA, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    send(&mut stage, &producer, b"metadata and more", 0);
    producer.send_whole_packet(&mut stage, DATA, 1);
    producer.close_chunk(&mut stage, 0, Some(0));
    producer.leave(&mut stage);
    stage.assert_empty();
    let files = stage.tree().into_iter();
    let files: Vec<String> = files.filter(|it| it.ends_with("/metadata")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(stage.file(&file), b"metadata and more", "{file}");
    }
}

/// Metadata that comes again takes the place of what waits.
#[test]
fn a_reset_forgets_what_waits() {
    let mut stage = Stage::new();
    let command = baton_components::wire::producer::CreateSession {
        live_timer_us: 0,
        ..stage::session("session")
    };
    let producer = Producer::create(&mut stage, 15, command);
    producer.expect_ok(&mut stage, &stage::create_chunk(0));
    assert_eq!(producer.add_trace(&mut stage, "ust"), (METADATA, DATA));
    limit(&stage, 0);
    send(&mut stage, &producer, b"old", 0);
    let reset = Command::ResetMetadata(baton_components::wire::producer::ResetMetadata {
        stream: METADATA,
        version: 1,
    });
    producer.expect_ok(&mut stage, &reset);
    stage.storage.limit_bytes(None);
    send(&mut stage, &producer, b"new", 0);
    producer.send_whole_packet(&mut stage, DATA, 0);
    assert_eq!(metadata(&stage), b"new");
    assert_eq!(packets(&stage), [0]);
    producer.leave(&mut stage);
    stage.assert_empty();
}
