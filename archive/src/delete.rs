//! `--then delete`: removes a chunk that is archived. Its mark says so first: what is left after
//! a kill is removed by the next run, and is not taken for a chunk.

use std::fs;
use std::io;
use std::path::Path;

use crate::Error;
use crate::chunk::{Chunk, DOMAINS};
use crate::keys::Directory;
use crate::mark::{self, MARK, Mark};
use crate::store::Store;

/// Removes a chunk that has this mark, if its manifest is still there and nobody can be writing.
/// Without a store a command has taken it.
pub fn delete(store: Option<&Store>, chunk: &Chunk, mark: Mark) -> Result<(), Error> {
    // Locks of a Baton say what it records, whoever runs it.
    let has_locks = || !baton::relays(chunk.output()).is_empty();
    if !chunk.shows_writers(&chunk.files()?) && !has_locks() {
        let reason = "it is archived and not deleted, since a relay of another user that writes \
                      there would not be seen: run as the user of its files";
        return Err(Error::Other(reason.to_owned()));
    }
    if let Some(store) = store {
        let directory = Directory::parse(&mark.directory);
        let key = directory.map(|it| it.manifest()).unwrap_or_default();
        if key.is_empty() || store.size(&key)?.is_none() {
            let place = store.place().url();
            let reason = format!("it has a mark and is not in {place}: it is not deleted");
            return Err(Error::Other(reason));
        }
    }
    mark::set(
        chunk,
        Mark {
            is_going: true,
            ..mark
        },
    )?;
    finish(chunk)
}

/// Removes what is left of a chunk that is being removed, and the directories that are empty
/// then.
pub fn finish(chunk: &Chunk) -> Result<(), Error> {
    let mut files = chunk.files()?;
    // Without its metadata a trace is none for readers: they see all of it, or nothing.
    files.sort_by_key(|file| file.path.name() != b"metadata");
    for file in files {
        remove(&chunk.file(&file.path))?;
    }
    for domain in DOMAINS {
        remove_empty(&chunk.root.join(domain));
    }
    remove(&chunk.root.join(MARK))?;
    // A session may have chunks below, and then it stays.
    let _ = fs::remove_dir(&chunk.root);
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::file("cannot remove", path)),
    }
}

fn remove_empty(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One with something else in it stays.
    let _ = fs::remove_dir(directory);
}
