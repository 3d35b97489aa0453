//! The storage port without a disk (`--output memory:SIZE`): files are in memory, and gone with
//! the relay.
//!
//! [`slots`] has their bytes, [`tree`] their names. Other threads do what takes long, as for files
//! on disk: to give back the memory of a large file takes milliseconds.

mod slots;
mod tree;

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::lists::{Files, Measure};
use baton_systems::ports::{
    Answer, NAMES_LOOKED_AT, Storage, StorageError, StorageErrorKind, Transfer,
};
use baton_systems::requests::{Breakage, FileEnd, Lane, Outcome, Request};
use baton_systems::retain::ledger::allocated;
use slotmap::SecondaryMap;

use self::slots::{Memory, Slot};
use self::tree::{Node, Tree};
use super::counters::Counters;
use super::files;
use super::pipe::Pipe;
use super::sockets::Sockets;
use super::workers::{Job, Workers};

pub struct FilesInMemory {
    memory: Arc<Memory>,
    names: Names,
    open: SecondaryMap<FileKey, Open>,
    /// The sockets of connections, for zero-copy.
    sockets: Sockets,
    pipe: Pipe,
    counters: Counters,
    workers: Workers,
}

#[derive(Debug)]
struct Open {
    slot: Arc<Slot>,
    /// Its first path, for messages.
    path: RelativePath,
    /// Why nothing is written to it before it is restored.
    broken: Option<Breakage>,
}

/// The names, for several threads.
#[derive(Clone, Debug)]
struct Names {
    memory: Arc<Memory>,
    tree: Arc<Mutex<Tree>>,
}

impl FilesInMemory {
    pub fn new(sockets: Sockets, counters: Counters, workers: Workers) -> io::Result<Self> {
        let memory = Memory::new()?;
        let names = Names {
            memory: Arc::clone(&memory),
            tree: Arc::default(),
        };
        Ok(Self {
            memory,
            names,
            open: SecondaryMap::new(),
            sockets,
            pipe: Pipe::default(),
            counters,
            workers,
        })
    }

    /// Writes to a file that is not broken, or breaks it. Memory does not keep anybody waiting.
    fn post(
        &mut self,
        key: FileKey,
        (action, sound): (&'static str, u64),
        work: impl FnOnce(&Slot) -> io::Result<()>,
    ) {
        let counters = &self.counters;
        let open = self.open.get_mut(key);
        if let Some(open) = open.filter(|open| open.broken.is_none()) {
            let done = counters.time_write(|| work(&open.slot));
            let error = done.map_err(|reason| error(action, &open.path, &reason));
            open.broken = error.err().map(|error| Breakage { sound, error });
        }
    }

    fn breakage(&self, key: FileKey) -> Option<Breakage> {
        self.open.get(key)?.broken.clone()
    }

    fn opened(&self, key: FileKey) -> &Open {
        let open = self.open.get(key);
        open.expect("law of holds: a file is used while somebody holds it")
    }
}

impl Names {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(action: &'static str, path: &RelativePath, reason: &io::Error) -> StorageError {
    let error = files::error(Path::new("memory:"), action, path, reason);
    let kind = match reason.kind() {
        // No page is left.
        io::ErrorKind::OutOfMemory => StorageErrorKind::Full,
        _ => error.kind,
    };
    StorageError { kind, ..error }
}

impl Transfer for FilesInMemory {
    fn to_peer(
        &mut self,
        connection: ConnectionKey,
        file: FileKey,
        offset: u64,
        length: u64,
    ) -> Result<Option<u64>, StorageError> {
        let Some(socket) = self.sockets.get(connection) else {
            return Ok(None);
        };
        let Open { slot, path, .. } = self.opened(file);
        let content = slot.content(offset, length);
        let sent = content.and_then(|(file, at)| socket.send_file(file, at, length));
        sent.map(Some)
            .map_err(|reason| error("send from", path, &reason))
    }

    fn to_file(
        &mut self,
        connection: ConnectionKey,
        file: FileKey,
        offset: u64,
        length: u64,
    ) -> u64 {
        let Some(socket) = self.sockets.get(connection) else {
            return 0;
        };
        let open = self.open.get_mut(file);
        let Some(open) = open.filter(|open| open.broken.is_none()) else {
            // Bytes that are received for it are skipped.
            return 0;
        };
        let mut bytes = 0;
        let (pipe, counters) = (&mut self.pipe, &self.counters);
        let slot = &open.slot;
        let written = slot.room(offset, length).and_then(|(file, mut at)| {
            bytes = pipe.fill(socket.stream.as_fd(), length);
            let end = at + bytes;
            counters.time_write(|| pipe.empty_into(file, &mut at, end))?;
            slot.grow(offset + bytes);
            Ok(())
        });
        open.broken = written.err().map(|reason| Breakage {
            sound: offset,
            error: error("write to", &open.path, &reason),
        });
        bytes
    }
}

impl Storage for FilesInMemory {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = self.names.tree().make_directory(path);
        made.map(drop)
            .map_err(|reason| error("make directory", path, &reason))
    }

    fn begin_recording(&mut self, directory: &RelativePath) {
        self.names.tree().begin_recording(directory);
    }

    fn end_recording(&mut self, directory: &RelativePath) {
        self.names.tree().end_recording(directory);
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let mut tree = self.names.tree();
        if tree.find(path).is_some() {
            return Ok(false);
        }
        tree.make_directory(path)
            .map_err(|reason| error("make directory", path, &reason))
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        Ok(path.is_root() || self.names.tree().find(path).is_some())
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let tree = self.names.tree();
        let names = tree.directory(directory).into_iter().flatten();
        let mut names = names.take(NAMES_LOOKED_AT);
        Ok(names.any(|(name, _)| is_sought(name)))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let renamed = self.names.tree().rename(from, to);
        renamed.map_err(|reason| error("rename", from, &reason))
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.names.remove_empty(path)
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.names.remove(path)
    }

    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        _: Lane,
    ) -> Result<(), StorageError> {
        let slot = self.memory.slot();
        let made = slot.and_then(|slot| {
            let node = Node::File(Arc::clone(&slot));
            self.names.tree().add(path, node)?;
            Ok(slot)
        });
        let slot = made.map_err(|reason| error("make file", path, &reason))?;
        let path = path.clone();
        let broken = None;
        self.open.insert(key, Open { slot, path, broken });
        Ok(())
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) {
        self.post(key, ("write to", offset), |slot| slot.write(offset, bytes));
    }

    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64) {
        let (breakage, source) = (self.breakage(from), Arc::clone(&self.opened(from).slot));
        self.post(to, ("write to", offset), |slot| {
            if let Some(breakage) = breakage {
                return Err(io::Error::other(breakage.error.to_string()));
            }
            let mut bytes = vec![0; (range.end - range.start) as usize];
            source.read(range.start, &mut bytes)?;
            slot.write(offset, &bytes)
        });
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let Open { slot, path, .. } = self.opened(key);
        let read = slot.read(offset, into);
        read.map_err(|reason| error("read from", path, &reason))
    }

    fn resize(&mut self, key: FileKey, size: u64) {
        self.post(key, ("resize", 0), |slot| slot.resize(size));
    }

    fn restore(&mut self, key: FileKey, size: u64) {
        if let Some(open) = self.open.get_mut(key) {
            open.broken = None;
        }
        self.resize(key, size);
    }

    fn commit(&mut self, _: Lane, ends: &[FileEnd]) -> Outcome {
        let mut failed = Vec::new();
        for FileEnd { data, index } in ends {
            let mut breakage = self.breakage(*data);
            if let (None, Some(index)) = (&breakage, index) {
                self.write(index.file, index.offset, &index.bytes);
                breakage = self.breakage(index.file).map(Breakage::of_index);
            }
            failed.extend(breakage.map(|breakage| (*data, breakage)));
        }
        Outcome::Committed { failed }
    }

    fn close(&mut self, key: FileKey) {
        self.open.remove(key);
        if self.open.is_empty() {
            self.pipe = Pipe::default();
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        if let Request::Commit { lane, ends } = &request {
            let outcome = Ok(self.commit(*lane, ends));
            return self.workers.answer(Answer { ticket, outcome });
        }
        let mut names = self.names.clone();
        let place = request.place();
        let work = Box::new(move || {
            let outcome = request.act_on(&mut names);
            Some(Answer { ticket, outcome })
        });
        let is_light = false;
        self.workers.give(&place, Job { is_light, work });
    }

    fn files(&mut self) -> Option<Box<dyn Files + '_>> {
        Some(Box::new(self.names.clone()))
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        self.workers.answers(into);
    }
}

impl Files for Names {
    fn append(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let slot = self.made(path);
        let appended = slot.and_then(|slot| slot.write(slot.size(), bytes));
        appended.map_err(|reason| error("append to", path, &reason))
    }

    fn replace(&mut self, path: &RelativePath, bytes: &[u8]) -> Result<(), StorageError> {
        let before = self.tree().remove_file(path);
        before
            .and_then(|_| self.made(path)?.write(0, bytes))
            .map_err(|reason| error("replace", path, &reason))
    }

    fn contents(&mut self, path: &RelativePath) -> Result<Vec<u8>, StorageError> {
        let slot = self.tree().file(path).cloned();
        let contents = slot.and_then(|slot| {
            let mut bytes = vec![0; slot.size() as usize];
            slot.read(0, &mut bytes)?;
            Ok(bytes)
        });
        contents.map_err(|reason| error("read", path, &reason))
    }

    fn names(&mut self, directory: &RelativePath) -> Result<Vec<Vec<u8>>, StorageError> {
        let tree = self.tree();
        let names = tree.directory(directory).into_iter().flatten();
        Ok(names.map(|(name, _)| name.clone()).collect())
    }

    fn measure(&mut self, path: &RelativePath) -> Result<Option<Measure>, StorageError> {
        Ok(self.tree().find(path).map(|node| Measure {
            bytes: match node {
                Node::Directory(_) => 0,
                Node::File(slot) => allocated(slot.size()),
            },
            changed_s: 0,
        }))
    }

    fn remove(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let removed = self.tree().remove_file(path);
        // Its memory is given back here, where nobody waits for the names.
        removed
            .map(drop)
            .map_err(|reason| error("remove file", path, &reason))
    }

    fn remove_empty(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let removed = self.tree().remove_directory(path);
        removed.map_err(|reason| error("remove directory", path, &reason))
    }

    fn sync(&mut self, _: &RelativePath) -> Result<(), StorageError> {
        Ok(())
    }

    fn sync_names(&mut self, _: &RelativePath) -> Result<(), StorageError> {
        Ok(())
    }

    fn free_bytes(&mut self) -> Result<u64, StorageError> {
        Ok(u64::MAX)
    }

    fn is_recorded(&mut self, directory: &RelativePath) -> bool {
        self.tree().is_recorded(directory)
    }
}

impl Names {
    /// The file at a path, which is made with its directory if it is missing.
    fn made(&self, path: &RelativePath) -> io::Result<Arc<Slot>> {
        let mut tree = self.tree();
        if let Ok(slot) = tree.file(path) {
            return Ok(Arc::clone(slot));
        }
        tree.make_directory(&path.parent().unwrap_or_default())?;
        let slot = self.memory.slot()?;
        tree.add(path, Node::File(Arc::clone(&slot)))?;
        Ok(slot)
    }
}

#[cfg(test)]
mod tests;
