//! The ports of a replay: they answer as the script says, and what the relay does with
//! the answers is compared with it. Files are really written, to a storage of the
//! replay's own.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_components::directory::Lot;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::time::{CivilTime, Now};
use baton_systems::ports::{
    Chance, ChancePort, Clock, ClockPort, Network, NetworkPort, Newcomer, Received, Storage,
    StorageError, StoragePort, Taken, Transmitted,
};
use slotmap::SecondaryMap;

use super::Error;
use super::script::Script;
use crate::journal::ports::Ports;
use crate::journal::record::{ConnectionId, Failure, FileId, Record, digest};

/// A script that several ports act from.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Script>>);

impl Shared {
    pub fn new(script: Script) -> Self {
        Self(Arc::new(Mutex::new(script)))
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ports that act from the script and write to `storage`.
    pub fn ports(&self, storage: StoragePort) -> io::Result<Ports> {
        let network = ReplayNetwork {
            shared: self.clone(),
            peers: SecondaryMap::new(),
            nowhere: File::options().write(true).open("/dev/null")?,
        };
        let storage = ReplayStorage {
            shared: self.clone(),
            inner: storage,
        };
        let clock = ReplayClock {
            shared: self.clone(),
            last: Now::default(),
        };
        let chance = ReplayChance {
            shared: self.clone(),
            last: 0,
        };
        Ok((
            NetworkPort(Box::new(network)),
            StoragePort(Box::new(storage)),
            ClockPort(Box::new(clock)),
            ChancePort(Box::new(chance)),
        ))
    }
}

struct ReplayNetwork {
    shared: Shared,
    peers: SecondaryMap<ConnectionKey, Peer>,
    /// Where files are sent that went to a peer by themselves.
    nowhere: File,
}

#[derive(Debug, Default)]
struct Peer {
    input: Vec<u8>,
    /// Bytes that went through the input so far.
    position: u64,
    unsent: usize,
}

impl Network for ReplayNetwork {
    fn poll(
        &mut self,
        _: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) {
        let mut script = self.shared.script();
        script.begin_tick();
        while let Some((list, key)) = script.ask_whether(|record| match record {
            Record::Readable(id) => Some((&mut *readable, id.key())),
            Record::Writable(id) => Some((&mut *writable, id.key())),
            _ => None,
        }) {
            list.push(key);
        }
    }

    fn accept(&mut self) -> Option<Newcomer> {
        self.shared.script().ask_whether(|record| match record {
            Record::Accept { port, peer } => Some(Newcomer {
                port: (*port).into(),
                peer: (*peer).to_owned(),
            }),
            _ => None,
        })
    }

    fn adopt(&mut self, key: ConnectionKey) {
        let made = Record::Adopt(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.peers.insert(key, Peer::default());
    }

    fn stop_accepting(&mut self) {
        let made = Record::StopAccepting;
        self.shared.script().ask(same(&made), || made.to_string());
    }

    fn receive(&mut self, key: ConnectionKey, _: usize) -> Received {
        let mut script = self.shared.script();
        script.lent.take_back();
        let Some(peer) = self.peers.get_mut(key) else {
            return Received::Drained;
        };
        let position = script.passed(key.into()) + peer.position + peer.input.len() as u64;
        let came = script.receive(key.into(), position, &mut peer.input);
        came.map_or(Received::Drained, Received::from)
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        let Some(peer) = self.peers.get(key) else {
            return &[];
        };
        let mut script = self.shared.script();
        let position = script.passed(key.into()) + peer.position;
        script.lent.lend(key, position, &peer.input);
        &peer.input
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        self.shared.script().lent.take_back();
        if let Some(peer) = self.peers.get_mut(key) {
            peer.input.drain(..count);
            peer.position += count as u64;
        }
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        let mut script = self.shared.script();
        let made = Record::Send {
            connection: key.into(),
            length: bytes.len() as u64,
            digest: if script.verifies() { digest(bytes) } else { 0 },
        };
        let verifies = script.verifies();
        script.ask(
            |record| match (record, &made) {
                (
                    Record::Send {
                        connection,
                        length,
                        digest: recorded,
                    },
                    Record::Send {
                        connection: own,
                        length: own_length,
                        digest,
                    },
                ) => {
                    let same = connection == own && length == own_length;
                    (same && (!verifies || recorded == digest)).then_some(())
                }
                _ => None,
            },
            || made.to_string(),
        );
        script.compared.reply_bytes += bytes.len() as u64;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.unsent += bytes.len();
        }
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.peers.get(key).map_or(0, |peer| peer.unsent)
    }

    fn transmit(&mut self, key: ConnectionKey, _: bool) -> Transmitted {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::Transmit {
                    connection,
                    outcome,
                    unsent,
                } if connection.key() == key => {
                    Some((Transmitted::from(outcome.clone()), *unsent as usize))
                }
                _ => None,
            },
            || format!("what waits for {} is sent", ConnectionId::from(key)),
        );
        let (outcome, unsent) = answer.unwrap_or((Transmitted::All, 0));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.unsent = unsent;
        }
        outcome
    }

    fn descriptor(&self, _: ConnectionKey) -> Option<BorrowedFd<'_>> {
        let mut script = self.shared.script();
        let by_itself = matches!(script.peek(), Some(Record::SendFile { .. }));
        by_itself.then(|| self.nowhere.as_fd())
    }

    fn source(&self, key: ConnectionKey) -> Option<BorrowedFd<'_>> {
        let mut script = self.shared.script();
        let by_itself = matches!(
            script.peek(),
            Some(Record::Take { connection, .. }) if connection.key() == key
        );
        by_itself.then(|| self.nowhere.as_fd())
    }

    fn close(&mut self, key: ConnectionKey) {
        let made = Record::Close(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.shared.script().lent.take_back();
        self.peers.remove(key);
    }
}

/// What the recorded relay was told of a path, if it is this one.
fn told(
    recorded: &[u8],
    path: &RelativePath,
    answer: &Result<bool, Failure>,
) -> Option<Result<bool, StorageError>> {
    (recorded == path.as_bytes()).then(|| answer.clone().map_err(StorageError::from))
}

struct ReplayStorage {
    shared: Shared,
    inner: StoragePort,
}

impl ReplayStorage {
    /// Does what the recorded relay did, with the outcome that it had.
    fn act(
        &mut self,
        made: &Record,
        act: impl FnOnce(&mut StoragePort) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut script = self.shared.script();
        let verifies = script.verifies();
        let failure = script.ask(
            |record| is_same_call(record, made, verifies).then(|| owned(record.failure())),
            || made.to_string(),
        );
        if let Some(Some(failure)) = failure {
            return Err(failure);
        }
        drop(script);
        let outcome = act(&mut self.inner);
        self.done(outcome)
    }

    /// What the recorded relay could do must be done again.
    fn done(&self, outcome: Result<(), StorageError>) -> Result<(), StorageError> {
        if let Err(error) = &outcome {
            let mut script = self.shared.script();
            let tick = script.ticks;
            let error = error.clone();
            script.fail(Error::Storage { tick, error });
        }
        outcome
    }
}

impl Storage for ReplayStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::CreateDirectory {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.create_directory(path))
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::ClaimDirectory { path: of, answer } => told(of, path, answer),
                _ => None,
            },
            || format!("directory {path} is to be made newly"),
        );
        // Where the replay ends nobody is to look for another name.
        let claimed = answer.unwrap_or(Ok(true))?;
        if claimed {
            let made = self.inner.create_directory(path);
            self.done(made)?;
        }
        Ok(claimed)
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::Exists { path: of, answer } => told(of, path, answer),
                _ => None,
            },
            || format!("it is asked whether {path} exists"),
        );
        answer.unwrap_or(Ok(false))
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        _: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::HasName { path: of, answer } => told(of, directory, answer),
                _ => None,
            },
            || format!("a name is looked for in {directory}"),
        );
        answer.unwrap_or(Ok(false))
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let made = Record::Rename {
            from: from.as_bytes(),
            to: to.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.rename(from, to))
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::RemoveDirectory {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.remove_directory(path))
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::RemoveFile {
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.remove_file(path))
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let made = Record::CreateFile {
            file: key.into(),
            path: path.as_bytes(),
            failure: None,
        };
        self.act(&made, |inner| inner.create_file(key, path))
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut script = self.shared.script();
        let content = script.lent.content(bytes);
        script.compared.file_bytes += bytes.len() as u64;
        drop(script);
        let made = Record::Write {
            file: key.into(),
            offset,
            content,
            failure: None,
        };
        self.act(&made, |inner| inner.write(key, offset, bytes))
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let made = Record::Read {
            file: key.into(),
            offset,
            length: into.len() as u64,
            failure: None,
        };
        self.act(&made, |inner| inner.read(key, offset, into))
    }

    fn send(
        &mut self,
        key: FileKey,
        offset: u64,
        length: u64,
        _: BorrowedFd<'_>,
    ) -> Result<u64, StorageError> {
        let mut script = self.shared.script();
        let asked = (FileId::from(key), offset, length);
        let answer = script.ask(
            |record| match record {
                Record::SendFile {
                    file,
                    offset,
                    length,
                    answer,
                    ..
                } if (*file, *offset, *length) == asked => {
                    Some(answer.clone().map_err(StorageError::from))
                }
                _ => None,
            },
            || {
                format!(
                    "{length} bytes at {offset} of {} are sent",
                    FileId::from(key)
                )
            },
        );
        let answer = answer.unwrap_or(Ok(0));
        script.compared.reply_bytes += answer.as_ref().copied().unwrap_or(0);
        answer
    }

    fn take(&mut self, key: FileKey, offset: u64, length: u64, _: BorrowedFd<'_>) -> Taken {
        let mut script = self.shared.script();
        let Some((bytes, written)) = script.take(key.into(), offset, length) else {
            let written = Ok(());
            return Taken { bytes: 0, written };
        };
        let tick = script.ticks;
        if written.is_ok()
            && let Err(error) = self.inner.write(key, offset, &bytes)
        {
            script.fail(Error::Storage { tick, error });
        }
        script.compared.file_bytes += bytes.len() as u64;
        let bytes = bytes.len() as u64;
        Taken { bytes, written }
    }

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        let made = Record::Resize {
            file: key.into(),
            size,
            failure: None,
        };
        self.act(&made, |inner| inner.resize(key, size))
    }

    fn close(&mut self, key: FileKey) {
        let made = Record::CloseFile(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.inner.close(key);
    }
}

struct ReplayClock {
    shared: Shared,
    last: Now,
}

impl Clock for ReplayClock {
    fn now(&mut self) -> Now {
        let now = self.shared.script().ask(
            |record| match record {
                Record::Now {
                    monotonic_ns,
                    unix_s,
                } => Some(Now {
                    monotonic: Duration::from_nanos(*monotonic_ns),
                    unix_s: *unix_s,
                }),
                _ => None,
            },
            || "the clock is read".to_owned(),
        );
        self.last = now.unwrap_or(self.last);
        self.last
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let time = self.shared.script().ask(
            |record| match record {
                Record::Civil {
                    unix_s: recorded,
                    time,
                } if *recorded == unix_s => Some(*time),
                _ => None,
            },
            || format!("the calendar is asked about second {unix_s}"),
        );
        time.flatten().map(Into::into)
    }
}

struct ReplayChance {
    shared: Shared,
    last: u64,
}

impl Chance for ReplayChance {
    fn draw(&mut self, _: Lot) -> u64 {
        let number = self.shared.script().ask(
            |record| match record {
                Record::Draw(number) => Some(*number),
                _ => None,
            },
            || "a number is drawn".to_owned(),
        );
        // A replay that has failed goes on to the end of its tick: who draws until a
        // number is unused gets one.
        self.last = number.unwrap_or(self.last.wrapping_add(1));
        self.last
    }
}

/// Accepts a record that is the same.
fn same<'a>(made: &'a Record) -> impl FnOnce(&Record) -> Option<()> + 'a {
    move |record| (record == made).then_some(())
}

/// Whether a record is of that call of storage, whatever came of it.
fn is_same_call(record: &Record, made: &Record, verifies: bool) -> bool {
    let record = record.clone().without_failure();
    match (&record, made) {
        (
            Record::Write {
                file,
                offset,
                content,
                ..
            },
            Record::Write {
                file: own_file,
                offset: own_offset,
                content: own,
                ..
            },
        ) if !verifies => (file, offset, content.length()) == (own_file, own_offset, own.length()),
        (record, made) => record == made,
    }
}

fn owned(failure: Option<&Failure>) -> Option<StorageError> {
    failure.map(|failure| StorageError::from(failure.clone()))
}
