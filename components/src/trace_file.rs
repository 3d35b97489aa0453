//! A trace file: one data file of a stream, with the index file beside it.
//!
//! A stream writes one at a time. Viewers hold the one that they read, so it stays readable
//! after its name was removed from the disk.

use std::collections::VecDeque;
use std::time::Duration;

use crate::delayed::Delayed;
use crate::hold::{Held, Holder};
use crate::keys::{ChunkKey, FileKey, StreamKey};
use crate::kinds::Id;
use crate::shares::AddressKey;
use crate::wire::ctf_index::Version;

/// The name of an index file is that of its data file, and this.
pub const INDEX_ENDING: &[u8] = b".idx";

/// The record of a trace file. Held by its stream while it can be read, and by viewers.
#[derive(Debug)]
pub struct TraceFile {
    /// Weak: viewers may go on reading after the stream was closed.
    pub stream: StreamKey,
    /// Weak: the chunk that it was made in.
    pub chunk: ChunkKey,
    /// Its ordinal among all files of the stream, from 0, through all chunks.
    pub ordinal: u64,
    /// The data file: packets, or metadata.
    pub data: Held<FileKey>,
    /// Created with the first complete packet; never for metadata.
    pub index: Option<Box<IndexFile>>,
    /// Bytes of complete packets, padding included: where the next one begins. They were
    /// written, and may be lost.
    pub size: u64,
    /// Offset of the next byte of the packet that is arriving.
    pub written: u64,
    /// Bytes of complete packets that are in the file: what viewers may see.
    pub committed: u64,
    /// Attempts in turn to bring it back to what is committed that have failed.
    pub failures: u8,
    /// Metadata that is not known to be in the file.
    pub waiting: Option<Box<WaitingMetadata>>,
    /// Number of packets in it whose description has not come.
    pub awaited: u32,
    /// It is finished and some are awaited: its stream counts it.
    pub is_awaited: bool,
    /// The stream writes another file now.
    pub finished: bool,
    /// It was cleared: viewers get no packets of it any more.
    pub cleared: bool,
}

/// Metadata that is kept until it is in its file.
#[derive(Debug)]
pub struct WaitingMetadata {
    /// The address that its memory counts for.
    pub address: AddressKey,
    /// Whole messages, in order.
    pub messages: VecDeque<MetadataMessage>,
    /// Size of all of them on disk, with their padding.
    pub size: u64,
    /// Why the disk has refused them: they are written again when it may have room.
    pub refusal: Option<String>,
}

/// A message of metadata.
#[derive(Debug)]
pub struct MetadataMessage {
    /// The bytes as they were sent.
    pub bytes: Vec<u8>,
    /// Number of zeros that follow it.
    pub padding: u32,
}

impl MetadataMessage {
    /// Its size in memory: its padding takes none.
    pub fn memory_bytes(&self) -> u64 {
        Self::memory_bytes_of(&self.bytes)
    }

    /// Its size on disk, with its padding.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.padding)
    }

    /// The size in memory of a message of these bytes.
    pub fn memory_bytes_of(bytes: &[u8]) -> u64 {
        (bytes.len() + size_of::<Self>()) as u64
    }
}

/// The records of a trace file's packets.
#[derive(Debug)]
pub struct IndexFile {
    /// The index file on disk.
    pub file: Held<FileKey>,
    /// Version of its format, which decides the size of records.
    pub version: Version,
    /// Bytes that are in the file, header included: what viewers may see.
    pub committed: u64,
    /// Bytes that were written, and may be lost.
    pub written: u64,
    /// Bytes that follow them and are to be written with the next commit.
    pub fresh: Vec<u8>,
    /// Number of records that viewers see, if the session has a hold-back.
    pub told: Option<Box<Delayed<u64>>>,
}

impl TraceFile {
    /// Records that viewers may see.
    pub fn committed_records(&self) -> u64 {
        let index = self.index.as_ref();
        index.map_or(0, |index| index.records_in(index.committed))
    }

    /// Records that are complete, on disk or not.
    pub fn records(&self) -> u64 {
        let index = self.index.as_ref();
        index.map_or(0, |index| index.records_in(index.end()))
    }

    /// Whether there are complete records that viewers do not see, since they are not on
    /// disk.
    pub fn has_unwritten(&self) -> bool {
        self.records() > self.committed_records()
    }

    /// Maximum number of records that viewers see at that time (monotonic).
    pub fn told(&self, at: Duration) -> u64 {
        let told = self.index.as_ref().and_then(|index| index.told.as_ref());
        told.map_or(u64::MAX, |told| told.get(at))
    }

    /// The last record was added now, and viewers see it after `delay`.
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
    /// An empty file, which is to begin with its header.
    pub fn new(file: Held<FileKey>, version: Version) -> Self {
        Self {
            file,
            version,
            committed: 0,
            written: 0,
            fresh: version.header().to_vec(),
            told: None,
        }
    }

    /// Bytes that are not committed are not in the file, and are not written any more.
    pub fn go_back(&mut self) {
        self.written = self.committed;
        self.fresh.clear();
        if self.committed == 0 {
            self.fresh.extend_from_slice(&self.version.header());
        }
    }

    /// Size of the file when all is written.
    pub fn end(&self) -> u64 {
        self.written + self.fresh.len() as u64
    }

    /// Number of records in the first `bytes` bytes of the file.
    pub fn records_in(&self, bytes: u64) -> u64 {
        let records = bytes.saturating_sub(self.version.header().len() as u64);
        records / self.version.record_size() as u64
    }

    /// Offset of record `number` in the file, in bytes.
    pub fn record_offset(&self, number: u64) -> u64 {
        self.version.header().len() as u64 + number * self.version.record_size() as u64
    }
}

impl Holder for TraceFile {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit((&self.data).into());
        if let Some(index) = &self.index {
            visit((&index.file).into());
        }
    }
}
