//! The reserve: disk space that stays free.

use std::time::Duration;

use baton_components::path::RelativePath;
use baton_components::tally::Cause;
use baton_components::wire::producer::Command;
use baton_systems::settings::{Amount, MinFree, Settings, WhenFull};

use super::{PACKET, begin, end, payload, send};
use crate::stage::{self, DIRECTORY, Producer, Stage};

const DISK: u64 = 4 << 20;
const MIN_FREE: u64 = 1 << 20;

fn small(when_full: WhenFull) -> Stage {
    let stage = Stage::with(Settings {
        min_free: MinFree::Amount(Amount::Bytes(MIN_FREE)),
        when_full,
        ..Settings::default()
    });
    stage.storage.limit_bytes(Some(DISK));
    stage
}

/// A file of another program, which leaves less free than is to be.
fn ballast() -> RelativePath {
    RelativePath::parse(b"theirs").unwrap()
}

fn fill(stage: &mut Stage) {
    stage
        .storage
        .put(&ballast(), &vec![1; (DISK - MIN_FREE) as usize]);
    // The disk is asked again, and answers.
    for _ in 0..3 {
        stage.pass(Duration::from_millis(300));
    }
}

fn dropped(stage: &Stage) -> u64 {
    stage.entities().totals.tally.lost.of(Cause::DiskFull)
}

#[test]
fn packets_are_dropped_while_less_is_free_and_metadata_is_not() {
    let mut stage = small(WhenFull::Drop);
    let (producer, metadata, data) = begin(&mut stage);
    send(&mut stage, &producer, data, 0);
    assert_eq!(dropped(&stage), 0);
    fill(&mut stage);
    let used = stage.storage.used_bytes();
    for sequence in 1..4 {
        send(&mut stage, &producer, data, sequence);
    }
    assert_eq!(dropped(&stage), 3);
    producer.send_metadata(&mut stage, metadata, b", more");
    let file = stage.file(&format!("{DIRECTORY}/ust/metadata"));
    assert_eq!(file, b"metadata, more");
    assert!(stage.storage.used_bytes() < used + 4096);
    // No session begins, and another one does when there is room again.
    let other = Producer::connect(&mut stage, 15);
    let create = Command::CreateSession(stage::session("other"));
    assert!(other.try_make(&mut stage, &create).is_none());
    stage.storage.take(&ballast());
    stage.pass(Duration::from_millis(1100));
    stage.pass(Duration::from_millis(100));
    assert!(other.try_make(&mut stage, &create).is_some());
    send(&mut stage, &producer, data, 4);
    assert_eq!(dropped(&stage), 3);
    let file = stage.file(&format!("{DIRECTORY}/ust/chan_0"));
    assert!(file == [payload(data, 0), payload(data, 4)].concat());
    other.leave(&mut stage);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}

#[test]
fn a_producer_that_is_to_wait_loses_nothing() {
    let mut stage = small(WhenFull::Wait);
    let (producer, metadata, data) = begin(&mut stage);
    send(&mut stage, &producer, data, 0);
    fill(&mut stage);
    send(&mut stage, &producer, data, 1);
    let path = format!("{DIRECTORY}/ust/chan_0");
    assert_eq!(stage.file(&path).len(), PACKET);
    stage.storage.take(&ballast());
    stage.pass(Duration::from_millis(1100));
    stage.pass(Duration::from_millis(100));
    assert!(stage.file(&path) == [payload(data, 0), payload(data, 1)].concat());
    assert_eq!(dropped(&stage), 0);
    end(&mut stage, &producer, &[data, metadata]);
    stage.assert_empty();
}
