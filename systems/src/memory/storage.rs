//! A disk in memory.
//!
//! Names lead to inodes, and so do open files: an inode goes with the last of either, so a
//! file that was unlinked stays readable while it is open.
//!
//! It can be made to fail: the n-th operation of a kind, or all that needs more room
//! than there is.

mod disk;
mod power;

// Long because: each call of the port, and what tests ask of the disk.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use baton_components::connection::Extent;
use baton_components::keys::FileKey;
use baton_components::path::RelativePath;

use self::disk::{
    Asked, Disk, EXISTS, Entry, IS_DIRECTORY, IS_FILE, KEY_IN_USE, NO_DIRECTORY, NO_FILE, NO_SPACE,
    Open, Process, TOO_SHORT, error,
};
use self::power::Event;
use super::lock::lock;
use crate::lists::{Files, Measure};
use crate::ports::Answer;
use crate::ports::{NAMES_LOOKED_AT, Storage, StorageError, StoragePort, Transfer};
use crate::requests::{Breakage, FileEnd, IndexEnd, Lane, Outcome, Request};
use baton_components::waits::Ticket;

pub use self::disk::Operation;

/// Handle of a disk; its clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    /// The user of the disk, whose files the keys belong to.
    process: Process,
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

    /// How many used the disk before.
    pub fn run(&self) -> u32 {
        self.process.0
    }

    /// The side that a relay writes to.
    pub fn port(&self) -> StoragePort {
        StoragePort::new(Box::new(self.clone()))
    }

    /// All names: with the bytes of a file, none for a directory.
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

    /// All names: with the size of a file in bytes, none for a directory.
    pub fn sizes(&self) -> BTreeMap<RelativePath, Option<u64>> {
        let disk = lock(&self.disk);
        let size = |entry: &Entry| match entry {
            Entry::Directory => None,
            Entry::File(inode) => Some(disk.size(*inode)),
        };
        disk.names
            .iter()
            .map(|(path, entry)| (path.clone(), size(entry)))
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

    /// Puts a file on the disk, as somebody who is no relay, with its directories.
    pub fn put(&self, path: &RelativePath, bytes: &[u8]) {
        let mut disk = self.clone();
        disk.take(path);
        let put = disk.append(path, bytes);
        put.expect("law: nothing that a test puts on the disk is in the way");
    }

    /// Removes a file, as somebody who is no relay.
    pub fn take(&self, path: &RelativePath) {
        let taken = self.clone().remove_file(path);
        taken.expect("law: a test removes files only");
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

    /// Number of operations of that kind so far, failed ones included. A test that makes each
    /// of them fail counts them in a first run.
    pub fn count(&self, operation: Operation) -> u64 {
        lock(&self.disk)
            .counts
            .get(&operation)
            .copied()
            .unwrap_or(0)
    }

    /// Makes the `nth` operation of that kind from now on fail (1: the next one).
    pub fn fail(&self, operation: Operation, nth: u64, reason: &str) {
        let mut disk = lock(&self.disk);
        let ordinal = disk.counts.get(&operation).copied().unwrap_or(0) + nth;
        disk.faults.insert((operation, ordinal), reason.to_owned());
    }

    /// No operation fails any more that [`MemoryStorage::fail`] has named.
    pub fn forget_faults(&self) {
        lock(&self.disk).faults.clear();
    }

    /// Answers each request after as many polls as `lateness` gives, so that later requests
    /// may be answered before.
    pub fn answer_late(&self, lateness: impl FnMut() -> u64 + Send + 'static) {
        lock(&self.disk).lateness = Some(Box::new(lateness));
    }

    /// Answers no request while this is set, as a disk does that hangs.
    pub fn hold_answers(&self, hold: bool) {
        lock(&self.disk).holds_answers = hold;
    }

    /// Number of calls that would have hung: they made, moved or removed names while no request was
    /// answered.
    pub fn hanging_calls(&self) -> u64 {
        lock(&self.disk).hanging_calls
    }

    /// Asks `is_cold` whether what is looked at is not at hand. From now on each read has to follow a
    /// look that found it at hand, or a fetch: see [`MemoryStorage::cold_reads`].
    pub fn chill(&self, is_cold: impl FnMut() -> bool + Send + 'static) {
        lock(&self.disk).is_cold = Some(Box::new(is_cold));
    }

    /// Number of reads that would have waited for the disk.
    pub fn cold_reads(&self) -> u64 {
        lock(&self.disk).cold_reads
    }

    /// Whether a commit, a fetch or a probe will be answered.
    pub fn is_busy(&self) -> bool {
        let disk = lock(&self.disk);
        let mut asked = disk.asked.iter();
        asked.any(|asked| {
            let is_it = matches!(
                asked.request,
                Request::Commit { .. } | Request::Fetch(_) | Request::Probe
            );
            is_it && asked.process == self.process && !disk.holds(&asked.request)
        })
    }

    /// Answers no commit of a session while this is set.
    pub fn hold_commits(&self, session: u64, hold: bool) {
        let lanes = &mut lock(&self.disk).held_lanes;
        if hold {
            lanes.insert(Lane(session));
        } else {
            lanes.remove(&Lane(session));
        }
    }

    /// Keeps all changes from now on, for [`MemoryStorage::after_power_loss`].
    pub fn keep_changes(&self) {
        lock(&self.disk).events.get_or_insert_default();
    }

    /// A loss of power: all names that are left, with the bytes of files. They are among those
    /// that a file system may keep of what was not synced, by numbers that `draw` gives, below
    /// its argument.
    pub fn after_power_loss(
        &self,
        draw: &mut dyn FnMut(u64) -> u64,
    ) -> BTreeMap<RelativePath, Option<Vec<u8>>> {
        let disk = lock(&self.disk);
        power::loss(disk.events.as_deref().unwrap_or_default(), draw)
    }

    /// Limits the disk to this number of bytes in all; none: no limit. Operations that need
    /// more fail; a write first fills the rest.
    pub fn limit_bytes(&self, capacity_bytes: Option<u64>) {
        lock(&self.disk).capacity_bytes = capacity_bytes;
    }
}

/// Bytes are in the files at once; failures are told later.
impl MemoryStorage {
    /// Changes a file that is not broken from this offset on, or breaks it.
    fn post(
        &mut self,
        key: FileKey,
        sound: u64,
        work: impl FnOnce(&mut Self) -> Result<(), StorageError>,
    ) {
        if self.breakage(key).is_none()
            && let Err(error) = work(self)
        {
            self.break_file(key, Breakage { sound, error });
        }
    }

    fn break_file(&mut self, key: FileKey, breakage: Breakage) {
        let broken = &mut lock(&self.disk).broken;
        broken.insert((self.process, key), breakage);
    }

    fn breakage(&self, key: FileKey) -> Option<Breakage> {
        let broken = &lock(&self.disk).broken;
        broken.get(&(self.process, key)).cloned()
    }

    /// Writes now, and tells whether that has failed: for tests.
    pub fn try_write(
        &mut self,
        key: FileKey,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
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
        disk.note(|| Event::Write(open.inode, start as u64, bytes[..fits].to_vec()));
        if fits < bytes.len() {
            return Err(error(operation, &open.path, NO_SPACE));
        }
        Ok(())
    }

    fn read_now(&mut self, from: Extent, into: &mut [u8]) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::Read;
        let open = disk.opened(operation, self.process, from.file)?;
        disk.begin(operation, &open.path)?;
        let file = disk.bytes(open.inode);
        let end = from.offset.saturating_add(from.size);
        match file.get(from.offset as usize..end as usize) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(error(operation, &open.path, TOO_SHORT)),
        }
    }

    /// Fetches a part of a file that may have been closed since.
    fn fetch(&mut self, extent: Extent) -> Result<Outcome, StorageError> {
        let mut disk = lock(&self.disk);
        if let Ok(open) = disk.opened(Operation::Read, self.process, extent.file) {
            disk.begin(Operation::Read, &open.path)?;
            disk.at_hand.push((self.process, extent));
        }
        Ok(Outcome::Done)
    }

    fn try_resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::Resize;
        let open = disk.opened(operation, self.process, key)?;
        disk.begin(operation, &open.path)?;
        let old = disk.size(open.inode);
        if size > disk.size_max(old).max(old) {
            return Err(error(operation, &open.path, NO_SPACE));
        }
        disk.bytes(open.inode).resize(size as usize, 0);
        disk.note(|| Event::Resize(open.inode, size));
        Ok(())
    }
}

impl Transfer for MemoryStorage {}

impl Storage for MemoryStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::CreateDirectory;
        disk.begin(operation, path)?;
        let mut above = RelativePath::root();
        for name in path.names() {
            above = above.join(&name);
            match disk.names.get(&above) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(error(operation, path, IS_FILE)),
                None => {
                    disk.names.insert(above.clone(), Entry::Directory);
                    disk.note(|| Event::MakeDirectory(above.clone()));
                }
            }
        }
        Ok(())
    }

    fn begin_recording(&mut self, path: &RelativePath) {
        let recorded = (self.process, path.clone());
        lock(&self.disk).recorded.push(recorded);
    }

    fn end_recording(&mut self, path: &RelativePath) {
        let disk = &mut lock(&self.disk);
        // It removes a sign.
        disk.hanging_calls += u64::from(disk.holds_answers);
        let recorded = &mut disk.recorded;
        let is_it =
            |(process, at): &(Process, RelativePath)| *process == self.process && at == path;
        if let Some(at) = recorded.iter().position(is_it) {
            recorded.swap_remove(at);
        }
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
            .map_err(|reason| error(Operation::Rename, from, reason))?;
        if from != to {
            disk.note(|| Event::Rename(from.clone(), to.clone()));
        }
        Ok(())
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Remove, path)?;
        if disk.names.get(path) == Some(&Entry::Directory) && disk.is_empty(path) {
            disk.names.remove(path);
            disk.note(|| Event::Remove(path.clone()));
        }
        Ok(())
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Remove, path)?;
        match disk.names.get(path).copied() {
            Some(Entry::Directory) => Err(error(Operation::Remove, path, IS_DIRECTORY)),
            Some(Entry::File(inode)) => {
                disk.names.remove(path);
                disk.note(|| Event::Remove(path.clone()));
                disk.let_go(inode);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        _: Lane,
    ) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        let operation = Operation::CreateFile;
        disk.begin(operation, path)?;
        if disk.open.contains_key(&(self.process, key)) {
            return Err(error(operation, path, KEY_IN_USE));
        }
        if !disk.has_place(path) {
            return Err(error(operation, path, NO_DIRECTORY));
        }
        if disk.names.contains_key(path) {
            return Err(error(operation, path, EXISTS));
        }
        // Its name, and the open file.
        let inode = disk.make_inode(2);
        disk.names.insert(path.clone(), Entry::File(inode));
        disk.note(|| Event::MakeFile(path.clone(), inode));
        let path = path.clone();
        disk.open.insert((self.process, key), Open { inode, path });
        Ok(())
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) {
        self.post(key, offset, |disk| disk.try_write(key, offset, bytes));
    }

    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64) {
        self.post(to, offset, |disk| {
            if let Some(Breakage { error, .. }) = disk.breakage(from) {
                return Err(error);
            }
            let size = range.end - range.start;
            let mut bytes = vec![0; size as usize];
            let from = Extent {
                file: from,
                offset: range.start,
                size,
            };
            disk.read_now(from, &mut bytes)?;
            disk.try_write(to, offset, &bytes)
        });
    }

    fn resize(&mut self, key: FileKey, size: u64) {
        self.post(key, 0, |disk| disk.try_resize(key, size));
    }

    fn restore(&mut self, key: FileKey, size: u64) {
        match self.try_resize(key, size) {
            Ok(()) => {
                lock(&self.disk).broken.remove(&(self.process, key));
            }
            Err(error) => self.break_file(key, Breakage { sound: 0, error }),
        }
    }

    fn commit(&mut self, _: Lane, ends: &[FileEnd]) -> Outcome {
        let mut failed = Vec::new();
        for FileEnd { data, index } in ends {
            let mut breakage = self.breakage(*data);
            if let (None, Some(index)) = (&breakage, index) {
                let IndexEnd {
                    file,
                    offset,
                    bytes,
                } = index;
                self.post(*file, *offset, |disk| disk.try_write(*file, *offset, bytes));
                breakage = self.breakage(*file).map(Breakage::of_index);
            }
            failed.extend(breakage.map(|breakage| (*data, breakage)));
        }
        Outcome::Committed { failed }
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let from = Extent {
            file: key,
            offset,
            size: into.len() as u64,
        };
        lock(&self.disk).note_read(self.process, from);
        self.read_now(from, into)
    }

    fn is_at_hand(&mut self, extent: Extent) -> bool {
        lock(&self.disk).look(self.process, extent)
    }

    fn close(&mut self, key: FileKey) {
        let mut disk = lock(&self.disk);
        disk.broken.remove(&(self.process, key));
        if let Some(open) = disk.open.remove(&(self.process, key)) {
            disk.let_go(open.inode);
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        let mut disk = lock(&self.disk);
        let rounds = disk.lateness.as_mut().map_or(0, |lateness| lateness());
        let process = self.process;
        disk.asked.push(Asked {
            process,
            ticket,
            request,
            rounds,
        });
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let due = lock(&self.disk).due(self.process);
        for Asked {
            ticket, request, ..
        } in due
        {
            let outcome = match request {
                Request::Fetch(extent) => self.fetch(extent),
                request => self.act(&request),
            };
            into.push(Answer { ticket, outcome });
        }
    }

    fn files(&mut self) -> Option<Box<dyn Files + '_>> {
        Some(Box::new(self.clone()))
    }

    fn has_answers(&self) -> bool {
        let disk = lock(&self.disk);
        let mut asked = disk.asked.iter();
        asked.any(|asked| asked.process == self.process && !disk.holds(&asked.request))
    }
}

impl Files for MemoryStorage {
    fn append(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let directory = path.parent().unwrap_or_default();
        self.create_directory(&directory)?;
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Write, path)?;
        let inode = match disk.names.get(path) {
            Some(Entry::File(inode)) => *inode,
            Some(Entry::Directory) => return Err(error(Operation::Write, path, IS_DIRECTORY)),
            None => {
                let inode = disk.make_inode(1);
                disk.names.insert(path.clone(), Entry::File(inode));
                disk.note(|| Event::MakeFile(path.clone(), inode));
                inode
            }
        };
        let size = disk.size(inode);
        disk.bytes(inode).extend_from_slice(bytes);
        disk.note(|| Event::Write(inode, size, bytes.to_vec()));
        Ok(())
    }

    fn replace(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let above = path.parent().unwrap_or_default();
        let beside = above.child([path.name(), b"~"].concat());
        let beside = beside.expect("law: the name of a path is one");
        self.remove_file(&beside)?;
        self.append(&beside, bytes)?;
        self.sync(&beside)?;
        let mut disk = lock(&self.disk);
        if let Some(Entry::File(before)) = disk.names.remove(path) {
            disk.let_go(before);
        }
        let renamed = disk.rename(&beside, path);
        renamed.map_err(|reason| error(Operation::Rename, path, reason))?;
        disk.note(|| Event::Rename(beside.clone(), path.clone()));
        Ok(())
    }

    fn contents(&mut self, path: &RelativePath) -> Result<Vec<u8>, StorageError> {
        lock(&self.disk).begin(Operation::Read, path)?;
        self.file(path)
            .ok_or_else(|| error(Operation::Read, path, NO_FILE))
    }

    fn names(&mut self, directory: &RelativePath) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::LookUp, directory)?;
        let names = disk.names_in(directory);
        Ok(names.map(|path| path.name().to_vec()).collect())
    }

    fn measure(&mut self, path: &RelativePath) -> Result<Option<Measure>, StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::LookUp, path)?;
        Ok(disk.names.get(path).map(|entry| Measure {
            bytes: match entry {
                Entry::Directory => 0,
                Entry::File(inode) => disk.size(*inode).next_multiple_of(BLOCK_BYTES),
            },
            changed_s: 0,
        }))
    }

    fn remove(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.remove_file(path)
    }

    fn remove_empty(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.remove_directory(path)
    }

    fn sync(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Sync, path)?;
        match disk.names.get(path).copied() {
            Some(Entry::File(inode)) => {
                disk.note(|| Event::Sync(inode));
                Ok(())
            }
            Some(Entry::Directory) => Err(error(Operation::Sync, path, IS_DIRECTORY)),
            None => Err(error(Operation::Sync, path, NO_FILE)),
        }
    }

    fn sync_names(&mut self, directory: &RelativePath) -> Result<(), StorageError> {
        let mut disk = lock(&self.disk);
        disk.begin(Operation::Sync, directory)?;
        if directory.is_root() || disk.names.get(directory) == Some(&Entry::Directory) {
            disk.note(|| Event::SyncNames(directory.clone()));
            Ok(())
        } else {
            Err(error(Operation::Sync, directory, NO_DIRECTORY))
        }
    }

    fn free_bytes(&mut self) -> Result<u64, StorageError> {
        let disk = lock(&self.disk);
        let free = |capacity: u64| capacity.saturating_sub(disk.used_bytes());
        Ok(disk.capacity_bytes.map_or(u64::MAX, free))
    }

    fn is_recorded(&mut self, directory: &RelativePath) -> bool {
        let disk = lock(&self.disk);
        let is_above = |path: &RelativePath| directory.is_at_or_below(path);
        let mut recorded = disk.recorded.iter();
        recorded.any(|(process, path)| *process == self.process && is_above(path))
    }
}

/// Files take whole blocks of this size.
const BLOCK_BYTES: u64 = 4096;

#[cfg(test)]
mod tests;
