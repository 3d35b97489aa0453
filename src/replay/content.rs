//! The bytes that a journal has by reference, read from the trace files.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use baton_components::path::RelativePath;
use rustc_hash::FxHashMap;

use crate::journal::block::{ReadError, Reader};
use crate::journal::digest::edges;
use crate::journal::record::Record;
use crate::journal::values::{self, ConnectionId, Content, FileId};
use crate::os::{said, shown};

/// The bytes of one tick that are not in its receive records.
#[derive(Debug, Default)]
pub struct Pieces {
    /// By connection and position.
    inline: BTreeMap<(u64, u64), Vec<u8>>,
    in_files: BTreeMap<(u64, u64), InFile>,
}

#[derive(Clone, Copy, Debug)]
struct InFile {
    file: FileId,
    offset: u64,
    length: u64,
    edges: u64,
}

impl Pieces {
    /// The bytes of the records up to the next tick.
    pub fn collect(records: &[u8]) -> Self {
        let mut pieces = Self::default();
        let mut rest = records;
        while let Some((record, after)) = Record::decode(rest) {
            rest = after;
            match record {
                Record::Poll => break,
                Record::Rest {
                    connection,
                    position,
                    bytes,
                } => {
                    pieces
                        .inline
                        .insert((connection.0, position), bytes.to_vec());
                }
                Record::Write {
                    file,
                    offset,
                    content:
                        Content::Input {
                            connection,
                            position,
                            length,
                            edges,
                        },
                } => {
                    let piece = InFile {
                        file,
                        offset,
                        length,
                        edges,
                    };
                    pieces.in_files.insert((connection.0, position), piece);
                }
                _ => {}
            }
        }
        pieces
    }

    /// Adds `count` bytes of a connection, from that position on.
    pub fn fill(
        &self,
        connection: ConnectionId,
        position: u64,
        count: u64,
        mut traces: Option<&mut Traces>,
        tick: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut position = position;
        let end = position.saturating_add(count);
        while position < end {
            let key = (connection.0, position);
            if let Some(bytes) = self.inline.get(&key).filter(|it| !it.is_empty()) {
                into.extend_from_slice(bytes);
                position += bytes.len() as u64;
            } else if let Some(piece) = self.in_files.get(&key).filter(|it| it.length > 0)
                && let Some(traces) = &mut traces
            {
                let bytes = traces.read(tick, piece.file, piece.offset, piece.length)?;
                if edges(&bytes) != piece.edges {
                    let path = traces.path(piece.file);
                    let path = shown(&path);
                    return Err(format!(
                        "{path} does not have the bytes that the relay wrote"
                    ));
                }
                into.extend_from_slice(&bytes);
                position += piece.length;
            } else {
                return Err(UNKNOWN.to_owned());
            }
        }
        Ok(())
    }
}

/// The current paths of the files that the recorded relay wrote.
#[derive(Debug)]
pub struct Traces {
    directory: PathBuf,
    files: FxHashMap<FileId, LastPath>,
    /// Bytes that were cut off files later, oldest first.
    saved: FxHashMap<FileId, Vec<Saved>>,
    /// The most recently used files.
    open: VecDeque<(FileId, File)>,
}

#[derive(Debug)]
struct LastPath {
    path: RelativePath,
    /// The tick in which the relay removed or replaced it.
    gone: Option<u64>,
}

#[derive(Debug)]
struct Saved {
    tick: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// The error for bytes that are neither in the journal nor in a file.
const UNKNOWN: &str = "the journal does not say what bytes came";

/// Maximum number of open files.
const OPEN_MAX: usize = 32;

impl Traces {
    /// Reads a journal to learn the final paths of its files, below `directory`.
    pub fn find(journal: &Path, directory: PathBuf) -> Result<Self, ReadError> {
        let mut traces = Self {
            directory,
            files: FxHashMap::default(),
            saved: FxHashMap::default(),
            open: VecDeque::new(),
        };
        let mut names = FxHashMap::default();
        let mut tick = 0;
        let mut reader = Reader::new(std::io::BufReader::new(File::open(journal)?))?;
        // The replay itself reports a truncated or damaged journal.
        while let Ok(Some(block)) = reader.next() {
            let mut rest = &block.records[..];
            while let Some((record, after)) = Record::decode(rest) {
                rest = after;
                tick += u64::from(record == Record::Poll);
                traces.follow(tick, &record, &mut names);
            }
        }
        Ok(traces)
    }

    fn follow(&mut self, tick: u64, record: &Record, names: &mut FxHashMap<RelativePath, FileId>) {
        match record {
            Record::CreateFile {
                file,
                path,
                failure: None,
            } => {
                let Some(path) = values::path(path) else {
                    return;
                };
                self.lose(tick, names.insert(path.clone(), *file));
                self.files.insert(*file, LastPath { path, gone: None });
            }
            Record::RemoveFile {
                path,
                failure: None,
            } => {
                let file = values::path(path).and_then(|path| names.remove(&path));
                self.lose(tick, file);
            }
            Record::Remove { files, .. } => {
                for path in files {
                    let file = values::path(path).and_then(|path| names.remove(&path));
                    self.lose(tick, file);
                }
            }
            Record::Rename {
                from,
                to,
                failure: None,
            } => {
                self.rename(tick, from, to, names);
            }
            Record::Saved {
                file,
                offset,
                bytes,
            } => self.saved.entry(*file).or_default().push(Saved {
                tick,
                offset: *offset,
                bytes: bytes.to_vec(),
            }),
            _ => {}
        }
    }

    fn rename(
        &mut self,
        tick: u64,
        from: &[u8],
        to: &[u8],
        names: &mut FxHashMap<RelativePath, FileId>,
    ) {
        let Some(from) = values::path(from) else {
            return;
        };
        let Some(to) = values::path(to) else {
            // A name of the relay's own: the file is being removed.
            self.lose(tick, names.remove(&from));
            return;
        };
        let renamed: Vec<_> = names
            .iter()
            .filter_map(|(path, file)| Some((path.clone(), to.join(&path.below(&from)?), *file)))
            .collect();
        for (old, new, file) in renamed {
            names.remove(&old);
            self.lose(tick, names.insert(new.clone(), file));
            if let Some(place) = self.files.get_mut(&file) {
                place.path = new;
            }
        }
    }

    fn lose(&mut self, tick: u64, file: Option<FileId>) {
        if let Some(place) = file.and_then(|file| self.files.get_mut(&file)) {
            place.gone = Some(tick);
        }
    }

    /// The bytes that were written to a file in that tick.
    pub fn read(
        &mut self,
        tick: u64,
        file: FileId,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let end = offset.saturating_add(length);
        let mut offset = offset;
        while offset < end {
            let saved = self.saved.get(&file).into_iter().flatten();
            let saved = saved.filter(|saved| saved.tick >= tick);
            let mut stands_to = end;
            let mut copied = None;
            for saved in saved {
                let after = saved.offset + saved.bytes.len() as u64;
                if (saved.offset..after).contains(&offset) {
                    copied = Some(&saved.bytes[(offset - saved.offset) as usize..]);
                    break;
                }
                if saved.offset > offset {
                    stands_to = stands_to.min(saved.offset);
                }
            }
            let wanted = (stands_to.min(end) - offset) as usize;
            if let Some(copied) = copied {
                let copied = &copied[..copied.len().min((end - offset) as usize)];
                bytes.extend_from_slice(copied);
                offset += copied.len() as u64;
            } else {
                let start = bytes.len();
                self.read_file(file, offset, wanted, &mut bytes)?;
                offset += (bytes.len() - start) as u64;
            }
        }
        Ok(bytes)
    }

    fn path(&self, file: FileId) -> PathBuf {
        let place = self.files.get(&file);
        let below = place.map_or(&b""[..], |place| place.path.as_bytes());
        self.directory.join(std::ffi::OsStr::from_bytes(below))
    }

    fn read_file(
        &mut self,
        file: FileId,
        offset: u64,
        length: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), String> {
        let path = self.path(file);
        match self.files.get(&file) {
            None => return Err("it came to a file that the journal does not know".to_owned()),
            Some(LastPath {
                gone: Some(tick), ..
            }) => {
                let path = shown(&path);
                return Err(format!(
                    "{path} had it, and the relay removed that file in tick {tick}"
                ));
            }
            Some(_) => {}
        }
        let failed = |reason: std::io::Error| format!("{}: {}", shown(&path), said(&reason));
        if let Some(at) = self.open.iter().position(|(open, _)| *open == file) {
            self.open.swap(0, at);
        } else {
            let opened = File::open(&path).map_err(failed)?;
            self.open.truncate(OPEN_MAX - 1);
            self.open.push_front((file, opened));
        }
        let (_, open) = &self.open[0];
        let size = open.metadata().map_err(failed)?.len();
        if size < offset.saturating_add(length as u64) {
            let path = shown(&path);
            return Err(format!(
                "{path} ends before byte {}",
                offset + length as u64
            ));
        }
        let start = into.len();
        into.resize(start + length, 0);
        open.read_exact_at(&mut into[start..], offset)
            .map_err(failed)
    }
}
