//! A session: made by one CREATE_SESSION of a producer.
//!
//! Each consumer daemon of a user's session has one, so up to three of them share an
//! [`Origin`], and through it their chunks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::batch::Writes;
use crate::hold::{Held, Holder};
use crate::keys::{ChunkKey, ConnectionKey, StreamKey, ViewerSessionKey};
use crate::kinds::Id;
use crate::path::RelativePath;
use crate::shares::AddressKey;
use crate::shown::Shown;
use crate::tally::{Span, Tally};
use crate::wire::TraceFormat;

/// The session daemon and the session there (producers since 2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Random for each life of a session daemon.
    pub daemon: [u8; 16],
    /// The session's id there.
    pub session: u64,
}

/// The record of a session. Made by CREATE_SESSION, freed when its connections, streams and
/// viewers are gone.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Facts that have nothing to do with each other.
pub struct Session {
    /// Its id on the wire.
    pub id: u64,
    /// Its name from CREATE_SESSION, any bytes that are a file name.
    pub name: Box<[u8]>,
    /// The host's name from CREATE_SESSION, any bytes that are a file name.
    pub host: Box<[u8]>,
    /// None for producers before 2.11.
    pub origin: Option<Origin>,
    /// Address of its producer's control connection: whose share it is counted in, with its
    /// streams.
    pub address: AddressKey,
    /// Weak: its producer's control connection.
    pub control: ConnectionKey,
    /// Its directory, below the relay's output directory.
    pub directory: RelativePath,
    /// When it was created, in seconds since 1970: by its producer's clock, or by ours
    /// for producers before 2.11.
    pub created_s: u64,
    /// The minor of the protocol when it was created; stays.
    pub minor: u32,
    /// The format of its traces from CREATE_SESSION; CTF 1.8 for producers before 2.15.
    pub trace_format: TraceFormat,
    /// Period in which its consumer flushes, in microseconds; 0: not live.
    pub live_timer_us: u32,
    /// It records snapshots: its producer sends no indexes.
    pub snapshot: bool,
    /// Hold-back: the age at which packets and beacons are shown to viewers.
    pub hold_back: Duration,

    /// Chunk of new streams.
    pub chunk: Option<Held<ChunkKey>>,
    /// The chunk before it, which was not closed yet.
    pub closing_chunk: Option<Held<ChunkKey>>,
    /// A chunk was archived: the session's directory itself has no files of a chunk any
    /// more.
    pub rotated: bool,

    /// Streams that are open, in the order in which they were added, that of their numbers.
    pub open_streams: BTreeMap<u64, StreamKey>,
    /// Those that were added since the last STREAMS_SENT.
    pub unpublished: BTreeMap<u64, StreamKey>,
    /// Streams that exist, those closed and still read by a viewer included.
    pub stream_count: u32,
    /// The round of data-pending questions: BEGIN starts one.
    pub pending_round: u64,
    /// Open streams that this round has not asked about.
    pub unchecked: u32,

    /// When its control connection ended (monotonic).
    pub gone_since: Option<Duration>,
    /// No packet is waited for: its producer violated the protocol, or its data connections
    /// have ended and no other came.
    pub given_up: bool,
    /// Time (monotonic) until which another data connection is waited for; its timer is set.
    pub drain_by: Option<Duration>,
    /// Data connections that brought packets for it and are open.
    pub data_connections: u32,
    /// A packet was announced while there was none of them: a timer looks whether one came,
    /// once.
    pub is_data_watched: bool,

    /// Counts of its streams, those that are gone included.
    pub tally: Tally,
    /// Number of streams that were added, those that are gone included.
    pub streams_added: u64,

    /// Gaps in the numbers of packets since its current chunk was made: losses, unless the one
    /// before is to be deleted.
    pub gaps: u64,
    /// Its complete packets: what viewers may be behind of.
    pub span: Span,

    /// Its writes that are not confirmed.
    pub writes: Box<Writes>,

    /// Weak: viewer sessions that attached it.
    pub viewers: BTreeSet<ViewerSessionKey>,

    /// Made when it is first needed: see [`Session::rare`].
    pub rare: Option<Box<Rare>>,
}

/// State that few sessions have. Of the others it takes no memory.
#[derive(Debug, Default)]
pub struct Rare {
    /// The directories of its traces, which its producer before 2.11 has named: its places
    /// (see [`Session::places`]).
    pub trace_places: BTreeSet<RelativePath>,
    /// Channels in which its tracers lost something, for its last line in the log: the first
    /// ones.
    pub lossy_channels: BTreeSet<Vec<u8>>,
    /// Weak: closed streams that are kept for later viewers, oldest first (only in a
    /// session that is kept itself).
    pub kept_streams: VecDeque<StreamKey>,
}

/// That of a session that has none.
static NOTHING_RARE: Rare = Rare {
    trace_places: BTreeSet::new(),
    lossy_channels: BTreeSet::new(),
    kept_streams: VecDeque::new(),
};

impl Session {
    /// Its rare state.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// Its rare state, to be changed: it takes memory from now on.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The directories that it owns, alone or with sessions of the same owner (see
    /// [`crate::places`]).
    pub fn places(&self) -> impl Iterator<Item = &RelativePath> {
        let own = self.origin.iter().map(|_| &self.directory);
        own.chain(&self.rare().trace_places)
    }

    /// Whether packets come with indexes: not before 2.4, not in snapshots.
    pub fn has_indexes(&self) -> bool {
        self.minor >= 4 && !self.snapshot
    }

    /// Whether its control connection has ended.
    pub fn is_producer_gone(&self) -> bool {
        self.gone_since.is_some()
    }

    /// Whether viewers may attach it.
    pub fn is_live(&self) -> bool {
        self.live_timer_us != 0
    }
}

/// `NAME@HOST`, for log lines.
impl fmt::Display for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", Shown(&self.name), Shown(&self.host))
    }
}

impl Holder for Session {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        for chunk in self.chunk.iter().chain(&self.closing_chunk) {
            visit(chunk.into());
        }
    }
}
