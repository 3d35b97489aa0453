//! The directory: from what peers name to keys.
//!
//! Ids on the wire are small numbers that grow and are never used again while the
//! daemon lives; keys are not shown to peers, who therefore cannot forge one.
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
    pub stream_ids: Counter,
    pub trace_ids: Counter,
    /// What CONNECT tells a viewer; refers to nothing.
    pub viewer_ids: Counter,
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
