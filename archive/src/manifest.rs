//! The manifest of an archived chunk, `manifest.json`, and its head.
//!
//! A manifest is the commit: it is stored when all objects that it names are there and
//! verified. One that comes from a bucket may be anybody's, so nothing in it is used before
//! [`Manifest::read`] has checked all of it.

use std::collections::BTreeSet;

use baton_components::path::RelativePath;
use baton_components::shown::Shown;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::store::{Store, StoreError};

/// The version of this format.
pub const SCHEMA: u32 = 1;

/// Limit of a manifest: some ten thousands of files, or a terabyte in frames.
pub const MANIFEST_MAX: u64 = 16 << 20;
pub const HEAD_MAX: u64 = 64 << 10;

/// Limit of a frame's content. A packet that is larger is in several frames.
pub const FRAME_MAX: u64 = 4 << 20;
/// Limit of a frame as stored: what does not get smaller gets a little larger.
pub const STORED_FRAME_MAX: u64 = FRAME_MAX + (64 << 10);

/// The summary of a chunk, which lists have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub schema: u32,
    /// Of the attempt that archived it.
    pub id: String,
    /// Machine that archived it.
    pub relay: String,
    /// Machine that was traced.
    pub host: String,
    /// Name of the session's directory.
    pub session: String,
    /// Path of the chunk below the relay's output directory, percent-encoded.
    pub path: String,
    /// Number of the chunk in its session, where it has one.
    pub chunk: Option<u64>,
    /// `CTF 1.8` or `CTF 2`; none where no metadata can be read.
    pub format: Option<String>,
    /// Begin of the first packet, and end of the last.
    pub begin: Timestamp,
    pub end: Timestamp,
    pub files: u64,
    pub bytes: u64,
    pub stored_bytes: u64,
    pub packets: u64,
    /// Events that the tracer discarded.
    pub discarded: u64,
    /// Packets that are missing between others.
    pub lost: u64,
    /// Place of the manifest and the objects, below the prefix.
    pub directory: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub head: Head,
    pub traces: Vec<Trace>,
    pub objects: Vec<Object>,
    pub files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Its directory below the chunk's.
    pub path: String,
    pub uuid: Option<String>,
    /// `CTF 1.8` or `CTF 2`.
    pub format: String,
    pub clock: Clock,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub frequency: u64,
    pub offset_s: i64,
    pub offset_cycles: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Below the directory of the manifest.
    pub name: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Below the chunk's directory.
    pub path: String,
    /// The object that it is in: a place in the list.
    pub object: u32,
    /// Where it begins there.
    pub offset: u64,
    pub stored_bytes: u64,
    pub bytes: u64,
    pub sha256: String,
    /// Content and stored size of each zstd frame; empty: the file is stored as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<(u64, u64)>,
    /// Of a data file whose packets can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Id of the stream class, and of the stream in it where packets have one: the same in all
    /// files of a stream.
    pub class: u64,
    pub instance: Option<u64>,
    pub packets: u64,
    pub begin: Timestamp,
    pub end: Timestamp,
    pub discarded: u64,
    pub lost: u64,
}

impl Head {
    /// Reads a head; an error says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let head: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            let found = self.schema;
            return Err(format!(
                "its format is version {found}, and this program reads version {SCHEMA}"
            ));
        }
        self.path()?;
        let directory = keys::Directory::parse(&self.directory);
        if directory.is_none_or(|it| !it.text().ends_with(&format!("/{}", self.id))) {
            return Err(format!("{:.80?} is no place of a manifest", self.directory));
        }
        Ok(())
    }

    pub fn path(&self) -> Result<RelativePath, String> {
        keys::decode_path(&self.path)
    }

    /// Its path, for people.
    pub fn shown(&self) -> String {
        let path = self.path();
        path.map_or_else(|_| self.path.clone(), |it| Shown(it.as_bytes()).to_string())
    }

    /// Stores it where lists look.
    pub fn store(&self, store: &Store) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self).expect("law: a head has text and numbers only");
        store.put(
            &keys::head(self.end, &self.host, &self.session, &self.id),
            &bytes,
        )
    }
}

impl Manifest {
    /// Reads a manifest and checks all of it: no path leads out, and all sizes agree.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.head.check()?;
        for object in &manifest.objects {
            keys::decode_path(&object.name)?;
        }
        let mut paths = BTreeSet::new();
        for file in &manifest.files {
            keys::decode_path(&file.path)?;
            file.check(&manifest.objects)
                .map_err(|reason| format!("{}: {reason}", file.path))?;
            if !paths.insert(&file.path) {
                return Err(format!("{} is there twice", file.path));
            }
        }
        let sum = |of: fn(&File) -> u64| {
            let add = |sum: u64, file| sum.checked_add(of(file));
            manifest.files.iter().try_fold(0, add)
        };
        let head = &manifest.head;
        if sum(|it| it.bytes) != Some(head.bytes)
            || sum(|it| it.stored_bytes) != Some(head.stored_bytes)
            || manifest.files.len() as u64 != head.files
        {
            return Err("the sizes of its files do not add up".to_owned());
        }
        Ok(manifest)
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("law: a manifest has text and numbers only")
    }
}

impl File {
    fn check(&self, objects: &[Object]) -> Result<(), String> {
        let object = objects.get(self.object as usize);
        let object = object.ok_or("it is in an object that is not there")?;
        let end = self.offset.checked_add(self.stored_bytes);
        if end.is_none_or(|end| end > object.bytes) {
            return Err("it is longer than its object".to_owned());
        }
        if self.frames.is_empty() {
            return if self.bytes == self.stored_bytes {
                Ok(())
            } else {
                Err("it has no frames, and two sizes".to_owned())
            };
        }
        let (mut bytes, mut stored) = (0, 0);
        for (content, as_stored) in &self.frames {
            if *content > FRAME_MAX || *as_stored > STORED_FRAME_MAX {
                return Err("a frame is too large".to_owned());
            }
            // No overflow: a manifest has less than 2^24 of them.
            bytes += content;
            stored += as_stored;
        }
        if (bytes, stored) == (self.bytes, self.stored_bytes) {
            Ok(())
        } else {
            Err("its frames do not add up".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let moment = Timestamp::UNIX_EPOCH;
        let file = |path: &str, object, frames: &[(u64, u64)]| File {
            path: path.to_owned(),
            object,
            offset: 0,
            stored_bytes: 10,
            bytes: if frames.is_empty() { 10 } else { 100 },
            sha256: String::new(),
            frames: frames.to_vec(),
            stream: None,
        };
        let object = |name: &str| Object {
            name: name.to_owned(),
            bytes: 10,
        };
        Manifest {
            head: Head {
                schema: SCHEMA,
                id: "id".to_owned(),
                relay: "r".to_owned(),
                host: "h".to_owned(),
                session: "s".to_owned(),
                path: "h/s".to_owned(),
                chunk: None,
                format: None,
                begin: moment,
                end: moment,
                files: 2,
                bytes: 110,
                stored_bytes: 20,
                packets: 0,
                discarded: 0,
                lost: 0,
                directory: "v1/data/h/s/c/id".to_owned(),
            },
            traces: Vec::new(),
            objects: vec![object("ust/metadata"), object("ust/ch.zst")],
            files: vec![
                file("ust/metadata", 0, &[]),
                file("ust/ch", 1, &[(60, 4), (40, 6)]),
            ],
        }
    }

    fn refusal(change: impl Fn(&mut Manifest)) -> String {
        let mut manifest = manifest();
        change(&mut manifest);
        Manifest::read(&manifest.write()).unwrap_err()
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        assert_eq!(Manifest::read(&manifest().write()), Ok(manifest()));
    }

    #[test]
    fn a_manifest_that_leads_out_is_refused() {
        for path in ["../x", "/etc/passwd", "a/../../b", "", "%2E%2E/x", "a%00"] {
            let text = path.to_owned();
            refusal(|it| it.head.path.clone_from(&text));
            refusal(|it| it.files[0].path.clone_from(&text));
            refusal(|it| it.objects[0].name.clone_from(&text));
            refusal(|it| it.head.directory.clone_from(&text));
        }
        refusal(|it| it.head.directory = "v1/data/h/s/c/other".to_owned());
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        let lies: [fn(&mut Manifest); 10] = [
            |it| it.files[0].bytes = 11,
            |it| it.files[0].stored_bytes = u64::MAX,
            |it| it.files[0].offset = u64::MAX,
            |it| it.files[0].offset = 1,
            |it| it.files[0].object = 2,
            |it| it.files[1].frames = vec![(100, 9)],
            |it| it.files[1].frames = vec![(FRAME_MAX + 1, 10)],
            |it| it.head.bytes = 1,
            |it| it.head.files = 3,
            |it| it.files[1].path = "ust/metadata".to_owned(),
        ];
        for lie in lies {
            refusal(lie);
        }
    }

    #[test]
    fn another_version_is_named() {
        let reason = refusal(|it| it.head.schema = 2);
        assert!(reason.contains("version 2"), "{reason}");
    }
}
