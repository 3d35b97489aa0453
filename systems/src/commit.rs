//! Commit: what was ingested in this tick becomes visible.
//!
//! The records of a file go to disk in one write, and only then do viewers see them.
//! A record that the disk does not take is tried again in the next tick: its packet
//! is there, and nothing but room is missing.

use baton_components::keys::TraceFileKey;
use baton_components::limits::UNWRITTEN_RECORDS_BYTES_MAX;
use bevy_ecs::system::{Local, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};
use crate::trace_files;

pub fn commit(
    mut entities: Entities,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    mut failing: Local<bool>,
) {
    if agenda.indexed.is_empty() {
        return;
    }
    let mut indexed = std::mem::take(&mut agenda.indexed);
    indexed.sort_unstable();
    indexed.dedup();
    let mut failed = false;
    indexed.retain(
        |file| match trace_files::flush(&mut entities, &mut storage, *file) {
            Ok(()) => false,
            Err(error) => {
                if !*failing && !failed {
                    tracing::error!("index records wait: {error}");
                }
                failed = true;
                keep(&mut entities, &mut storage, *file, &error)
            }
        },
    );
    if *failing && !failed {
        tracing::warn!("index records are written again");
    }
    *failing = failed;
    agenda.indexed = indexed;
}

/// Whether the records of a file are kept for the next try: there is an end to what
/// is kept.
fn keep(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
    error: &StorageError,
) -> bool {
    let file = entities.trace_files.get(key);
    let waiting = file
        .and_then(|file| file.index.as_ref())
        .map_or(0, |index| index.fresh.len());
    let kept = waiting <= UNWRITTEN_RECORDS_BYTES_MAX;
    if !kept {
        trace_files::give_up_records(entities, storage, key, error);
    }
    kept
}
