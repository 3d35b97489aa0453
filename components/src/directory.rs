//! The directory: from what peers name to keys.
//!
//! Ids that only say which of a list is meant are small numbers that grow. Ids that give
//! power over what they name are drawn by chance, so nobody can guess one: on a data
//! connection a handle is all that a producer shows. Keys are not shown to peers.
//! Every entry is weak: what it leads to is looked up in its arena, and a stale
//! key reads as "unknown".

use std::collections::BTreeMap;

use bevy_ecs::resource::Resource;
use rustc_hash::FxHashMap;

use crate::chunk::ChunkId;
use crate::keys::{ChunkKey, SessionKey, StreamKey, TraceKey};
use crate::path::RelativePath;
use crate::places::Places;

#[derive(Debug, Default, Resource)]
pub struct Directory {
    /// Ordered, since viewers list it.
    pub sessions: BTreeMap<u64, SessionKey>,
    /// Open streams: a closed one is unknown to producers.
    pub streams: FxHashMap<u64, StreamKey>,
    pub traces: FxHashMap<(SessionKey, RelativePath), TraceKey>,
    pub chunks: FxHashMap<ChunkId, ChunkKey>,
    /// Where which sessions write.
    pub places: Places,
    pub session_ids: Counter,
    pub stream_numbers: Counter,
    pub trace_ids: Counter,
}

/// The use of a drawn id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lot {
    /// A stream, for its producer.
    Handle,
    /// A stream, for viewers, who must not learn its handle.
    ViewerStream,
    /// A viewer's connection; refers to nothing.
    Viewer,
}

/// Gives 1, 2, 3 …
#[derive(Debug, Default)]
pub struct Counter(u64);

impl Counter {
    pub fn draw(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}
