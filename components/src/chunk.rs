//! A trace chunk: a time slice of a session, and the directory of its files.
//!
//! The sessions of one origin share their chunks. A chunk is alive while a session
//! or a stream uses it; what its close asked for is done when the last of them lets
//! go.

use std::collections::{BTreeMap, BTreeSet};

use crate::hold::Holder;
use crate::keys::StreamKey;
use crate::kinds::Id;
use crate::path::RelativePath;
use crate::session::Origin;

/// Which chunk of which session: known to all consumers of that session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    pub origin: Origin,
    /// Counted from 0 by the session daemon.
    pub number: u64,
}

#[derive(Debug)]
pub struct Chunk {
    /// None for the one chunk of a producer before 2.11.
    pub id: Option<ChunkId>,
    /// The session's directory, below the output directory.
    pub session: RelativePath,
    /// Where in it the chunk's files are.
    pub place: Place,
    /// Where they were to be moved when the disk failed: a part of them may be there.
    pub moving: Option<Place>,
    /// How many times what its close asked for has failed.
    pub failed: u32,
    /// When it begins, as it stands in its name.
    pub begin: String,
    /// When it was closed, as it stands in its name.
    pub end: Option<String>,
    /// What becomes of its files when nobody uses it any more.
    pub close: Option<CloseCommand>,
    /// Directories that were made in it, relative to its own.
    pub directories: BTreeSet<RelativePath>,
    /// Files that were made in it, relative to its directory, and by which stream.
    pub files: BTreeMap<RelativePath, StreamKey>,
}

/// Where a chunk's files are, below the directory of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Directly in it: the first chunk, until a rotation.
    Session,
    /// In a directory that has a name for the time of a rotation.
    Temporary(RelativePath),
    /// In a directory with the chunk's name.
    Named(RelativePath),
    /// In the directory that its producer named, for good.
    Overridden(RelativePath),
}

impl Place {
    /// The name of the directory in that of the session; none if it is that itself.
    pub fn name_mut(&mut self) -> Option<&mut RelativePath> {
        match self {
            Self::Session => None,
            Self::Temporary(name) | Self::Named(name) | Self::Overridden(name) => Some(name),
        }
    }
}

/// What a producer asks for when it closes a chunk.
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
            place: Place::Session,
            begin: String::new(),
            end: None,
            moving: None,
            failed: 0,
            close: None,
            directories: BTreeSet::new(),
            files: BTreeMap::new(),
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
        self.directory_at(&self.place)
    }

    /// Where its files would be at another place.
    pub fn directory_at(&self, place: &Place) -> RelativePath {
        match place {
            Place::Session => self.session.clone(),
            Place::Temporary(path) | Place::Named(path) | Place::Overridden(path) => {
                self.session.join(path)
            }
        }
    }

    /// Directories that were made directly in it, such as `ust`.
    pub fn tops(&self) -> impl Iterator<Item = &RelativePath> {
        let directories = self.directories.iter();
        directories.filter(|path| path.components().nth(1).is_none())
    }

    pub fn is_overridden(&self) -> bool {
        matches!(self.place, Place::Overridden(_))
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
