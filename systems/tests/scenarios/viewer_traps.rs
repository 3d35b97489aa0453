//! Traps of the live protocol: what breaks a naive server, what its clients rely on without
//! saying so, and what the original had to mend.

use baton_components::wire::producer::{Command, SendIndex};
use baton_components::wire::viewer::reply::{IndexReply, Reply, decode};
use baton_components::wire::viewer::{NextIndexStatus, RequestKind};
use baton_systems::client;

use crate::stage::{self, add_stream, payload};
use crate::viewer_words::{
    ARCHIVE, ATTACH, ATTACH_LAST, DATA, GET_METADATA, METADATA, NEW_STREAMS, NEXT_INDEX, PACKET,
    Scene,
};

#[test]
fn streams_that_appear_later_are_read_from_their_beginning() {
    let mut scene = Scene::with_trace();
    scene.send(0);
    assert_eq!(scene.hear(ATTACH_LAST), "OK [1, 2]");
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    for sequence in 0..2 {
        scene
            .producer
            .send_whole_packet(&mut scene.stage, new, sequence);
    }
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    assert_eq!(scene.hear(NEW_STREAMS), "OK [3]");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.index(stage, new), "OK 0 at 0");
    assert_eq!(viewer.index(stage, new), "OK 1 at 64");
    scene.end();
}

#[test]
fn no_beacon_is_told_before_a_packet_that_waits_for_the_disk() {
    let mut scene = Scene::watched(1);
    scene.send_bytes(1);
    // The bytes are there, and there is no room for the record.
    let used = scene.stage.storage.used_bytes();
    scene.stage.storage.limit_bytes(Some(used));
    scene.send_index(1);
    scene.send_beacon(5000);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.stage.storage.limit_bytes(None);
    scene.stage.tick();
    assert_eq!(scene.indexes(1), "OK 1 at 64");
    scene.end();
}

#[test]
fn a_packet_that_waits_for_the_disk_is_not_passed_by_those_of_the_next_file() {
    let mut scene = Scene::with_ring(3);
    scene.hear(ATTACH);
    for sequence in 0..3 {
        scene.send_bytes(sequence);
    }
    scene.send_index(0);
    let used = scene.stage.storage.used_bytes();
    scene.stage.storage.limit_bytes(Some(used));
    scene.send_index(1);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.stage.storage.limit_bytes(None);
    scene.send_index(2);
    assert_eq!(scene.indexes(3), "OK 1 at 64, OK 2 at 0, RETRY");
    scene.end();
}

#[test]
fn every_field_of_an_index_is_passed_on() {
    let mut scene = Scene::watched(0);
    scene.send_bytes(0);
    let description = SendIndex {
        packet_size_bits: 512,
        content_size_bits: 77,
        timestamp_begin: 1 << 60,
        timestamp_end: (1 << 60) + 1,
        events_discarded: 41,
        class: 6,
        instance: 9,
        packet_sequence: 12,
        ..stage::index(DATA, 0)
    };
    scene.command(&Command::SendIndex(description));
    let reply = scene.viewer.ask(&mut scene.stage, NEXT_INDEX);
    let expected = IndexReply {
        offset_bytes: 0,
        packet_size_bits: 512,
        content_size_bits: 77,
        timestamp_begin: 1 << 60,
        timestamp_end: (1 << 60) + 1,
        // A running counter, which clients take differences of.
        events_discarded: 41,
        // The class, and not the handle.
        class: 6,
        status: NextIndexStatus::Ok,
        flags: 0,
    };
    let decoded = decode(RequestKind::NextIndex, 15, &reply).unwrap();
    assert_eq!(decoded, Some((Reply::NextIndex(expected), 64)));
    scene.end();
}

#[test]
fn the_class_of_a_stream_is_the_first_it_had() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    let Command::SendIndex(beacon) = stage::beacon(DATA, 950) else {
        unreachable!("law: a beacon is an index")
    };
    // Some producers leave it out.
    scene.command(&Command::SendIndex(SendIndex {
        class: u64::MAX,
        ..beacon
    }));
    assert_eq!(scene.indexes(1), "INACTIVE 950");
    scene.end();
}

#[test]
fn packets_of_a_rotated_chunk_come_with_their_metadata() {
    let mut scene = Scene::with_trace();
    scene.hear(ATTACH);
    scene.send_metadata(b"meta");
    scene.send(0);
    scene.rotate(1, 1);
    scene.close_chunk(0, ARCHIVE);
    // The packet cannot be decoded without, and the new chunk has none yet.
    assert_eq!(scene.indexes(1), "OK 0 at 0 NEW_METADATA");
    assert_eq!(scene.metadata(2), "OK meta, NO_NEW");
    scene.send_metadata(b"meta more");
    assert_eq!(scene.metadata(2), "OK  more, NO_NEW");
    scene.end();
}

#[test]
fn a_reply_that_shows_a_time_has_the_flag_of_streams_before_it() {
    let mut scene = Scene::watched(1);
    let mut bytes = Vec::new();
    // All in one segment, and the viewer's question with it.
    let commands = [
        add_stream("ust", "chan_1"),
        Command::StreamsSent,
        stage::beacon(DATA, 5000),
    ];
    for command in commands {
        bytes.extend(client::command(15, &command));
    }
    scene.producer.control.write(&bytes);
    let other = scene.another();
    assert_eq!(
        scene.hear_all(&[NEXT_INDEX, NEXT_INDEX]),
        "OK 0 at 0 NEW_STREAM, RETRY NEW_STREAM"
    );
    // Each viewer has its own mark.
    assert_eq!(other.hear(&mut scene.stage, ATTACH), "OK [1, 2, 3]");
    let told = other.hear_all(&mut scene.stage, &[GET_METADATA, NEXT_INDEX]);
    assert_eq!(told, "OK meta, OK 0 at 0");
    assert_eq!(
        scene.hear_all(&[NEW_STREAMS, NEXT_INDEX]),
        "OK [3], INACTIVE 5000"
    );
    other.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn last_has_packets_that_complete_after_the_next_file_began() {
    let mut scene = Scene::with_ring(3);
    scene.send(0);
    scene.send_bytes(1);
    scene.send_bytes(2);
    assert_eq!(scene.hear(ATTACH_LAST), "OK [1, 2]");
    assert_eq!(scene.indexes(1), "RETRY");
    // Completed after the attach, both of them.
    scene.send_index(1);
    scene.send_index(2);
    assert_eq!(scene.indexes(3), "OK 1 at 64, OK 2 at 0, RETRY");
    scene.end();
}

#[test]
fn a_data_stream_is_announced_though_the_metadata_that_is_known_has_ended() {
    let mut scene = Scene::watched(1);
    scene
        .producer
        .close_stream(&mut scene.stage, METADATA, None);
    assert_eq!(scene.metadata(2), "NO_NEW, ERR");
    // The viewer reads this trace, and has all of its metadata.
    let new = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    assert_eq!(scene.hear(NEW_STREAMS), format!("OK [{new}]"));
    scene.end();
}

#[test]
fn metadata_that_was_announced_is_of_one_viewer() {
    let mut scene = Scene::watched(1);
    scene
        .producer
        .close_stream(&mut scene.stage, METADATA, None);
    // A viewer that comes now could not decode the data stream.
    let late = scene.another();
    let told = late.hear_all(&mut scene.stage, &[ATTACH, NEW_STREAMS]);
    assert_eq!(told, "OK [], OK []");
    scene.producer.close_stream(&mut scene.stage, DATA, Some(0));
    assert_eq!(scene.indexes(2), "OK 0 at 0, HUP");
    late.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn metadata_is_told_by_whole_messages() {
    let mut scene = Scene::watched(0);
    let message = baton_components::wire::producer::SendMetadata {
        stream: METADATA,
        padding_size: 0,
        bytes: b"a unit that cannot be cut",
    };
    let bytes = client::command(15, &Command::SendMetadata(message));
    for byte in &bytes[..bytes.len() - 1] {
        scene.producer.control.write(&[*byte]);
        scene.stage.settle();
        assert_eq!(scene.hear(GET_METADATA), "NO_NEW");
    }
    scene.producer.control.write(&bytes[bytes.len() - 1..]);
    scene.stage.settle();
    assert_eq!(scene.hear(GET_METADATA), "OK a unit that cannot be cut");
    scene.end();
}

#[test]
fn a_packet_is_told_when_all_of_it_is_there() {
    let mut scene = Scene::watched(0);
    let bytes = stage::packet_bytes(DATA, 0);
    scene.send_index(0);
    for byte in &bytes[..bytes.len() - 1] {
        scene.producer.data.write(&[*byte]);
        scene.stage.settle();
        assert_eq!(scene.hear_all(&[NEXT_INDEX, PACKET]), "RETRY, ERR");
    }
    scene.producer.data.write(&bytes[bytes.len() - 1..]);
    scene.stage.settle();
    assert_eq!(
        scene.hear_all(&[NEXT_INDEX, PACKET]),
        "OK 0 at 0, OK 64 bytes"
    );
    scene.end();
}

#[test]
fn applications_end_one_by_one() {
    let mut scene = Scene::watched(1);
    let (metadata, data) = scene.producer.add_trace(&mut scene.stage, "ust/pid/2");
    scene
        .producer
        .send_metadata(&mut scene.stage, metadata, b"second");
    assert_eq!(scene.hear(NEW_STREAMS), "OK [3, 4]");
    scene.close_streams(1);
    assert_eq!(scene.indexes(3), "OK 0 at 0, HUP, ERR");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.index(stage, data), "RETRY NEW_METADATA");
    assert_eq!(viewer.metadata(stage, metadata), "OK second");
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    scene.producer.close_stream(&mut scene.stage, data, None);
    assert_eq!(scene.viewer.index(&mut scene.stage, data), "HUP");
    scene.end();
}

#[test]
fn a_trace_without_metadata_hides_no_other() {
    let mut scene = Scene::new();
    scene
        .producer
        .add_stream(&mut scene.stage, "kernel", "chan_0");
    scene.producer.add_trace(&mut scene.stage, "ust");
    let entries = scene.viewer.entries(&mut scene.stage, ATTACH);
    let told: Vec<(u64, &str)> = entries
        .iter()
        .map(|e| (e.stream, e.path.as_str()))
        .collect();
    assert_eq!(told, [(2, "ust"), (3, "ust")]);
    scene.end();
}

#[test]
fn an_attach_while_the_producer_leaves_is_whole() {
    let mut scene = Scene::with_trace();
    scene.send(0);
    // Both in one tick, and then the attach in the next.
    scene.producer.control.finish();
    let attached = scene.hear(ATTACH);
    assert_eq!(attached, "OK [1, 2]");
    assert_eq!(scene.indexes(2), "OK 0 at 0, HUP");
    let late = scene.another();
    assert_eq!(late.hear(&mut scene.stage, ATTACH), "UNK");
    late.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn no_packet_twice_and_none_in_the_wrong_file() {
    let mut scene = Scene::watched(2);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    // To the next chunk, where nothing comes, and then to none.
    scene.rotate(1, 2);
    scene.close_chunk(0, ARCHIVE);
    scene.rotate_to_none(2);
    scene.close_chunk(1, None);
    assert_eq!(scene.indexes(2), "OK 1 at 64, RETRY");
    scene.rotate(2, 2);
    scene.send(2);
    assert_eq!(scene.indexes(2), "OK 2 at 0, RETRY");
    let Scene { stage, viewer, .. } = &mut scene;
    assert_eq!(viewer.packet(stage, DATA, 0, 64).unwrap(), payload(DATA, 2));
    scene.close_streams(3);
    assert_eq!(scene.indexes(2), "HUP, ERR");
    scene.end();
}

#[test]
fn files_that_all_viewers_have_passed_are_closed() {
    let mut scene = Scene::watched(1);
    let other = scene.another();
    other.hear(&mut scene.stage, ATTACH);
    for chunk in 1..4 {
        scene.rotate(chunk, chunk);
        scene.close_chunk(chunk - 1, ARCHIVE);
        scene.send(chunk);
    }
    let files = |scene: &Scene| scene.stage.stream(DATA).unwrap().files.len();
    assert_eq!(files(&scene), 4);
    assert_eq!(
        scene.indexes(5),
        "OK 0 at 0, OK 1 at 0, OK 2 at 0, OK 3 at 0, RETRY"
    );
    assert_eq!(files(&scene), 4);
    other.leave(&mut scene.stage);
    assert_eq!(files(&scene), 1);
    scene.end();
}
