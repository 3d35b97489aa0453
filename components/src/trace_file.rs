//! A trace file: one data file of a stream, with the index file beside it.
//!
//! A stream writes one at a time. Viewers hold the one that they read, so it stays
//! readable although its name is gone from the disk.

use std::time::Duration;

use crate::delayed::Delayed;
use crate::hold::Holder;
use crate::keys::{ChunkKey, FileKey, StreamKey};
use crate::kinds::Id;
use crate::wire::ctf_index::Version;

#[derive(Debug)]
pub struct TraceFile {
    /// Weak: a viewer may read on when the stream is gone from its producer.
    pub stream: StreamKey,
    /// Weak: the chunk that it was made in.
    pub chunk: ChunkKey,
    /// Its place among all files of the stream, from 0, through all chunks.
    pub ordinal: u64,
    pub data: FileKey,
    /// Made with the first complete packet; never for metadata.
    pub index: Option<Box<IndexFile>>,
    /// Bytes of complete packets, padding included: where the next one begins.
    pub size: u64,
    /// Where the next byte of the packet that is arriving goes.
    pub written: u64,
    /// Bytes on disk: more than `written` if what was torn could not be cut off.
    pub extent: u64,
    /// Metadata that the disk has not taken.
    pub waiting: Option<Box<WaitingMetadata>>,
    /// Packets in it whose description has not come.
    pub awaited: u32,
    /// The stream writes another file now.
    pub finished: bool,
    /// It was cleared: its packets are not for viewers any more.
    pub cleared: bool,
}

/// What waits until there is room.
#[derive(Debug, Default)]
pub struct WaitingMetadata {
    /// Whole messages, with their padding.
    pub bytes: Vec<u8>,
}

/// The records of a trace file's packets.
#[derive(Debug)]
pub struct IndexFile {
    pub file: FileKey,
    pub version: Version,
    /// Records on disk: what viewers may see.
    pub committed: u64,
    /// Records that are complete, encoded, and not on disk.
    pub fresh: Vec<u8>,
    /// How many records viewers are told of, where they are not told of all that there
    /// are.
    pub told: Option<Box<Delayed<u64>>>,
}

impl TraceFile {
    /// Records that viewers may see.
    pub fn committed(&self) -> u64 {
        self.index.as_ref().map_or(0, |index| index.committed)
    }

    /// Records that are complete, on disk or not.
    pub fn records(&self) -> u64 {
        let fresh = self.index.as_ref().map_or(0, |index| index.fresh_records());
        self.committed() + fresh
    }

    /// Whether records are complete that viewers do not see, since they are not on
    /// disk.
    pub fn has_unwritten(&self) -> bool {
        self.index
            .as_ref()
            .is_some_and(|index| !index.fresh.is_empty())
    }

    /// How many records viewers are told of at that time (monotonic), if there are as
    /// many.
    pub fn told(&self, at: Duration) -> u64 {
        let told = self.index.as_ref().and_then(|index| index.told.as_ref());
        told.map_or(u64::MAX, |told| told.get(at))
    }

    /// The last record came now, and viewers are told of it when `delay` has passed.
    pub fn hold_back_last(&mut self, now: Duration, delay: Duration) {
        let records = self.records();
        if let Some(index) = &mut self.index {
            let before = || Box::new(Delayed::new(records.saturating_sub(1)));
            let told = index.told.get_or_insert_with(before);
            told.set(now, delay, records);
        }
    }

    /// Whether viewers see all records that it will ever have.
    pub fn is_settled(&self) -> bool {
        self.finished && self.awaited == 0 && !self.has_unwritten()
    }
}

impl IndexFile {
    /// How many records are not on disk.
    pub fn fresh_records(&self) -> u64 {
        (self.fresh.len() / self.version.record_size()) as u64
    }

    /// Where record `number` stands in the file, in bytes.
    pub fn record_offset(&self, number: u64) -> u64 {
        self.version.header().len() as u64 + number * self.version.record_size() as u64
    }
}

impl Holder for TraceFile {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit(self.data.into());
        if let Some(index) = &self.index {
            visit(index.file.into());
        }
    }
}
