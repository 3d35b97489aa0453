//! Durability: what is synced when, and what producers are told.

use std::time::Duration;

use baton_components::wire::producer::{
    BeginDataPending, Command, DataPending, EndDataPending, QuiescentControl, code,
};
use baton_systems::memory::Operation;
use baton_systems::settings::{Amount, Settings, SyncWhen};

use crate::stage::{self, Producer, Stage};
use crate::viewer_words::{ARCHIVE, DELETE};

const PERIOD: Duration = Duration::from_secs(5);

fn synced(sync: SyncWhen) -> Stage {
    Stage::with(Settings {
        sync,
        ..Settings::default()
    })
}

fn durable() -> Stage {
    Stage::with(Settings {
        sync: SyncWhen::Every(PERIOD),
        durable_replies: true,
        ..Settings::default()
    })
}

/// A session with a trace, whose data stream has one packet.
fn begin(stage: &mut Stage) -> (Producer, u64, u64) {
    let producer = Producer::with_session(stage, 15);
    let (metadata, data) = producer.add_trace(stage, "ust/uid/0/64-bit");
    producer.send_metadata(stage, metadata, b"metadata");
    producer.send_whole_packet(stage, data, 0);
    (producer, metadata, data)
}

fn end(stage: &mut Stage, producer: &Producer, streams: &[u64]) {
    for stream in streams {
        producer.close_stream(stage, *stream, None);
    }
    producer.leave(stage);
    stage.assert_empty();
}

fn syncs(stage: &Stage) -> u64 {
    stage.storage.count(Operation::Sync)
}

/// Data, index, metadata; and `index`, the directories of the trace, those of the session and
/// its host, and the output directory.
const FILES: u64 = 3;
const DIRECTORIES: u64 = 5 + 3;

#[test]
fn a_chunk_is_synced_whole_when_it_is_closed() {
    let mut stage = synced(SyncWhen::Chunk);
    let (producer, metadata, data) = begin(&mut stage);
    stage.pass(10 * PERIOD);
    assert_eq!(syncs(&stage), 0);
    // The next chunk: the first one is closed.
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    producer.expect_ok(
        &mut stage,
        &stage::rotate(Some(1), &[(data, 1), (metadata, 0)]),
    );
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.close_chunk(&mut stage, 0, ARCHIVE);
    stage.settle();
    // They are in a directory of the archives.
    assert_eq!(syncs(&stage), FILES + DIRECTORIES + 2);
    let totals = stage.entities().totals.syncs;
    assert_eq!((totals.done, totals.failed, totals.pending), (1, 0, 0));
    producer.send_whole_packet(&mut stage, data, 1);
    end(&mut stage, &producer, &[data, metadata]);
    let after = syncs(&stage);
    assert!(after >= 2 * (FILES + DIRECTORIES), "{after}");
    assert_eq!(stage.entities().totals.syncs.done, 2);
}

#[test]
fn nothing_is_synced_without_an_option_or_of_a_chunk_that_is_deleted() {
    for sync in [SyncWhen::Never, SyncWhen::Chunk] {
        let mut stage = synced(sync);
        let (producer, metadata, data) = begin(&mut stage);
        if sync == SyncWhen::Chunk {
            producer.close_chunk(&mut stage, 0, DELETE);
        }
        end(&mut stage, &producer, &[data, metadata]);
        assert_eq!(syncs(&stage), 0, "{sync:?}");
    }
}

#[test]
fn a_period_syncs_what_has_changed_with_one_request() {
    let mut stage = synced(SyncWhen::Every(PERIOD));
    let (producer, metadata, data) = begin(&mut stage);
    for sequence in 1..50 {
        producer.send_whole_packet(&mut stage, data, sequence);
    }
    assert_eq!(syncs(&stage), 0);
    assert_eq!(stage.entities().totals.syncs.dirty_files, 2);
    stage.pass(PERIOD);
    assert_eq!(syncs(&stage), FILES + DIRECTORIES);
    assert_eq!(stage.entities().totals.syncs.done, 1);
    assert_eq!(stage.entities().totals.syncs.dirty_files, 0);
    // Nothing has changed.
    stage.pass(3 * PERIOD);
    assert_eq!(syncs(&stage), FILES + DIRECTORIES);
    // Names are as they were: the data file and its index.
    producer.send_whole_packet(&mut stage, data, 50);
    stage.pass(PERIOD);
    assert_eq!(syncs(&stage), FILES + DIRECTORIES + 2);
    end(&mut stage, &producer, &[data, metadata]);
}

#[test]
fn a_ring_under_a_cap_is_synced_and_forgotten_with_its_files() {
    let mut stage = Stage::with(Settings {
        sync: SyncWhen::Every(PERIOD),
        max_size: Amount::Bytes(1 << 20),
        ..Settings::default()
    });
    let (producer, metadata, data) = begin(&mut stage);
    for sequence in 1..100 {
        let payload = vec![7; 32 << 10];
        producer.send_packet(&mut stage, data, sequence, &payload);
        producer.send_index(&mut stage, data, sequence);
        stage.pass(PERIOD / 4);
    }
    let totals = &stage.entities().totals;
    assert!(totals.stock.removed[0].files > 10);
    assert!(totals.syncs.done > 20 && totals.syncs.failed == 0);
    end(&mut stage, &producer, &[data, metadata]);
}

/// The answers about the data stream, and about all of the session.
fn is_pending(stage: &mut Stage, producer: &Producer, streams: [u64; 2], last: u64) -> (u32, u32) {
    let [metadata, data] = streams;
    let session = stage.entities().sessions.iter().next().unwrap().1.id;
    producer.expect_ok(
        stage,
        &Command::BeginDataPending(BeginDataPending { session }),
    );
    let pending = Command::DataPending(DataPending {
        stream: data,
        last_sequence: last,
    });
    let of_stream = producer.code(stage, &pending);
    producer.expect_ok(
        stage,
        &Command::QuiescentControl(QuiescentControl { stream: metadata }),
    );
    let end = Command::EndDataPending(EndDataPending { session });
    (of_stream, producer.code(stage, &end))
}

#[test]
fn a_durable_reply_waits_for_the_sync_and_hastens_it() {
    let mut stage = durable();
    let (producer, metadata, data) = begin(&mut stage);
    stage.storage.hold_answers(true);
    let pending = is_pending(&mut stage, &producer, [metadata, data], 0);
    assert_eq!(pending, (code::PENDING, code::PENDING));
    assert_eq!(stage.entities().totals.syncs.pending, 1);
    // More comes while the disk is busy: the sync that runs does not cover it.
    producer.send_whole_packet(&mut stage, data, 1);
    stage.storage.hold_answers(false);
    stage.settle();
    let pending = is_pending(&mut stage, &producer, [metadata, data], 1);
    assert_eq!(pending.0, code::PENDING);
    stage.settle();
    let pending = is_pending(&mut stage, &producer, [metadata, data], 1);
    assert_eq!(pending, (code::NOT_PENDING, code::NOT_PENDING));
    assert_eq!(stage.entities().totals.syncs.done, 2);
    end(&mut stage, &producer, &[data, metadata]);
}

#[test]
fn after_a_sync_that_failed_nothing_is_called_safe() {
    let mut stage = durable();
    let (producer, metadata, data) = begin(&mut stage);
    stage.storage.fail(Operation::Sync, 1, "Input/output error");
    stage.pass(PERIOD);
    assert_eq!(stage.entities().totals.syncs.failed, 1);
    for sequence in 1..3 {
        producer.send_whole_packet(&mut stage, data, sequence);
        stage.pass(PERIOD);
        let pending = is_pending(&mut stage, &producer, [metadata, data], sequence);
        assert_eq!(pending, (code::PENDING, code::PENDING));
    }
    end(&mut stage, &producer, &[data, metadata]);
}

#[test]
fn a_chunk_that_moves_while_it_is_synced_is_synced_again() {
    let mut stage = synced(SyncWhen::Every(PERIOD));
    let (producer, metadata, data) = begin(&mut stage);
    producer.expect_ok(&mut stage, &stage::create_chunk(1));
    let positions = [(data, 1), (metadata, 0)];
    producer.expect_ok(&mut stage, &stage::rotate(Some(1), &positions));
    producer.send_whole_packet(&mut stage, data, 1);
    stage.storage.hold_answers(true);
    stage.pass(PERIOD);
    assert_eq!(stage.entities().totals.syncs.pending, 1);
    // The new chunk gets the directory of the session.
    producer.close_chunk(&mut stage, 0, ARCHIVE);
    stage.storage.hold_answers(false);
    stage.settle();
    let syncs = stage.entities().totals.syncs;
    assert!(syncs.dirty_files > 0 && syncs.failed == 0, "{syncs:?}");
    stage.pass(PERIOD);
    let syncs = stage.entities().totals.syncs;
    assert_eq!((syncs.dirty_files, syncs.failed), (0, 0));
    end(&mut stage, &producer, &[data, metadata]);
}
