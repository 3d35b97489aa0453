//! Commit: the records of complete packets go to disk.
//!
//! Those of a file in one write, when their time has come: after a short wait for more
//! of them, before a reply that promises that they are written, or when a viewer comes
//! to them (`serve::next_index`). A record that the disk does not take is tried again
//! in the next tick: its packet is there, and nothing but room is missing.

use baton_components::keys::TraceFileKey;
use baton_components::limits::UNWRITTEN_RECORDS_BYTES_MAX;
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::StoragePort;
use crate::record::index_records;

/// Writes the records whose time has come. Those that the disk does not take get another.
pub fn commit(
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
    mut failing: Local<bool>,
) {
    let asked = std::mem::take(&mut agenda.commit_now);
    let late = agenda.commit_by.take_if(|by| *by <= now.monotonic);
    if asked || late.is_some() {
        write_records(
            &mut entities,
            &mut storage,
            &mut agenda.indexed,
            &mut failing,
        );
    }
    if !agenda.indexed.is_empty() {
        agenda.expect_commit(now.monotonic);
    }
}

/// Writes the records of all files in a list. Those that the disk does not take stay in
/// it.
fn write_records(
    entities: &mut Entities,
    storage: &mut StoragePort,
    indexed: &mut Vec<TraceFileKey>,
    failing: &mut bool,
) {
    let mut failed = false;
    indexed.retain(|key| {
        // One that is gone has written its last.
        let Some(file) = entities.trace_files.get_mut(*key) else {
            return false;
        };
        let Err(error) = index_records::flush(storage, file) else {
            return false;
        };
        if !*failing && !failed {
            tracing::error!("index records wait: {error}");
        }
        failed = true;
        let waiting = file.index.as_ref().map_or(0, |index| index.fresh.len());
        let kept = waiting <= UNWRITTEN_RECORDS_BYTES_MAX;
        if !kept {
            index_records::give_up(storage, file, &error);
        }
        kept
    });
    if *failing && !failed {
        tracing::warn!("index records are written again");
    }
    *failing = failed;
}
