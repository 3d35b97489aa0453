//! The script: reads a journal record by record, for the ports of a replay.
//!
//! Each call of a port takes the next record. If the record is of another call, this relay
//! differs from the recorded one, and the replay stops.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_systems::ports::StorageError;
use rustc_hash::FxHashMap;

use super::content::{Pieces, Traces};
use super::error::Error;
use crate::journal::block::{Block, Header, Payload, ReadError, Reader};
use crate::journal::record::Record;
use crate::journal::values::{Came, ConnectionId, FileId};

/// The script, shared by all ports.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Script>>);

impl Shared {
    pub fn new(script: Script) -> Self {
        Self(Arc::new(Mutex::new(script)))
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Script {
    reader: Reader<BufReader<File>>,
    block: Block,
    /// Offset of the next record in the block.
    at: usize,
    /// Number of ticks that began.
    pub ticks: u64,
    /// Whether output is compared by its digest (`--verify`).
    verifies: bool,
    /// The trace files, for bytes that the journal has by reference.
    traces: Option<Traces>,
    /// The bytes by reference of this tick.
    pieces: Pieces,
    /// Number of consumed bytes of each connection.
    consumed: FxHashMap<ConnectionId, u64>,
    /// The reason why the replay cannot go on.
    failure: Option<Error>,
    pub compared: Compared,
}

/// Counts of output that was the same as recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub reply_bytes: u64,
    pub file_bytes: u64,
}

/// The next action of the recorded relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    Tick,
    StopAccepting,
    HangUp,
    /// The relay ended in order.
    End,
    /// The journal ends before the relay did.
    NoMore,
}

impl Script {
    pub fn open(path: &Path, verifies: bool) -> Result<Self, Error> {
        let file = File::open(path).map_err(ReadError::from);
        let reader = file
            .and_then(|file| Reader::new(BufReader::new(file)))
            .map_err(|reason| Error::Journal {
                path: path.to_owned(),
                reason,
            })?;
        Ok(Self {
            reader,
            block: Block::default(),
            at: 0,
            ticks: 0,
            verifies,
            traces: None,
            pieces: Pieces::default(),
            consumed: FxHashMap::default(),
            failure: None,
            compared: Compared::default(),
        })
    }

    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Position of the replay in the journal, in bytes.
    pub fn position(&self) -> u64 {
        self.block.offset + self.at as u64
    }

    /// Sets the trace files that the journal refers to.
    pub fn read_traces(&mut self, traces: Traces) {
        self.traces = Some(traces);
    }

    /// The first reason why the replay cannot go on.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    pub fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// The next action of the recorded relay, without consuming it.
    pub fn cue(&mut self) -> Result<Cue, ReadError> {
        while !self.has_record()? {
            match self.reader.next()? {
                Some(block) => {
                    self.block = block;
                    self.at = 0;
                }
                None => return Ok(Cue::NoMore),
            }
        }
        Ok(match self.peek() {
            Some(Record::Poll) => Cue::Tick,
            Some(Record::StopAccepting) => Cue::StopAccepting,
            Some(Record::HangUp) => {
                self.skip();
                Cue::HangUp
            }
            Some(Record::End) => Cue::End,
            left => {
                let left = left.map_or(String::new(), |left| left.to_string());
                self.differ(left, "nothing".to_owned());
                Cue::NoMore
            }
        })
    }

    /// Whether there is another record in this block. Bytes that cannot be decoded are
    /// damage that the checksum has not detected.
    fn has_record(&mut self) -> Result<bool, ReadError> {
        let is_some = self.peek().is_some();
        if !is_some && self.at < self.block.records.len() {
            return Err(ReadError::Damaged {
                block: self.block.number,
                offset: self.block.offset,
            });
        }
        Ok(is_some)
    }

    /// The records of the next tick, or after it.
    pub fn scene(&self) -> Vec<Record<'_>> {
        let mut records = Vec::new();
        let mut rest = &self.block.records[self.at..];
        while let Some((record, after)) = Record::decode(rest) {
            let ends = match record {
                Record::Poll => !records.is_empty(),
                Record::HangUp | Record::StopAccepting | Record::End => true,
                _ => false,
            };
            if ends {
                break;
            }
            records.push(record);
            rest = after;
        }
        records
    }

    /// Answers a call with the next record, if that is of the same call. `made` describes
    /// the call for messages.
    pub fn ask<T>(
        &mut self,
        answer: impl FnOnce(&Record) -> Option<T>,
        made: impl FnOnce() -> String,
    ) -> Option<T> {
        if self.failure.is_some() {
            return None;
        }
        let Some(record) = self.peek() else {
            self.differ("nothing".to_owned(), made());
            return None;
        };
        let answered = answer(&record);
        if answered.is_some() {
            self.skip();
        } else {
            let recorded = record.to_string();
            self.differ(recorded, made());
        }
        answered
    }

    /// As [`Self::ask`], for a call that the recorded relay may not have made.
    pub fn ask_whether<T>(&mut self, answer: impl FnOnce(&Record) -> Option<T>) -> Option<T> {
        if self.failure.is_some() {
            return None;
        }
        let answered = answer(&self.peek()?)?;
        self.skip();
        Some(answered)
    }

    /// Whether output is compared by its digest.
    pub fn verifies(&self) -> bool {
        self.verifies
    }

    /// Begins a tick.
    pub fn begin_tick(&mut self) {
        self.ask(
            |record| (*record == Record::Poll).then_some(()),
            || "a tick begins".to_owned(),
        );
        self.ticks += 1;
        if self.header().payload == Payload::Reference {
            self.pieces = Pieces::collect(&self.block.records[self.at..]);
        }
    }

    /// Adds the bytes that a connection received to its input, and returns the outcome.
    pub fn receive(
        &mut self,
        connection: ConnectionId,
        into: &mut Vec<u8>,
    ) -> Option<Came<'static>> {
        let known = self.consumed(connection) + into.len() as u64;
        let (outcome, count) = self.ask(
            |record| match record {
                Record::Receive {
                    connection: recorded,
                    outcome,
                    count,
                    bytes,
                } if *recorded == connection => {
                    into.extend_from_slice(bytes);
                    let left = count.saturating_sub(bytes.len() as u64);
                    Some((outcome.clone().into_owned(), left))
                }
                _ => None,
            },
            || format!("{connection} is read from"),
        )?;
        if count > 0 {
            let Self { traces, pieces, .. } = self;
            let tick = self.ticks;
            let filled = pieces.fill(connection, known, count, traces.as_mut(), tick, into);
            if let Err(reason) = filled {
                self.fail(Error::Content { tick, reason });
            }
        }
        Some(outcome)
    }

    /// Number of bytes of a file that went to a peer with zero-copy; none if the next record
    /// is no such transfer.
    pub fn send_file(
        &mut self,
        connection: ConnectionId,
        file: FileId,
        offset: u64,
        length: u64,
    ) -> Option<Result<u64, StorageError>> {
        if !matches!(self.peek(), Some(Record::SendFile { .. })) {
            return None;
        }
        let asked = (connection, file, offset, length);
        let answer = self.ask(
            |record| match record {
                Record::SendFile {
                    connection,
                    file,
                    offset,
                    length,
                    answer,
                } if (*connection, *file, *offset, *length) == asked => {
                    Some(answer.clone().map_err(StorageError::from))
                }
                _ => None,
            },
            || format!("{length} bytes at {offset} of {file} are sent to {connection}"),
        );
        // At the end of the script the peer accepts nothing.
        Some(answer.unwrap_or(Ok(0)))
    }

    /// Counts further consumed bytes of a connection.
    pub fn consume(&mut self, connection: ConnectionId, count: u64) {
        *self.consumed.entry(connection).or_default() += count;
    }

    /// Number of consumed bytes of a connection.
    pub fn consumed(&self, connection: ConnectionId) -> u64 {
        self.consumed.get(&connection).copied().unwrap_or(0)
    }

    /// Stops the replay, since this relay differs from the recorded one.
    fn differ(&mut self, recorded: String, now: String) {
        let tick = self.ticks;
        self.fail(Error::Differs {
            tick,
            recorded,
            now,
        });
    }

    /// The next record of a call.
    pub fn peek(&mut self) -> Option<Record<'_>> {
        loop {
            let (record, rest) = Record::decode(&self.block.records[self.at..])?;
            if !matches!(record, Record::Rest { .. } | Record::Saved { .. }) {
                break;
            }
            self.at = self.block.records.len() - rest.len();
        }
        Some(Record::decode(&self.block.records[self.at..])?.0)
    }

    fn skip(&mut self) {
        if let Some((_, rest)) = Record::decode(&self.block.records[self.at..]) {
            self.at = self.block.records.len() - rest.len();
        }
    }
}

/// Accepts a record that is the same.
pub fn same<'a>(made: &'a Record) -> impl FnOnce(&Record) -> Option<()> + 'a {
    move |record| (record == made).then_some(())
}
