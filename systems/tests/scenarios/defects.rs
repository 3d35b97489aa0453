//! Defects of the original, and Baton's behaviour instead.
//!
//! Here is what shows on disk or in a session's further life. Refusals are rows of
//! `producer_table`; rotations with packets beyond the position, and streams that wait
//! for what cannot come, are in `producer_scenarios`.

mod directories;
mod disk;
mod faults;
mod full_metadata;
mod hidden;
mod sharing;
mod strangers;
mod streams;

use baton_components::keys::FileKey;
use baton_components::limits::{COMMIT_RETRY, RESTORES_MAX};
use baton_components::path::RelativePath;
use baton_components::wire::producer::{CreateSession, Origin};
use baton_systems::ports::Storage as _;
use baton_systems::requests::Lane;

use crate::stage::{self, Producer, Stage};

/// Somebody else puts a file on the disk.
fn put_file(stage: &Stage, path: &str, bytes: &[u8]) {
    let path = RelativePath::parse(path.as_bytes()).unwrap();
    let mut disk = stage.storage.clone();
    let key = FileKey::default();
    disk.create_directory(&path.parent().unwrap()).unwrap();
    disk.create_file(key, &path, Lane::default()).unwrap();
    disk.write(key, 0, bytes);
    disk.close(key);
}

/// A session of that number at its session daemon.
fn numbered_session(number: u64) -> CreateSession<'static> {
    let command = stage::session("session");
    CreateSession {
        origin: command.origin.map(|origin| Origin {
            session: number,
            ..origin
        }),
        ..command
    }
}

/// A producer with chunk 0, its streams 1 and 2 in "ust", and packet 0.
fn recording(stage: &mut Stage) -> Producer {
    let producer = Producer::with_session(stage, 15);
    assert_eq!(producer.add_trace(stage, "ust"), (METADATA, DATA));
    producer.send_metadata(stage, METADATA, b"metadata");
    producer.send_whole_packet(stage, DATA, 0);
    producer
}

/// Passes so much time that a disk which stays as it is has been asked for the last time.
fn ask_the_disk_until_the_end(stage: &mut Stage) {
    for _ in 0..=RESTORES_MAX {
        stage.pass(COMMIT_RETRY);
    }
}

/// The streams of [`recording`].
const METADATA: u64 = 1;
const DATA: u64 = 2;
