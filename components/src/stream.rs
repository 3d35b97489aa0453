//! A stream: one ring buffer of a channel, or the metadata of a trace.
//!
//! It owns itself while it is open. Closed, it is unknown to producers and lives
//! only for the viewers that still read it.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use crate::delayed::Delayed;
use crate::hold::Holder;
use crate::keys::{ChunkKey, IndexKey, SessionKey, TraceFileKey, TraceKey, ViewerStreamKey};
use crate::kinds::Id;

#[derive(Debug)]
pub struct Stream {
    /// Counts streams in the order in which they were added; for people, too.
    pub number: u64,
    /// Its id on the wires of producers: who knows it can send packets of the stream.
    pub handle: u64,
    /// Its id on the wire of viewers.
    pub viewer_id: u64,
    pub trace: TraceKey,
    /// Weak: its trace holds it.
    pub session: SessionKey,
    /// Its name, such as `channel0_1`, and that of its files.
    pub channel: Name,
    pub kind: Kind,
    /// Packets that could not be written since the last one that was.
    pub lost: u64,

    /// Where its next file is made; none after a rotation to no chunk.
    pub chunk: Option<ChunkKey>,
    /// The move to another chunk that was asked for and is not complete.
    pub rotation: Option<Box<Rotation>>,
    /// Its files that can be read, oldest first; the last one is being written
    /// unless it is finished. Those of chunks before the current one are there for
    /// viewers that are not so far.
    pub files: TraceFiles,
    /// The ordinal of the current chunk's first file.
    pub chunk_ordinal: u64,
    /// How its files are limited in size and number, if they are.
    pub limit: Option<Box<FileLimit>>,
    /// The ordinal of its next file.
    pub next_ordinal: u64,

    /// Number of the last packet whose bytes are complete.
    pub last_data: Option<u64>,
    /// The last packet whose index is complete.
    pub last_index: Option<LastIndex>,
    /// Payload of the packet that is arriving, in bytes.
    pub arriving: Option<Arriving>,
    /// Packets with one half, ordered by number.
    pub pending: VecDeque<(u64, IndexKey)>,
    /// Learnt from indexes and beacons.
    pub described: Option<Described>,

    pub published: bool,
    /// It was published in this tick: listeners have not heard of it.
    pub unheard: bool,
    pub closing: Option<Box<Closing>>,
    pub closed: bool,
    /// The data-pending round in which it was last asked about.
    pub checked_round: u64,

    /// Weak: the viewer streams that read it.
    pub viewers: Vec<ViewerStreamKey>,
}

/// The name of a stream: rarely a long one.
pub type Name = SmallVec<[u8; 16]>;

/// Files of a stream: nearly always one.
pub type TraceFiles = SmallVec<[TraceFileKey; 2]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Metadata,
    Data,
}

/// How a packet is counted.
#[derive(Clone, Copy, Debug)]
pub struct LastIndex {
    /// Its number.
    pub sequence: u64,
    /// The tracer's own count (producers since 2.8).
    pub packet_sequence: u64,
}

/// What a stream's descriptions tell about it.
#[derive(Clone, Debug)]
pub struct Described {
    /// CTF stream class, as the first of them has it.
    pub class: u64,
    /// The stream has no event before this time that was not sent (a live beacon,
    /// in clock cycles).
    pub beacon: Option<u64>,
    /// The beacon that viewers are told of, where that is an earlier one.
    pub told: Option<Box<Delayed<Option<u64>>>>,
}

impl Described {
    /// The beacon that viewers are told of at that time (monotonic).
    pub fn told(&self, at: Duration) -> Option<u64> {
        let told = self.told.as_ref();
        told.map_or(self.beacon, |told| told.get(at))
    }
}

/// A packet whose bytes are coming.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// Bytes of its payload.
    pub size: u32,
    /// A part could not be written: what still comes of it is dropped.
    pub lost: bool,
}

/// Limits of a stream's files: `NAME_0`, `NAME_1`, … each up to a size.
#[derive(Clone, Copy, Debug)]
pub struct FileLimit {
    /// In bytes. A packet that would make a file larger goes to the next one.
    pub file_size: u64,
    /// After that many the first is overwritten; 0: never.
    pub file_count: u64,
    /// Number of the current file in its name.
    pub file_number: u64,
}

/// A pending move to another chunk, or to none.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    pub target: Option<ChunkKey>,
    /// The tracer's count of the first packet that belongs to the target.
    pub position: u64,
}

/// A close that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// The last packet that must come first; none: nothing to wait for.
    pub last_sequence: Option<u64>,
}

impl Stream {
    pub fn is_metadata(&self) -> bool {
        self.kind == Kind::Metadata
    }

    /// The file being written.
    pub fn current_file(&self) -> Option<TraceFileKey> {
        self.files.last().copied()
    }

    /// Number of the last packet whose index is complete.
    pub fn last_index(&self) -> Option<u64> {
        self.last_index.map(|last| last.sequence)
    }

    /// Where in `pending` the packet `sequence` is, or would go.
    pub fn find_pending(&self, sequence: u64) -> Result<usize, usize> {
        // Nearly always the newest or the oldest: look there first.
        match self.pending.back() {
            None => Err(0),
            Some((last, _)) if *last < sequence => Err(self.pending.len()),
            Some((last, _)) if *last == sequence => Ok(self.pending.len() - 1),
            Some(_) => self
                .pending
                .binary_search_by_key(&sequence, |(number, _)| *number),
        }
    }
}

/// Whether packet number `last` has reached `wanted`: the difference counts, since
/// numbers may wrap.
pub fn reached(last: Option<u64>, wanted: u64) -> bool {
    last.is_some_and(|last| last.wrapping_sub(wanted).cast_signed() >= 0)
}

impl Holder for Stream {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit(self.trace.into());
        if let Some(chunk) = self.chunk {
            visit(chunk.into());
        }
        if let Some(chunk) = self.rotation.as_ref().and_then(|rotation| rotation.target) {
            visit(chunk.into());
        }
        for file in &self.files {
            visit((*file).into());
        }
    }
}
