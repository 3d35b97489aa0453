//! A disk in memory.
//!
//! Names lead to inodes, and so do open files: an inode goes with the last of either,
//! so a file that was unlinked stays readable to whoever has it open.
//!
//! It can be made to fail: the n-th operation of a kind, or all that needs more room
//! than there is.

mod disk;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;

use self::disk::{Disk, EXISTS, Entry, Inode, NO_DIRECTORY, NO_SPACE, Open, Process, error};
use super::lock;
use crate::ports::{NAMES_LOOKED_AT, Storage, StorageError, StoragePort};

/// Handle of a disk; its clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    /// Whose files the keys are of.
    process: Process,
}

/// What a relay asks of a disk, apart from closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    CreateDirectory,
    LookUp,
    Rename,
    Remove,
    CreateFile,
    Write,
    Read,
    Resize,
}

impl Operation {
    pub const ALL: [Self; 8] = [
        Self::CreateDirectory,
        Self::LookUp,
        Self::Rename,
        Self::Remove,
        Self::CreateFile,
        Self::Write,
        Self::Read,
        Self::Resize,
    ];

    fn action(self) -> &'static str {
        match self {
            Self::CreateDirectory => "make directory",
            Self::LookUp => "look at",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::CreateFile => "make file",
            Self::Write => "write to",
            Self::Read => "read from",
            Self::Resize => "resize",
        }
    }
}

impl MemoryStorage {
    /// An empty disk without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same disk for another relay, whose keys are its own.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            process: Process(self.process.0 + 1),
        }
    }

    /// The side that a relay writes to.
    pub fn port(&self) -> StoragePort {
        StoragePort(Box::new(self.clone()))
    }

    /// All that has a name: the bytes of each file, nothing for a directory.
    pub fn tree(&self) -> BTreeMap<RelativePath, Option<Vec<u8>>> {
        let disk = lock(&self.disk);
        let content = |entry: &Entry| match entry {
            Entry::Directory => None,
            Entry::File(inode) => Some(disk.inodes[inode].bytes.clone()),
        };
        disk.names
            .iter()
            .map(|(path, entry)| (path.clone(), content(entry)))
            .collect()
    }

    /// The bytes of one file, if there is a file of that name.
    pub fn file(&self, path: &RelativePath) -> Option<Vec<u8>> {
        let disk = lock(&self.disk);
        match disk.names.get(path)? {
            Entry::Directory => None,
            Entry::File(inode) => Some(disk.inodes[inode].bytes.clone()),
        }
    }

    /// Files that the relay has open.
    pub fn open_files(&self) -> usize {
        let disk = lock(&self.disk);
        let open = disk.open.keys();
        open.filter(|(process, _)| *process == self.process).count()
    }

    /// Bytes in all files, those without a name that are open included.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.disk).used_bytes()
    }

    /// Operations of that kind so far, failed ones included. Who wants to see each
    /// one fail counts them in a first run.
    pub fn count(&self, operation: Operation) -> u64 {
        lock(&self.disk)
            .counts
            .get(&operation)
            .copied()
            .unwrap_or(0)
    }

    /// The `nth` operation of that kind from now on fails (1: the next one).
    pub fn fail(&self, operation: Operation, nth: u64, reason: &str) {
        let mut disk = lock(&self.disk);
        let ordinal = disk.counts.get(&operation).copied().unwrap_or(0) + nth;
        disk.faults.insert((operation, ordinal), reason.to_owned());
    }

    /// The disk has room for so many bytes in all; none: for any number. What needs
    /// more fails; a write first fills what is left.
    pub fn limit_bytes(&self, capacity_bytes: Option<u64>) {
        lock(&self.disk).capacity_bytes = capacity_bytes;
    }
}

impl Storage for MemoryStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::CreateDirectory;
        disk.begin(operation, path)?;
        let mut above = RelativePath::root();
        for name in path.components() {
            above = above
                .child(name)
                .expect("law: a component of a path is a name");
            match disk.names.get(&above) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(error(operation, path, "a file is in the way")),
                None => {
                    disk.names.insert(above.clone(), Entry::Directory);
                }
            }
        }
        Ok(())
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        if lock(&self.disk).names.contains_key(path) {
            lock(&self.disk).begin(Operation::CreateDirectory, path)?;
            return Ok(false);
        }
        self.create_directory(path).map(|()| true)
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::LookUp, path)?;
        Ok(path.is_root() || disk.names.contains_key(path))
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::LookUp, directory)?;
        let mut names = disk.names_in(directory).take(NAMES_LOOKED_AT);
        Ok(names.any(|path| path.components().last().is_some_and(is_sought)))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Rename, from)?;
        disk.rename(from, to)
            .map_err(|reason| error(Operation::Rename, from, reason))
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Remove, path)?;
        if disk.names.get(path) == Some(&Entry::Directory) && disk.is_empty(path) {
            disk.names.remove(path);
        }
        Ok(())
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Remove, path)?;
        match disk.names.get(path).copied() {
            Some(Entry::Directory) => Err(error(Operation::Remove, path, "it is a directory")),
            Some(Entry::File(inode)) => {
                disk.names.remove(path);
                disk.let_go(inode);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::CreateFile;
        disk.begin(operation, path)?;
        if disk.open.contains_key(&(self.process, key)) {
            return Err(error(operation, path, "its key has a file open"));
        }
        if !disk.has_place(path) {
            return Err(error(operation, path, NO_DIRECTORY));
        }
        if disk.names.contains_key(path) {
            return Err(error(operation, path, EXISTS));
        }
        disk.last_inode += 1;
        let inode = disk.last_inode;
        let fresh = Inode {
            bytes: Vec::new(),
            // Its name, and the open file.
            links: 2,
        };
        disk.inodes.insert(inode, fresh);
        disk.names.insert(path.clone(), Entry::File(inode));
        let path = path.clone();
        disk.open.insert((self.process, key), Open { inode, path });
        Ok(())
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::Write;
        let open = disk.opened(operation, self.process, key)?;
        disk.begin(operation, &open.path)?;
        let size = disk.size(open.inode);
        let end = offset.saturating_add(bytes.len() as u64);
        let room = disk.size_max(size).max(size).min(end);
        let fits = room.saturating_sub(offset) as usize;
        let file = disk.bytes(open.inode);
        if room > size {
            file.resize(room as usize, 0);
        }
        let start = (offset as usize).min(file.len());
        file[start..start + fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() {
            return Err(error(operation, &open.path, NO_SPACE));
        }
        Ok(())
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::Read;
        let open = disk.opened(operation, self.process, key)?;
        disk.begin(operation, &open.path)?;
        let file = disk.bytes(open.inode);
        let end = offset.saturating_add(into.len() as u64);
        match file.get(offset as usize..end as usize) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(error(operation, &open.path, "the file ends before")),
        }
    }

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::Resize;
        let open = disk.opened(operation, self.process, key)?;
        disk.begin(operation, &open.path)?;
        let old = disk.size(open.inode);
        if size > disk.size_max(old).max(old) {
            return Err(error(operation, &open.path, NO_SPACE));
        }
        disk.bytes(open.inode).resize(size as usize, 0);
        Ok(())
    }

    fn close(&mut self, key: FileKey) {
        let mut disk = lock(&self.disk);
        if let Some(open) = disk.open.remove(&(self.process, key)) {
            disk.let_go(open.inode);
        }
    }
}

#[cfg(test)]
mod tests;
