//! What is on the disk: names, inodes, open files, and the faults that are wished.

use std::collections::BTreeMap;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;

use super::Operation;
use crate::ports::StorageError;

#[derive(Debug, Default)]
pub struct Disk {
    pub names: BTreeMap<RelativePath, Entry>,
    pub inodes: BTreeMap<u64, Inode>,
    pub last_inode: u64,
    pub open: BTreeMap<(Process, FileKey), Open>,
    pub counts: BTreeMap<Operation, u64>,
    /// By operation and its number among those of its kind.
    pub faults: BTreeMap<(Operation, u64), String>,
    pub capacity_bytes: Option<u64>,
}

/// One of those who use the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Directory,
    File(u64),
}

#[derive(Debug)]
pub struct Inode {
    pub bytes: Vec<u8>,
    /// Names and open files that lead here.
    pub links: u32,
}

#[derive(Clone, Debug)]
pub struct Open {
    pub inode: u64,
    /// The name it was created with, for errors.
    pub path: RelativePath,
}

impl Disk {
    /// Counts the operation, and fails it if that was wished.
    pub fn begin(&mut self, operation: Operation, path: &RelativePath) -> Result<(), StorageError> {
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        match self.faults.remove(&(operation, *count)) {
            Some(reason) => Err(error(operation, path, &reason)),
            None => Ok(()),
        }
    }

    /// Whether the directory of a path is there.
    pub fn has_place(&self, path: &RelativePath) -> bool {
        path.parent().is_some_and(|directory| {
            directory.is_root() || self.names.get(&directory) == Some(&Entry::Directory)
        })
    }

    pub fn is_empty(&self, directory: &RelativePath) -> bool {
        self.below(directory).next().is_none()
    }

    /// All names below a directory, at any depth.
    fn below<'a>(&'a self, directory: &'a RelativePath) -> impl Iterator<Item = &'a RelativePath> {
        let first = directory.child([1]).expect("law: that is a name");
        let names = self.names.range(first..).map(|(name, _)| name);
        names.take_while(|name| name.is_at_or_below(directory))
    }

    /// The names that stand directly in a directory, with its own path before them.
    pub fn names_in<'a>(
        &'a self,
        directory: &'a RelativePath,
    ) -> impl Iterator<Item = &'a RelativePath> {
        self.below(directory)
            .filter(|name| name.parent().as_ref() == Some(directory))
    }

    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), &'static str> {
        if !self.names.contains_key(from) {
            return Err("it does not exist");
        }
        if !self.has_place(to) {
            return Err(NO_DIRECTORY);
        }
        if from == to {
            return Ok(());
        }
        if to.is_at_or_below(from) {
            return Err("it cannot go below itself");
        }
        if self.names.contains_key(to) {
            return Err(EXISTS);
        }
        let names: Vec<RelativePath> = self.below(from).cloned().collect();
        for name in names.iter().chain([from]) {
            if let (Some(entry), Some(tail)) = (self.names.remove(name), name.below(from)) {
                self.names.insert(to.join(&tail), entry);
            }
        }
        Ok(())
    }

    pub fn opened(
        &self,
        operation: Operation,
        process: Process,
        key: FileKey,
    ) -> Result<Open, StorageError> {
        let none = || error(operation, &RelativePath::root(), "the file is not open");
        self.open.get(&(process, key)).cloned().ok_or_else(none)
    }

    pub fn size(&self, inode: u64) -> u64 {
        self.inodes
            .get(&inode)
            .map_or(0, |inode| inode.bytes.len() as u64)
    }

    pub fn bytes(&mut self, inode: u64) -> &mut Vec<u8> {
        let inode = self.inodes.get_mut(&inode);
        &mut inode.expect("law: what is open has an inode").bytes
    }

    pub fn used_bytes(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| inode.bytes.len() as u64)
            .sum()
    }

    /// How large a file of that size can become.
    pub fn size_max(&self, size: u64) -> u64 {
        match self.capacity_bytes {
            Some(capacity) => size + capacity.saturating_sub(self.used_bytes()),
            None => u64::MAX,
        }
    }

    /// A name or an open file leads there no more.
    pub fn let_go(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.links -= 1;
            if inode.links == 0 {
                self.inodes.remove(&number);
            }
        }
    }
}

pub fn error(operation: Operation, path: &RelativePath, reason: &str) -> StorageError {
    StorageError {
        action: operation.action(),
        path: path.to_string(),
        reason: reason.to_owned(),
    }
}

pub const NO_SPACE: &str = "no space left on the disk";
pub const NO_DIRECTORY: &str = "its directory does not exist";
pub const EXISTS: &str = "something has that name";
