//! A disk in memory.
//!
//! Names lead to inodes, and so do open files: an inode goes with the last of either,
//! so a file that was unlinked stays readable to whoever has it open.
//!
//! It can be made to fail: the n-th operation of a kind, or all that needs more room
//! than there is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;

use super::lock;
use crate::ports::{Storage, StorageError, StoragePort};

/// Handle of a disk; its clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Disk>>);

/// What a relay asks of a disk, apart from closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    CreateDirectory,
    CreateFile,
    Write,
    Read,
    Resize,
    Rename,
    Remove,
}

impl Operation {
    pub const ALL: [Self; 7] = [
        Self::CreateDirectory,
        Self::CreateFile,
        Self::Write,
        Self::Read,
        Self::Resize,
        Self::Rename,
        Self::Remove,
    ];

    fn action(self) -> &'static str {
        match self {
            Self::CreateDirectory => "create directory",
            Self::CreateFile => "create",
            Self::Write => "write to",
            Self::Read => "read from",
            Self::Resize => "resize",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }
}

impl MemoryStorage {
    /// An empty disk without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The side that a relay writes to.
    pub fn port(&self) -> StoragePort {
        StoragePort(Box::new(self.clone()))
    }

    /// All that has a name: the bytes of each file, nothing for a directory.
    pub fn tree(&self) -> BTreeMap<RelativePath, Option<Vec<u8>>> {
        let disk = lock(&self.0);
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
        let disk = lock(&self.0);
        match disk.names.get(path)? {
            Entry::Directory => None,
            Entry::File(inode) => Some(disk.inodes[inode].bytes.clone()),
        }
    }

    /// Files that the relay has open.
    pub fn open_files(&self) -> usize {
        lock(&self.0).open.len()
    }

    /// Bytes in all files, those without a name that are open included.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.0).used_bytes()
    }

    /// Operations of that kind so far, failed ones included. Who wants to see each
    /// one fail counts them in a first run.
    pub fn count(&self, operation: Operation) -> u64 {
        lock(&self.0).counts.get(&operation).copied().unwrap_or(0)
    }

    /// The `nth` operation of that kind from now on fails (1: the next one).
    pub fn fail(&self, operation: Operation, nth: u64, reason: &str) {
        let mut disk = lock(&self.0);
        let ordinal = disk.counts.get(&operation).copied().unwrap_or(0) + nth;
        disk.faults.insert((operation, ordinal), reason.to_owned());
    }

    /// The disk has room for so many bytes in all; none: for any number. What needs
    /// more fails; a write first fills what is left.
    pub fn limit_bytes(&self, capacity_bytes: Option<u64>) {
        lock(&self.0).capacity_bytes = capacity_bytes;
    }
}

impl Storage for MemoryStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
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

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        Ok(lock(&self.0).names.contains_key(path))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
        let operation = Operation::Rename;
        disk.begin(operation, from)?;
        if disk.has_below(to) {
            return Err(error(operation, to, "the directory is not empty"));
        }
        if to
            .parent()
            .is_none_or(|above| !above.is_root() && !disk.names.contains_key(&above))
        {
            return Err(error(operation, to, "its directory does not exist"));
        }
        let moved: Vec<(RelativePath, Entry)> = disk
            .names
            .iter()
            .filter(|(path, _)| *path == from || is_below(path, from))
            .map(|(path, entry)| (path.clone(), *entry))
            .collect();
        if moved.is_empty() {
            return Err(error(operation, from, "there is nothing of that name"));
        }
        if let Some(Entry::File(old)) = disk.names.remove(to) {
            disk.let_go(old);
        }
        for (path, entry) in moved {
            disk.names.remove(&path);
            let below = path.as_bytes().get(from.as_bytes().len() + 1..);
            let below = below.map(RelativePath::parse).transpose();
            let below = below.expect("law: a part of a path is a path");
            disk.names
                .insert(to.join(&below.unwrap_or_default()), entry);
        }
        Ok(())
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
        disk.begin(Operation::Remove, path)?;
        if disk.names.get(path) == Some(&Entry::Directory) && !disk.has_below(path) {
            disk.names.remove(path);
        }
        Ok(())
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
        disk.begin(Operation::Remove, path)?;
        if let Some(Entry::File(inode)) = disk.names.get(path).copied() {
            disk.names.remove(path);
            disk.let_go(inode);
        }
        Ok(())
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
        let operation = Operation::CreateFile;
        disk.begin(operation, path)?;
        if disk.open.contains_key(&key) {
            return Err(error(operation, path, "its key has a file open"));
        }
        let Some(directory) = path.parent() else {
            return Err(error(operation, path, "it has no name"));
        };
        if !directory.is_root() && disk.names.get(&directory) != Some(&Entry::Directory) {
            return Err(error(operation, path, "its directory does not exist"));
        }
        match disk.names.get(path).copied() {
            Some(Entry::Directory) => {
                return Err(error(operation, path, "a directory has that name"));
            }
            Some(Entry::File(old)) => disk.let_go(old),
            None => {}
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
        disk.open.insert(key, Open { inode, path });
        Ok(())
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut disk = lock(&self.0);
        let operation = Operation::Write;
        let open = disk.opened(operation, key)?;
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
        let mut disk = lock(&self.0);
        let operation = Operation::Read;
        let open = disk.opened(operation, key)?;
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
        let mut disk = lock(&self.0);
        let operation = Operation::Resize;
        let open = disk.opened(operation, key)?;
        disk.begin(operation, &open.path)?;
        let old = disk.size(open.inode);
        if size > disk.size_max(old).max(old) {
            return Err(error(operation, &open.path, NO_SPACE));
        }
        disk.bytes(open.inode).resize(size as usize, 0);
        Ok(())
    }

    fn close(&mut self, key: FileKey) {
        let mut disk = lock(&self.0);
        if let Some(open) = disk.open.remove(&key) {
            disk.let_go(open.inode);
        }
    }
}

#[derive(Debug, Default)]
struct Disk {
    names: BTreeMap<RelativePath, Entry>,
    inodes: BTreeMap<u64, Inode>,
    last_inode: u64,
    open: BTreeMap<FileKey, Open>,
    counts: BTreeMap<Operation, u64>,
    /// By operation and its number among those of its kind.
    faults: BTreeMap<(Operation, u64), String>,
    capacity_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    File(u64),
}

#[derive(Debug)]
struct Inode {
    bytes: Vec<u8>,
    /// Names and open files that lead here.
    links: u32,
}

#[derive(Clone, Debug)]
struct Open {
    inode: u64,
    /// The name it was created with, for errors.
    path: RelativePath,
}

impl Disk {
    /// Counts the operation, and fails it if that was wished.
    fn begin(&mut self, operation: Operation, path: &RelativePath) -> Result<(), StorageError> {
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        match self.faults.remove(&(operation, *count)) {
            Some(reason) => Err(error(operation, path, &reason)),
            None => Ok(()),
        }
    }

    fn opened(&self, operation: Operation, key: FileKey) -> Result<Open, StorageError> {
        let none = || error(operation, &RelativePath::root(), "the file is not open");
        self.open.get(&key).cloned().ok_or_else(none)
    }

    fn size(&self, inode: u64) -> u64 {
        self.inodes
            .get(&inode)
            .map_or(0, |inode| inode.bytes.len() as u64)
    }

    fn bytes(&mut self, inode: u64) -> &mut Vec<u8> {
        let inode = self.inodes.get_mut(&inode);
        &mut inode.expect("law: what is open has an inode").bytes
    }

    fn used_bytes(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| inode.bytes.len() as u64)
            .sum()
    }

    fn has_below(&self, path: &RelativePath) -> bool {
        self.names.keys().any(|name| is_below(name, path))
    }

    /// How large a file of that size can become.
    fn size_max(&self, size: u64) -> u64 {
        match self.capacity_bytes {
            Some(capacity) => size + capacity.saturating_sub(self.used_bytes()),
            None => u64::MAX,
        }
    }

    /// A name or an open file leads there no more.
    fn let_go(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.links -= 1;
            if inode.links == 0 {
                self.inodes.remove(&number);
            }
        }
    }
}

fn error(operation: Operation, path: &RelativePath, reason: &str) -> StorageError {
    StorageError {
        action: operation.action(),
        path: path.to_string(),
        reason: reason.to_owned(),
    }
}

fn is_below(path: &RelativePath, above: &RelativePath) -> bool {
    let rest = path.as_bytes().strip_prefix(above.as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'/'))
}

const NO_SPACE: &str = "no space left on the disk";

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    struct Test {
        handle: MemoryStorage,
        port: StoragePort,
        keys: SlotMap<FileKey, ()>,
    }

    impl Test {
        fn new() -> Self {
            let handle = MemoryStorage::new();
            Self {
                port: handle.port(),
                handle,
                keys: SlotMap::default(),
            }
        }

        fn create(&mut self, name: &str) -> FileKey {
            let key = self.keys.insert(());
            self.port.create_file(key, &path(name)).unwrap();
            key
        }

        fn content(&self, name: &str) -> Vec<u8> {
            self.handle.file(&path(name)).unwrap()
        }
    }

    fn path(name: &str) -> RelativePath {
        RelativePath::parse(name.as_bytes()).unwrap()
    }

    #[test]
    fn writes_are_read_back() {
        let mut test = Test::new();
        let file = test.create("file");
        test.port.write(file, 0, b"hello").unwrap();
        test.port.write(file, 3, b"p!").unwrap();
        test.port.write(file, 7, b"far").unwrap();
        assert_eq!(test.content("file"), b"help!\0\0far");
        let mut into = [0; 3];
        test.port.read(file, 7, &mut into).unwrap();
        assert_eq!(&into, b"far");
        assert!(test.port.read(file, 8, &mut into).is_err());
        assert!(test.port.read(file, u64::MAX, &mut into).is_err());
        test.port.resize(file, 4).unwrap();
        test.port.resize(file, 6).unwrap();
        assert_eq!(test.content("file"), b"help\0\0");
    }

    #[test]
    fn directories_come_first() {
        let mut test = Test::new();
        let key = test.keys.insert(());
        let error = test.port.create_file(key, &path("a/b/c")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot create a/b/c: its directory does not exist"
        );
        test.port.create_directory(&path("a/b")).unwrap();
        test.port.create_directory(&path("a")).unwrap();
        test.create("a/b/c");
        assert!(test.port.create_directory(&path("a/b/c/d")).is_err());
        assert!(test.port.create_file(key, &path("a/b")).is_err());
        let tree = test.handle.tree();
        let names: Vec<String> = tree.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c"]);
        assert_eq!(tree[&path("a/b")], None);
        assert_eq!(tree[&path("a/b/c")], Some(Vec::new()));
    }

    #[test]
    fn a_file_of_the_same_name_leaves_the_old_one_to_its_readers() {
        let mut test = Test::new();
        let old = test.create("file");
        test.port.write(old, 0, b"old").unwrap();
        let new = test.create("file");
        test.port.write(new, 0, b"n").unwrap();
        let mut into = [0; 3];
        test.port.read(old, 0, &mut into).unwrap();
        assert_eq!(&into, b"old");
        assert_eq!(test.content("file"), b"n");
        assert_eq!((test.handle.open_files(), test.handle.used_bytes()), (2, 4));
        test.port.close(old);
        test.port.close(old);
        assert!(test.port.read(old, 0, &mut into).is_err());
        assert_eq!((test.handle.open_files(), test.handle.used_bytes()), (1, 1));
        test.port.close(new);
        assert_eq!(test.content("file"), b"n");
    }

    #[test]
    fn the_nth_operation_fails_once() {
        let mut test = Test::new();
        let file = test.create("file");
        test.port.write(file, 0, b"1").unwrap();
        test.handle.fail(Operation::Write, 2, "the disk is on fire");
        test.port.write(file, 1, b"2").unwrap();
        let error = test.port.write(file, 2, b"3").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write to file: the disk is on fire"
        );
        test.port.write(file, 2, b"4").unwrap();
        assert_eq!(test.content("file"), b"124");
        assert_eq!(test.handle.count(Operation::Write), 4);
        assert_eq!(test.handle.count(Operation::Read), 0);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let mut test = Test::new();
        let file = test.create("file");
        test.handle.limit_bytes(Some(4));
        assert!(test.port.write(file, 0, b"hello").is_err());
        assert_eq!(test.content("file"), b"hell");
        test.port.write(file, 0, b"b").unwrap();
        assert!(test.port.write(file, 3, b"ly").is_err());
        assert_eq!(test.content("file"), b"bell");
        assert!(test.port.write(file, 9, b"!").is_err());
        assert!(test.port.resize(file, 5).is_err());
        test.port.resize(file, 1).unwrap();
        test.port.write(file, 1, b"ad").unwrap();
        assert_eq!(test.content("file"), b"bad");
        test.handle.limit_bytes(None);
        test.port.resize(file, 5).unwrap();
    }
}
