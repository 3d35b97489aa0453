//! The book: where the wrapped ports of one relay write down what happens.
//!
//! Records gather in memory, whole ticks of them, and become a block when there are
//! many, or when a second has passed. A journal that cannot be written ends; the relay
//! goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::connection::Port;
use baton_components::keys::{ConnectionKey, FileKey};
use slotmap::SecondaryMap;

use super::block::{Header, Payload, Writer};
use super::lent::Lent;
use super::record::{ConnectionId, Content, Record};
use crate::os::{said, shown};

/// Records beyond which a block is written.
const BLOCK_BYTES: usize = 256 * 1024;
/// Records are on disk after that much time: what a relay that is killed may lose.
pub const FLUSH_PERIOD_NS: u64 = 1_000_000_000;
/// What is shorter is copied into the journal rather than looked for in a file.
const REFERENCE_BYTES_MIN: usize = 512;

/// A book that several ports write to.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Mutex<Book>>);

impl Journal {
    /// Begins a journal in a file that was made for it.
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
            lent: Lent::default(),
            descriptor_of: None,
            source_of: None,
            taps: SecondaryMap::new(),
            touched: Vec::new(),
            referenced: SecondaryMap::new(),
        }))))
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The relay closes all connections now.
    pub fn hang_up(&self) {
        self.book().record(&Record::HangUp);
    }

    /// The relay has ended in order.
    pub fn end(&self) {
        self.book().record(&Record::End);
    }
}

/// However the relay ends, unless it is killed.
impl Drop for Book {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    /// None once it could not be written.
    writer: Option<Writer<File>>,
    payload: Payload,
    block: Vec<u8>,
    /// That began.
    ticks: u64,
    /// The first of the block.
    first_tick: u64,
    now_ns: u64,
    flushed_ns: u64,
    lent: Lent,
    /// Whose descriptor was lent last.
    descriptor_of: Option<ConnectionKey>,
    /// Whose bytes may go to a file by themselves.
    source_of: Option<ConnectionKey>,
    taps: SecondaryMap<ConnectionKey, Tap>,
    /// Connections whose bytes of this tick are recorded by reference, some of them twice.
    touched: Vec<ConnectionKey>,
    /// Up to where files have bytes that the journal refers to.
    referenced: SecondaryMap<FileKey, u64>,
}

/// How far a connection's bytes have come. Positions are counted from its first byte.
#[derive(Debug)]
struct Tap {
    by_reference: bool,
    /// Bytes that are done with.
    consumed: u64,
    received: u64,
    /// What is before is in the journal, or in files that it refers to.
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

    /// A tick begins.
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

    /// Writes what has gathered. Between ticks only.
    pub fn flush(&mut self) {
        self.flushed_ns = self.now_ns;
        let Some(writer) = self.writer.as_mut().filter(|_| !self.block.is_empty()) else {
            return;
        };
        if let Err(reason) = writer.write(self.first_tick, &self.block) {
            let (path, reason) = (shown(&self.path), said(&reason));
            tracing::error!("the journal {path} ends here, it cannot be written: {reason}");
            self.writer = None;
        }
        self.block.clear();
        self.first_tick = self.ticks;
    }

    pub fn open(&mut self, connection: ConnectionKey, port: Option<Port>) {
        let by_reference = self.payload == Payload::Reference && port == Some(Port::Data);
        let tap = Tap {
            by_reference,
            consumed: 0,
            received: 0,
            recorded: 0,
            in_files: Vec::new(),
        };
        self.taps.insert(connection, tap);
    }

    /// Bytes came. Gives those that belong into the record of it.
    pub fn receive<'a>(&mut self, connection: ConnectionKey, bytes: &'a [u8]) -> &'a [u8] {
        self.lent.take_back();
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

    /// A system looks at a connection's input.
    pub fn lend(&mut self, connection: ConnectionKey, input: &[u8]) {
        let position = self.taps.get(connection).map_or(0, |tap| tap.consumed);
        self.lent.lend(connection, position, input);
    }

    /// What is written.
    pub fn content(&self, bytes: &[u8]) -> Content {
        self.lent.content(bytes)
    }

    /// Content is in a file now: what came by reference can be found there.
    pub fn refer(&mut self, file: FileKey, offset: u64, content: &Content) {
        let Content::Input {
            connection,
            position,
            length,
            ..
        } = *content
        else {
            return;
        };
        let Some(tap) = self.taps.get_mut(connection.key()) else {
            return;
        };
        let is_next = tap.in_files.last().map_or(tap.recorded, |last| last.1) <= position;
        if tap.by_reference && is_next && length >= REFERENCE_BYTES_MIN as u64 {
            tap.in_files.push((position, position + length));
            let end = offset + length;
            self.extend(file, end);
        }
    }

    /// Whether the packets of a connection may go to their files by themselves: those
    /// that the journal is to have a copy of may not.
    pub fn lets_go(&mut self, connection: ConnectionKey) -> bool {
        self.source_of = Some(connection);
        let tap = self.taps.get(connection);
        tap.is_some_and(|tap| tap.by_reference)
    }

    /// Bytes of the connection that was asked about went to a file by themselves. Its
    /// input had none. Gives the connection.
    pub fn pass(&mut self, file: FileKey, offset: u64, bytes: u64) -> ConnectionId {
        let connection = self.source_of.unwrap_or_default();
        if let Some(tap) = self.taps.get_mut(connection) {
            tap.consumed += bytes;
            tap.received += bytes;
            tap.recorded += bytes;
        }
        self.extend(file, offset + bytes);
        connection.into()
    }

    /// The journal refers to bytes of a file up to `end`.
    fn extend(&mut self, file: FileKey, end: u64) {
        match self.referenced.get_mut(file) {
            Some(known) => *known = end.max(*known),
            None => drop(self.referenced.insert(file, end)),
        }
    }

    /// Up to where a file has bytes that the journal refers to.
    pub fn referenced(&self, file: FileKey) -> u64 {
        self.referenced.get(file).copied().unwrap_or(0)
    }

    /// A file is cut, or closed: it has no such bytes beyond `end`.
    pub fn unrefer(&mut self, file: FileKey, end: u64) {
        if end == 0 {
            self.referenced.remove(file);
        } else if let Some(known) = self.referenced.get_mut(file) {
            *known = end.min(*known);
        }
    }

    /// The first `count` bytes of the input are done with.
    pub fn consume(&mut self, connection: ConnectionKey, count: usize, input: &[u8]) {
        self.lent.take_back();
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

    /// The tick is over, or the connection: all that it brought is recorded now.
    pub fn settle(&mut self, connection: ConnectionKey, input: &[u8]) {
        self.record_rest(connection, u64::MAX, input);
    }

    pub fn close(&mut self, connection: ConnectionKey) {
        self.lent.take_back();
        self.taps.remove(connection);
        self.record(&Record::Close(connection.into()));
    }

    pub fn lend_descriptor(&mut self, connection: ConnectionKey) {
        self.descriptor_of = Some(connection);
    }

    /// The connection whose descriptor bytes of a file are sent to.
    pub fn descriptor_of(&self) -> ConnectionId {
        self.descriptor_of.unwrap_or_default().into()
    }

    /// Records what is in no file of the bytes up to `end`; `input` begins with the
    /// first byte that is not consumed.
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
