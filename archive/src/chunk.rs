//! A chunk on disk: the files of all traces below a directory, and whether it is finished.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use baton::Writers;
use baton::trace::slices::{ARCHIVES, METADATA, chunk_number, is_chunk};
use baton_components::path::RelativePath;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::store::hex;

/// The directories of a chunk that have its traces.
pub const DOMAINS: [&str; 2] = ["ust", "kernel"];

/// The directory of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub root: PathBuf,
    /// Below the relay's output directory; never empty.
    pub path: RelativePath,
}

/// A file of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Below the chunk's directory.
    pub path: RelativePath,
    pub bytes: u64,
    pub modified_ns: i128,
}

/// Whether a chunk is finished, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Finished,
    /// A relay says that it records there.
    Recorded,
    /// A process has one of its files open for writing.
    Open,
    /// It changed within the quiet period.
    Recent,
}

impl LocalFile {
    /// Whether it has packets: neither metadata nor an index.
    pub fn is_data(&self) -> bool {
        let above = self.path.parent();
        let is_index = above.is_some_and(|above| above.name() == b"index");
        self.path.name() != METADATA.as_bytes() && !is_index
    }
}

impl Chunk {
    /// Its number in the session, if its name has one.
    pub fn number(&self) -> Option<u64> {
        chunk_number(self.root.file_name()?)
    }

    /// Names of the directories of session and chunk; `whole` for a session that did not rotate.
    pub fn names(&self) -> (String, String) {
        let names: Vec<&[u8]> = self.path.as_bytes().split(|it| *it == b'/').collect();
        let text = |name: Option<&&[u8]>| {
            let name = name.copied().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        };
        let mut above = names.iter().rev();
        let last = above.next();
        if !self.is_slice() {
            return (text(last), "whole".to_owned());
        }
        let session = above.find(|name| **name != ARCHIVES.as_bytes());
        (text(session.or(last)), text(last))
    }

    /// The first name of its path, which is the host's in most layouts.
    pub fn top(&self) -> String {
        let name = self.path.components().next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// The directory in which it was found.
    pub fn output(&self) -> &Path {
        let above = self.root.ancestors().nth(self.path.names().count());
        above.unwrap_or(&self.root)
    }

    /// Whether a user wants it or a part of it to be kept (`baton keep`).
    pub fn is_pinned(&self, files: &[LocalFile]) -> bool {
        let below = files.iter().filter_map(|file| file.path.parent());
        let directories = below.map(|directory| self.path.join(&directory));
        let marks: BTreeSet<_> = directories
            .flat_map(|it| it.pins().collect::<Vec<_>>())
            .collect();
        marks.iter().any(|mark| {
            let mark = self.output().join(OsStr::from_bytes(mark.as_bytes()));
            mark.symlink_metadata().is_ok()
        })
    }

    /// Whether a process that writes to it would be seen: one of another user may not be. A
    /// rotated chunk has no writer.
    pub fn shows_writers(&self, files: &[LocalFile]) -> bool {
        let own = rustix::process::geteuid();
        let is_own = |file: &LocalFile| {
            let found = fs::metadata(self.file(&file.path));
            found.is_ok_and(|found| found.uid() == own.as_raw())
        };
        self.is_slice() || own.is_root() || files.iter().all(is_own)
    }

    /// Whether it is a part of a session: a rotated chunk, or a snapshot.
    fn is_slice(&self) -> bool {
        self.root.file_name().is_some_and(is_chunk)
    }

    /// Its files in the order of their paths. Hidden ones are not a trace's.
    pub fn files(&self) -> Result<Vec<LocalFile>, Error> {
        let mut files = Vec::new();
        for domain in DOMAINS {
            let path = RelativePath::parse(domain.as_bytes());
            let path = path.map_err(|error| Error::Other(error.to_string()))?;
            let directory = self.root.join(domain);
            // A link would lead out of the chunk.
            if fs::symlink_metadata(&directory).is_ok_and(|it| it.is_dir()) {
                gather(&directory, &path, &mut files)?;
            }
        }
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        Ok(files)
    }

    pub fn state(
        &self,
        files: &[LocalFile],
        quiet_period: Duration,
        writers: &mut Writers,
    ) -> State {
        // The chunks of a session that goes on are finished, and the session is not.
        if !self.is_slice() && baton::is_recorded(&self.root) {
            return State::Recorded;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ns = now.map_or(0, |now| now.as_nanos().cast_signed());
        let newest = files.iter().map(|file| file.modified_ns).max();
        if newest.is_some_and(|newest| now_ns - newest < quiet_period.as_nanos().cast_signed()) {
            return State::Recent;
        }
        let is_open = |file: &LocalFile| {
            let found = fs::metadata(self.file(&file.path));
            found.is_ok_and(|found| writers.of(&found).is_some())
        };
        if files.iter().any(is_open) {
            return State::Open;
        }
        State::Finished
    }

    pub fn file(&self, path: &RelativePath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }
}

/// The output directory of a relay in which these chunks were found; none if it is that of a
/// session.
pub fn output_of(directory: &Path, chunks: &[Chunk]) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    let is_session = |chunk: &Chunk| {
        let above = chunk.root.parent().filter(|_| chunk.is_slice());
        let archives = above.filter(|above| above.ends_with(ARCHIVES));
        let session = archives.and_then(Path::parent).or(above);
        session.unwrap_or(&chunk.root) == directory
    };
    (!chunks.iter().any(is_session)).then_some(directory)
}

/// Equal as long as nothing in the chunk changes.
pub fn digest(files: &[LocalFile]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.path.as_bytes());
        let line = format!("\0{} {}\n", file.bytes, file.modified_ns);
        digest.update(line.as_bytes());
    }
    hex(&digest.finalize())
}

fn gather(directory: &Path, path: &RelativePath, files: &mut Vec<LocalFile>) -> Result<(), Error> {
    let fault = Error::file("cannot read", directory);
    for entry in fs::read_dir(directory).map_err(&fault)? {
        let entry = entry.map_err(&fault)?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(&fault)?);
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let path = path.child(name.as_bytes());
        let path = path.map_err(|error| Error::Other(error.to_string()))?;
        if kind.is_dir() {
            gather(&entry.path(), &path, files)?;
        } else if kind.is_file() {
            let it = entry.metadata().map_err(&fault)?;
            files.push(LocalFile {
                path,
                bytes: it.len(),
                modified_ns: i128::from(it.mtime()) * 1_000_000_000 + i128::from(it.mtime_nsec()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(output: &Path, path: &str) -> Chunk {
        Chunk {
            root: output.join(path),
            path: RelativePath::parse(path.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn names_of_session_and_chunk_are_those_of_directories() {
        let rotated = "20261122T070017+0000-20261122T070018+0000-12";
        for (path, session, name) in [
            ("h/s-1".to_owned(), "s-1", "whole"),
            (format!("h/s-1/archives/{rotated}"), "s-1", rotated),
            (
                "h/s-1/snapshot-1-20261122-070017-0".to_owned(),
                "s-1",
                "snapshot-1-20261122-070017-0",
            ),
        ] {
            let names = chunk(Path::new("/out"), &path).names();
            assert_eq!(names, (session.to_owned(), name.to_owned()), "{path}");
        }
    }

    #[test]
    fn a_chunk_is_finished_when_nobody_writes_and_it_is_quiet() {
        let output = tempfile::tempdir().unwrap();
        let chunk = chunk(output.path(), "h/s");
        let directory = chunk.root.join("ust/uid/0/64-bit");
        fs::create_dir_all(directory.join("index")).unwrap();
        let data = directory.join("ch_0");
        fs::write(&data, "packets").unwrap();
        fs::write(directory.join("index/ch_0.idx"), "").unwrap();
        fs::write(directory.join(".hidden"), "").unwrap();
        let files = chunk.files().unwrap();
        let paths: Vec<_> = files.iter().map(|it| it.path.as_bytes()).collect();
        assert_eq!(
            paths,
            [
                &b"ust/uid/0/64-bit/ch_0"[..],
                b"ust/uid/0/64-bit/index/ch_0.idx"
            ]
        );
        assert_eq!(files.iter().filter(|it| it.is_data()).count(), 1);
        let state = |quiet| chunk.state(&files, quiet, &mut Writers::default());
        assert_eq!(state(Duration::from_hours(1)), State::Recent);
        assert_eq!(state(Duration::ZERO), State::Finished);
        let mut writer = std::process::Command::new("sleep")
            .arg("60")
            .stdout(fs::File::options().append(true).open(&data).unwrap())
            .spawn()
            .unwrap();
        assert_eq!(state(Duration::ZERO), State::Open);
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert_eq!(state(Duration::ZERO), State::Finished);
    }

    #[test]
    fn the_digest_changes_with_any_file() {
        let file = |path: &str, bytes, modified_ns| LocalFile {
            path: RelativePath::parse(path.as_bytes()).unwrap(),
            bytes,
            modified_ns,
        };
        let digests = [
            digest(&[]),
            digest(&[file("a", 1, 1)]),
            digest(&[file("b", 1, 1)]),
            digest(&[file("a", 2, 1)]),
            digest(&[file("a", 1, 2)]),
            digest(&[file("a", 1, 1), file("b", 1, 1)]),
        ];
        let unique: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(unique.len(), digests.len());
    }
}
