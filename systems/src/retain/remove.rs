//! Removal: of a file, or of a closed chunk.
//!
//! Viewers are moved on at once. A file that they hold for a packet that they asked for is taken from
//! them after a while; at once, if there is more than the cap.

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::keys::FileKey;
use baton_components::limits::REMOVED_PATIENCE;
use baton_components::path::RelativePath;
use baton_components::shown::Size;
use baton_components::totals::Excess;

use super::asking::{ask, draw};
use super::ledger::{Account, ChunkNumber, Closed};
use super::policy::{self, Victim, What};
use super::{Held, Job, Retain};
use crate::facts::NameFact;
use crate::lists;
use crate::ports::{StorageError, StorageErrorKind};
use crate::record::ring;
use crate::requests::Request;

/// The next victim.
pub fn next(retain: &mut Retain) -> Option<Victim> {
    let now = retain.now.monotonic;
    let retention = &mut *retain.retention;
    while let Some(session) = retention.changed.first() {
        let account = retention.ledger.account(session);
        let victim = account.and_then(|account| policy::next_of(&retention.caps, account));
        if victim.is_some() {
            return victim;
        }
        retention.changed.pop_first();
    }
    let stock = (&retention.ledger, retain.entities.unconfirmed_bytes);
    policy::next(&retention.caps, stock, &retention.calendar, now)
}

/// Begins to remove it.
pub fn begin(retain: &mut Retain, Victim { what, why }: Victim) {
    match what {
        What::File(file) => remove_file(retain, file, why),
        What::Chunk(number) => remove_chunk(retain, number, why),
    }
}

fn remove_file(retain: &mut Retain, file: FileOfStream, why: Excess) {
    let names = match hide(retain, file) {
        Ok(Some(names)) => names,
        Ok(None) => return retain.retention.ledger.keep(file),
        Err(error) => {
            retain.entities.totals.stock.failed += 1;
            tracing::error!("a file that is too much stays: {error}");
            return retain.retention.ledger.keep(file);
        }
    };
    let Some(piece) = retain.retention.ledger.take_file(file) else {
        return;
    };
    let facts = &mut retain.entities.names;
    facts.push(|| NameFact::Removed(file));
    let bytes = piece.bytes();
    let removed = &mut retain.entities.totals.stock.removed[why as usize];
    removed.files += 1;
    removed.bytes += bytes;
    removed.packets += piece.packets;
    retain.retention.leaving_bytes += bytes;
    let files = ring::remove(&mut retain.entities, file);
    let held = Held {
        stream: Some(file.stream),
        files,
        since: retain.now.monotonic,
        job: Job::File { bytes },
        names,
    };
    retain.retention.held.push(held);
}

/// Gives a file and its index hidden names, which it returns. None: it cannot be known where
/// they are, or a user wants them to be kept.
fn hide(
    retain: &mut Retain,
    file: FileOfStream,
) -> Result<Option<Vec<RelativePath>>, StorageError> {
    let retention = &retain.retention;
    let piece = retention.ledger.piece(file);
    let recorded = piece.and_then(|piece| retention.ledger.recorded(piece.chunk));
    let (Some(piece), Some(recorded)) = (piece, recorded) else {
        return Ok(None);
    };
    let (names, key) = (piece.names.clone(), recorded.chunk);
    let chunk = retain.entities.chunks.get(key);
    let Some(directory) = chunk.filter(|it| it.moving.is_none()).map(Chunk::directory) else {
        return Ok(None);
    };
    let kept = names
        .iter()
        .filter_map(|name| directory.join(name).parent());
    for pin in kept
        .take(1)
        .flat_map(|directory| directory.pins().collect::<Vec<_>>())
    {
        if retain.storage.exists(&pin)? {
            return Ok(None);
        }
    }
    retain
        .storage
        .create_directory(&lists::removed_directory())?;
    let mut hidden = Vec::new();
    for name in names {
        let to = lists::removed(draw(retain));
        match retain.storage.rename(&directory.join(&name), &to) {
            Ok(()) => hidden.push(to),
            // A user has removed it.
            Err(error) if error.kind == StorageErrorKind::Gone => {}
            Err(error) => return Err(error),
        }
        if let Some(chunk) = retain.entities.chunks.get_mut(key) {
            chunk.files.remove(&name);
        }
    }
    Ok(Some(hidden))
}

fn remove_chunk(retain: &mut Retain, number: ChunkNumber, why: Excess) {
    let Some(chunk) = retain.retention.ledger.take_chunk(number) else {
        return;
    };
    let removed = &mut retain.entities.totals.stock.removed[why as usize];
    removed.chunks += 1;
    removed.bytes += chunk.bytes;
    removed.packets += chunk.packets;
    tracing::info!(
        "a chunk of {} goes, {}: {}",
        chunk.session,
        Size(chunk.bytes),
        reason(why)
    );
    retain.retention.leaving_bytes += chunk.bytes;
    let mut files: Vec<FileKey> = Vec::new();
    for file in &chunk.files {
        files.extend(ring::remove(&mut retain.entities, *file));
        ring::withhold(&mut retain.entities, file.stream, &files);
    }
    let held = Held {
        stream: None,
        files,
        since: retain.now.monotonic,
        job: Job::Chunk {
            number,
            chunk: Box::new(chunk),
        },
        names: Vec::new(),
    };
    retain.retention.held.push(held);
}

fn reason(why: Excess) -> &'static str {
    match why {
        Excess::Size => "there is more than --max-size",
        Excess::Session => "its session has more than --max-session-size",
        Excess::Age => "it is older than --max-age",
        Excess::Count => "its session has more than --max-chunks",
    }
}

/// Takes removed files from viewers that have held them long enough.
pub fn withhold(retain: &mut Retain) {
    let now = retain.now.monotonic;
    let retention = &mut *retain.retention;
    let used = retention.ledger.used() + retention.leaving_bytes;
    let is_above = retention.caps.size.is_some_and(|cap| used > cap);
    for held in &retention.held {
        let is_over = is_above || now.saturating_sub(held.since) >= REMOVED_PATIENCE;
        if let Some(stream) = held.stream.filter(|_| is_over) {
            ring::withhold(&mut retain.entities, stream, &held.files);
        }
    }
}

/// Asks storage for the removal of files that nobody holds.
pub fn release(retain: &mut Retain) {
    let held = std::mem::take(&mut retain.retention.held);
    for held in held {
        let files = &retain.entities.files;
        if held.files.iter().any(|file| files.contains(*file)) {
            retain.retention.held.push(held);
            continue;
        }
        let request = match &held.job {
            Job::Chunk { number, chunk } => {
                let account = retain.retention.ledger.account(&chunk.session);
                Request::RemoveListed {
                    list: lists::path(*number),
                    with_session: account.is_none_or(Account::is_over),
                }
            }
            _ => Request::Remove {
                within: lists::removed_directory(),
                files: held.names,
                directories: Vec::new(),
            },
        };
        ask(retain, request, held.job);
    }
}

pub fn file_answered(retain: &mut Retain, bytes: u64, outcome: Result<(), StorageError>) {
    retain.retention.leaving_bytes -= bytes;
    if let Err(error) = outcome {
        retain.entities.totals.stock.failed += 1;
        tracing::error!("a removed file takes its place until the next start: {error}");
    }
}

/// A chunk that was not removed counts again, and stays until a survey finds that it may go.
pub fn chunk_answered(
    retain: &mut Retain,
    number: ChunkNumber,
    mut chunk: Closed,
    outcome: Result<(), StorageError>,
) {
    retain.retention.leaving_bytes -= chunk.bytes;
    let Err(error) = outcome else {
        return;
    };
    if error.kind == StorageErrorKind::Pinned {
        tracing::info!("a chunk of {} stays: {}", chunk.session, error.reason);
    } else {
        retain.entities.totals.stock.failed += 1;
        tracing::error!("a chunk of {} stays: {error}", chunk.session);
    }
    chunk.is_pinned = true;
    retain.retention.ledger.close(number, chunk);
}
