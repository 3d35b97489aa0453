//! A disk that does not answer what is written for one session: others are served, and the
//! producer of that session waits with what needs the answer.

use baton_components::limits::{COMMIT_DELAY, COMMIT_RETRY};
use baton_components::wire::producer::{
    Command, DataPending, EndDataPending, QuiescentControl, code,
};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::memory::Operation;
use baton_systems::settings::Settings;

use crate::stage::{self, Producer, Stage};
use crate::viewer_words::{DATA, Scene};

/// The session of a scene.
const SESSION: u64 = 1;

fn data_pending(sequence: u64) -> Command<'static> {
    Command::DataPending(DataPending {
        stream: DATA,
        last_sequence: sequence,
    })
}

#[test]
fn others_are_served_while_the_disk_does_not_answer_a_session() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.stage.storage.hold_commits(SESSION, true);
    scene.send(1);
    assert_eq!(scene.indexes(1), "RETRY", "it is not known to be there");

    let stage = &mut scene.stage;
    let other = Producer::create(stage, 15, stage::session("other"));
    other.expect_ok(stage, &stage::create_chunk(0));
    let (metadata, data) = other.add_trace(stage, "ust");
    other.send_metadata(stage, metadata, b"metadata");
    other.send_whole_packet(stage, data, 0);
    let pending = Command::DataPending(DataPending {
        stream: data,
        last_sequence: 0,
    });
    assert_eq!(other.code(stage, &pending), code::NOT_PENDING);
    let viewer = scene.another();
    let stage = &mut scene.stage;
    let attach = Request::Attach {
        session: 2,
        seek: SEEK_BEGINNING,
    };
    assert_eq!(viewer.hear(stage, attach), "OK [3, 4]");
    assert_eq!(viewer.index(stage, 4), "OK 0 at 0 NEW_METADATA");
    viewer.leave(stage);
    other.leave(stage);

    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.settle();
    assert_eq!(scene.indexes(1), "OK 1 at 64");
    scene.end();
}

#[test]
fn a_reply_that_confirms_waits_and_others_do_not() {
    let mut scene = Scene::watched(0);
    scene.stage.storage.hold_commits(SESSION, true);
    scene.send(0);
    // Its reply confirms nothing.
    scene.command(&Command::StreamsSent);
    let asked = scene.producer.ask(&mut scene.stage, &data_pending(0));
    assert_eq!(asked, b"", "whether it is there is not known");
    // Later commands have to wait, too: replies are in order.
    let sent = scene.producer.ask(&mut scene.stage, &Command::StreamsSent);
    assert_eq!(sent, b"");
    assert_eq!(
        scene.stage.relay.unanswered(),
        ["what was recorded of session session@host is written"]
    );
    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.settle();
    let replies = scene.producer.control.take_received();
    let expected = [code::NOT_PENDING, code::OK].map(u32::to_be_bytes);
    assert_eq!(replies, expected.concat());
    let end = Command::EndDataPending(EndDataPending { session: SESSION });
    assert_eq!(
        scene.producer.code(&mut scene.stage, &end),
        code::PENDING,
        "the metadata was not asked about"
    );
    scene.end();
}

#[test]
fn a_packet_that_the_disk_refuses_is_lost_and_not_pending() {
    let mut scene = Scene::watched(1);
    scene.stage.storage.hold_commits(SESSION, true);
    let used = scene.stage.storage.used_bytes();
    scene.stage.storage.limit_bytes(Some(used + 100));
    for sequence in 1..4 {
        scene.send(sequence);
        scene.stage.pass(COMMIT_DELAY);
    }
    scene.stage.storage.limit_bytes(None);
    // It comes to a broken file.
    scene.send(4);
    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.settle();
    let pending = data_pending(4);
    assert_eq!(
        scene.producer.code(&mut scene.stage, &pending),
        code::NOT_PENDING
    );
    scene.send(5);
    let tally = scene.stage.session(SESSION).unwrap().tally;
    // The first found room.
    assert_eq!((tally.packets, tally.lost.total()), (3, 3));
    let file = scene
        .stage
        .file(&format!("{}/ust/chan_0", stage::DIRECTORY));
    let kept = [0, 1, 5].map(|sequence| stage::payload(DATA, sequence));
    assert_eq!(file, kept.concat());
    assert_eq!(
        scene.indexes(4),
        "OK 0 at 0, OK 1 at 64, OK 5 at 128, RETRY"
    );
    scene.end();
}

#[test]
fn a_data_connection_is_not_read_beyond_the_write_buffer() {
    let settings = Settings {
        write_buffer_bytes_max: 8 * 1024,
        ..Settings::default()
    };
    let mut stage = Stage::with(settings);
    let producer = Producer::with_session(&mut stage, 15);
    let (_, data) = producer.add_trace(&mut stage, "ust");
    stage.storage.hold_commits(SESSION, true);
    let packets = 1000;
    for sequence in 0..packets {
        let payload = stage::payload(data, sequence);
        producer
            .data
            .write(&client::packet(data, sequence, &payload));
        stage.settle();
    }
    let unconfirmed = stage.entities().unconfirmed_bytes;
    assert!((1024..4096).contains(&unconfirmed), "{unconfirmed}");
    // Its commands are.
    producer.send_index(&mut stage, data, 0);
    stage.storage.hold_commits(SESSION, false);
    stage.settle();
    for sequence in 1..packets {
        producer.send_index(&mut stage, data, sequence);
    }
    let tally = stage.session(SESSION).unwrap().tally;
    assert_eq!((tally.packets, tally.lost.total()), (packets, 0));
    assert_eq!(stage.entities().unconfirmed_bytes, 0);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_commit_that_is_not_answered_is_followed_by_none() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    scene.stage.storage.hold_commits(SESSION, true);
    for sequence in 1..5 {
        scene.send(sequence);
        assert_eq!(scene.indexes(1), "RETRY");
    }
    // One is asked, and one gathers, though a viewer waits.
    assert_eq!(scene.stage.entities().batches.len(), 2);
    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.settle();
    assert_eq!(scene.stage.entities().batches.len(), 0);
    let told = "OK 1 at 64, OK 2 at 128, OK 3 at 192, OK 4 at 256, RETRY";
    assert_eq!(scene.indexes(5), told);
    scene.end();
}

/// While the answer to one commit is awaited, the next becomes due; then the answer is that the
/// disk has refused an index record once more, so the next has to wait a while.
#[test]
fn a_commit_that_is_put_off_is_asked_for_later() {
    let mut scene = Scene::watched(1);
    assert_eq!(scene.indexes(1), "OK 0 at 0");
    let storage = scene.stage.storage.clone();
    // After the packet: the index record, again and again.
    for nth in 2..8 {
        storage.fail(Operation::Write, nth, "the index");
    }
    scene.send(1);
    storage.hold_commits(SESSION, true);
    scene.stage.pass(COMMIT_RETRY);
    scene.send_metadata(b"more");
    scene.stage.pass(COMMIT_DELAY);
    assert_eq!(scene.stage.entities().batches.len(), 2);
    storage.hold_commits(SESSION, false);
    scene.stage.tick();
    scene.stage.pass(COMMIT_RETRY);
    scene.stage.pass(COMMIT_RETRY);
    let pending = data_pending(1);
    assert_eq!(
        scene.producer.code(&mut scene.stage, &pending),
        code::NOT_PENDING
    );
    assert_eq!(scene.indexes(1), "OK 1 at 64 NEW_METADATA");
    scene.end();
}

/// It was moved before the disk has answered, and in the file to which it was moved it ends
/// elsewhere.
#[test]
fn a_packet_that_a_rotation_moves_is_kept_if_only_its_index_fails() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (metadata, data) = producer.add_trace(&mut stage, "ust");
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.send_whole_packet(&mut stage, data, 0);
    stage.storage.hold_commits(SESSION, true);
    producer.send_packet(&mut stage, data, 1, &stage::payload(data, 1));
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(metadata, 0), (data, 1)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.send_index(&mut stage, data, 1);
    stage.storage.fail(Operation::Write, 1, "the index");
    stage.storage.hold_commits(SESSION, false);
    stage.settle();
    let tally = stage.session(SESSION).unwrap().tally;
    assert_eq!((tally.packets, tally.lost.total()), (2, 0));
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn metadata_that_is_not_confirmed_holds_up_the_end_of_a_rotation() {
    let mut scene = Scene::watched(1);
    scene.stage.storage.hold_commits(SESSION, true);
    scene.send_metadata(b"more");
    let quiescent = Command::QuiescentControl(QuiescentControl { stream: DATA });
    let asked = scene.producer.ask(&mut scene.stage, &quiescent);
    assert_eq!(asked, b"", "whether it is there is not known");
    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.settle();
    let replies = scene.producer.control.take_received();
    assert_eq!(replies, code::OK.to_be_bytes());
    scene.end();
}

#[test]
fn a_session_is_over_when_what_it_has_recorded_is_in_its_files() {
    let mut scene = Scene::watched(1);
    scene.stage.storage.hold_commits(SESSION, true);
    scene.send_metadata(b"more");
    scene.send(1);
    scene.viewer.leave(&mut scene.stage);
    scene.producer.leave(&mut scene.stage);
    assert!(scene.stage.session(SESSION).is_some());
    assert!(scene.stage.storage.open_files() > 0);
    scene.stage.storage.hold_commits(SESSION, false);
    scene.stage.assert_empty();
    let file = scene
        .stage
        .file(&format!("{}/ust/metadata", stage::DIRECTORY));
    assert_eq!(file, b"metamore");
}
