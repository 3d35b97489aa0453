//! Files by their names, for threads that do what takes long: no descriptor is kept, and all
//! paths are beneath the output directory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use baton_components::path::RelativePath;
use baton_systems::lists::{Files, Measure};
use baton_systems::ports::{StorageError, StorageErrorKind};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::root::Root;
use super::{recording, said, shown};

/// The files of an output directory.
#[derive(Debug)]
pub struct FilesByName {
    output: PathBuf,
    root: Root,
}

impl FilesByName {
    pub fn new(output: &Path, root: Root) -> Self {
        let output = output.to_owned();
        Self { output, root }
    }

    fn error(&self, action: &'static str, path: &RelativePath, reason: &io::Error) -> StorageError {
        error(&self.output, action, path, reason)
    }
}

impl Files for FilesByName {
    fn append(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let above = path.parent().unwrap_or_default();
        let opened = match self.root.append_to(path) {
            Err(Errno::NOENT) => {
                let made = self.root.make_directory(&above);
                made.and_then(|_| self.root.append_to(path))
            }
            opened => opened,
        };
        opened
            .map_err(io::Error::from)
            .and_then(|mut file: File| file.write_all(bytes))
            .map_err(|reason| self.error("append to", path, &reason))
    }

    fn replace(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.root.write_beside(path, bytes);
        written
            .and_then(|written| Ok(self.root.replace(&written, path)?))
            .map_err(|reason| self.error("replace", path, &reason))
    }

    fn contents(&mut self, path: &RelativePath) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::new();
        let opened = self.root.open_file(path).map_err(io::Error::from);
        opened
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|reason| self.error("read", path, &reason))?;
        Ok(bytes)
    }

    fn names(&mut self, directory: &RelativePath) -> Result<Vec<Vec<u8>>, StorageError> {
        let names = self.root.names(directory);
        names.map_err(|reason| self.error("look at", directory, &reason.into()))
    }

    fn measure(&mut self, path: &RelativePath) -> Result<Option<Measure>, StorageError> {
        match self.root.stat(path) {
            Ok(stat) => Ok(Some(Measure {
                bytes: u64::try_from(stat.st_blocks)
                    .unwrap_or(0)
                    .saturating_mul(512),
                changed_s: u64::try_from(stat.st_mtime).unwrap_or(0),
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(reason) => Err(self.error("look at", path, &reason.into())),
        }
    }

    fn remove(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let removed = self.root.unlink(path, AtFlags::empty());
        removed.map_err(|reason| self.error("remove file", path, &reason.into()))
    }

    fn remove_empty(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let removed = remove_empty(&mut self.root, path);
        removed.map_err(|reason| self.error("remove directory", path, &reason.into()))
    }

    fn sync(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let opened = self.root.open_file(path);
        // The size is among what `fdatasync` makes durable; times are not.
        let synced = opened.and_then(|file| rustix::fs::fdatasync(&file));
        synced.map_err(|reason| self.error("sync", path, &reason.into()))
    }

    fn sync_names(&mut self, directory: &RelativePath) -> Result<(), StorageError> {
        match self.root.sync_names(directory) {
            // This file system has no sync of directories.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
            Err(reason) => Err(self.error("sync directory", directory, &reason.into())),
        }
    }

    fn free_bytes(&mut self) -> Result<u64, StorageError> {
        match rustix::fs::fstatvfs(self.root.handle()) {
            Ok(disk) => Ok(disk.f_bavail.saturating_mul(disk.f_frsize)),
            Err(reason) => {
                let root = RelativePath::root();
                Err(self.error("look at the disk of", &root, &reason.into()))
            }
        }
    }

    fn is_recorded(&mut self, directory: &RelativePath) -> bool {
        let below = std::ffi::OsStr::from_bytes(directory.as_bytes());
        recording::is_recorded(&self.output.join(below))
    }
}

/// Removes a directory if it exists and is empty.
pub fn remove_empty(root: &mut Root, path: &RelativePath) -> Result<(), Errno> {
    match root.unlink(path, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        removed => removed,
    }
}

/// An error of storage: what failed, on what, and why.
pub fn error(
    output: &Path,
    action: &'static str,
    path: &RelativePath,
    reason: &io::Error,
) -> StorageError {
    StorageError {
        kind: kind(reason),
        action: action.into(),
        path: absolute(output, path),
        reason: said(reason),
    }
}

/// An error of a file whose path is put in later.
pub fn failure(action: &'static str, reason: &io::Error) -> StorageError {
    StorageError {
        kind: kind(reason),
        action: action.into(),
        path: String::new(),
        reason: said(reason),
    }
}

/// The absolute path, escaped, for messages.
pub fn absolute(output: &Path, path: &RelativePath) -> String {
    let path = std::ffi::OsStr::from_bytes(path.as_bytes());
    shown(&output.join(path)).to_string()
}

pub fn kind(reason: &io::Error) -> StorageErrorKind {
    use io::ErrorKind as Kind;
    match reason.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => StorageErrorKind::Full,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::CrossesDevices => {
            StorageErrorKind::Denied
        }
        Kind::NotFound | Kind::StaleNetworkFileHandle => StorageErrorKind::Gone,
        Kind::AlreadyExists
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::DirectoryNotEmpty => StorageErrorKind::InTheWay,
        _ => StorageErrorKind::Broken,
    }
}
