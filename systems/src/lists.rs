//! Lists of what the relay made on disk, one file for each chunk, in a hidden directory of the
//! output directory.
//!
//! A relay that has caps removes files that it or an earlier relay recorded, and nothing else. So it
//! writes down each file that it makes, before anybody could have put another one there. A
//! file that is in no list is never counted and never touched.
//!
//! A list is a row of entries, each of a letter, bytes and a NUL, which no path has. A list
//! that ends in the middle of an entry, since its relay was killed, is read up to there.

use std::collections::BTreeSet;

use baton_components::path::{KEEP, OWN_PREFIX, RelativePath};
use baton_components::storage_error::{StorageError, StorageErrorKind};
use serde::{Deserialize, Serialize};

/// The files of storage, for what is done with whole files by their names.
pub trait Files {
    /// Appends to a file, which is made, with its directory, if it is missing.
    fn append(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError>;

    /// Replaces a file, or makes it: afterwards, a loss of power too, it has these bytes or those of
    /// before.
    fn replace(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError>;

    /// All bytes of a file.
    fn contents(&mut self, path: &RelativePath) -> Result<Vec<u8>, StorageError>;

    /// The names in a directory, in any order; none if it is missing.
    fn names(&mut self, directory: &RelativePath) -> Result<Vec<Vec<u8>>, StorageError>;

    /// Disk space of a file or a directory; none if it is missing.
    fn measure(&mut self, path: &RelativePath) -> Result<Option<Measure>, StorageError>;

    /// Removes a file; a missing one is no error.
    fn remove(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Removes a directory if it exists and is empty.
    fn remove_empty(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Makes the bytes of a file durable.
    fn sync(&mut self, path: &RelativePath) -> Result<(), StorageError>;

    /// Makes the names in a directory durable.
    fn sync_names(&mut self, directory: &RelativePath) -> Result<(), StorageError>;

    /// Bytes that are free on the disk for this process.
    fn free_bytes(&mut self) -> Result<u64, StorageError>;

    /// Whether a relay records in this directory, or above.
    fn is_recorded(&mut self, directory: &RelativePath) -> bool;
}

/// Disk space of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Bytes of allocated blocks.
    pub bytes: u64,
    /// When it was changed last, in seconds since 1970.
    pub changed_s: u64,
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The directory of the chunk's session.
    Session(RelativePath),
    /// The chunk's own directory; a later entry replaces an earlier one.
    Directory(RelativePath),
    /// A file that was made, below the chunk's directory.
    File(RelativePath),
    /// A directory that was made for files that are gone, below the chunk's.
    Made(RelativePath),
    /// The chunk is closed, since that time in seconds since 1970.
    Closed(u64),
}

impl Entry {
    pub fn encode(&self, into: &mut Vec<u8>) {
        let (letter, path) = match self {
            Self::Session(path) => (b's', path),
            Self::Directory(path) => (b'd', path),
            Self::File(path) => (b'f', path),
            Self::Made(path) => (b'm', path),
            Self::Closed(at_s) => {
                into.push(b'c');
                into.extend_from_slice(at_s.to_string().as_bytes());
                into.push(0);
                return;
            }
        };
        into.push(letter);
        into.extend_from_slice(path.as_bytes());
        into.push(0);
    }

    /// None: it is damaged, or of a later version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let path = || RelativePath::parse(rest).ok();
        Some(match letter {
            b's' => Self::Session(path()?),
            b'd' => Self::Directory(path()?),
            b'f' => Self::File(path().filter(|path| !path.is_root())?),
            b'm' => Self::Made(path().filter(|path| !path.is_root())?),
            b'c' => Self::Closed(str::from_utf8(rest).ok()?.parse().ok()?),
            _ => return None,
        })
    }
}

/// The contents of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    pub session: RelativePath,
    pub directory: RelativePath,
    pub files: BTreeSet<RelativePath>,
    /// Directories of files that are gone.
    pub emptied: BTreeSet<RelativePath>,
    pub closed_s: Option<u64>,
}

impl List {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut list = Self::default();
        let whole = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
        for entry in bytes[..whole].split(|byte| *byte == 0) {
            match Entry::decode(entry) {
                Some(Entry::Session(path)) => list.session = path,
                Some(Entry::Directory(path)) => list.directory = path,
                Some(Entry::File(path)) => drop(list.files.insert(path)),
                Some(Entry::Made(path)) => drop(list.emptied.insert(path)),
                Some(Entry::Closed(at_s)) => list.closed_s = Some(at_s),
                None => {}
            }
        }
        list
    }

    /// Directories of its files, below that of the chunk: made with them, since a session
    /// adds nothing to directories of others.
    fn made(&self) -> BTreeSet<RelativePath> {
        let mut made = BTreeSet::new();
        let of_files = self.files.iter().filter_map(RelativePath::parent);
        for directory in of_files.chain(self.emptied.iter().cloned()) {
            let mut above = Some(directory);
            let is_own = |below: &RelativePath| {
                let there = self.directory.join(below);
                !below.is_root() && there.is_at_or_below(&self.session)
            };
            while let Some(directory) = above.filter(is_own) {
                above = directory.parent();
                if !made.insert(directory) {
                    break;
                }
            }
        }
        made
    }

    /// Its files as they are to be removed: metadata first, since a trace without it is none
    /// for readers.
    fn in_order(&self) -> impl Iterator<Item = RelativePath> {
        let is_metadata = |path: &&RelativePath| path.name() == METADATA;
        let metadata = self.files.iter().filter(is_metadata);
        let others = self.files.iter().filter(move |path| !is_metadata(path));
        let files = metadata.chain(others);
        files.map(|file| self.directory.join(file))
    }
}

/// A closed chunk that a survey has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub number: u64,
    /// The directory of its session, below the output directory.
    pub session: Vec<u8>,
    /// Bytes of allocated blocks.
    pub bytes: u64,
    /// When it was closed, in seconds since 1970.
    pub closed_s: u64,
    /// A user wants it to be kept.
    pub is_pinned: bool,
    /// An archive elsewhere has it.
    pub is_archived: bool,
}

/// The directory of the lists.
pub fn directory() -> RelativePath {
    RelativePath::own(LISTS)
}

/// Where the list of a chunk is.
pub fn path(number: u64) -> RelativePath {
    RelativePath::own(&format!("{LISTS}/{number:016x}"))
}

/// Where a removed file is until it is gone.
pub fn removed(number: u64) -> RelativePath {
    RelativePath::own(&format!("{REMOVED}/{number:016x}"))
}

/// The directory of [`removed`].
pub fn removed_directory() -> RelativePath {
    RelativePath::own(REMOVED)
}

/// Looks at the chunks that have lists, of a number above `after`, `count` at most. Gives the
/// last number that was looked at, if there are more. Lists of chunks of which nothing is left
/// are removed. Those that are recorded are passed over.
pub fn survey(
    files: &mut (impl Files + ?Sized),
    after: Option<u64>,
    count: usize,
) -> Result<(Vec<Found>, Option<u64>), StorageError> {
    let mut numbers: Vec<u64> = files
        .names(&directory())?
        .iter()
        .filter_map(|name| u64::from_str_radix(str::from_utf8(name).ok()?, 16).ok())
        .filter(|number| after.is_none_or(|after| *number > after))
        .collect();
    numbers.sort_unstable();
    let last = numbers.get(count.saturating_sub(1)).copied();
    let last = last.filter(|_| numbers.len() > count);
    numbers.truncate(count);
    let mut found = Vec::new();
    for number in numbers {
        found.extend(look(files, number)?);
    }
    Ok((found, last))
}

fn look(files: &mut (impl Files + ?Sized), number: u64) -> Result<Option<Found>, StorageError> {
    let list = List::decode(&files.contents(&path(number))?);
    if list.closed_s.is_none() && files.is_recorded(&list.directory) {
        return Ok(None);
    }
    let (mut bytes, mut changed_s, mut is_there) = (0, 0, false);
    for file in list.in_order() {
        if let Some(measure) = files.measure(&file)? {
            bytes += measure.bytes;
            changed_s = changed_s.max(measure.changed_s);
            is_there = true;
        }
    }
    if !is_there {
        remove_directories(files, &list, false)?;
        files.remove(&path(number))?;
        return Ok(None);
    }
    for made in list.made() {
        let measure = files.measure(&list.directory.join(&made))?;
        bytes += measure.map_or(0, |measure| measure.bytes);
    }
    let mark = list.directory.join(&RelativePath::own(ARCHIVED));
    Ok(Some(Found {
        number,
        session: list.session.as_bytes().to_vec(),
        bytes,
        closed_s: list.closed_s.unwrap_or(changed_s),
        is_pinned: is_pinned(files, &list)?,
        is_archived: files.measure(&mark)?.is_some(),
    }))
}

/// Removes a closed chunk: its files, its directories if nothing else is in them, and its
/// list last, so that a relay that was killed goes on. A chunk that is pinned is an error.
/// `with_session`: the session is over, and its directory goes too if nothing is in it.
pub fn remove(
    files: &mut (impl Files + ?Sized),
    at: &RelativePath,
    with_session: bool,
) -> Result<(), StorageError> {
    let bytes = match files.contents(at) {
        Err(error) if error.kind == StorageErrorKind::Gone => return Ok(()),
        bytes => bytes?,
    };
    let list = List::decode(&bytes);
    if is_pinned(files, &list)? {
        return Err(StorageError {
            kind: StorageErrorKind::Pinned,
            action: "remove".into(),
            path: list.directory.to_string(),
            reason: format!("{OWN_PREFIX}{KEEP} is there, above or below"),
        });
    }
    for file in list.in_order() {
        files.remove(&file)?;
    }
    remove_directories(files, &list, with_session)?;
    files.remove(at)
}

/// Removes what an earlier run has left of files that it was removing.
pub fn clear_removed(files: &mut (impl Files + ?Sized)) -> Result<(), StorageError> {
    let directory = removed_directory();
    for name in files.names(&directory)? {
        if let Ok(path) = directory.child(name) {
            files.remove(&path)?;
        }
    }
    Ok(())
}

/// Removes the directories of a chunk that are empty.
fn remove_directories(
    files: &mut (impl Files + ?Sized),
    list: &List,
    with_session: bool,
) -> Result<(), StorageError> {
    // A path sorts before those below it: last to first is deepest first.
    for made in list.made().iter().rev() {
        files.remove_empty(&list.directory.join(made))?;
    }
    let mut has_traces = false;
    for domain in DOMAINS {
        if let Ok(domain) = list.directory.child(domain) {
            has_traces |= files.measure(&domain)?.is_some();
        }
    }
    // Chunks of several consumers may share a directory: the last one takes the marks.
    if !has_traces {
        for mark in [ARCHIVED, ARCHIVING] {
            files.remove(&list.directory.join(&RelativePath::own(mark)))?;
        }
    }
    if with_session && let Ok(archives) = list.session.child(ARCHIVES) {
        // Archives may have gone before, while the session was recorded.
        files.remove_empty(&archives)?;
    }
    let mut above = Some(list.directory.clone());
    while let Some(directory) = above.filter(|it| it.is_at_or_below(&list.session)) {
        let is_own = directory == list.directory && directory != list.session;
        if directory.is_root() || !(is_own || with_session) {
            break;
        }
        files.remove_empty(&directory)?;
        above = directory.parent();
    }
    Ok(())
}

/// Whether a user wants a chunk or a part of it to be kept.
fn is_pinned(files: &mut (impl Files + ?Sized), list: &List) -> Result<bool, StorageError> {
    let within = list.made().into_iter();
    let within = within.map(|made| list.directory.join(&made).join(&RelativePath::own(KEEP)));
    for pin in list.directory.pins().chain(within) {
        if files.measure(&pin)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Directory of the lists.
const LISTS: &str = "chunks";
/// Directory of files that are being removed.
const REMOVED: &str = "removed";
/// The file by which an archive says that it has a chunk.
const ARCHIVED: &str = "archived";
/// The file by which an archiver goes on after a kill.
const ARCHIVING: &str = "archiving";
/// Directories of a chunk that have its traces.
const DOMAINS: [&str; 2] = ["ust", "kernel"];
const METADATA: &[u8] = b"metadata";
/// Directory of a session that its archives are in.
const ARCHIVES: &[u8] = b"archives";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn a_list_is_read_up_to_where_it_is_torn() {
        let mut bytes = Vec::new();
        for entry in [
            Entry::Session(at("host/s")),
            Entry::Directory(at("host/s/.tmp_new_chunk")),
            Entry::File(at("ust/metadata")),
            Entry::Directory(at("host/s/archives/1")),
            Entry::File(at("ust/a\nb_0")),
            Entry::Closed(17),
        ] {
            entry.encode(&mut bytes);
        }
        let list = List::decode(&bytes);
        assert_eq!(list.directory, at("host/s/archives/1"));
        assert_eq!(list.closed_s, Some(17));
        let order: Vec<_> = list.in_order().map(|path| path.to_string()).collect();
        assert_eq!(order[0], "host/s/archives/1/ust/metadata");
        assert_eq!(order.len(), 2);
        let torn = List::decode(&bytes[..bytes.len() - 1]);
        assert_eq!(torn.closed_s, None);
        assert_eq!(torn.files, list.files);
        assert_eq!(List::decode(b""), List::default());
    }

    #[test]
    fn an_entry_that_leads_out_is_none() {
        let list = List::decode(b"f../x\0f/etc/passwd\0f\0z?\0f.baton-chunks/1\0");
        assert_eq!(list, List::default());
    }
}
