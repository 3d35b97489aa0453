//! The directories of chunks: their names during a rotation, and archiving or deleting them
//! in the end.
//!
//! While one chunk is being closed and the next is open, both have temporary names.
//! Only directories move; open files are not disturbed.

use std::mem::discriminant;

use baton_components::chunk::{Chunk, CloseCommand, Location, Removal};
use baton_components::limits::NAMES_REMOVED_AT_ONCE;
use baton_components::path::RelativePath;

use crate::ports::{StorageError, StorageErrorKind, StoragePort};
use crate::record::places;
use crate::requests::Request;

/// Directory of the chunk that is being closed.
const OLD: &[u8] = b".tmp_old_chunk";
/// Directory of the chunk that follows it.
const NEW: &[u8] = b".tmp_new_chunk";

/// Moves a chunk that is to be closed to its temporary directory, so that the next one can
/// use the session's.
pub fn set_aside(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    match chunk.location {
        Location::Session | Location::Named(_) => {
            relocate(storage, chunk, Location::Temporary(name(OLD)))
        }
        // It is aside already, or it stays where its producer wants it.
        Location::Temporary(_) | Location::Overridden(_) => Ok(()),
    }
}

/// Makes the directory of a new chunk; it must not exist, unless it is that of the session.
pub fn make(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    if let Some(name) = chunk.location.name_mut() {
        let made = places::claim(storage, &chunk.session, name.as_bytes())?;
        *name = last(&made);
        Ok(())
    } else {
        storage.create_directory(&chunk.session)
    }
}

/// The location of a chunk that begins before the one before it is closed.
pub fn next_location() -> Location {
    Location::Temporary(name(NEW))
}

/// Gives a chunk's files their location. A name that is taken gets a number.
pub fn relocate(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    location: Location,
) -> Result<(), StorageError> {
    finish_move(storage, chunk)?;
    if discriminant(&chunk.location) == discriminant(&location) {
        return Ok(());
    }
    chunk.moving = Some(prepare(storage, chunk, location)?);
    finish_move(storage, chunk)
}

/// Chooses a name that is free, and makes a directory that is to get a part of what is in
/// the session's.
fn prepare(
    storage: &mut StoragePort,
    chunk: &Chunk,
    mut location: Location,
) -> Result<Location, StorageError> {
    match location.name_mut() {
        None => storage.create_directory(&chunk.session)?,
        Some(name) if chunk.location == Location::Session => {
            *name = last(&places::claim(storage, &chunk.session, name.as_bytes())?);
        }
        Some(name) => {
            *name = last(&places::free_name(
                storage,
                &chunk.session,
                name.as_bytes(),
            )?);
        }
    }
    Ok(location)
}

/// Moves the files that are to be moved, and those that a failure of the disk left where
/// they were.
fn finish_move(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    let Some(location) = chunk.moving.clone() else {
        return Ok(());
    };
    let (from, to) = (chunk.directory(), chunk.directory_at(&location));
    if from != chunk.session && to != chunk.session {
        // It is moved as a whole or not at all; another attempt chooses a name anew.
        chunk.moving = None;
        storage.rename(&from, &to)?;
    } else {
        // Into the session's directory or out of it: that directory stays, with all
        // that is not of this chunk.
        for top in chunk.tops() {
            move_once(storage, &from.join(top), &to.join(top))?;
        }
        if from != chunk.session {
            storage.remove_directory(&from)?;
        }
    }
    chunk.location = location;
    chunk.moving = None;
    Ok(())
}

/// Renames; no error if an earlier attempt has moved it.
fn move_once(
    storage: &mut StoragePort,
    from: &RelativePath,
    to: &RelativePath,
) -> Result<(), StorageError> {
    match storage.rename(from, to) {
        Err(error) if error.kind == StorageErrorKind::Gone && storage.exists(to)? => Ok(()),
        renamed => renamed,
    }
}

/// Executes the close command of a chunk that has no users any more. Gives what storage is to
/// be asked for before it can go on; none: it is done. After a failure of the disk it can be
/// tried again.
pub fn bury(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<Option<Request>, StorageError> {
    if chunk.removal == Removal::NotBegun {
        settle_place(storage, chunk)?;
    }
    Ok(match chunk.close {
        Some(CloseCommand::Delete) => removal(chunk),
        Some(CloseCommand::Archive) | None => None,
    })
}

/// Whether the files of a chunk that has no users any more may have to be moved, or its directory
/// removed.
pub fn may_move(chunk: &Chunk) -> bool {
    let moves = match chunk.close {
        Some(CloseCommand::Archive) => true,
        Some(CloseCommand::Delete) => false,
        None => matches!(chunk.location, Location::Temporary(_)) || is_unused(chunk),
    };
    chunk.removal == Removal::NotBegun && (chunk.moving.is_some() || moves)
}

/// Gives the files of a chunk that has no users any more their place.
fn settle_place(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    if let Err(error) = finish_move(storage, chunk) {
        if chunk.close.is_some() || !matches!(chunk.location, Location::Temporary(_)) {
            return Err(error);
        }
        // Other files may be in the way permanently: files that are still hidden get the
        // chunk's own name.
        chunk.moving = None;
    }
    match chunk.close {
        Some(CloseCommand::Archive) => archive(storage, chunk),
        None if is_unused(chunk) => storage.remove_directory(&chunk.directory()),
        // Its session ended in the middle of a rotation: a temporary name would hide its
        // files.
        None if matches!(chunk.location, Location::Temporary(_)) => {
            let location = named_location(chunk);
            relocate(storage, chunk, location)
        }
        // A deleted chunk is removed where it is.
        Some(CloseCommand::Delete) | None => Ok(()),
    }
}

/// Whether its session ended before anything was recorded in it, and it has a directory.
fn is_unused(chunk: &Chunk) -> bool {
    chunk.end.is_none() && chunk.directories.is_empty() && chunk.location != Location::Session
}

fn archive(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    let archives = named(&chunk.session, places::ARCHIVES);
    storage.create_directory(&archives)?;
    // Moved to the archives with one rename, so that readers of the archives see whole
    // chunks only.
    set_aside(storage, chunk)?;
    let path = places::free_name(storage, &archives, chunk.name().as_bytes())?;
    storage.rename(&chunk.directory(), &path)?;
    if let Some(below) = path.below(&chunk.session) {
        chunk.location = Location::Named(below);
    }
    Ok(())
}

/// Where a chunk will be once it is archived.
pub fn archived(chunk: &Chunk) -> RelativePath {
    named(
        &named(&chunk.session, places::ARCHIVES),
        chunk.name().as_bytes(),
    )
}

/// The location that has the chunk's name.
pub fn named_location(chunk: &Chunk) -> Location {
    Location::Named(name_of(chunk))
}

pub fn name_of(chunk: &Chunk) -> RelativePath {
    name(chunk.name().as_bytes())
}

/// The next step of removing the files that the chunk created, and its directories if they
/// are then empty. Files of others remain. None: nothing is left.
fn removal(chunk: &Chunk) -> Option<Request> {
    if matches!(chunk.removal, Removal::Done | Removal::GivenUp) {
        return None;
    }
    let directory = chunk.directory();
    let files = chunk.files.keys().take(NAMES_REMOVED_AT_ONCE);
    let files: Vec<RelativePath> = files.map(|file| directory.join(file)).collect();
    // A path sorts before those below it: last to first is deepest first.
    let directories = chunk.directories.iter().rev();
    let directories = directories.take(NAMES_REMOVED_AT_ONCE - files.len());
    let mut directories: Vec<RelativePath> = directories.map(|path| directory.join(path)).collect();
    let is_last = files.len() + directories.len() < NAMES_REMOVED_AT_ONCE;
    if is_last && directory != chunk.session {
        directories.push(directory);
    }
    Some(Request::Remove {
        within: chunk.session.clone(),
        files,
        directories,
    })
}

/// Notes that storage has done that step.
pub fn note_removed(chunk: &mut Chunk) {
    let mut count = NAMES_REMOVED_AT_ONCE;
    while count > 0 && chunk.files.pop_first().is_some() {
        count -= 1;
    }
    while count > 0 && chunk.directories.pop_last().is_some() {
        count -= 1;
    }
    if count > 0 {
        chunk.removal = Removal::Done;
    }
}

fn last(path: &RelativePath) -> RelativePath {
    name(path.components().last().unwrap_or_default())
}

fn name(bytes: &[u8]) -> RelativePath {
    named(&RelativePath::root(), bytes)
}

fn named(directory: &RelativePath, name: &[u8]) -> RelativePath {
    directory
        .child(name)
        .expect("law: names of chunks were checked or made here")
}
