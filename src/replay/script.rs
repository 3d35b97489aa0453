//! The script: a journal, record by record, that a replay acts out.
//!
//! Each call of a port asks for the next record. It answers the call, or it is of
//! another call: then this relay does something else than the one that was recorded,
//! and the replay ends.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::Error;
use baton_systems::ports::StorageError;
use rustc_hash::FxHashMap;

use super::content::{Pieces, Traces, UNKNOWN};
use crate::journal::block::{Block, Header, Payload, ReadError, Reader};
use crate::journal::lent::Lent;
use crate::journal::record::{Came, ConnectionId, FileId, Record};

#[derive(Debug)]
pub struct Script {
    reader: Reader<BufReader<File>>,
    block: Block,
    /// Where in the block the next record is.
    at: usize,
    /// Ticks that began.
    pub ticks: u64,
    /// Whether what goes out is compared by its content.
    verifies: bool,
    /// Where bytes are that the journal has by reference.
    traces: Option<Traces>,
    /// Those of this tick.
    pieces: Pieces,
    pub lent: Lent,
    /// Bytes of connections that went to files by themselves.
    passed: FxHashMap<ConnectionId, u64>,
    /// Why the replay cannot go on.
    failure: Option<Error>,
    pub compared: Compared,
}

/// What went out, and was the same as recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub reply_bytes: u64,
    pub file_bytes: u64,
}

/// What the relay is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    Tick,
    StopAccepting,
    HangUp,
    /// The relay ended in order.
    End,
    /// The journal ends here, and the relay did not.
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
            lent: Lent::default(),
            passed: FxHashMap::default(),
            failure: None,
            compared: Compared::default(),
        })
    }

    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Where in the journal the replay is, in bytes.
    pub fn position(&self) -> u64 {
        self.block.offset + self.at as u64
    }

    /// Takes bytes that the journal refers to from there.
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

    /// What the relay did next.
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

    /// Whether there is another one in this block. What cannot be read is damage that
    /// no checksum told.
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

    /// The records of the tick that comes next, or of what follows it.
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

    /// Answers a call with the next record, if that is of the same call. `made` is the
    /// call, for people.
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

    /// As [`Self::ask`], of a call that may not have come.
    pub fn ask_whether<T>(&mut self, answer: impl FnOnce(&Record) -> Option<T>) -> Option<T> {
        if self.failure.is_some() {
            return None;
        }
        let answered = answer(&self.peek()?)?;
        self.skip();
        Some(answered)
    }

    /// Whether what goes out is compared by its content.
    pub fn verifies(&self) -> bool {
        self.verifies
    }

    /// A tick begins.
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

    /// Bytes that a connection got, from that position on, and what came of it.
    pub fn receive(
        &mut self,
        connection: ConnectionId,
        position: u64,
        into: &mut Vec<u8>,
    ) -> Option<Came<'static>> {
        let (outcome, count) = self.ask(
            |record| match record {
                Record::Receive {
                    connection: recorded,
                    outcome,
                    count,
                    bytes,
                } if *recorded == connection => {
                    into.extend_from_slice(bytes);
                    Some((outcome.clone().into_owned(), count - bytes.len() as u64))
                }
                _ => None,
            },
            || format!("{connection} is read from"),
        )?;
        if count > 0 {
            let Self { traces, pieces, .. } = self;
            let tick = self.ticks;
            let filled = pieces.fill(connection, position, count, traces.as_mut(), tick, into);
            if let Err(reason) = filled {
                self.fail(Error::Content { tick, reason });
            }
        }
        Some(outcome)
    }

    /// Bytes of a connection that went to a file by themselves, and whether all of them
    /// got there. Those that did not are not known: they are zeros here.
    pub fn take(
        &mut self,
        file: FileId,
        offset: u64,
        length: u64,
    ) -> Option<(Vec<u8>, Result<(), StorageError>)> {
        let asked = (file, offset, length);
        let (connection, count, failure) = self.ask(
            |record| match record {
                Record::Take {
                    connection,
                    file,
                    offset,
                    length,
                    bytes,
                    failure,
                } if (*file, *offset, *length) == asked && bytes <= length => {
                    Some((*connection, *bytes, failure.clone().map(StorageError::from)))
                }
                _ => None,
            },
            || format!("up to {length} bytes go to {file} at {offset} by themselves"),
        )?;
        *self.passed.entry(connection).or_default() += count;
        if let Some(failure) = failure {
            return Some((vec![0; count as usize], Err(failure)));
        }
        let tick = self.ticks;
        let read = match &mut self.traces {
            Some(traces) => traces.read(tick, file, offset, count),
            None => Err(UNKNOWN.to_owned()),
        };
        match read {
            Ok(bytes) => Some((bytes, Ok(()))),
            Err(reason) => {
                self.fail(Error::Content { tick, reason });
                None
            }
        }
    }

    /// Bytes of a connection that went to files by themselves.
    pub fn passed(&self, connection: ConnectionId) -> u64 {
        self.passed.get(&connection).copied().unwrap_or(0)
    }

    /// This relay does something else.
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
