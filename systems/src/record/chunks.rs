//! The directories of chunks: where they are while a session rotates, and what
//! becomes of them in the end.
//!
//! While one chunk is being closed and the next is open, both have temporary names.
//! Only directories move; open files are not disturbed.

use std::mem::discriminant;

use baton_components::chunk::{Chunk, CloseCommand, Place};
use baton_components::path::RelativePath;

use crate::ports::{StorageError, StoragePort};
use crate::record::places;

/// Directory of the chunk that is being closed.
const OLD: &[u8] = b".tmp_old_chunk";
/// Directory of the chunk that follows it.
const NEW: &[u8] = b".tmp_new_chunk";

/// Moves a chunk that is to be closed out of the way of the next.
pub fn set_aside(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    match chunk.place {
        Place::Session | Place::Named(_) => relocate(storage, chunk, Place::Temporary(name(OLD))),
        // It is aside already, or it stays where its producer wants it.
        Place::Temporary(_) | Place::Overridden(_) => Ok(()),
    }
}

/// Makes the directory of a new chunk: newly, unless it is that of the session.
pub fn make(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    if let Some(name) = chunk.place.name_mut() {
        let made = places::claim(storage, &chunk.session, name.as_bytes())?;
        *name = last(&made);
        Ok(())
    } else {
        storage.create_directory(&chunk.session)
    }
}

/// The place of a chunk that begins before the one before it is closed.
pub fn next_place() -> Place {
    Place::Temporary(name(NEW))
}

/// Gives a chunk's files their place. A name that is taken gets a number.
pub fn relocate(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    place: Place,
) -> Result<(), StorageError> {
    finish_move(storage, chunk)?;
    if discriminant(&chunk.place) == discriminant(&place) {
        return Ok(());
    }
    chunk.moving = Some(prepare(storage, chunk, place)?);
    finish_move(storage, chunk)
}

/// Chooses a name that is free, and makes a directory that is to get a part of what is in
/// the session's.
fn prepare(
    storage: &mut StoragePort,
    chunk: &Chunk,
    mut place: Place,
) -> Result<Place, StorageError> {
    match place.name_mut() {
        None => storage.create_directory(&chunk.session)?,
        Some(name) if chunk.place == Place::Session => {
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
    Ok(place)
}

/// Moves the files that are to be moved, and those that a failure of the disk left where
/// they were.
fn finish_move(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    let Some(place) = chunk.moving.clone() else {
        return Ok(());
    };
    let (from, to) = (chunk.directory(), chunk.directory_at(&place));
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
    chunk.place = place;
    chunk.moving = None;
    Ok(())
}

/// As a rename, of what an earlier attempt may have moved.
fn move_once(
    storage: &mut StoragePort,
    from: &RelativePath,
    to: &RelativePath,
) -> Result<(), StorageError> {
    let Err(error) = storage.rename(from, to) else {
        return Ok(());
    };
    if !storage.exists(from)? && storage.exists(to)? {
        Ok(())
    } else {
        Err(error)
    }
}

/// Does what a chunk's close asked for. Nobody uses it any more. What the disk does not
/// do can be tried again.
pub fn bury(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    if let Err(error) = finish_move(storage, chunk) {
        if chunk.close.is_some() || !matches!(chunk.place, Place::Temporary(_)) {
            return Err(error);
        }
        // Somebody else's files may be in the way, for good: what is still hidden gets the
        // chunk's own name.
        chunk.moving = None;
    }
    match chunk.close {
        Some(CloseCommand::Archive) => archive(storage, chunk),
        Some(CloseCommand::Delete) => delete(storage, chunk),
        // Its session ended before anything was recorded in it.
        None if chunk.end.is_none()
            && chunk.directories.is_empty()
            && chunk.place != Place::Session =>
        {
            storage.remove_directory(&chunk.directory())
        }
        // Its session ended in the middle of a rotation: a temporary name would hide
        // what it recorded.
        None if matches!(chunk.place, Place::Temporary(_)) => {
            let place = named_place(chunk);
            relocate(storage, chunk, place)
        }
        None => Ok(()),
    }
}

fn archive(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    let archives = named(&chunk.session, places::ARCHIVES);
    storage.create_directory(&archives)?;
    // Out of the session's directory in one move, so that whoever looks into the
    // archives sees a chunk that is whole.
    set_aside(storage, chunk)?;
    let path = places::free_name(storage, &archives, chunk.name().as_bytes())?;
    storage.rename(&chunk.directory(), &path)
}

/// Where a chunk will be once it is archived.
pub fn archived(chunk: &Chunk) -> RelativePath {
    named(
        &named(&chunk.session, places::ARCHIVES),
        chunk.name().as_bytes(),
    )
}

/// The place that has the chunk's name.
pub fn named_place(chunk: &Chunk) -> Place {
    Place::Named(name_of(chunk))
}

pub fn name_of(chunk: &Chunk) -> RelativePath {
    name(chunk.name().as_bytes())
}

/// Removes the files and the directories that were made in the chunk, if these are empty
/// then. What others put there stays.
fn delete(storage: &mut StoragePort, chunk: &Chunk) -> Result<(), StorageError> {
    let directory = chunk.directory();
    for file in chunk.files.keys() {
        storage.remove_file(&directory.join(file))?;
    }
    // A path sorts before those below it: last to first is deepest first.
    for path in chunk.directories.iter().rev() {
        storage.remove_directory(&directory.join(path))?;
    }
    if directory == chunk.session {
        Ok(())
    } else {
        storage.remove_directory(&directory)
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
