//! `baton fetch`: chunks of an archive back as the directories that they were.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use baton::Root;
use baton_components::path::RelativePath;
use baton_components::shown::Size;
use rustix::fs::{AtFlags, FlockOperation, flock};
use rustix::io::Errno;

use crate::checksum::Checksum;
use crate::keys::{self, Directory};
use crate::list::{self, Filter};
use crate::manifest::{self, Head, MANIFEST_MAX, Manifest};
use crate::read::read_file;
use crate::store::{Patience, Place, Store, StoreError};
use crate::{Error, progress, say};

/// The options of `baton fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub place: Place,
    pub directory: PathBuf,
    pub filter: Filter,
    pub patience: Patience,
}

/// Returns whether all chunks are there.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let store = Store::open(&plan.place, plan.patience)?;
    let (heads, mut is_whole) = list::heads(&store, &plan.filter)?;
    if heads.is_empty() {
        let place = plan.place.url();
        return Err(Error::Other(format!(
            "no chunk in {place} is what you look for"
        )));
    }
    let mut tree = Tree::open(&plan.directory)?;
    progress::begin(heads.iter().map(|head| head.bytes).sum());
    let (mut chunks, mut bytes) = (0_u64, 0);
    for head in heads {
        match chunk(&store, &head, &mut tree) {
            Ok(()) => {
                chunks += 1;
                bytes += head.bytes;
                progress::reach(bytes);
            }
            Err(error) => {
                is_whole = false;
                say(format_args!("baton fetch: {error}"));
            }
        }
    }
    progress::end();
    let (size, shown) = (Size(bytes), baton::shown(&plan.directory));
    let noun = if chunks == 1 { "chunk" } else { "chunks" };
    baton::print(format_args!("{chunks} {noun}, {size} in {shown}\n"))?;
    Ok(is_whole)
}

fn chunk(store: &Store, head: &Head, tree: &mut Tree) -> Result<(), Error> {
    let distrust = |reason: String| Error::Manifest {
        key: head.directory.clone(),
        reason,
    };
    let directory = Directory::parse(&head.directory);
    let directory = directory.ok_or_else(|| distrust("it has no such place".to_owned()))?;
    let bytes = store.read_whole(&directory.manifest(), MANIFEST_MAX)?;
    let bytes = bytes.ok_or_else(|| distrust("it is not there".to_owned()))?;
    let manifest = Manifest::read(&bytes).map_err(distrust)?;
    if manifest.head.directory != head.directory {
        return Err(distrust("it is that of another chunk".to_owned()));
    }
    let root = manifest.head.path().map_err(distrust)?;
    for file in &manifest.files {
        let path = root.join(&keys::decode_path(&file.path).map_err(distrust)?);
        let object = manifest.objects.get(file.object as usize);
        let object = object.ok_or_else(|| distrust("an object is missing".to_owned()))?;
        tree.write(&path, file, |sink| {
            read_file(store, &directory, object, file, sink)
        })?;
    }
    Ok(())
}

type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Error>;

/// The directory that chunks are written to.
struct Tree {
    root: Root,
    path: PathBuf,
}

impl Tree {
    fn open(path: &Path) -> Result<Self, Error> {
        let fault = Error::file("cannot write to", path);
        let root = Root::open(path).map_err(&fault)?;
        match flock(
            root.handle().as_fd(),
            FlockOperation::NonBlockingLockExclusive,
        ) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let reason = "a relay or another fetch writes there: choose another directory";
                return Err(fault(io::Error::other(reason)));
            }
            Err(error) => return Err(fault(error.into())),
        }
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Writes a file, unless it is there already. It appears when it is whole and verified.
    fn write(
        &mut self,
        path: &RelativePath,
        file: &manifest::File,
        read: impl Fn(Sink<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let shown = self
            .path
            .join(std::ffi::OsStr::new(&*String::from_utf8_lossy(
                path.as_bytes(),
            )));
        let fault = |error: Errno| Error::file("cannot write", &shown)(error.into());
        match self.root.open_file(path) {
            Ok(found) if is_same(&found, file) => return Ok(()),
            Ok(_) => {
                let reason = "a file with other bytes is there: fetch into another directory";
                return Err(Error::file("cannot write", &shown)(io::Error::other(
                    reason,
                )));
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(fault(error)),
        }
        let above = path.parent().unwrap_or_else(RelativePath::root);
        self.root.make_directory(&above).map_err(fault)?;
        let temporary = above.child(TEMPORARY);
        let temporary = temporary.map_err(|error| Error::Other(error.to_string()))?;
        let mut failed = 0;
        loop {
            // Of an earlier run that was killed.
            self.root
                .unlink(&temporary, AtFlags::empty())
                .map_err(fault)?;
            let mut target = self.root.create_file(&temporary).map_err(fault)?;
            let outcome = read(&mut |content| {
                progress::add(content.len() as u64);
                let written = target.write_all(content);
                written.map_err(Error::file("cannot write", &shown))
            });
            failed += 1;
            match outcome {
                Ok(()) => break,
                // The way may have changed a byte, and will not do so again.
                Err(Error::Store(StoreError::Wrong { .. })) if failed < ATTEMPTS => {}
                Err(error) => {
                    self.root
                        .unlink(&temporary, AtFlags::empty())
                        .map_err(fault)?;
                    return Err(error);
                }
            }
        }
        self.root.rename(&temporary, path).map_err(fault)
    }
}

/// Name of a file until it is whole. Readers skip hidden ones.
const TEMPORARY: &str = ".fetching";
const ATTEMPTS: u32 = 3;

fn is_same(mut found: &File, file: &manifest::File) -> bool {
    let mut checksum = Checksum::default();
    let mut content = vec![0; 1 << 20];
    let mut bytes = 0;
    while bytes <= file.bytes {
        match found.read(&mut content) {
            Ok(0) => break,
            Ok(count) => {
                bytes += count as u64;
                checksum.update(&content[..count]);
            }
            Err(_) => return false,
        }
    }
    bytes == file.bytes && checksum.finish() == file.sha256
}
