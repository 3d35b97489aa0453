//! The directories that a relay makes: how they are called, and what is in them.

use crate::events::Event;
use crate::viewer::read_directory;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the chunks of a session go that are complete.
const ARCHIVES: &str = "archives";

/// The valid states of a session's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// The first chunk, whose streams are in the directory of the session itself.
    First,
    /// A later chunk, in a directory of its own.
    Later,
    /// None: the session rests, or is over.
    Nothing,
}

/// The names in a directory, in order. A directory that does not exist has none.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry of a directory").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

/// The one directory in `parent` that is called NAME and a time, as `NAME-20261122-063549`.
pub fn dated_directory(parent: &Path, name: &str) -> PathBuf {
    the_one(parent, name, is_time)
}

/// The directory of a snapshot: its name, a time, and how many there were before.
pub fn snapshot(session: &Path, name: &str, number: usize) -> PathBuf {
    let end = format!("-{number}");
    the_one(session, name, |rest| {
        rest.strip_suffix(&end).is_some_and(is_time)
    })
}

/// The one directory in `parent` that is called NAME, a dash, and a rest that is right.
fn the_one(parent: &Path, name: &str, is_right: impl Fn(&str) -> bool) -> PathBuf {
    let all = names(parent);
    let prefix = format!("{name}-");
    let found: Vec<_> = all
        .iter()
        .filter(|found| found.strip_prefix(&prefix).is_some_and(&is_right))
        .collect();
    let [found] = found[..] else {
        panic!("{name} and a time is not once in {all:?}");
    };
    parent.join(found)
}

/// The paths of all files below a directory, in order.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    names(directory)
        .into_iter()
        .flat_map(|name| match directory.join(name) {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

/// Copies all files of a directory into another.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let below = file.strip_prefix(from).expect("a file below it");
        let copy = to.join(below);
        fs::create_dir_all(copy.parent().expect("a directory")).expect("a directory");
        fs::copy(&file, copy).expect("a copy");
    }
}

/// The bytes of all packets of a session. Hidden files are not counted, since readers pass over
/// them.
pub fn data_bytes(directory: &Path) -> u64 {
    let is_hidden = |file: &Path| {
        let name = file.file_name().expect("the name of a file");
        name.to_string_lossy().starts_with('.')
    };
    let mut files = files(directory);
    files.retain(|file| !file.ends_with("metadata") && file.extension().is_none());
    files.retain(|file| !is_hidden(file));
    let sizes = files.iter().map(fs::metadata);
    sizes.map(|file| file.map_or(0, |file| file.len())).sum()
}

/// Cuts data files after the last packet that their indexes know.
pub fn cut_to_described(directory: &Path) {
    for index in IndexFile::all(directory) {
        let end = index.packet_ends().last().copied().expect("a record");
        let data = directory.join(index.data());
        let data = fs::File::options().write(true).open(data);
        data.expect("a data file").set_len(end).expect("a cut");
    }
}

/// An index file, and the data file that it belongs to: paths below a directory.
#[derive(Debug)]
pub struct IndexFile {
    index: PathBuf,
    data: PathBuf,
    bytes: Vec<u8>,
}

impl IndexFile {
    /// All that are below a directory.
    pub fn all(directory: &Path) -> Vec<Self> {
        let mut indexes = files(directory);
        indexes.retain(|file| file.extension().is_some_and(|it| it == "idx"));
        let read = |path: PathBuf| {
            let index = path.strip_prefix(directory).expect("a file below it");
            let trace = index.ancestors().nth(2).expect("the directory of a trace");
            Self {
                index: index.to_owned(),
                data: trace.join(index.file_stem().expect("a name")),
                bytes: fs::read(&path).expect("an index"),
            }
        };
        indexes.into_iter().map(read).collect()
    }

    pub fn index(&self) -> &Path {
        &self.index
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where each packet ends in the data file.
    pub fn packet_ends(&self) -> Vec<u64> {
        let records = self.bytes[16..].chunks_exact(72);
        let ends = records.map(|record| {
            let number = |at: usize| record[at..at + 8].try_into().map(u64::from_be_bytes);
            let [offset, bits] = [0, 8].map(|at| number(at).expect("eight bytes"));
            offset + bits / 8
        });
        ends.collect()
    }
}

/// The archived chunks of a session, in the order in which they were recorded.
///
/// Nothing else may be among them, and each holds nothing but user-space traces.
pub fn archives(session: &Path) -> Vec<PathBuf> {
    let directory = session.join(ARCHIVES);
    let mut chunks: Vec<_> = names(&directory)
        .into_iter()
        .map(|name| {
            let id = archive_id(&name);
            let id = id.unwrap_or_else(|| panic!("{name} is no archived chunk"));
            (id, directory.join(name))
        })
        .collect();
    chunks.sort();
    let chunks: Vec<_> = chunks.into_iter().map(|(_, path)| path).collect();
    for chunk in &chunks {
        // A chunk from before the first application is empty.
        let names = names(chunk);
        assert!(
            names.is_empty() || names == ["ust"],
            "{names:?} in the chunk {}",
            chunk.display()
        );
    }
    chunks
}

/// The chunks of a session that have a directory of their own and are no
/// archives, in the order of their numbers. Nothing else may be beside the archives.
pub fn open_chunks(session: &Path) -> Vec<PathBuf> {
    let mut names = names(session);
    names.retain(|name| name != ARCHIVES);
    let mut chunks: Vec<_> = names
        .into_iter()
        .map(|name| {
            let id = open_id(&name);
            let id = id.unwrap_or_else(|| panic!("{name} is no chunk"));
            (id, session.join(name))
        })
        .collect();
    chunks.sort();
    chunks.into_iter().map(|(_, path)| path).collect()
}

/// Checks that the directory of a session holds its archives, the current
/// chunk as it should be, and nothing else.
pub fn assert_tidy(session: &Path, current: Current) {
    match current {
        Current::First => {
            let mut names = names(session);
            names.retain(|name| name != ARCHIVES);
            assert_eq!(names, ["ust"], "in {}", session.display());
        }
        Current::Later => assert_eq!(open_chunks(session).len(), 1, "open chunks"),
        Current::Nothing => assert!(open_chunks(session).is_empty(), "an open chunk"),
    }
}

/// The events of all archived chunks, each of which is read alone.
pub fn read_archives(session: &Path) -> Vec<Event> {
    archives(session)
        .iter()
        .filter(|chunk| !names(chunk).is_empty())
        .flat_map(|chunk| read_directory(chunk))
        .collect()
}

/// The number in the name of an archived chunk, BEGIN-END-NUMBER.
fn archive_id(name: &str) -> Option<u64> {
    let (begin, rest) = split_moment(name)?;
    let (end, id) = split_moment(rest)?;
    let id = id.parse().ok()?;
    (is_moment(begin) && is_moment(end)).then_some(id)
}

/// The number in the name of a chunk that is no archive, BEGIN-NUMBER.
fn open_id(name: &str) -> Option<u64> {
    let (begin, id) = split_moment(name)?;
    let id = id.parse().ok()?;
    is_moment(begin).then_some(id)
}

/// The parts before and after the dash that follows a time.
fn split_moment(name: &str) -> Option<(&str, &str)> {
    // Its length is known; the time zone may have a dash of its own.
    let length = "20261122T063549+0000".len();
    Some((name.get(..length)?, name.get(length..)?.strip_prefix('-')?))
}

fn is_moment(text: &str) -> bool {
    has_shape(text, "00000000T000000+0000") || has_shape(text, "00000000T000000-0000")
}

fn is_time(text: &str) -> bool {
    has_shape(text, "00000000-000000")
}

/// Whether `text` is `shape`, with any digit for each zero.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, wanted): (char, char)| match wanted {
        '0' => found.is_ascii_digit(),
        _ => found == wanted,
    };
    text.len() == shape.len() && text.chars().zip(shape.chars()).all(fits)
}
