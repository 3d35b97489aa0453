//! The journal of an attempt to archive a chunk: what is stored already, for the next run if
//! this one is killed. A file in the chunk's directory, a line of JSON for each object or part.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::keys::Directory;
use crate::manifest;
use crate::store::Store;
use crate::{Error, keys};

const JOURNAL: &str = ".baton-archiving";

/// The state of an attempt.
#[derive(Debug)]
pub struct Attempt {
    path: PathBuf,
    file: File,
    begin: Begin,
    directory: Directory,
    /// Its manifest is stored.
    is_committed: bool,
    /// By the number of an object in the plan.
    stored: BTreeMap<usize, Stored>,
    uploads: BTreeMap<usize, Upload>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begin {
    id: String,
    to: String,
    digest: String,
    directory: String,
}

/// An object that is stored and verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub object: manifest::Object,
    /// Its contents.
    pub files: Vec<manifest::File>,
}

/// An object that comes in parts, of which some are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    pub name: String,
    pub tags: Vec<String>,
    pub frames: Vec<(u64, u64)>,
    /// Bytes of the file, and of the object, that they have.
    pub bytes: u64,
    pub stored_bytes: u64,
    /// State of the file's checksum after them.
    pub checksum: String,
}

/// A part that is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub upload: String,
    pub name: String,
    pub tag: String,
    pub frames: Vec<(u64, u64)>,
    pub bytes: u64,
    pub stored_bytes: u64,
    /// State of the file's checksum after it.
    pub checksum: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begin(Begin),
    Object(usize, Stored),
    Part(usize, Part),
    /// The server has forgotten the upload.
    Forgotten(usize),
}

impl Attempt {
    /// The journal tells of a chunk that this one is not.
    pub const FOREIGN: &str = "its .baton-archiving was of another chunk, and is removed; the next \
                               run begins anew";

    /// Goes on with an earlier attempt at the same chunk, or begins one of so many objects.
    /// Objects of an attempt that is not gone on with are removed from the store.
    ///
    /// The relay, too, can write to the chunk's directory, and a journal that it has forged must
    /// not reach what is archived already: an attempt at another chunk is not gone on with, nor is
    /// one that has a manifest and lacks objects.
    pub fn begin(
        chunk: &Chunk,
        store: &Store,
        digest: &str,
        objects: usize,
        place: impl Fn(&str) -> Directory,
    ) -> Result<Self, Error> {
        let path = chunk.root.join(JOURNAL);
        let to = store.place().url();
        let earlier = Self::read(path.clone());
        let is_own = |it: &Self| it.begin.to == to && it.directory == place(&it.begin.id);
        if let Some(mut earlier) = earlier.filter(is_own) {
            let manifest = store.size(&earlier.directory.manifest())?;
            earlier.is_committed = manifest.is_some();
            let is_whole = earlier.stored.len() == objects;
            if earlier.begin.digest == digest && (is_whole || !earlier.is_committed) {
                return Ok(earlier);
            }
            earlier.undo(store)?;
        }
        let id = keys::new_id(Timestamp::now());
        let directory = place(&id);
        let fault = Error::file("cannot write", &path);
        let begin = Begin {
            id,
            to,
            digest: digest.to_owned(),
            directory: directory.text().to_owned(),
        };
        let mut attempt = Self {
            file: journal(&path, true).map_err(fault)?,
            path,
            begin: begin.clone(),
            directory,
            is_committed: false,
            stored: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        attempt.write(&Line::Begin(begin))?;
        Ok(attempt)
    }

    fn read(path: PathBuf) -> Option<Self> {
        let mut file = journal(&path, false).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        // A kill may have torn the last line.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut lines = whole.lines().map(serde_json::from_str);
        let Some(Ok(Line::Begin(begin))) = lines.next() else {
            return None;
        };
        // The next line must not become the rest of a torn one.
        file.set_len(whole.len() as u64).ok()?;
        let directory = Directory::parse(&begin.directory)?;
        let mut attempt = Self {
            path,
            file,
            begin,
            directory,
            is_committed: false,
            stored: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        for line in lines {
            attempt.apply(line.ok()?);
        }
        Some(attempt)
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Begin(_) => {}
            Line::Object(at, stored) => {
                self.uploads.remove(&at);
                self.stored.insert(at, stored);
            }
            Line::Part(at, part) => {
                let upload = self.uploads.entry(at).or_default();
                upload.id = part.upload;
                upload.name = part.name;
                upload.tags.push(part.tag);
                upload.frames.extend(part.frames);
                upload.bytes += part.bytes;
                upload.stored_bytes += part.stored_bytes;
                upload.checksum = part.checksum;
            }
            Line::Forgotten(at) => {
                self.uploads.remove(&at);
            }
        }
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        let append = || -> io::Result<()> {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            (&self.file).write_all(&text)
        };
        append().map_err(Error::file("cannot write", &self.path))
    }

    fn add(&mut self, line: Line) -> Result<(), Error> {
        self.write(&line)?;
        self.apply(line);
        Ok(())
    }

    pub fn id(&self) -> &str {
        &self.begin.id
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    pub fn is_stored(&self, object: usize) -> bool {
        self.stored.contains_key(&object)
    }

    /// The parts of an object that are stored.
    pub fn upload(&self, object: usize) -> Upload {
        self.uploads.get(&object).cloned().unwrap_or_default()
    }

    pub fn set_stored(&mut self, object: usize, stored: Stored) -> Result<(), Error> {
        self.add(Line::Object(object, stored))
    }

    pub fn set_part(&mut self, object: usize, part: Part) -> Result<(), Error> {
        self.add(Line::Part(object, part))
    }

    pub fn forget(&mut self, object: usize) -> Result<(), Error> {
        self.add(Line::Forgotten(object))
    }

    /// All objects, in the order of the plan.
    pub fn objects(&self) -> impl Iterator<Item = &Stored> {
        self.stored.values()
    }

    /// Whether its manifest is stored.
    pub fn is_committed(&self) -> bool {
        self.is_committed
    }

    /// Removes what was stored, and the journal. A committed chunk stays, and gets its head: it
    /// is the chunk as it was.
    fn undo(self, store: &Store) -> Result<(), Error> {
        let manifest = store.read_whole(&self.directory.manifest(), manifest::MANIFEST_MAX)?;
        if let Some(manifest) = manifest.and_then(|it| manifest::Manifest::read(&it).ok()) {
            manifest.head.store(store)?;
            return self.finish();
        }
        for upload in self.uploads.values() {
            store.abort(&self.directory.object(&upload.name), &upload.id)?;
        }
        // A kill may have come between an object and its line.
        let mut keys = Vec::new();
        store.list(&self.directory.object(""), None, |listed| {
            keys.push(listed.key);
            Ok::<_, Error>(())
        })?;
        for key in keys {
            store.remove(&key)?;
        }
        self.finish()
    }

    /// Removes the journal.
    pub fn finish(&self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::file("cannot remove", &self.path))
    }
}

/// Opens a journal, or makes one. Where the relay has put a link, nothing else is written to.
fn journal(path: &Path, is_new: bool) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).append(true).custom_flags(NO_LINK);
    if is_new {
        let removed = fs::remove_file(path);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => options.create_new(true),
        };
    }
    options.open(path)
}

/// Neither follows a link, nor waits for a pipe.
pub const NO_LINK: i32 = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .bits()
    .cast_signed();
