//! A disk that does not answer at all: no name is made, since that would hang, and what makes none
//! goes on.

use std::time::Duration;

use baton_components::limits::{CHUNK_RETRY, DRAIN_GRACE, PROBE_AGE_MAX, PROBE_PATIENCE};
use baton_components::wire::producer::{AddStream, CloseStream, Command, code};
use baton_systems::agenda::Agenda;
use baton_systems::client;
use baton_systems::memory::Operation;
use baton_systems::settings::{Amount, Settings, SyncWhen};

use crate::log::Log;
use crate::stage::{self, PACKET_BYTES, Producer, Stage, close_chunk, create_chunk, rotate};
use crate::viewer_words::{ARCHIVE, ATTACH, DATA, GET_METADATA, METADATA, Scene};

/// A stage whose relay probes its disk.
fn probing() -> Stage {
    Stage::with(Settings {
        probes_disk: true,
        ..Settings::default()
    })
}

/// A session with a packet, and a viewer that has attached it.
fn scene() -> Scene {
    let mut scene = Scene::on(probing());
    let streams = scene.producer.add_trace(&mut scene.stage, "ust");
    assert_eq!(streams, (METADATA, DATA));
    scene.send_metadata(b"meta");
    scene.send(0);
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    assert_eq!(scene.hear(GET_METADATA), "OK meta");
    scene
}

/// From now on the disk does not answer, and what it said before is old.
fn freeze(stage: &mut Stage) {
    stage.pass(PROBE_AGE_MAX);
    stage.storage.hold_answers(true);
}

fn thaw(stage: &mut Stage) {
    assert_eq!(stage.storage.hanging_calls(), 0);
    stage.storage.hold_answers(false);
    stage.settle();
}

#[test]
fn commands_that_make_names_wait_for_the_disk_and_others_do_not() {
    let add = AddStream {
        channel: b"chan_1",
        path: b"ust",
        chunk: Some(0),
        ..AddStream::default()
    };
    let makers = [
        (create_chunk(1), 4),
        (close_chunk(0, ARCHIVE), 0),
        (Command::AddStream(add), 12),
        (rotate(None, &[(METADATA, 0), (DATA, 1)]), 4),
    ];
    for (command, reply_bytes) in makers {
        let mut scene = scene();
        freeze(&mut scene.stage);
        let sent = scene.producer.code(&mut scene.stage, &Command::StreamsSent);
        assert_eq!(sent, code::OK);
        let reply = scene.producer.ask(&mut scene.stage, &command);
        assert_eq!(reply, b"", "{command:?}");
        // Replies are in order.
        let reply = scene.producer.ask(&mut scene.stage, &Command::StreamsSent);
        assert_eq!(reply, b"", "{command:?}");
        let told = scene.stage.relay.unanswered();
        assert_eq!(told, ["files and directories are made when it answers"]);
        let viewer = scene.another();
        assert_eq!(viewer.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
        assert_eq!(viewer.metadata(&mut scene.stage, METADATA), "OK meta");
        viewer.leave(&mut scene.stage);

        thaw(&mut scene.stage);
        let replies = scene.producer.control.take_received();
        if reply_bytes > 0 {
            assert_eq!(replies.len(), reply_bytes + 4, "{command:?}");
        }
        assert_eq!(replies[replies.len() - 4..], code::OK.to_be_bytes());
        scene.end();
    }
}

#[test]
fn a_session_begins_when_the_disk_answers() {
    let mut stage = probing();
    let producer = Producer::connect(&mut stage, 15);
    freeze(&mut stage);
    let create = Command::CreateSession(stage::session("session"));
    assert_eq!(producer.ask(&mut stage, &create), b"");
    // One that begins meanwhile is told its version.
    let other = Producer::connect(&mut stage, 15);
    thaw(&mut stage);
    assert_ne!(producer.control.take_received(), b"");
    assert!(stage.session(1).is_some());
    producer.leave(&mut stage);
    other.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn packets_of_a_file_that_is_there_are_read_and_those_of_a_new_one_wait() {
    let mut scene = Scene::on(probing());
    scene
        .producer
        .add_stream(&mut scene.stage, "ust", "metadata");
    let ring = AddStream {
        channel: b"chan_0",
        path: b"ust",
        tracefile_size: 3 * PACKET_BYTES as u64,
        tracefile_count: 2,
        chunk: Some(0),
    };
    let ring = Command::AddStream(ring);
    scene.producer.ask(&mut scene.stage, &ring);
    scene.command(&Command::StreamsSent);
    scene.send(0);
    freeze(&mut scene.stage);
    for sequence in 1..6 {
        scene.send_bytes(sequence);
    }
    let received = |scene: &Scene| scene.stage.stream(DATA).unwrap().tally.packets;
    let arrived = scene
        .stage
        .file(&format!("{}/ust/chan_0_0", stage::DIRECTORY));
    assert_eq!(arrived.len(), 3 * PACKET_BYTES);
    // However long it takes, the connection stays.
    scene.stage.pass(Duration::from_hours(2));
    thaw(&mut scene.stage);
    for sequence in 1..6 {
        scene.send_index(sequence);
    }
    assert_eq!(received(&scene), 6);
    scene.end();
}

#[test]
fn the_first_packet_of_a_stream_waits() {
    let mut scene = Scene::on(probing());
    scene.producer.add_trace(&mut scene.stage, "ust");
    freeze(&mut scene.stage);
    scene.send_bytes(0);
    let path = format!("{}/ust/chan_0", stage::DIRECTORY);
    assert_eq!(scene.stage.file(&path), b"");
    thaw(&mut scene.stage);
    assert_eq!(scene.stage.file(&path), stage::payload(DATA, 0));
    scene.send_index(0);
    scene.end();
}

#[test]
fn a_producer_that_leaves_is_let_go_when_the_disk_answers() {
    for wait in [Duration::ZERO, DRAIN_GRACE] {
        let mut scene = scene();
        // Its stream is to move when a packet comes that will not.
        scene.command(&create_chunk(1));
        scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 5)]));
        scene.close_chunk(0, ARCHIVE);
        scene.stage.pass(wait);
        freeze(&mut scene.stage);
        scene.producer.leave(&mut scene.stage);
        scene.stage.pass(2 * DRAIN_GRACE);
        assert!(scene.stage.session(1).is_some());
        thaw(&mut scene.stage);
        scene.stage.pass(2 * DRAIN_GRACE);
        scene.viewer.leave(&mut scene.stage);
        scene.stage.assert_empty();
        let tree = scene.stage.tree();
        assert!(!tree.iter().any(|path| path.contains(".tmp_")), "{tree:#?}");
    }
}

#[test]
fn a_session_that_waits_for_packets_is_given_up_when_the_disk_answers() {
    let mut scene = scene();
    scene.command(&create_chunk(1));
    scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 5)]));
    scene.send_index(1);
    scene.producer.leave(&mut scene.stage);
    assert!(scene.stage.session(1).is_some());
    freeze(&mut scene.stage);
    scene.stage.pass(2 * DRAIN_GRACE);
    assert!(scene.stage.session(1).is_some());
    thaw(&mut scene.stage);
    scene.stage.pass(DRAIN_GRACE);
    scene.viewer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

#[test]
fn retention_removes_nothing_while_the_disk_does_not_answer() {
    let mut stage = Stage::with(Settings {
        probes_disk: true,
        max_size: Amount::Bytes(64 * 1024),
        ..Settings::default()
    });
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    producer.send_packet(&mut stage, data, 0, &vec![7; 40_000]);
    producer.expect_ok(
        &mut stage,
        &Command::SendIndex(client::description(data, 0, 40_000)),
    );
    producer.expect_ok(&mut stage, &create_chunk(1));
    producer.expect_ok(&mut stage, &rotate(Some(1), &[(1, 0), (data, 1)]));
    producer.close_chunk(&mut stage, 0, ARCHIVE);
    producer.send_packet(&mut stage, data, 1, &[7; 1000]);
    stage.settle();
    freeze(&mut stage);
    producer.send_packet(&mut stage, data, 2, &vec![7; 40_000]);
    stage.pass(Duration::from_secs(1));
    thaw(&mut stage);
    stage.pass(Duration::from_secs(1));
    let archived = stage.tree().iter().any(|path| path.contains("archives/2"));
    assert!(!archived, "{:#?}", stage.tree());
    producer.leave(&mut stage);
    stage.pass(DRAIN_GRACE);
    stage.assert_empty();
}

#[test]
fn a_disk_that_does_not_answer_is_told_once_and_again_when_it_does() {
    let log = Log::from(tracing::Level::INFO);
    let mut scene = scene();
    freeze(&mut scene.stage);
    assert_eq!(scene.producer.ask(&mut scene.stage, &create_chunk(1)), b"");
    for _ in 0..3 {
        scene.stage.pass(PROBE_PATIENCE);
    }
    assert!(scene.stage.relay.read::<Agenda>().probes.is_silent);
    thaw(&mut scene.stage);
    assert!(!scene.stage.relay.read::<Agenda>().probes.is_silent);
    let lines = log.take();
    let told: Vec<_> = lines.iter().filter(|it| it.contains("the disk ")).collect();
    assert!(
        told.len() == 2
            && told[0].contains("the disk has not answered for 5 s")
            && told[1].contains("the disk answers again, after 15 s"),
        "{told:#?}"
    );
    scene.end();
}

#[test]
fn an_answer_is_good_for_a_while() {
    let mut scene = scene();
    scene.stage.pass(PROBE_AGE_MAX);
    scene.command(&create_chunk(1));
    scene.stage.storage.hold_answers(true);
    // Nothing is asked: the disk has answered just now.
    scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 1)]));
    assert!(scene.stage.relay.unanswered().is_empty());
    scene.stage.storage.hold_answers(false);
    let close = CloseStream {
        stream: DATA,
        last_sequence: 0,
    };
    scene.command(&Command::CloseStream(close));
    scene.end();
}

#[test]
fn a_packet_that_has_waited_comes_before_the_end_of_its_producer() {
    let mut scene = Scene::on(probing());
    scene.producer.add_trace(&mut scene.stage, "ust");
    freeze(&mut scene.stage);
    scene.send_index(0);
    scene.send_bytes(0);
    scene.producer.control.finish();
    scene.stage.pass(2 * DRAIN_GRACE);
    let path = format!("{}/ust/chan_0", stage::DIRECTORY);
    assert_eq!(scene.stage.file(&path), b"");
    thaw(&mut scene.stage);
    assert_eq!(scene.stage.session(1).unwrap().tally.packets, 1);
    assert_eq!(scene.stage.file(&path), stage::payload(DATA, 0));
    scene.end();
}

/// A chunk that is to be archived when its last stream, which waits for a packet, has ended.
fn with_closed_chunk(stage: Stage) -> Scene {
    let mut scene = Scene::on(stage);
    scene.producer.add_trace(&mut scene.stage, "ust");
    scene.send(0);
    scene.command(&create_chunk(1));
    scene.command(&rotate(Some(1), &[(METADATA, 0), (DATA, 5)]));
    scene.close_chunk(0, ARCHIVE);
    scene
}

fn end_stream(scene: &mut Scene) {
    let end = CloseStream {
        stream: DATA,
        last_sequence: 0,
    };
    scene.command(&Command::CloseStream(end));
}

#[test]
fn a_chunk_is_there_until_its_files_are_moved() {
    let mut scene = with_closed_chunk(probing());
    freeze(&mut scene.stage);
    end_stream(&mut scene);
    let is_archived = |scene: &Scene| {
        let tree = scene.stage.tree();
        tree.iter().any(|path| path.contains("archives/"))
    };
    for is_there in [true, false] {
        let exists = scene.producer.chunk_exists(&mut scene.stage, 0);
        assert_eq!((exists, is_archived(&scene)), (is_there, !is_there));
        if is_there {
            thaw(&mut scene.stage);
        }
    }
    scene.end();
}

const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// The same, all of which is synced.
fn with_synced_chunk() -> Scene {
    let mut scene = with_closed_chunk(Stage::with(Settings {
        probes_disk: true,
        sync: SyncWhen::Every(SYNC_PERIOD),
        ..Settings::default()
    }));
    scene.stage.pass(SYNC_PERIOD);
    scene
}

#[test]
fn files_of_a_chunk_that_waits_to_be_moved_are_not_called_safe() {
    let mut scene = with_synced_chunk();
    let unsynced = |scene: &Scene| {
        let syncs = &scene.stage.entities().totals.syncs;
        syncs.dirty_files + syncs.pending
    };
    assert_eq!(unsynced(&scene), 0);
    scene.send(1);
    freeze(&mut scene.stage);
    end_stream(&mut scene);
    scene.stage.pass(SYNC_PERIOD);
    assert_ne!(unsynced(&scene), 0);
    thaw(&mut scene.stage);
    scene.stage.pass(SYNC_PERIOD);
    assert_eq!(unsynced(&scene), 0);
    scene.end();
}

#[test]
fn files_of_a_chunk_that_cannot_be_moved_are_synced_where_they_are() {
    let mut scene = with_synced_chunk();
    scene.send(1);
    let storage = scene.stage.storage.clone();
    storage.fail(Operation::CreateDirectory, 1, "no room");
    end_stream(&mut scene);
    scene.stage.pass(PROBE_AGE_MAX);
    assert!(
        !scene
            .stage
            .tree()
            .iter()
            .any(|path| path.contains("archives/"))
    );
    let before = scene.stage.entities().totals.syncs.done;
    scene.stage.pass(SYNC_PERIOD);
    let syncs = scene.stage.entities().totals.syncs;
    assert_eq!((syncs.dirty_files, syncs.pending), (0, 0));
    assert!(syncs.done > before);
    scene.stage.pass(CHUNK_RETRY);
    assert!(
        scene
            .stage
            .tree()
            .iter()
            .any(|path| path.contains("archives/"))
    );
    scene.end();
}
