//! Ports that do what those they wrap do, and write it down.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use baton_components::connection::Port;
use baton_components::directory::Lot;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_components::path::RelativePath;
use baton_components::time::{CivilTime, Now};
use baton_systems::ports::{
    Chance, ChancePort, Clock, ClockPort, Network, NetworkPort, Newcomer, Received, Storage,
    StorageError, StoragePort, Taken, Transmitted,
};

use super::book::{FLUSH_PERIOD_NS, Journal};
use super::record::{Came, Failure, Left, Record, digest, nanoseconds};

/// Bytes that are about to leave a file are copied in pieces of this size.
const SAVED_BYTES: u64 = 1 << 20;

pub struct RecordedNetwork {
    inner: NetworkPort,
    journal: Journal,
    /// The port of the connection that was accepted last.
    accepted: Option<Port>,
}

pub struct RecordedStorage {
    inner: StoragePort,
    journal: Journal,
}

pub struct RecordedClock {
    inner: ClockPort,
    journal: Journal,
}

pub struct RecordedChance {
    inner: ChancePort,
    journal: Journal,
}

/// All ports of a relay.
pub type Ports = (NetworkPort, StoragePort, ClockPort, ChancePort);

/// The same ports with a journal.
pub fn record(journal: &Journal, (network, storage, clock, chance): Ports) -> Ports {
    let network = RecordedNetwork {
        inner: network,
        journal: journal.clone(),
        accepted: None,
    };
    let storage = RecordedStorage {
        inner: storage,
        journal: journal.clone(),
    };
    let clock = RecordedClock {
        inner: clock,
        journal: journal.clone(),
    };
    let chance = RecordedChance {
        inner: chance,
        journal: journal.clone(),
    };
    (
        NetworkPort(Box::new(network)),
        StoragePort(Box::new(storage)),
        ClockPort(Box::new(clock)),
        ChancePort(Box::new(chance)),
    )
}

impl RecordedNetwork {
    /// The tick before is over: what it left unconsumed is recorded.
    fn settle(&mut self) {
        let mut book = self.journal.book();
        for connection in book.take_touched() {
            book.settle(connection, self.inner.input(connection));
        }
    }

    /// Waits. Records do not wait with the relay for longer than a second.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) {
        let first = Duration::from_nanos(FLUSH_PERIOD_NS);
        let is_dirty = self.journal.book().is_dirty();
        if !is_dirty || timeout.is_some_and(|timeout| timeout <= first) {
            return self.inner.poll(timeout, readable, writable);
        }
        let known = readable.len() + writable.len();
        self.inner.poll(Some(first), readable, writable);
        if readable.len() + writable.len() == known {
            self.journal.book().flush();
            let rest = timeout.map(|timeout| timeout.saturating_sub(first));
            self.inner.poll(rest, readable, writable);
        }
    }
}

/// A tick that nothing follows is over as well.
impl Drop for RecordedNetwork {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Network for RecordedNetwork {
    fn poll(
        &mut self,
        timeout: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) {
        self.settle();
        let known = (readable.len(), writable.len());
        self.wait(timeout, readable, writable);
        let mut book = self.journal.book();
        book.begin_tick();
        for key in &readable[known.0..] {
            book.record(&Record::Readable((*key).into()));
        }
        for key in &writable[known.1..] {
            book.record(&Record::Writable((*key).into()));
        }
    }

    fn accept(&mut self) -> Option<Newcomer> {
        let newcomer = self.inner.accept()?;
        self.accepted = Some(newcomer.port);
        self.journal.book().record(&Record::Accept {
            port: newcomer.port.into(),
            peer: &newcomer.peer,
        });
        Some(newcomer)
    }

    fn adopt(&mut self, key: ConnectionKey) {
        self.inner.adopt(key);
        let mut book = self.journal.book();
        book.open(key, self.accepted.take());
        book.record(&Record::Adopt(key.into()));
    }

    fn stop_accepting(&mut self) {
        self.inner.stop_accepting();
        self.journal.book().record(&Record::StopAccepting);
    }

    fn receive(&mut self, key: ConnectionKey, budget: usize) -> Received {
        let known = self.inner.input(key).len();
        let received = self.inner.receive(key, budget);
        let bytes = self.inner.input(key).get(known..).unwrap_or_default();
        let mut book = self.journal.book();
        let recorded = book.receive(key, bytes);
        book.record(&Record::Receive {
            connection: key.into(),
            outcome: Came::from(&received),
            count: bytes.len() as u64,
            bytes: recorded,
        });
        received
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        let input = self.inner.input(key);
        self.journal.book().lend(key, input);
        input
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        let mut book = self.journal.book();
        book.consume(key, count, self.inner.input(key));
        self.inner.consume(key, count);
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        self.inner.send(key, bytes);
        self.journal.book().record(&Record::Send {
            connection: key.into(),
            length: bytes.len() as u64,
            digest: digest(bytes),
        });
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.inner.unsent(key)
    }

    fn transmit(&mut self, key: ConnectionKey, more: bool) -> Transmitted {
        let transmitted = self.inner.transmit(key, more);
        self.journal.book().record(&Record::Transmit {
            connection: key.into(),
            outcome: Left::from(&transmitted),
            unsent: self.inner.unsent(key) as u64,
        });
        transmitted
    }

    fn acknowledge(&mut self, key: ConnectionKey) {
        self.inner.acknowledge(key);
    }

    fn descriptor(&self, key: ConnectionKey) -> Option<BorrowedFd<'_>> {
        self.journal.book().lend_descriptor(key);
        self.inner.descriptor(key)
    }

    fn source(&self, key: ConnectionKey) -> Option<BorrowedFd<'_>> {
        let lets_go = self.journal.book().lets_go(key);
        self.inner.source(key).filter(|_| lets_go)
    }

    fn wait_for_room(&mut self, key: ConnectionKey) {
        self.inner.wait_for_room(key);
    }

    fn close(&mut self, key: ConnectionKey) {
        let mut book = self.journal.book();
        book.settle(key, self.inner.input(key));
        self.inner.close(key);
        book.close(key);
    }
}

impl RecordedStorage {
    /// Bytes that the journal refers to are about to leave their file.
    fn save(&mut self, file: FileKey, size: u64) {
        let mut offset = size;
        loop {
            let end = self.journal.book().referenced(file);
            let length = end.saturating_sub(offset).min(SAVED_BYTES);
            if length == 0 {
                return self.journal.book().unrefer(file, size);
            }
            let mut bytes = vec![0; length as usize];
            if self.inner.read(file, offset, &mut bytes).is_ok() {
                self.journal.book().record(&Record::Saved {
                    file: file.into(),
                    offset,
                    bytes: &bytes,
                });
            }
            offset += length;
        }
    }
}

impl Storage for RecordedStorage {
    fn create_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.create_directory(path);
        self.journal.book().record(&Record::CreateDirectory {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn begin_recording(&mut self, directory: &RelativePath) {
        self.inner.begin_recording(directory);
    }

    fn end_recording(&mut self, directory: &RelativePath) {
        self.inner.end_recording(directory);
    }

    fn claim_directory(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let outcome = self.inner.claim_directory(path);
        self.journal.book().record(&Record::ClaimDirectory {
            path: path.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn exists(&mut self, path: &RelativePath) -> Result<bool, StorageError> {
        let outcome = self.inner.exists(path);
        self.journal.book().record(&Record::Exists {
            path: path.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn has_name(
        &mut self,
        directory: &RelativePath,
        is_sought: fn(&[u8]) -> bool,
    ) -> Result<bool, StorageError> {
        let outcome = self.inner.has_name(directory, is_sought);
        self.journal.book().record(&Record::HasName {
            path: directory.as_bytes(),
            answer: answer(&outcome),
        });
        outcome
    }

    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.rename(from, to);
        self.journal.book().record(&Record::Rename {
            from: from.as_bytes(),
            to: to.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn remove_directory(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.remove_directory(path);
        self.journal.book().record(&Record::RemoveDirectory {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn remove_file(&mut self, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.remove_file(path);
        self.journal.book().record(&Record::RemoveFile {
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn create_file(&mut self, key: FileKey, path: &RelativePath) -> Result<(), StorageError> {
        let outcome = self.inner.create_file(key, path);
        self.journal.book().record(&Record::CreateFile {
            file: key.into(),
            path: path.as_bytes(),
            failure: failure(&outcome),
        });
        outcome
    }

    fn write(&mut self, key: FileKey, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let outcome = self.inner.write(key, offset, bytes);
        let mut book = self.journal.book();
        let content = book.content(bytes);
        if outcome.is_ok() {
            book.refer(key, offset, &content);
        }
        book.record(&Record::Write {
            file: key.into(),
            offset,
            content,
            failure: failure(&outcome),
        });
        outcome
    }

    fn read(&mut self, key: FileKey, offset: u64, into: &mut [u8]) -> Result<(), StorageError> {
        let outcome = self.inner.read(key, offset, into);
        self.journal.book().record(&Record::Read {
            file: key.into(),
            offset,
            length: into.len() as u64,
            failure: failure(&outcome),
        });
        outcome
    }

    fn send(
        &mut self,
        key: FileKey,
        offset: u64,
        length: u64,
        to: BorrowedFd<'_>,
    ) -> Result<u64, StorageError> {
        let outcome = self.inner.send(key, offset, length, to);
        let mut book = self.journal.book();
        let connection = book.descriptor_of();
        book.record(&Record::SendFile {
            connection,
            file: key.into(),
            offset,
            length,
            answer: answer(&outcome),
        });
        outcome
    }

    fn take(&mut self, key: FileKey, offset: u64, length: u64, from: BorrowedFd<'_>) -> Taken {
        let taken = self.inner.take(key, offset, length, from);
        let mut book = self.journal.book();
        let connection = book.pass(key, offset, taken.bytes);
        book.record(&Record::Take {
            connection,
            file: key.into(),
            offset,
            length,
            bytes: taken.bytes,
            failure: failure(&taken.written),
        });
        drop(book);
        taken
    }

    fn resize(&mut self, key: FileKey, size: u64) -> Result<(), StorageError> {
        self.save(key, size);
        let outcome = self.inner.resize(key, size);
        self.journal.book().record(&Record::Resize {
            file: key.into(),
            size,
            failure: failure(&outcome),
        });
        outcome
    }

    fn close(&mut self, key: FileKey) {
        self.inner.close(key);
        let mut book = self.journal.book();
        book.unrefer(key, 0);
        book.record(&Record::CloseFile(key.into()));
    }
}

impl Clock for RecordedClock {
    fn now(&mut self) -> Now {
        let now = self.inner.now();
        let monotonic_ns = nanoseconds(now.monotonic);
        self.journal.book().read_clock(monotonic_ns, now.unix_s);
        now
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let time = self.inner.civil(unix_s);
        self.journal.book().record(&Record::Civil {
            unix_s,
            time: time.map(Into::into),
        });
        time
    }
}

impl Chance for RecordedChance {
    fn draw(&mut self, lot: Lot) -> u64 {
        let number = self.inner.draw(lot);
        self.journal.book().record(&Record::Draw(number));
        number
    }
}

fn failure<T>(outcome: &Result<T, StorageError>) -> Option<Failure<'_>> {
    outcome.as_ref().err().map(Failure::from)
}

fn answer<T: Copy>(outcome: &Result<T, StorageError>) -> Result<T, Failure<'_>> {
    outcome.as_ref().copied().map_err(Failure::from)
}
