//! A stream: one ring buffer of a channel, or the metadata of a trace.
//!
//! It owns itself while it is open. After its close producers cannot name it, and it lives
//! while viewers still read it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use smallvec::SmallVec;

use crate::delayed::Delayed;
use crate::few::Few;
use crate::hold::{Held, Holder};
use crate::keys::{ChunkKey, IndexKey, SessionKey, TraceFileKey, TraceKey, ViewerStreamKey};
use crate::kinds::Id;
use crate::tally::StreamTally;

/// The record of a stream. Made by ADD_STREAM, freed when it is closed and no viewer reads it.
#[derive(Debug)]
pub struct Stream {
    /// Serial number in the order in which streams were added; also for log lines.
    pub number: u64,
    /// Its id in the producers' protocol, a capability: a producer that knows it can send
    /// packets of the stream.
    pub handle: u64,
    /// Its id in the live protocol.
    pub viewer_id: u64,
    /// The trace that has its path.
    pub trace: Held<TraceKey>,
    /// The session of its producer.
    pub session: Held<SessionKey>,
    /// Its name, such as `channel0_1`, and that of its files.
    pub channel: Name,
    /// Data or metadata: the channel name of ADD_STREAM decides.
    pub kind: StreamKind,
    /// Counts of its packets and losses.
    pub tally: StreamTally,

    /// Chunk of its next file; none after a rotation to no chunk.
    pub chunk: Option<Held<ChunkKey>>,
    /// Its files that can be read, oldest first; the last one is being written unless it is
    /// finished. Those of earlier chunks are kept for viewers that have not read them.
    pub files: TraceFiles,
    /// The ordinal of the current chunk's first file.
    pub chunk_ordinal: u64,
    /// Files before the current one that wait for descriptions of their packets.
    pub awaited_files: u32,
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

    /// STREAMS_SENT has published it: viewers may see it.
    pub published: bool,
    /// It was published in this tick; listeners have not read that fact.
    pub unheard: bool,
    /// It was closed: its producer cannot name it any more.
    pub closed: bool,
    /// The data-pending round in which it was last asked about.
    pub checked_round: u64,

    /// Made when it is first needed: see [`Stream::rare`].
    pub rare: Option<Box<Rare>>,
}

/// State that few streams have at a time: those that somebody reads, that rotate, that close, or
/// of which the disk refuses packets. Of the others it takes no memory.
#[derive(Debug)]
pub struct Rare {
    /// Weak: the viewer streams that read it, by the ordinal of the file that they are in
    /// (0 in metadata, and where they have no file yet).
    pub viewers: BTreeSet<(u64, ViewerStreamKey)>,
    /// A requested rotation that is not complete.
    pub rotation: Option<Box<Rotation>>,
    /// CLOSE_STREAM was received, and its last packet has not come.
    pub closing: Option<Closing>,
    /// Limit of the size and number of its files, if any.
    pub limit: Option<Box<FileLimit>>,
    /// How its files are called in its chunk, if other streams there have the same name: with
    /// this number. 1: as itself.
    pub namesake: u64,
    /// Packets that could not be written since the last one that was.
    pub lost: u64,
}

/// The name of a stream, inline if it is short.
pub type Name = SmallVec<[u8; 16]>;

/// Files of a stream, in the order of their ordinals.
pub type TraceFiles = Few<Held<TraceFileKey>>;

/// Whether a stream has packets or describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The metadata of a trace: text that describes its packets. It has no packets or indexes.
    Metadata,
    /// Packets of events, with indexes.
    Data,
}

/// The numbers of a packet.
#[derive(Clone, Copy, Debug)]
pub struct LastIndex {
    /// Its number.
    pub sequence: u64,
    /// The tracer's own count (producers since 2.8).
    pub packet_sequence: u64,
}

/// State of a stream that is learnt from its packets' descriptions.
#[derive(Clone, Debug)]
pub struct Described {
    /// CTF stream class, from the first description.
    pub class: u64,
    /// The stream has no event before this time that was not sent (a live beacon,
    /// in clock cycles).
    pub beacon: Option<u64>,
    /// The beacon that viewers see, if the session has a hold-back.
    pub told: Option<Box<Delayed<Option<u64>>>>,
}

impl Described {
    /// The beacon that viewers see at that time (monotonic).
    pub fn told(&self, at: Duration) -> Option<u64> {
        let told = self.told.as_ref();
        told.map_or(self.beacon, |told| told.get(at))
    }
}

/// A packet whose bytes are arriving.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// Bytes of its payload.
    pub size: u32,
    /// A part could not be written: the rest of it is dropped.
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

/// A pending rotation to another chunk, or to none.
#[derive(Debug)]
pub struct Rotation {
    /// The chunk of the next file; none: the stream records nothing until its next rotation.
    pub target: Option<Held<ChunkKey>>,
    /// The tracer's count of the first packet that belongs to the target.
    pub position: u64,
}

/// A requested close.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// The last packet that must come first; none: nothing to wait for.
    pub last_sequence: Option<u64>,
}

/// That of a stream that has none.
static NOTHING_RARE: Rare = Rare::new();

impl Rare {
    const fn new() -> Self {
        Self {
            viewers: BTreeSet::new(),
            rotation: None,
            closing: None,
            limit: None,
            namesake: 1,
            lost: 0,
        }
    }

    /// Of a stream whose files have this limit.
    pub fn limited(limit: Option<Box<FileLimit>>) -> Option<Box<Self>> {
        let of = |limit| Self {
            limit: Some(limit),
            ..Self::new()
        };
        limit.map(|limit| Box::new(of(limit)))
    }
}

impl Stream {
    /// Its rare state.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// Its rare state, to be changed: it takes memory from now on.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new()))
    }

    /// Whether it is the metadata of its trace.
    pub fn is_metadata(&self) -> bool {
        self.kind == StreamKind::Metadata
    }

    /// The name of its channel, without the number of its CPU.
    pub fn channel_name(&self) -> &[u8] {
        let at = self.channel.iter().rposition(|byte| *byte == b'_');
        match at {
            Some(at) if self.channel[at + 1..].iter().all(u8::is_ascii_digit) => {
                &self.channel[..at]
            }
            _ => &self.channel,
        }
    }

    /// The file being written.
    pub fn current_file(&self) -> Option<&Held<TraceFileKey>> {
        self.files.back()
    }

    /// Number of the last packet whose index is complete.
    pub fn last_index(&self) -> Option<u64> {
        self.last_index.map(|last| last.sequence)
    }

    /// Position of packet `sequence` in `pending`, or its insertion point.
    pub fn find_pending(&self, sequence: u64) -> Result<usize, usize> {
        // Fast path: it is nearly always the newest or the oldest.
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
        visit((&self.trace).into());
        visit((&self.session).into());
        let target = self.rare().rotation.iter().flat_map(|it| &it.target);
        for chunk in self.chunk.iter().chain(target) {
            visit(chunk.into());
        }
        for file in self.files.iter() {
            visit(file.into());
        }
    }
}
