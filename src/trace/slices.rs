//! Finds the directories of a recording, and which of them are slices of the same trace.
//!
//! A session that rotated has a slice of each trace in every chunk, and one that took
//! snapshots in every snapshot.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::TraceError;
use super::description::Description;

/// A directory with metadata and data files: a trace, or a chunk's slice of it.
#[derive(Debug)]
pub struct Slice {
    pub directory: PathBuf,
    pub description: Description,
    pub metadata_bytes: u64,
    /// Names of the data files.
    pub files: Vec<OsString>,
}

impl Slice {
    fn below(&self, directory: &Path) -> &Path {
        let below = self.directory.strip_prefix(directory);
        below.unwrap_or(&self.directory)
    }

    /// The index of a data file, if it has one.
    pub fn index(&self, name: &OsStr) -> PathBuf {
        let mut name = name.to_owned();
        name.push(".idx");
        self.directory.join("index").join(name)
    }

    pub fn metadata(&self) -> PathBuf {
        self.directory.join(METADATA)
    }
}

/// Walks directories in the order of their names, without following symbolic links.
pub fn find_slices(directory: &Path, found: &mut Vec<Slice>) -> Result<(), TraceError> {
    let fault = TraceError::io(directory);
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory).map_err(&fault)? {
        let entry = entry.map_err(&fault)?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(&fault)?;
        // Hidden names do not belong to a trace, except chunks in the middle of a rotation.
        let is_hidden = name.as_bytes().starts_with(b".");
        if kind.is_dir() && (!is_hidden || is_hidden_chunk(&name)) {
            directories.push(name);
        } else if kind.is_file() && !is_hidden {
            files.push(name);
        }
    }
    files.sort();
    directories.sort();
    let others = files.len();
    files.retain(|name| name != METADATA);
    let path = directory.join(METADATA);
    let metadata_bytes = fs::metadata(&path).map_or(0, |it| it.len());
    // Packets without metadata cannot be read.
    if files.len() < others && metadata_bytes > 0 {
        found.push(Slice {
            description: Description::read(&path)?,
            directory: directory.to_owned(),
            metadata_bytes,
            files,
        });
        // The rest of the directory is the index.
        return Ok(());
    }
    for name in directories {
        find_slices(&directory.join(name), found)?;
    }
    Ok(())
}

/// Slices of the same trace, by its path in the session.
pub fn put_together(
    slices: Vec<Slice>,
    directory: &Path,
    absolute: &Path,
) -> BTreeMap<PathBuf, Vec<Slice>> {
    let mut traces: BTreeMap<PathBuf, Vec<Slice>> = BTreeMap::new();
    for slice in slices {
        let path = trace_path(absolute, slice.below(directory), |name| !is_chunk(name));
        traces.entry(path).or_default().push(slice);
    }
    let (mut whole, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        traces.into_iter().partition(|(_, slices)| {
            let first = slices.first().and_then(|it| it.description.uuid.as_ref());
            slices
                .iter()
                .all(|it| it.description.uuid.as_ref() == first)
        });
    // The directories with names like chunks are sessions.
    for slice in others.into_values().flatten() {
        let path = trace_path(absolute, slice.below(directory), |_| true);
        whole.entry(path).or_default().push(slice);
    }
    whole
}

/// The path of a trace in its session: the names of `below` that belong to it. If the given
/// directory is itself inside a session, its names from the domain on come first.
fn trace_path(directory: &Path, below: &Path, belongs: fn(&OsStr) -> bool) -> PathBuf {
    let names: Vec<&OsStr> = directory.iter().collect();
    let domain = names
        .iter()
        .rposition(|name| DOMAINS.iter().any(|domain| name == domain));
    let leading = domain.map_or(&[][..], |at| &names[at..]);
    let below = below.iter().filter(|name| belongs(name));
    let path: PathBuf = leading.iter().copied().chain(below).collect();
    if path.as_os_str().is_empty() {
        // A copied trace has no such path; the name of its directory is used.
        PathBuf::from(names.last().copied().unwrap_or(OsStr::new("trace")))
    } else {
        path
    }
}

/// Whether a directory's name is that of a chunk or snapshot: `BEGIN-NUMBER`,
/// `BEGIN-END-NUMBER`, `NAME-DATE-TIME-NUMBER`, their parent `archives`, or a temporary
/// name of a rotation.
pub fn is_chunk(name: &OsStr) -> bool {
    const DATE: &str = "-00000000-000000-";
    if is_hidden_chunk(name) || name == ARCHIVES || chunk_number(name).is_some() {
        return true;
    }
    let Some((begin, number)) = name.to_str().and_then(|name| name.rsplit_once('-')) else {
        return false;
    };
    let begin = format!("{begin}-");
    let date = begin.len().checked_sub(DATE.len());
    let date = date.and_then(|at| begin.get(at..));
    number.bytes().all(|it| it.is_ascii_digit()) && date.is_some_and(|it| has_shape(it, DATE))
}

/// The number in the name of a chunk, `BEGIN-NUMBER` or `BEGIN-END-NUMBER`.
pub fn chunk_number(name: &OsStr) -> Option<u64> {
    const MOMENT: &str = "00000000T000000+0000-";
    let name = name.to_str()?;
    let at = name.rfind('-')? + 1;
    let (begin, number) = name.split_at(at);
    let is_chunk = has_shape(begin, MOMENT) || has_shape(begin, &MOMENT.repeat(2));
    number.parse().ok().filter(|_| is_chunk)
}

fn is_hidden_chunk(name: &OsStr) -> bool {
    hidden_chunk(name).is_some()
}

/// The chunk with this temporary name of a rotation; a number follows the name of a chunk
/// that was left behind earlier.
pub fn hidden_chunk(name: &OsStr) -> Option<HiddenChunk> {
    let name = name.to_str()?;
    let chunks = [
        (".tmp_old_chunk", HiddenChunk::Old),
        (".tmp_new_chunk", HiddenChunk::New),
    ];
    chunks.into_iter().find_map(|(stem, chunk)| {
        let rest = name.strip_prefix(stem)?;
        let is_it = match rest.strip_prefix('-') {
            Some(number) => number.parse::<u32>().is_ok(),
            None => rest.is_empty(),
        };
        is_it.then_some(chunk)
    })
}

/// A chunk with a temporary name, in the middle of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HiddenChunk {
    /// The old chunk, about to be archived.
    Old,
    /// The new chunk, after the old one.
    New,
}

/// Directory of the archived chunks of a session.
pub const ARCHIVES: &str = "archives";

/// Whether `text` is `shape`, with any digit for each zero and either sign.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        b'+' => matches!(found, b'+' | b'-'),
        _ => found == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

pub const METADATA: &str = "metadata";
/// First names of the path of a trace.
const DOMAINS: [&str; 2] = ["ust", "kernel"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_known_by_their_names() {
        for name in [
            "archives",
            ".tmp_old_chunk",
            ".tmp_new_chunk-2",
            "20261122T070020+0000-3",
            "20261122T070017+0000-20261122T070018-0100-12",
            "snapshot-1-20261122-070017-0",
        ] {
            assert!(is_chunk(OsStr::new(name)), "{name}");
        }
        for name in [
            "kernel",
            ".tmp_old_chunks",
            ".tmp_old_chunk2",
            "20261122-070020",
            "demo-20261122-070017",
            "app-88-20261122-070017",
        ] {
            assert!(!is_chunk(OsStr::new(name)), "{name}");
        }
    }
}
