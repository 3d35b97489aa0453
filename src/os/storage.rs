//! The storage port: directories and files on disk, below one output directory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use baton_components::connection::Extent;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::waits::Ticket;
use baton_systems::lists::Files;
use baton_systems::ports::Answer;
use baton_systems::ports::{NAMES_LOOKED_AT, Storage, StorageError, Transfer};
use baton_systems::requests::{FileEnd, Lane, Outcome, Place, Request};
use rustix::fs::AtFlags;

use super::counters::Counters;
use super::files::{FilesByName, absolute, error, failure, remove_empty};
use super::lanes::{self, End, Lanes, Operation, Operations};
use super::open_files::OpenFiles;
use super::page_cache;
use super::probe::Probe;
use super::recording::{self, Recordings};
use super::root::Root;
use super::said;
use super::sockets::Sockets;
use super::workers::{Job, Work, Workers};

/// A commit of so many bytes does not wait for all larger ones.
const LIGHT_BYTES_MAX: u64 = 64 * 1024;

pub struct FileStorage {
    output: PathBuf,
    root: Root,
    files: OpenFiles,
    /// The sockets of connections, for zero-copy.
    sockets: Sockets,
    lanes: Lanes,
    recordings: Recordings,
    probe: Probe,
    counters: Counters,
    /// None: requests are done at once.
    workers: Option<Workers>,
    /// Answers without workers.
    answers: Vec<Answer>,
    /// Whether another relay wrote to the output directory when this one started.
    pub has_company: bool,
}

impl FileStorage {
    /// Creates the output directory if it does not exist. At most `files_max` files have a
    /// descriptor at a time.
    pub fn open(output: &Path, files_max: usize) -> io::Result<Self> {
        let root = Root::open(output)?;
        let has_company = announce(&root);
        Ok(Self {
            output: output.to_owned(),
            root,
            files: OpenFiles::new(files_max),
            sockets: Sockets::default(),
            lanes: Lanes::default(),
            recordings: Recordings::default(),
            probe: Probe::default(),
            counters: Counters::default(),
            workers: None,
            answers: Vec::new(),
            has_company,
        })
    }

    /// Enables zero-copy between these sockets and files.
    #[must_use]
    pub fn with_sockets(self, sockets: Sockets) -> Self {
        Self { sockets, ..self }
    }

    /// Counts its writes there.
    #[must_use]
    pub fn with_counters(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }

    /// Has requests done by other threads.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self {
            workers: Some(workers),
            ..self
        }
    }

    /// A user may remove the output directory while the relay runs: it is created anew for
    /// the next session.
    fn find_root(&mut self) -> io::Result<()> {
        if !self.root.is_at(&self.output) {
            self.root = Root::open(&self.output)?;
            announce(&self.root);
            self.recordings = Recordings::default();
            self.drop_probe();
        }
        Ok(())
    }

    /// Closes the cached directories and pipes when no file is open.
    fn let_go(&mut self) {
        if self.files.is_empty() {
            self.root.keep_directories(false);
            self.lanes.pools.free_idle();
            self.drop_probe();
        }
    }

    fn drop_probe(&mut self) {
        let probe = std::mem::take(&mut self.probe);
        if let Some(workers) = self.workers.as_ref().filter(|_| probe.has_file()) {
            workers.give(&Place::Probe, dropping(probe));
        }
    }

    /// Adds an operation on an open file to its lane.
    fn post(&mut self, key: FileKey, operation: Operation, reads: Option<FileKey>) {
        let lane = self.files.lane(key);
        if let Some(target) = self.files.target(key, &mut self.root) {
            let many = self.lanes.add(lane, (key, target), operation, reads);
            self.hand_over(lane, many);
        }
    }

    /// Hands operations of a lane to a worker, if there are many. Without workers all that there
    /// is is done now.
    fn hand_over(&mut self, lane: Lane, many: Option<Operations>) {
        let (pools, counters) = (self.lanes.pools.clone(), self.counters.clone());
        match (&self.workers, many) {
            (Some(workers), Some(operations)) => {
                let work = Box::new(move || {
                    lanes::act(operations, &pools, &counters);
                    None
                });
                let is_light = false;
                workers.give(&Place::Lane(lane), Job { is_light, work });
            }
            (Some(_), None) => {}
            (None, many) => {
                let operations = many.unwrap_or_else(|| self.lanes.take_all(lane));
                lanes::act(operations, &pools, &counters);
            }
        }
    }

    /// A commit: what is to be done for it, in its lane, and whether that is little.
    fn commit_of(
        &mut self,
        lane: Lane,
        ends: &[FileEnd],
    ) -> (bool, impl FnOnce() -> Outcome + use<>) {
        let ends: Vec<End> = ends.iter().filter_map(|end| self.end(end)).collect();
        let operations = self.lanes.take_all(lane);
        let (pools, counters) = (self.lanes.pools.clone(), self.counters.clone());
        let is_light = operations.bytes() <= LIGHT_BYTES_MAX;
        let work = move || {
            lanes::act(operations, &pools, &counters);
            lanes::commit(ends, &counters)
        };
        (is_light, work)
    }

    /// A cold read: what is to be done for it.
    fn fetch_of(
        &mut self,
        extent: Extent,
    ) -> impl FnOnce() -> Result<Outcome, StorageError> + use<> {
        let path = self.path(&self.files.path(extent.file));
        let file = self.files.shared(extent.file, &mut self.root);
        move || {
            let fetched = file.and_then(|file| page_cache::fetch(&file, extent));
            fetched.map(|()| Outcome::Done).map_err(|reason| {
                let error = failure("read from", &reason);
                StorageError { path, ..error }
            })
        }
    }

    /// Whether reads may wait for the disk, and another thread can do them.
    fn has_cold_reads(&self) -> bool {
        self.workers.is_some() && !self.root.is_in_memory()
    }

    fn end(&mut self, end: &FileEnd) -> Option<End> {
        let health = self.files.health(end.data)?;
        let index = end.index.as_ref().and_then(|index| {
            let target = self.files.target(index.file, &mut self.root)?;
            Some((target, index.offset, index.bytes.clone()))
        });
        let data = end.data;
        Some(End {
            data,
            health,
            index,
        })
    }

    /// Puts in the paths of files that failed.
    fn name_failed(&self, answer: &mut Answer) {
        if let Ok(Outcome::Committed { failed }) = &mut answer.outcome {
            for (file, breakage) in failed {
                breakage.error.path = self.path(&self.files.path(*file));
            }
        }
    }

    /// Does what a request needs of open files before it is done.
    fn prepare(&mut self, request: &Request) -> Result<(), StorageError> {
        match request {
            Request::Remove { files, .. } => files.iter().try_for_each(|path| {
                let kept = self.files.keep_nameless(path, &mut self.root);
                kept.map_err(|reason| self.error("remove file", path, &reason))
            }),
            // These need no descriptor that is kept.
            Request::Fetch(_)
            | Request::Append { .. }
            | Request::Replace { .. }
            | Request::RemoveListed { .. }
            | Request::Survey { .. }
            | Request::Space
            | Request::Probe
            | Request::Commit { .. }
            | Request::Sync { .. }
            | Request::SyncChunk(_) => Ok(()),
        }
    }

    /// Runs `work` on an open file.
    fn with_file<T>(
        &mut self,
        key: FileKey,
        action: &'static str,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, StorageError> {
        self.files
            .file(key, &mut self.root)
            .and_then(work)
            .map_err(|reason| self.error(action, &self.files.path(key), &reason))
    }

    fn files_by_name(&self) -> FilesByName {
        FilesByName::new(&self.output, self.root.beside())
    }

    fn error(&self, action: &'static str, path: &RelativePath, reason: &io::Error) -> StorageError {
        error(&self.output, action, path, reason)
    }

    fn path(&self, path: &RelativePath) -> String {
        absolute(&self.output, path)
    }
}

/// Drops a file that has no name, or may: what is in it goes, which may wait for the disk.
fn dropping(file: impl Send + 'static) -> Job {
    let work = Box::new(move || {
        drop(file);
        None
    });
    let is_light = true;
    Job { is_light, work }
}

/// Whether another relay writes here; false if that cannot be found out.
fn announce(root: &Root) -> bool {
    recording::announce(root.handle()).unwrap_or_else(|reason| {
        let reason = said(&reason);
        tracing::warn!("cannot lock the output directory: {reason}: another relay that starts there is not warned");
        false
    })
}

impl Transfer for FileStorage {
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
        let sent = self.with_file(file, "send from", |file| {
            socket.send_file(file, offset, length)
        });
        sent.map(Some)
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
        let lane = self.files.lane(file);
        let Some(target) = self.files.target(file, &mut self.root) else {
            return 0;
        };
        let from = (socket.stream.as_fd(), length);
        let (bytes, many) = self.lanes.take(lane, (file, target), offset, from);
        self.hand_over(lane, many);
        bytes
    }
}

impl Storage for FileStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let found = self.find_root();
        self.root.keep_directories(true);
        let made = found.and_then(|()| Ok(self.root.make_directory(path).map(drop)?));
        self.let_go();
        made.map_err(|reason| self.error("make directory", path, &reason))
    }

    fn begin_recording(&mut self, directory: &RelativePath) {
        if let Err(reason) = self.recordings.begin(&mut self.root, directory) {
            let (path, reason) = (self.path(directory), said(&reason));
            tracing::warn!(
                "cannot lock {path}: {reason}: baton repair cannot see that it is being recorded; \
                 do not repair it before the session is over"
            );
        }
    }

    fn end_recording(&mut self, directory: &RelativePath) {
        if let Err(reason) = self.recordings.end(&self.root, directory) {
            let (path, reason) = (self.path(directory), said(&reason));
            tracing::warn!(
                "cannot unlock {path}: {reason}: baton repair may refuse it until this relay ends"
            );
        }
        self.let_go();
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let found = self.find_root();
        self.root.keep_directories(true);
        let claimed = found.and_then(|()| Ok(self.root.claim_directory(path)?));
        self.let_go();
        claimed.map_err(|reason| self.error("make directory", path, &reason))
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        self.root
            .exists(path)
            .map_err(|reason| self.error("look at", path, &reason.into()))
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        self.root
            .has_name(directory, NAMES_LOOKED_AT, is_sought)
            .map_err(|reason| self.error("look at", directory, &reason.into()))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        self.root
            .rename(from, to)
            .map_err(|reason| self.error("rename", from, &reason.into()))?;
        self.files.renamed(from, to);
        Ok(())
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        remove_empty(&mut self.root, path)
            .map_err(|reason| self.error("remove directory", path, &reason.into()))
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        self.files
            .keep_nameless(path, &mut self.root)
            .and_then(|()| Ok(self.root.unlink(path, AtFlags::empty())?))
            .map_err(|reason| self.error("remove file", path, &reason))
    }

    fn create_file(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        lane: Lane,
    ) -> Result<(), StorageError> {
        self.root.keep_directories(true);
        let made = self.files.create(key, path, lane, &mut self.root);
        self.let_go();
        made.map_err(|reason| self.error("make file", path, &reason))
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) {
        let lane = self.files.lane(key);
        if let Some(target) = self.files.target(key, &mut self.root) {
            let many = self.lanes.write(lane, (key, target), offset, bytes);
            self.hand_over(lane, many);
        }
    }

    fn copy(&mut self, from: FileKey, range: Range<u64>, to: FileKey, offset: u64) {
        if let Some(source) = self.files.target(from, &mut self.root) {
            let copy = Operation::Copy {
                from: source,
                range,
                offset,
            };
            self.post(to, copy, Some(from));
        }
    }

    fn resize(&mut self, key: FileKey, size: u64) {
        self.post(key, Operation::Resize(size), None);
    }

    fn restore(&mut self, key: FileKey, size: u64) {
        self.post(key, Operation::Restore(size), None);
    }

    fn commit(&mut self, lane: Lane, ends: &[FileEnd]) -> Outcome {
        let (_, work) = self.commit_of(lane, ends);
        work()
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        self.with_file(key, "read from", |file| file.read_exact_at(into, offset))
    }

    fn is_at_hand(&mut self, extent: Extent) -> bool {
        if !self.has_cold_reads() {
            return true;
        }
        let file = self.files.file(extent.file, &mut self.root);
        // If it cannot be opened, a read says why.
        file.map_or(true, |file| page_cache::has(file, extent))
    }

    fn read_at_hand(&mut self, from: Extent, into: &mut [u8]) -> Result<bool, StorageError> {
        if !self.has_cold_reads() {
            return self.read(from.file, from.offset, into).map(|()| true);
        }
        self.with_file(from.file, "read from", |file| {
            page_cache::read(file, from.offset, into)
        })
    }

    fn close(&mut self, key: FileKey) {
        let lane = self.files.lane(key);
        // Nobody may ask for a commit any more.
        let left = self.lanes.take_if_of(lane, key);
        self.hand_over(lane, left);
        let nameless = self.files.close(key);
        if let (Some(nameless), Some(workers)) = (nameless, &self.workers) {
            workers.give(&Place::Lane(lane), dropping(nameless));
        }
        self.let_go();
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        if self.workers.is_none() {
            let outcome = self.act(&request);
            return self.answers.push(Answer { ticket, outcome });
        }
        let prepared = self.prepare(&request);
        let place = request.place();
        let mut is_light = false;
        let work: Work = if let Request::Commit { lane, ends } = &request {
            let (is_little, commit) = self.commit_of(*lane, ends);
            is_light = is_little;
            Box::new(move || {
                let outcome = Ok(commit());
                Some(Answer { ticket, outcome })
            })
        } else if let Request::Fetch(extent) = request {
            let fetch = self.fetch_of(extent);
            Box::new(move || {
                let outcome = fetch();
                Some(Answer { ticket, outcome })
            })
        } else if request == Request::Probe {
            is_light = true;
            // An idle relay keeps no file.
            let probe = if self.files.is_empty() {
                Probe::default()
            } else {
                self.probe.clone()
            };
            let (root, output) = (self.root.beside(), self.output.clone());
            Box::new(move || {
                let probed = probe.run(&root).map(|()| Outcome::Done);
                let outcome = probed.map_err(|reason| {
                    error(&output, "probe", &RelativePath::root(), &reason.into())
                });
                Some(Answer { ticket, outcome })
            })
        } else {
            let mut files = self.files_by_name();
            Box::new(move || {
                let outcome = request.act_on(&mut files);
                Some(Answer { ticket, outcome })
            })
        };
        let Some(workers) = &self.workers else { return };
        match prepared {
            Ok(()) => workers.give(&place, Job { is_light, work }),
            Err(error) => {
                let outcome = Err(error);
                workers.answer(Answer { ticket, outcome });
            }
        }
    }

    fn files(&mut self) -> Option<Box<dyn Files + '_>> {
        Some(Box::new(self.files_by_name()))
    }

    fn answers(&mut self, into: &mut Vec<Answer>) {
        let known = into.len();
        into.append(&mut self.answers);
        if let Some(workers) = &self.workers {
            workers.answers(into);
        }
        for answer in &mut into[known..] {
            self.name_failed(answer);
        }
    }

    fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests;
