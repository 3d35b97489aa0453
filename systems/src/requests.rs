//! Requests to storage: what may wait for the disk for long, and is answered later.
//!
//! The thread that owns the world asks, and goes on. The answer comes in the poll of a later
//! tick, with the ticket of its request.

#![warn(missing_docs)]

use baton_components::connection::Extent;
use baton_components::keys::FileKey;
use baton_components::limits::READS_AT_ONCE;
use baton_components::path::RelativePath;
use baton_components::storage_error::{StorageError, StorageErrorKind};
use slotmap::Key;

use crate::lists::{self, Files, Found};
use crate::sync_paths::{Names, SyncPaths};

/// The kinds of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Unlinks files, and then removes directories that are empty, one after another until
    /// one fails. A missing name is no error. Open files stay readable.
    Remove {
        /// A directory at or above all of them. Removals within one are done in the order in
        /// which they were asked for.
        within: RelativePath,
        /// Files, in order.
        files: Vec<RelativePath>,
        /// Directories, in order: one comes after those in it.
        directories: Vec<RelativePath>,
    },
    /// Appends to a file of the relay's own, which is made if it is missing.
    Append {
        /// The file.
        path: RelativePath,
        /// The bytes to add.
        bytes: Vec<u8>,
    },
    /// Replaces a file of the relay's own, at once and durably ([`Files::replace`]).
    Replace {
        /// The file.
        path: RelativePath,
        /// All its bytes.
        bytes: Vec<u8>,
    },
    /// Removes a closed chunk: the files in its list, its directories, and the list.
    RemoveListed {
        /// Path of the list.
        list: RelativePath,
        /// The directory of its session goes too, if nothing is in it.
        with_session: bool,
    },
    /// Looks at closed chunks that have lists.
    Survey {
        /// Only at lists with a higher number.
        after: Option<u64>,
        /// At so many.
        count: usize,
        /// Removed files that an earlier run has left are removed before.
        is_first: bool,
    },
    /// How much is free on the disk.
    Space,
    /// Nothing but its answer: the disk takes changes.
    Probe,
    /// Does all that was written to a lane before. Then, for each file in turn, its index records
    /// are written, unless the file is broken.
    Commit {
        /// The lane.
        lane: Lane,
        /// The files that were written to.
        ends: Vec<FileEnd>,
    },
    /// Reads a range of an open file, as far as there is one, so that it is in the page cache. The
    /// file may be closed before the answer.
    Fetch(Extent),
    /// Makes durable (sync) what was written: files in their order, then names in directories
    /// in theirs. If a name is missing the others are synced nevertheless, and the answer is an
    /// error of that kind ([`StorageErrorKind::Gone`]).
    Sync {
        /// A directory at or above all of them. All writes and requests within it that were
        /// made before are done before.
        within: RelativePath,
        /// Files, in order: a file comes before those that describe it.
        files: Vec<RelativePath>,
        /// Directories, in order: one comes after those in it.
        directories: Vec<RelativePath>,
    },
    /// The same for all of a chunk, however much that is: its order is found when it is done.
    SyncChunk(Box<Names>),
}

/// The files of one session: what is written to them is done in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u64);

/// The place of a request: those with the same place are done in their order, one at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A directory, or a file.
    Name(RelativePath),
    /// A lane.
    Lane(Lane),
    /// The output directory, for probes.
    Probe,
    /// The cold reads of some of the files. There are only so many of these, so that a disk that
    /// hangs leaves threads for others.
    Reads(u64),
}

/// The end of what was written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEnd {
    /// The file.
    pub data: FileKey,
    /// The bytes that are to be written to its index file then.
    pub index: Option<IndexEnd>,
}

/// The end of an index file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEnd {
    /// The index file.
    pub file: FileKey,
    /// Where the bytes go.
    pub offset: u64,
    /// Records, after the header if they are the first.
    pub bytes: Vec<u8>,
}

/// How a file is *broken*: something was not written to it, and nothing more is before it is
/// restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breakage {
    /// Bytes that were written before this offset are in the file.
    pub sound: u64,
    /// The reason.
    pub error: StorageError,
}

impl Breakage {
    /// The same for a data file, if this is its index file's: all of its packets are in it.
    #[must_use]
    pub fn of_index(self) -> Self {
        let sound = u64::MAX;
        Self { sound, ..self }
    }
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Chunks that were found.
    Surveyed {
        /// They, in the order of their numbers.
        found: Vec<Found>,
        /// The last number that was looked at, if there are more.
        last: Option<u64>,
    },
    /// A commit is done.
    Committed {
        /// Data files of which something was not written, or not to their index files.
        failed: Vec<(FileKey, Breakage)>,
    },
    /// Room on the disk.
    Space {
        /// For this process.
        free_bytes: u64,
    },
}

impl Request {
    /// Requests with the same place are done in their order, one at a time.
    pub fn place(&self) -> Place {
        Place::Name(match self {
            Self::Commit { lane, .. } => return Place::Lane(*lane),
            // The slot of its key.
            Self::Fetch(extent) => {
                let slot = extent.file.data().as_ffi() & u64::from(u32::MAX);
                return Place::Reads(slot % READS_AT_ONCE);
            }
            Self::Remove { within, .. } | Self::Sync { within, .. } => within.clone(),
            Self::SyncChunk(names) => names.session.clone(),
            Self::Append { path, .. }
            | Self::Replace { path, .. }
            | Self::RemoveListed { list: path, .. } => path.clone(),
            Self::Survey { .. } => lists::directory(),
            Self::Probe => return Place::Probe,
            Self::Space => RelativePath::root(),
        })
    }

    /// Does it with files that are not open.
    pub fn act_on(&self, on: &mut dyn Files) -> Result<Outcome, StorageError> {
        match self {
            Self::Remove {
                files, directories, ..
            } => {
                files.iter().try_for_each(|path| on.remove(path))?;
                directories
                    .iter()
                    .try_for_each(|path| on.remove_empty(path))?;
            }
            Self::Append { path, bytes } => on.append(path, bytes)?,
            // They are of files that are open, or of the storage itself.
            Self::Commit { .. } | Self::Fetch(_) | Self::Probe => {}
            Self::Replace { path, bytes } => on.replace(path, bytes)?,
            Self::Space => {
                let free_bytes = on.free_bytes()?;
                return Ok(Outcome::Space { free_bytes });
            }
            Self::Sync {
                files, directories, ..
            } => sync(on, files, directories)?,
            Self::SyncChunk(names) => {
                let mut paths = SyncPaths::default();
                paths.add_chunk(names);
                let (files, directories) = paths.in_order();
                sync(on, &files, &directories)?;
            }
            Self::RemoveListed { list, with_session } => lists::remove(on, list, *with_session)?,
            Self::Survey {
                after,
                count,
                is_first,
            } => {
                if *is_first {
                    lists::clear_removed(on)?;
                }
                let (found, last) = lists::survey(on, *after, *count)?;
                return Ok(Outcome::Surveyed { found, last });
            }
        }
        Ok(Outcome::Done)
    }
}

fn sync(
    on: &mut dyn Files,
    files: &[RelativePath],
    directories: &[RelativePath],
) -> Result<(), StorageError> {
    let mut missing = Ok(());
    let mut note = |synced: Result<(), StorageError>| match synced {
        Err(error) if error.kind == StorageErrorKind::Gone => {
            missing = Err(error);
            Ok(())
        }
        synced => synced,
    };
    for path in files {
        note(on.sync(path))?;
    }
    for path in directories {
        note(on.sync_names(path))?;
    }
    missing
}
