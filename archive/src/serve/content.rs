//! Reads parts of files: of a directory, or of an archive, with the frames of late in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;
use crate::frames::Unpacker;
use crate::list::Source;
use crate::store::{Patience, Store};

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Content {
    File(PathBuf),
    /// As it is, from a place in an object.
    Plain {
        key: String,
        offset: u64,
    },
    /// In frames: their contents' and their stored sizes.
    Packed {
        key: String,
        offset: u64,
        frames: Vec<(u64, u64)>,
    },
}

/// Reads contents, for all viewers.
pub struct Reader {
    /// None: all is in a directory.
    pub store: Option<Store>,
    frames: Mutex<VecDeque<Kept>>,
}

/// A frame in memory: its object, where it begins there, and what is in it.
struct Kept {
    key: String,
    at: u64,
    content: Arc<Vec<u8>>,
}

impl Reader {
    pub fn open(source: &Source, patience: Patience) -> Result<Self, Error> {
        let store = match source {
            Source::Store(place) => Some(Store::open(place, patience)?),
            Source::Directory(_) => None,
        };
        Ok(Self {
            store,
            frames: Mutex::default(),
        })
    }

    fn store(&self) -> Result<&Store, Error> {
        let store = self.store.as_ref();
        store.ok_or_else(|| Error::Other("there is no store".to_owned()))
    }

    /// Reads exactly these bytes.
    pub fn read(&self, content: &Content, range: Range<u64>) -> Result<Vec<u8>, Error> {
        match content {
            Content::File(path) => {
                let fault = Error::file("cannot read", path);
                let file = File::open(path).map_err(&fault)?;
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).map_err(fault)?;
                Ok(bytes)
            }
            Content::Plain { key, offset } => {
                let range = offset + range.start..offset + range.end;
                Ok(self.store()?.read(key, range)?)
            }
            Content::Packed {
                key,
                offset,
                frames,
            } => {
                let mut bytes = Vec::new();
                let (mut begin, mut at) = (0, *offset);
                for (content, stored) in frames {
                    let end = begin + content;
                    if begin < range.end && range.start < end {
                        let frame = self.frame(key, at, *content, *stored)?;
                        let first = range.start.saturating_sub(begin) as usize;
                        let last = (range.end.min(end) - begin) as usize;
                        bytes.extend_from_slice(frame.get(first..last).unwrap_or_default());
                    }
                    (begin, at) = (end, at + stored);
                }
                Ok(bytes)
            }
        }
    }

    fn frame(
        &self,
        key: &str,
        at: u64,
        bytes: u64,
        stored_bytes: u64,
    ) -> Result<Arc<Vec<u8>>, Error> {
        let is_it = |kept: &Kept| kept.at == at && kept.key == key;
        let lock = || self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut frames = lock();
            if let Some(found) = frames.iter().position(is_it)
                && let Some(kept) = frames.remove(found)
            {
                let content = Arc::clone(&kept.content);
                frames.push_back(kept);
                return Ok(content);
            }
        }
        let store = self.store()?;
        let stored = store.read(key, at..at + stored_bytes)?;
        let wrong = |reason: &str| Error::from(store.place().wrong(key, reason.to_owned()));
        let mut unpacker = Unpacker::new().map_err(|_| wrong("zstd cannot be used"))?;
        let content = unpacker.unpack(&stored, bytes);
        let content = content.map_err(|_| wrong("a frame is damaged"))?.to_vec();
        let content = Arc::new(content);
        let mut frames = lock();
        frames.push_back(Kept {
            key: key.to_owned(),
            at,
            content: Arc::clone(&content),
        });
        let mut kept: usize = frames.iter().map(|it| it.content.len()).sum();
        while kept > KEPT_BYTES_MAX
            && let Some(oldest) = frames.pop_front()
        {
            kept -= oldest.content.len();
        }
        Ok(content)
    }
}

/// Limit of frames in memory: a viewer reads all streams of a session in turn, and each is in
/// another frame.
const KEPT_BYTES_MAX: usize = 128 << 20;
