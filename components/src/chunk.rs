//! A trace chunk: a time slice of a session, and the directory of its files.
//!
//! The sessions of one origin share their chunks. A chunk is alive while a session or a
//! stream uses it; its close command is executed when the last of them releases it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::ops::Bound;

use crate::hold::Holder;
use crate::keys::{ChunkKey, StreamKey};
use crate::kinds::Id;
use crate::path::RelativePath;
use crate::session::Origin;

/// The identity of a chunk, which all consumers of a session know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    /// The session daemon and session there, from CREATE_SESSION.
    pub origin: Origin,
    /// Counted from 0 by the session daemon.
    pub number: u64,
}

/// A chunk's record: where its files are, and what happens to them when it is closed.
#[derive(Debug)]
pub struct Chunk {
    /// None for the one chunk of a producer before 2.11.
    pub id: Option<ChunkId>,
    /// The session's directory, below the output directory.
    pub session: RelativePath,
    /// Where in it the chunk's files are.
    pub location: Location,
    /// Target of a move that failed: a part of the files may be there.
    pub moving: Option<Location>,
    /// Number of failed attempts to execute its close command.
    pub failed: u32,
    /// Begin of its time slice, as in its name.
    pub begin: String,
    /// Time of its close, as in its name.
    pub end: Option<String>,
    /// The action on its files when the chunk has no users any more.
    pub close: Option<CloseCommand>,
    /// Directories that its streams created, relative to its own.
    pub directories: BTreeSet<RelativePath>,
    /// Files that its streams created, relative to its directory.
    pub files: BTreeMap<RelativePath, FileOfStream>,
    /// Its number among the chunks that got a file, in that order.
    pub ordinal: Option<u64>,
    /// How far its files and directories are removed, if it is to be deleted. Those that are
    /// removed are not in the lists above any more.
    pub removal: Removal,
    /// The key that it had while it was recorded, if it has another one now.
    pub first: Option<ChunkKey>,
}

/// The state of a chunk that is to be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Removal {
    /// Nothing was removed.
    #[default]
    NotBegun,
    /// Some of it is removed, and viewers do not see its files any more.
    Begun,
    /// Nothing is left of it.
    Done,
    /// The disk failed too often: the rest stays.
    GivenUp,
}

/// A data file of a stream, or the index beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileOfStream {
    /// Weak.
    pub stream: StreamKey,
    /// Its ordinal among all files of the stream.
    pub ordinal: u64,
}

/// Where a chunk's files are, below the directory of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Directly in it: the first chunk, until a rotation.
    Session,
    /// In a directory that has a name for the time of a rotation.
    Temporary(RelativePath),
    /// In a directory with the chunk's name.
    Named(RelativePath),
    /// In the directory that its producer named, for good.
    Overridden(RelativePath),
}

impl Location {
    /// The name of the directory in that of the session; none if it is that itself.
    pub fn name_mut(&mut self) -> Option<&mut RelativePath> {
        match self {
            Self::Session => None,
            Self::Temporary(name) | Self::Named(name) | Self::Overridden(name) => Some(name),
        }
    }
}

/// The command of a producer in CLOSE_TRACE_CHUNK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCommand {
    /// Move it to the session's archives.
    Archive,
    /// Delete what was recorded.
    Delete,
}

impl Chunk {
    /// The one chunk of a session whose streams have paths below the output
    /// directory itself (producers before 2.11).
    pub fn anonymous() -> Self {
        Self {
            id: None,
            session: RelativePath::root(),
            location: Location::Session,
            begin: String::new(),
            end: None,
            moving: None,
            failed: 0,
            close: None,
            directories: BTreeSet::new(),
            files: BTreeMap::new(),
            ordinal: None,
            removal: Removal::default(),
            first: None,
        }
    }

    /// `BEGIN-NUMBER`, or `BEGIN-END-NUMBER` once it is closed.
    pub fn name(&self) -> String {
        let number = self.id.map_or(0, |id| id.number);
        match &self.end {
            None => format!("{}-{number}", self.begin),
            Some(end) => format!("{}-{end}-{number}", self.begin),
        }
    }

    /// Where its files are, below the output directory.
    pub fn directory(&self) -> RelativePath {
        self.directory_at(&self.location)
    }

    /// Directory of its files if it were at `location`, below the output directory.
    pub fn directory_at(&self, location: &Location) -> RelativePath {
        match location {
            Location::Session => self.session.clone(),
            Location::Temporary(path) | Location::Named(path) | Location::Overridden(path) => {
                self.session.join(path)
            }
        }
    }

    /// Directories that were made directly in it, such as `ust`.
    pub fn tops(&self) -> impl Iterator<Item = &RelativePath> {
        let mut rest = self.directories.range::<RelativePath, _>(..);
        iter::from_fn(move || {
            let mut next = rest.next()?;
            while let Some(top) = next.top_above() {
                // Paths below one top are consecutive in this order: all are passed over.
                let after = Bound::Included(top.after_all_below());
                rest = self.directories.range((after, Bound::Unbounded));
                next = rest.next()?;
            }
            Some(next)
        })
    }

    /// Whether its producer chose the directory's name: it is never renamed.
    pub fn is_overridden(&self) -> bool {
        matches!(self.location, Location::Overridden(_))
    }
}

/// Whether a chunk may have that name (see [`Chunk::name`]): it begins with a time.
pub fn is_name(name: &[u8]) -> bool {
    const PATTERN: &[u8] = b"00000000T000000+0000-";
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        other => byte == other,
    };
    name.len() > PATTERN.len() && name.iter().zip(PATTERN).all(fits)
}

impl Holder for Chunk {
    fn holds(&self, _: &mut dyn FnMut(Id)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tops_are_found_among_what_is_below_them() {
        let mut chunk = Chunk::anonymous();
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        let all = [
            "a", "a-2", "a-2/x", "a/b", "a/b/c", "a/d", "a0", "kernel", "ust", "ust/uid",
        ];
        chunk.directories = all.into_iter().map(path).collect();
        let tops: Vec<String> = chunk.tops().map(ToString::to_string).collect();
        assert_eq!(tops, ["a", "a-2", "a0", "kernel", "ust"]);
    }

    #[test]
    fn names_of_chunks_are_known() {
        let mut chunk = Chunk::anonymous();
        chunk.begin = "20261122T064435-0330".to_owned();
        assert!(is_name(chunk.name().as_bytes()));
        chunk.end = Some("20261122T064535+0000".to_owned());
        assert!(is_name(chunk.name().as_bytes()));
        for name in [
            "ust",
            "",
            "20261122T064435+0000-",
            "auto-20261122-064435",
            "20261122T064435",
        ] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }
}
