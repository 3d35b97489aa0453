//! The directories of chunks: where they are while a session rotates, and what
//! becomes of them in the end.
//!
//! While one chunk is being closed and the next is open, both have temporary names.
//! Only directories move; open files are not disturbed.

use baton_components::chunk::{Chunk, CloseCommand, Place};
use baton_components::path::RelativePath;

use crate::ports::{StorageError, StoragePort};

/// Directory of a session's closed chunks.
const ARCHIVES: &[u8] = b"archives";
/// Directory of the chunk that is being closed.
const OLD: &str = ".tmp_old_chunk";
/// Directory of the chunk that follows it.
const NEW: &str = ".tmp_new_chunk";

/// Moves a chunk that is to be closed out of the way of the next.
pub fn set_aside(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    match chunk.place {
        Place::Session | Place::Named(_) => {
            let place = temporary(storage, chunk, OLD)?;
            relocate(storage, chunk, place)
        }
        // It is aside already, or it stays where its producer wants it.
        Place::Temporary(_) | Place::Overridden(_) => Ok(()),
    }
}

/// Makes the directory of a new chunk.
pub fn make(storage: &mut StoragePort, chunk: &Chunk) -> Result<(), StorageError> {
    storage.create_directory(&chunk.directory())
}

/// The place of a chunk that begins before the one before it is closed.
pub fn next_place(storage: &mut StoragePort, chunk: &Chunk) -> Result<Place, StorageError> {
    temporary(storage, chunk, NEW)
}

/// Gives a chunk's files their place.
pub fn relocate(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    place: Place,
) -> Result<(), StorageError> {
    finish_move(storage, chunk)?;
    chunk.moving = Some(place);
    finish_move(storage, chunk)
}

/// Moves the files that are to be moved, and those that a failure of the disk left where
/// they were.
fn finish_move(storage: &mut StoragePort, chunk: &mut Chunk) -> Result<(), StorageError> {
    let Some(place) = chunk.moving.clone() else {
        return Ok(());
    };
    let (from, to) = (chunk.directory(), chunk.directory_at(&place));
    if from != to {
        move_files(storage, chunk, &from, &to)?;
    }
    chunk.place = place;
    chunk.moving = None;
    Ok(())
}

fn move_files(
    storage: &mut StoragePort,
    chunk: &Chunk,
    from: &RelativePath,
    to: &RelativePath,
) -> Result<(), StorageError> {
    if *from != chunk.session && *to != chunk.session {
        return storage.rename(from, to);
    }
    // Into the session's directory or out of it: that directory stays, with all
    // that is not of this chunk.
    storage.create_directory(to)?;
    for top in &chunk.tops {
        move_once(storage, &named(from, top), &named(to, top))?;
    }
    if *from == chunk.session {
        Ok(())
    } else {
        storage.remove_directory(from)
    }
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
    finish_move(storage, chunk)?;
    match chunk.close {
        Some(CloseCommand::Archive) => archive(storage, chunk),
        Some(CloseCommand::Delete) => delete(storage, chunk),
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
    let archives = named(&chunk.session, ARCHIVES);
    storage.create_directory(&archives)?;
    // Out of the session's directory in one move, so that whoever looks into the
    // archives sees a chunk that is whole.
    set_aside(storage, chunk)?;
    let path = free_name(storage, &archives, chunk.name().as_bytes())?;
    storage.rename(&chunk.directory(), &path)
}

/// Where a chunk will be once it is archived.
pub fn archived(chunk: &Chunk) -> RelativePath {
    named(&named(&chunk.session, ARCHIVES), chunk.name().as_bytes())
}

/// The place that has the chunk's name.
pub fn named_place(chunk: &Chunk) -> Place {
    Place::Named(named(&RelativePath::root(), chunk.name().as_bytes()))
}

/// Removes the files that the relay made, and the directories that are empty then.
/// What others put there stays.
fn delete(storage: &mut StoragePort, chunk: &Chunk) -> Result<(), StorageError> {
    let directory = chunk.directory();
    let mut directories = std::collections::BTreeSet::new();
    for file in chunk.files.keys() {
        storage.remove_file(&directory.join(file))?;
        let mut above = file.parent();
        while let Some(path) = above.filter(|path| !path.is_root()) {
            above = path.parent();
            directories.insert(path);
        }
    }
    directories.extend(
        chunk
            .tops
            .iter()
            .map(|top| named(&RelativePath::root(), top)),
    );
    // A path sorts before those below it: last to first is deepest first.
    for path in directories.iter().rev() {
        storage.remove_directory(&directory.join(path))?;
    }
    if directory == chunk.session {
        Ok(())
    } else {
        storage.remove_directory(&directory)
    }
}

/// A temporary place with that name, or the next that is free: an earlier relay may
/// have left one behind.
fn temporary(storage: &mut StoragePort, chunk: &Chunk, name: &str) -> Result<Place, StorageError> {
    let path = free_name(storage, &chunk.session, name.as_bytes())?;
    let name = path.components().last().unwrap_or(name.as_bytes());
    Ok(Place::Temporary(named(&RelativePath::root(), name)))
}

/// `directory/name`, or `directory/name-2` and so on if that is taken.
pub fn free_name(
    storage: &mut StoragePort,
    directory: &RelativePath,
    name: &[u8],
) -> Result<RelativePath, StorageError> {
    let mut path = named(directory, name);
    let mut count = 1;
    while storage.exists(&path)? {
        count += 1;
        path = named(directory, &[name, format!("-{count}").as_bytes()].concat());
    }
    Ok(path)
}

fn named(directory: &RelativePath, name: &[u8]) -> RelativePath {
    directory
        .child(name)
        .expect("law: names of chunks were checked or made here")
}
