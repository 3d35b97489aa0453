//! The burial of a chunk that has no users any more, its last rites: its files get their place,
//! or are removed.
//!
//! Removal takes as long as the disk wants, so storage is asked for it, step by step. The
//! chunk's record stays until then, and no lookup finds it: its key is another one.

use std::collections::BTreeSet;

use baton_components::chunk::{Chunk, ChunkId, CloseCommand, FileOfStream, Location, Removal};
use baton_components::directory::Directory;
use baton_components::keys::ChunkKey;
use baton_components::limits::{CHUNK_RETRIES_MAX, CHUNK_RETRY};
use baton_components::time::Now;
use baton_components::totals::{Totals, Written};
use baton_components::waits::Waiter;

use super::{chunks as places, ring};
use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::{ChunkEnd, NameFact};
use crate::ports::{StorageError, StoragePort};
use crate::probe;

/// Executes the close command of a chunk, as far as that goes now.
pub fn bury(
    entities: &mut Entities,
    directory: &mut Directory,
    storage: &mut StoragePort,
    agenda: &mut Agenda,
    now: &Now,
    key: ChunkKey,
    mut chunk: Chunk,
) {
    let key = chunk.first.unwrap_or(key);
    if places::may_move(&chunk) && !probe::may_make_names(agenda, now) {
        agenda.probes.chunks.push(keep(entities, key, chunk));
        return;
    }
    let buried = places::bury(storage, &mut chunk);
    if chunk.close == Some(CloseCommand::Delete) && chunk.removal == Removal::NotBegun {
        withdraw(entities, key, &chunk);
        note_end(entities, &chunk);
        chunk.removal = Removal::Begun;
    }
    match buried {
        Ok(Some(removal)) => {
            let key = keep(entities, key, chunk);
            let ticket = agenda.waits.add(Waiter::Chunk(key));
            storage.ask(ticket, removal);
        }
        Ok(None) => {
            if chunk.removal == Removal::NotBegun {
                note_end(entities, &chunk);
            }
            unlist(entities, directory, &chunk);
            report_done(&chunk);
            if chunk.close != Some(CloseCommand::Delete) {
                agenda.ended_chunks.push((key, chunk));
            }
        }
        Err(error) => {
            unlist(entities, directory, &chunk);
            if note_failure(&mut entities.totals, agenda, &mut chunk, &error) == Then::TryAgain {
                agenda.bury_later(now.monotonic, keep(entities, key, chunk));
            } else if chunk.removal == Removal::NotBegun {
                note_end(entities, &chunk);
                agenda.ended_chunks.push((key, chunk));
            }
        }
    }
}

/// Keeps a chunk whose last rites go on later. No lookup by its id finds the new key.
fn keep(entities: &mut Entities, key: ChunkKey, mut chunk: Chunk) -> ChunkKey {
    chunk.first = Some(key);
    entities.insert(|_| chunk)
}

/// Storage has answered a step of a chunk's removal. The next one follows in this tick.
pub fn answered(
    entities: &mut Entities,
    directory: &mut Directory,
    agenda: &mut Agenda,
    now: &Now,
    key: ChunkKey,
    outcome: Result<(), StorageError>,
) {
    let Entities { chunks, totals, .. } = &mut *entities;
    let Some(chunk) = chunks.get_mut(key) else {
        // The wait owns it.
        return;
    };
    if let Err(error) = outcome {
        let then = note_failure(totals, agenda, chunk, &error);
        let id = chunk.id;
        if then == Then::TryAgain {
            // Its producer does not wait for that.
            forget_id(entities, directory, id);
            agenda.bury_later(now.monotonic, key);
            return;
        }
        chunk.removal = Removal::GivenUp;
    } else {
        places::note_removed(chunk);
    }
    entities.disown::<Chunk>(key);
}

/// The next step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    TryAgain,
    GiveUp,
}

/// Counts a failure of the disk, and logs it.
fn note_failure(
    totals: &mut Totals,
    agenda: &Agenda,
    chunk: &mut Chunk,
    error: &StorageError,
) -> Then {
    totals.fail(Written::Chunk);
    let is_last = agenda.is_stopping || chunk.failed >= CHUNK_RETRIES_MAX;
    report_failure(chunk, error, is_last);
    chunk.failed += 1;
    if is_last {
        Then::GiveUp
    } else {
        Then::TryAgain
    }
}

/// Tells listeners that nothing is added to a chunk any more.
fn note_end(entities: &mut Entities, chunk: &Chunk) {
    if let Some(ordinal) = chunk.ordinal {
        entities.names.push(|| {
            NameFact::Closed(Box::new(ChunkEnd {
                ordinal,
                directory: chunk.directory(),
                is_deleted: chunk.close == Some(CloseCommand::Delete),
            }))
        });
    }
}

/// Viewers get no packets of deleted files any more.
fn withdraw(entities: &mut Entities, key: ChunkKey, chunk: &Chunk) {
    let files: BTreeSet<FileOfStream> = chunk.files.values().copied().collect();
    for file in files {
        ring::withdraw(entities, key, file);
        entities.names.push(|| NameFact::Removed(file));
    }
}

/// Removes a chunk from the directory, unless another has its id by now. If its files stay in
/// the session's own directory, that place is settled.
fn unlist(entities: &Entities, directory: &mut Directory, chunk: &Chunk) {
    if chunk.close.is_none() && chunk.location == Location::Session {
        directory.places.settle(&chunk.session);
    }
    forget_id(entities, directory, chunk.id);
}

fn forget_id(entities: &Entities, directory: &mut Directory, id: Option<ChunkId>) {
    let Some(id) = id else { return };
    let listed = directory.chunks.get(&id);
    if listed.is_some_and(|key| !entities.chunks.contains(*key)) {
        directory.chunks.remove(&id);
    }
}

/// Logs that the files of a chunk could not be moved, and may be hidden: once, and once
/// more if the relay stops before a retry succeeds.
fn report_failure(chunk: &Chunk, error: &StorageError, is_last: bool) {
    let (name, directory) = (chunk.name(), chunk.directory());
    if is_last {
        tracing::error!("chunk {name} stays in {directory}: {error}");
    } else if chunk.failed == 0 {
        let seconds = CHUNK_RETRY.as_secs();
        tracing::error!(
            "chunk {name} is in {directory} still: {error}; retrying every {seconds} s"
        );
    }
}

fn report_done(chunk: &Chunk) {
    let (name, directory) = (chunk.name(), chunk.directory());
    match chunk.close {
        _ if chunk.failed == 0 || chunk.removal == Removal::GivenUp => {}
        Some(CloseCommand::Delete) => tracing::info!("chunk {name} is deleted now"),
        _ => tracing::info!("chunk {name} is where it belongs now, in {directory}"),
    }
}
