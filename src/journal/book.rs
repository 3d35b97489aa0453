//! The book: collects the records of a relay's wrapped ports, and writes them in blocks.
//!
//! Records are buffered in memory in whole ticks, and flushed as a block when there are
//! many, or after a second. If the journal cannot be written, it ends, and the relay goes
//! on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::connection::Endpoint;
use baton_components::keys::{ConnectionKey, FileKey};
use baton_systems::ports::Arrived;
use slotmap::SecondaryMap;

use super::block::{Header, Payload, Writer};
use super::record::Record;
use super::values::Content;
use crate::os::{said, shown};

/// Bytes of records that trigger a flush.
const BLOCK_BYTES: usize = 256 * 1024;
/// Maximum time until records are flushed: a relay that is killed loses at most this time.
pub const FLUSH_PERIOD_NS: u64 = 1_000_000_000;
/// Shorter pieces are copied into the journal, not referred to.
const REFERENCE_BYTES_MIN: usize = 512;

/// The book, shared by all ports.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Mutex<Book>>);

impl Journal {
    /// Begins a journal in a new file.
    pub fn begin(file: File, path: &Path, header: &Header) -> io::Result<Self> {
        let writer = Writer::new(file, header)?;
        Ok(Self(Arc::new(Mutex::new(Book {
            path: path.to_owned(),
            writer: Some(writer),
            payload: header.payload,
            block: Vec::new(),
            ticks: 0,
            first_tick: 0,
            now_ns: 0,
            flushed_ns: 0,
            taps: SecondaryMap::new(),
            touched: Vec::new(),
            referenced: SecondaryMap::new(),
        }))))
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the relay closes all connections.
    pub fn hang_up(&self) {
        self.book().record(&Record::HangUp);
    }

    /// Records that the relay has ended in order.
    pub fn end(&self) {
        self.book().record(&Record::End);
    }
}

/// Flushes however the relay ends, unless it is killed.
impl Drop for Book {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    /// None after a failure to write.
    writer: Option<Writer<File>>,
    payload: Payload,
    block: Vec<u8>,
    /// Number of ticks that began.
    ticks: u64,
    /// First tick of the block.
    first_tick: u64,
    now_ns: u64,
    flushed_ns: u64,
    taps: SecondaryMap<ConnectionKey, Tap>,
    /// Connections whose bytes of this tick are recorded by reference; duplicates are
    /// possible.
    touched: Vec<ConnectionKey>,
    /// End of the bytes in each file that the journal refers to.
    referenced: SecondaryMap<FileKey, u64>,
}

/// Positions in a connection's input, counted from its first byte.
#[derive(Debug)]
struct Tap {
    by_reference: bool,
    /// Bytes that were consumed.
    consumed: u64,
    received: u64,
    /// All bytes before this position are in the journal, or in files that it refers to.
    recorded: u64,
    /// Parts that are in files, from `recorded` on, in order: start and end.
    in_files: Vec<(u64, u64)>,
}

impl Book {
    pub fn record(&mut self, record: &Record) {
        if self.writer.is_some() {
            record.encode(&mut self.block);
        }
    }

    /// Begins a tick.
    pub fn begin_tick(&mut self) {
        let late = self.now_ns.saturating_sub(self.flushed_ns) >= FLUSH_PERIOD_NS;
        if late || self.block.len() >= BLOCK_BYTES {
            self.flush();
        }
        if self.block.is_empty() {
            self.first_tick = self.ticks;
        }
        self.record(&Record::Poll);
        self.ticks += 1;
    }

    pub fn read_clock(&mut self, monotonic_ns: u64, unix_s: u64) {
        self.now_ns = monotonic_ns;
        self.record(&Record::Now {
            monotonic_ns,
            unix_s,
        });
    }

    /// Whether there are records that are not on disk.
    pub fn is_dirty(&self) -> bool {
        !self.block.is_empty()
    }

    /// Flushes the buffered records. Between ticks only.
    pub fn flush(&mut self) {
        self.flushed_ns = self.now_ns;
        let Some(writer) = self.writer.as_mut().filter(|_| !self.block.is_empty()) else {
            return;
        };
        if let Err(reason) = writer.write(self.first_tick, &self.block) {
            let (path, reason) = (shown(&self.path), said(&reason));
            tracing::error!("the journal {path} ends here, since it cannot be written: {reason}");
            self.writer = None;
        }
        self.block.clear();
        self.first_tick = self.ticks;
    }

    pub fn open(&mut self, connection: ConnectionKey, endpoint: Option<Endpoint>) {
        let by_reference = self.payload == Payload::Reference && endpoint == Some(Endpoint::Data);
        let tap = Tap {
            by_reference,
            consumed: 0,
            received: 0,
            recorded: 0,
            in_files: Vec::new(),
        };
        self.taps.insert(connection, tap);
    }

    /// Counts received bytes. Returns those that belong into the record.
    pub fn receive<'a>(&mut self, connection: ConnectionKey, bytes: &'a [u8]) -> &'a [u8] {
        let Some(tap) = self.taps.get_mut(connection) else {
            return bytes;
        };
        let is_settled = tap.recorded == tap.received;
        tap.received += bytes.len() as u64;
        if !tap.by_reference {
            tap.recorded = tap.received;
            return bytes;
        }
        if is_settled {
            self.touched.push(connection);
        }
        &[]
    }

    /// Refers to bytes of a connection's input, by their position among all of its bytes.
    pub fn content(&self, arrived: Arrived<'_>) -> Content {
        let tap = self.taps.get(arrived.connection());
        Content::arrived(arrived, tap.map_or(0, |tap| tap.consumed))
    }

    /// Notes that content was written to a file, so that its bytes can be recorded by reference.
    /// Returns whether they are.
    pub fn refer(&mut self, file: FileKey, offset: u64, content: &Content) -> bool {
        let Content::Input {
            connection,
            position,
            length,
            ..
        } = *content
        else {
            return false;
        };
        let Some(tap) = self.taps.get_mut(connection.key()) else {
            return false;
        };
        let is_next = tap.in_files.last().map_or(tap.recorded, |last| last.1) <= position;
        let refers = tap.by_reference && is_next && length >= REFERENCE_BYTES_MIN as u64;
        if refers {
            tap.in_files.push((position, position + length));
            let end = offset + length;
            self.extend(file, end);
        }
        refers
    }

    /// Notes that the journal refers to bytes of a file up to `end`.
    fn extend(&mut self, file: FileKey, end: u64) {
        match self.referenced.get_mut(file) {
            Some(known) => *known = end.max(*known),
            None => drop(self.referenced.insert(file, end)),
        }
    }

    /// End of the bytes in a file that the journal refers to.
    pub fn referenced(&self, file: FileKey) -> u64 {
        self.referenced.get(file).copied().unwrap_or(0)
    }

    /// Notes that a file is truncated, or closed: it has no such bytes beyond `end`.
    pub fn unrefer(&mut self, file: FileKey, end: u64) {
        if end == 0 {
            self.referenced.remove(file);
        } else if let Some(known) = self.referenced.get_mut(file) {
            *known = end.min(*known);
        }
    }

    /// Consumes the first `count` bytes of the input.
    pub fn consume(&mut self, connection: ConnectionKey, count: usize, input: &[u8]) {
        let Some(tap) = self.taps.get(connection) else {
            return;
        };
        let end = tap.consumed + count as u64;
        self.record_rest(connection, end, input);
        if let Some(tap) = self.taps.get_mut(connection) {
            tap.consumed = end;
        }
    }

    /// Connections whose input has bytes of this tick that are not recorded.
    pub fn take_touched(&mut self) -> Vec<ConnectionKey> {
        std::mem::take(&mut self.touched)
    }

    /// Ends a tick, or a connection: all its bytes are recorded now.
    pub fn settle(&mut self, connection: ConnectionKey, input: &[u8]) {
        self.record_rest(connection, u64::MAX, input);
    }

    pub fn close(&mut self, connection: ConnectionKey) {
        self.taps.remove(connection);
        self.record(&Record::Close(connection.into()));
    }

    /// Records the bytes up to `end` that are in no file; `input` begins with the first
    /// byte that is not consumed.
    fn record_rest(&mut self, connection: ConnectionKey, end: u64, input: &[u8]) {
        let Some(tap) = self.taps.get_mut(connection) else {
            return;
        };
        let end = end.min(tap.received);
        let base = tap.consumed;
        let mut position = tap.recorded;
        if position >= end {
            return;
        }
        let mut in_files = std::mem::take(&mut tap.in_files);
        tap.recorded = end;
        let mut rest = |from: u64, to: u64| {
            let bytes = input.get((from - base) as usize..(to - base) as usize);
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                let connection = connection.into();
                self.record(&Record::Rest {
                    connection,
                    position: from,
                    bytes,
                });
            }
        };
        for (from, to) in in_files.drain(..) {
            if from > position {
                rest(position, from);
            }
            position = to;
        }
        if end > position {
            rest(position, end);
        }
    }
}
