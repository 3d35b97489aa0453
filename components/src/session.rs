//! A session: what one CREATE_SESSION of a producer made.
//!
//! One for each consumer daemon of a session that a person sees, so up to three of
//! them share an [`Origin`], and through it their chunks.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::hold::Holder;
use crate::keys::{ChunkKey, StreamKey, ViewerSessionKey};
use crate::kinds::Id;
use crate::path::RelativePath;
use crate::wire::TraceFormat;

/// Which session of which session daemon this is (producers since 2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Random for each life of a session daemon.
    pub daemon: [u8; 16],
    /// The session's id there.
    pub session: u64,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Facts that have nothing to do with each other.
pub struct Session {
    /// Its id on the wire.
    pub id: u64,
    pub name: Vec<u8>,
    pub host: Vec<u8>,
    /// None for producers before 2.11.
    pub origin: Option<Origin>,
    /// Its directory, below the relay's output directory.
    pub directory: RelativePath,
    /// The directories that are its own, or shared with its like (see [`crate::places`]).
    pub places: BTreeSet<RelativePath>,
    /// When it was created, in seconds since 1970: by its producer's clock, or by ours
    /// for producers before 2.11.
    pub created_s: u64,
    /// The minor of the protocol when it was created; stays.
    pub minor: u32,
    pub trace_format: TraceFormat,
    /// Period in which its consumer flushes, in microseconds; 0: not live.
    pub live_timer_us: u32,
    pub snapshot: bool,
    /// How old packets and beacons are when viewers are told of them.
    pub hold_back: Duration,

    /// Where new streams go.
    pub chunk: Option<ChunkKey>,
    /// The chunk before it, which was not closed yet.
    pub closing_chunk: Option<ChunkKey>,
    /// A chunk was archived: the session's own directory holds none any more.
    pub rotated: bool,

    /// Streams that are open, in the order in which they were added.
    pub open_streams: VecDeque<StreamKey>,
    /// Streams added since the last STREAMS_SENT.
    pub unpublished: Vec<StreamKey>,
    /// Streams that exist, those closed and still read by a viewer included.
    pub stream_count: u32,
    /// The round of data-pending questions: BEGIN starts one.
    pub pending_round: u64,
    /// Open streams that this round has not asked about.
    pub unchecked: u32,

    /// Its control connection has ended.
    pub producer_gone: bool,
    /// No packet is waited for: its producer broke the protocol, or its data connections
    /// have ended and no other came.
    pub given_up: bool,
    /// Data connections that brought packets for it and are open.
    pub data_connections: u32,

    /// Weak: streams that are closed and kept for viewers to come, oldest first (only
    /// in a session that is kept itself).
    pub kept_streams: VecDeque<StreamKey>,
    /// Weak: those who attached it, in the order of attaching.
    pub viewers: Vec<ViewerSessionKey>,
}

impl Session {
    /// Whether packets come with indexes: not before 2.4, not in snapshots.
    pub fn has_indexes(&self) -> bool {
        self.minor >= 4 && !self.snapshot
    }

    /// Whether viewers may attach it.
    pub fn is_live(&self) -> bool {
        self.live_timer_us != 0
    }
}

impl Holder for Session {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        if let Some(chunk) = self.chunk {
            visit(chunk.into());
        }
        if let Some(chunk) = self.closing_chunk {
            visit(chunk.into());
        }
    }
}
