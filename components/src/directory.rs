//! The directory: lookup tables from the ids and names that peers send to keys.
//!
//! Ids that only select from a list are small numbers that grow. Ids that are also an
//! access right (capabilities) are random, so they cannot be guessed: on a data connection
//! a handle is the only proof of a producer's right. Keys are not sent to peers. Every
//! entry is weak: its key is looked up in the arena, and a stale key means "unknown".

use std::collections::BTreeMap;

use bevy_ecs::resource::Resource;
use rustc_hash::FxHashMap;

use crate::chunk::ChunkId;
use crate::keys::{ChunkKey, SessionKey, StreamKey, TraceKey};
use crate::path::RelativePath;
use crate::places::Places;

/// All lookup tables of a relay, and the counters of its ids.
#[derive(Debug, Default, Resource)]
pub struct Directory {
    /// Sessions by their wire id. Ordered, so that a list of all may be made in slices.
    pub sessions: BTreeMap<u64, SessionKey>,
    /// Those that viewers are told of: whose producer is there, and those that are kept.
    /// Ordered, since viewers list them.
    pub listed: BTreeMap<u64, SessionKey>,
    /// Open streams: a closed one is unknown to producers.
    pub streams: FxHashMap<u64, StreamKey>,
    /// Traces by their session and their path in its chunk.
    pub traces: FxHashMap<(SessionKey, RelativePath), TraceKey>,
    /// Chunks that sessions of one origin share.
    pub chunks: FxHashMap<ChunkId, ChunkKey>,
    /// The directories of living sessions.
    pub places: Places,
    /// Ids of sessions, in both protocols.
    pub session_ids: Counter,
    /// Numbers of streams, for log lines.
    pub stream_numbers: Counter,
    /// Ids of traces, in the live protocol.
    pub trace_ids: Counter,
}

/// The use of a random id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lot {
    /// A stream, for its producer.
    Handle,
    /// A stream, for viewers, who must not learn its handle.
    ViewerStream,
    /// A viewer's connection; refers to nothing.
    Viewer,
    /// A list of what the relay made.
    List,
}

/// Gives 1, 2, 3 …
#[derive(Debug, Default)]
pub struct Counter(u64);

impl Counter {
    /// The next number. Never repeats while the relay runs.
    pub fn draw(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// How many were drawn.
    pub fn drawn(&self) -> u64 {
        self.0
    }
}
