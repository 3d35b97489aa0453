//! The state of the disk: names, inodes, open files, and injected faults.

use std::collections::{BTreeMap, BTreeSet};

use baton_components::connection::Extent;
use baton_components::keys::FileKey;
use baton_components::path::RelativePath;

use super::power::Event;
use crate::ports::{StorageError, StorageErrorKind};
use crate::requests::{Breakage, Lane, Request};
use baton_components::waits::Ticket;

#[derive(Default)]
pub struct Disk {
    pub names: BTreeMap<RelativePath, Entry>,
    pub inodes: BTreeMap<u64, Inode>,
    pub last_inode: u64,
    pub open: BTreeMap<(Process, FileKey), Open>,
    pub counts: BTreeMap<Operation, u64>,
    /// By operation and its number among those of its kind.
    pub faults: BTreeMap<(Operation, u64), String>,
    pub capacity_bytes: Option<u64>,
    /// Directories in which somebody records.
    pub recorded: Vec<(Process, RelativePath)>,
    /// Requests that are not answered, in their order.
    pub asked: Vec<Asked>,
    /// How many rounds of answers a request takes; none: it is answered in the next.
    pub lateness: Option<Box<dyn FnMut() -> u64 + Send>>,
    /// No request is answered.
    pub holds_answers: bool,
    /// Names that were made, moved or removed meanwhile: each call would have hung.
    pub hanging_calls: u64,
    /// No commit of these is answered.
    pub held_lanes: BTreeSet<Lane>,
    /// Whether what is looked at next is not at hand.
    pub is_cold: Option<Box<dyn FnMut() -> bool + Send>>,
    /// Parts that were at hand or fetched, and may be read once.
    pub at_hand: Vec<(Process, Extent)>,
    /// Reads of anything else.
    pub cold_reads: u64,
    /// Files to which nothing is written since a write has failed.
    pub broken: BTreeMap<(Process, FileKey), Breakage>,
    /// All changes, for a loss of power.
    pub events: Option<Vec<Event>>,
}

/// A request that is not answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub process: Process,
    pub ticket: Ticket,
    pub request: Request,
    /// Rounds until it is done.
    pub rounds: u64,
}

/// The operations of a disk, apart from closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A directory is made, or claimed.
    CreateDirectory,
    /// It is asked whether a name is there, or a name of some kind.
    LookUp,
    /// A file or a directory gets another name.
    Rename,
    /// A file's name or a directory goes.
    Remove,
    /// A file is made and opened.
    CreateFile,
    /// Bytes are written to a file.
    Write,
    /// Bytes of a file are read.
    Read,
    /// A file is cut or lengthened.
    Resize,
    /// A file or the names in a directory are made durable.
    Sync,
}

impl Operation {
    /// Each of them once, but for syncs, which a relay does only where it is told to.
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

    /// The operation as a verb, for error messages.
    pub fn action(self) -> &'static str {
        match self {
            Self::CreateDirectory => "make directory",
            Self::LookUp => "look at",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::CreateFile => "make file",
            Self::Write => "write to",
            Self::Read => "read from",
            Self::Resize => "resize",
            Self::Sync => "sync",
        }
    }
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
        let makes_names = [
            Operation::CreateDirectory,
            Operation::Rename,
            Operation::Remove,
            Operation::CreateFile,
        ];
        self.hanging_calls += u64::from(self.holds_answers && makes_names.contains(&operation));
        match self.faults.remove(&(operation, *count)) {
            Some(reason) => Err(StorageError {
                kind: StorageErrorKind::Broken,
                action: operation.action().into(),
                path: path.to_string(),
                reason,
            }),
            None => Ok(()),
        }
    }

    /// Something has changed, or was synced.
    pub fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }

    /// A round passes: removes the requests that are due, and returns them in the order in
    /// which they are done. One waits for those before it in the same place.
    pub fn due(&mut self, process: Process) -> Vec<Asked> {
        let mut due = Vec::new();
        let mut busy = Vec::new();
        let Self {
            asked,
            holds_answers,
            held_lanes,
            ..
        } = self;
        asked.retain_mut(|asked| {
            if asked.process != process || is_held(*holds_answers, held_lanes, &asked.request) {
                return true;
            }
            let waits = asked.rounds > 0 || busy.contains(&asked.request.place());
            asked.rounds = asked.rounds.saturating_sub(1);
            if waits {
                busy.push(asked.request.place());
            } else {
                due.push(asked.clone());
            }
            waits
        });
        due
    }

    /// Whether a part of a file is at hand. If so, it may be read.
    pub fn look(&mut self, process: Process, extent: Extent) -> bool {
        let Some(is_cold) = &mut self.is_cold else {
            return true;
        };
        let is_at_hand = !is_cold();
        if is_at_hand {
            self.at_hand.push((process, extent));
        }
        is_at_hand
    }

    /// A part of a file is read.
    pub fn note_read(&mut self, process: Process, extent: Extent) {
        if self.is_cold.is_none() {
            return;
        }
        let is_it = |(by, part): &(Process, Extent)| *by == process && part.contains(&extent);
        match self.at_hand.iter().position(is_it) {
            Some(at) => drop(self.at_hand.swap_remove(at)),
            None => self.cold_reads += 1,
        }
    }

    /// Whether a request is not answered for now.
    pub fn holds(&self, request: &Request) -> bool {
        is_held(self.holds_answers, &self.held_lanes, request)
    }

    /// An empty file, to which so many names and open files lead.
    pub fn make_inode(&mut self, links: u32) -> u64 {
        self.last_inode += 1;
        let fresh = Inode {
            bytes: Vec::new(),
            links,
        };
        self.inodes.insert(self.last_inode, fresh);
        self.last_inode
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

    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), Why> {
        if !self.names.contains_key(from) {
            return Err((StorageErrorKind::Gone, "it does not exist"));
        }
        if !self.has_place(to) {
            return Err(NO_DIRECTORY);
        }
        if from == to {
            return Ok(());
        }
        if to.is_at_or_below(from) {
            return Err((StorageErrorKind::InTheWay, "it cannot go below itself"));
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
        let none = || error(operation, &RelativePath::root(), NOT_OPEN);
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

fn is_held(holds_answers: bool, held_lanes: &BTreeSet<Lane>, request: &Request) -> bool {
    match request {
        Request::Commit { lane, .. } => held_lanes.contains(lane),
        _ => holds_answers,
    }
}

/// The kind of an error, and its reason.
pub type Why = (StorageErrorKind, &'static str);

pub fn error(operation: Operation, path: &RelativePath, (kind, reason): Why) -> StorageError {
    StorageError {
        kind,
        action: operation.action().into(),
        path: path.to_string(),
        reason: reason.to_owned(),
    }
}

pub const NO_SPACE: Why = (StorageErrorKind::Full, "no space left on the disk");
pub const NO_DIRECTORY: Why = (StorageErrorKind::Gone, "its directory does not exist");
pub const NO_FILE: Why = (StorageErrorKind::Gone, "there is no file of that name");
pub const EXISTS: Why = (StorageErrorKind::InTheWay, "something has that name");
pub const IS_FILE: Why = (StorageErrorKind::InTheWay, "a file is in the way");
pub const IS_DIRECTORY: Why = (StorageErrorKind::InTheWay, "it is a directory");
pub const KEY_IN_USE: Why = (StorageErrorKind::Broken, "its key has a file open");
pub const NOT_OPEN: Why = (StorageErrorKind::Broken, "the file is not open");
pub const TOO_SHORT: Why = (StorageErrorKind::Broken, "the file ends before");
