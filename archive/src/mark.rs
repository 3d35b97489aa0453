//! The mark in a chunk's directory: to which stores it is archived. Readers of traces do not
//! see it: it is hidden, and above the traces.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::chunk::Chunk;

pub const MARK: &str = ".baton-archived";

/// A line of a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The place of the store.
    pub to: String,
    pub id: String,
    /// Place of the manifest and the objects.
    pub directory: String,
    /// Of the chunk's files when it was archived ([`crate::chunk::digest`]).
    pub digest: String,
    /// The chunk is being removed, so what is left of it is no chunk.
    #[serde(default)]
    pub is_going: bool,
}

/// The mark for a place, if the chunk is archived there as it is now.
pub fn find(chunk: &Chunk, to: &str, digest: &str) -> Option<Mark> {
    let mut marks = read(chunk).into_iter();
    marks.find(|it| it.to == to && it.digest == digest)
}

/// Whether the chunk is being removed.
pub fn is_going(chunk: &Chunk) -> bool {
    read(chunk).iter().any(|it| it.is_going)
}

/// Writes a mark, beside those for other places.
pub fn set(chunk: &Chunk, mark: Mark) -> Result<(), Error> {
    let mut marks = read(chunk);
    marks.retain(|it| it.to != mark.to);
    marks.push(mark);
    let path = chunk.root.join(MARK);
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".baton-")
            .tempfile_in(&chunk.root)?;
        for mark in &marks {
            writeln!(file, "{}", serde_json::to_string(mark)?)?;
        }
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(Error::file("cannot write", &path))
}

fn read(chunk: &Chunk) -> Vec<Mark> {
    let text = fs::read_to_string(chunk.root.join(MARK)).unwrap_or_default();
    let lines = text.lines().filter_map(|it| serde_json::from_str(it).ok());
    lines.collect()
}

/// While it is held, no other archiver works on a chunk.
#[derive(Debug)]
pub struct Claim(#[allow(dead_code, reason = "held")] File);

/// Claims a chunk; none if another archiver works on it.
pub fn claim(chunk: &Chunk) -> Result<Option<Claim>, Error> {
    let fault = Error::file("cannot lock", &chunk.root);
    let directory = File::open(&chunk.root).map_err(&fault)?;
    match flock(directory.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Claim(directory))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(fault(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_components::path::RelativePath;

    #[test]
    fn a_mark_is_for_one_place_and_for_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let chunk = Chunk {
            root: directory.path().to_owned(),
            path: RelativePath::parse(b"s").unwrap(),
        };
        let mark = |to: &str, digest: &str| Mark {
            to: to.to_owned(),
            id: "id".to_owned(),
            directory: "v1/data/h/s/c/id".to_owned(),
            digest: digest.to_owned(),
            is_going: false,
        };
        let is_archived = |chunk: &Chunk, to, digest| find(chunk, to, digest).is_some();
        assert!(!is_archived(&chunk, "s3://a", "1"));
        set(&chunk, mark("s3://a", "1")).unwrap();
        set(&chunk, mark("s3://b", "1")).unwrap();
        set(&chunk, mark("s3://a", "2")).unwrap();
        assert!(is_archived(&chunk, "s3://a", "2"));
        assert!(is_archived(&chunk, "s3://b", "1"));
        assert!(!is_archived(&chunk, "s3://a", "1"));
        assert!(!is_archived(&chunk, "s3://c", "1"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_chunk_is_claimed_once() {
        let directory = tempfile::tempdir().unwrap();
        let chunk = Chunk {
            root: directory.path().to_owned(),
            path: RelativePath::parse(b"s").unwrap(),
        };
        let held = claim(&chunk).unwrap();
        assert!(held.is_some());
        assert!(claim(&chunk).unwrap().is_none());
        drop(held);
        assert!(claim(&chunk).unwrap().is_some());
    }
}
