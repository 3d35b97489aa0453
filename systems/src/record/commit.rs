//! Group commit of the index records of complete packets.
//!
//! The records of a file are written with one write: after a short wait for more of them,
//! before a reply that confirms them, or when a viewer reaches them (`serve::next_index`).
//! If the write fails, it is tried again in the next tick, since the packet is there and
//! only disk space is missing.

use baton_components::keys::TraceFileKey;
use baton_components::limits::UNWRITTEN_RECORDS_BYTES_MAX;
use baton_components::time::Now;
use baton_components::totals::Written;
use bevy_ecs::system::{Local, Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::StoragePort;
use crate::record::index_records;

/// Writes the records that are due. After a failure they are tried again.
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

/// Writes the records of all files in a list. Files whose write failed stay in it.
fn write_records(
    entities: &mut Entities,
    storage: &mut StoragePort,
    indexed: &mut Vec<TraceFileKey>,
    failing: &mut bool,
) {
    let mut failed = false;
    indexed.retain(|key| {
        // A stale key: the file was closed.
        let Some(file) = entities.trace_files.get_mut(*key) else {
            return false;
        };
        let Err(error) = index_records::flush(storage, file) else {
            return false;
        };
        if !*failing && !failed {
            tracing::error!("cannot write index records yet, they wait: {error}");
        }
        failed = true;
        entities.totals.fail(Written::Index);
        let waiting = file.index.as_ref().map_or(0, |index| index.fresh.len());
        let kept = waiting <= UNWRITTEN_RECORDS_BYTES_MAX;
        if !kept {
            index_records::give_up(storage, file, &error);
        }
        kept
    });
    if *failing && !failed {
        tracing::warn!("index records can be written again");
    }
    *failing = failed;
}
