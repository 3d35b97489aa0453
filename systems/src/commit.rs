//! Commit: what was ingested in this tick becomes visible.
//!
//! The records of a file go to disk in one write, and only then do viewers see them.
//! A record that the disk does not take is tried again in the next tick: its packet
//! is there, and nothing but room is missing.

use baton_components::limits::UNWRITTEN_RECORDS_BYTES_MAX;
use bevy_ecs::system::{Local, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::StoragePort;
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
    indexed.retain(|key| {
        // One that is gone has written its last.
        let Some(file) = entities.trace_files.get_mut(*key) else {
            return false;
        };
        let Err(error) = trace_files::flush(&mut storage, file) else {
            return false;
        };
        if !*failing && !failed {
            tracing::error!("index records wait: {error}");
        }
        failed = true;
        let waiting = file.index.as_ref().map_or(0, |index| index.fresh.len());
        let kept = waiting <= UNWRITTEN_RECORDS_BYTES_MAX;
        if !kept {
            trace_files::give_up_records(&mut storage, file, &error);
        }
        kept
    });
    if *failing && !failed {
        tracing::warn!("index records are written again");
    }
    *failing = failed;
    agenda.indexed = indexed;
}
