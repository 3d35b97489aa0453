//! Facts: the events of this tick, for listeners.
//!
//! Recording pushes facts and names no listener. A listener is a system that reads some of
//! the lists. Facts are dropped when all listeners have run. Timers and connections that
//! end run after the listeners: their facts are read in the next tick, which follows at
//! once.

use std::time::Duration;

use baton_components::chunk::{Chunk, FileOfStream};
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey, StreamKey, ViewerSessionKey};
use baton_components::path::RelativePath;
use baton_components::tally::Cause;
use bevy_ecs::resource::Resource;

use crate::ports::Answer;

/// A list for each kind of fact, in the order of the events. One resource: six resources
/// would cost the systems more than half a microsecond for each packet.
#[derive(Debug, Default, Resource)]
pub struct Facts {
    pub published: Vec<StreamsPublished>,
    pub packets: Vec<PacketComplete>,
    pub beacons: Vec<BeaconMoved>,
    pub closed: Vec<StreamClosed>,
    pub gone: Vec<ProducerGone>,
    pub due: Vec<QuestionDue>,
    pub described: Vec<PacketDescribed>,
    pub kept: Vec<PacketsKept>,
    pub metadata: Vec<MetadataGrew>,
    pub dropped: Vec<PacketDropped>,
    pub torn: Vec<PacketTorn>,
    pub given_up: Vec<PacketGivenUp>,
    pub chunks_closed: Vec<ChunkClosed>,
    /// Storage has answered a listener.
    pub answered: Vec<Answer>,
}

impl Facts {
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
            && self.packets.is_empty()
            && self.beacons.is_empty()
            && self.closed.is_empty()
            && self.gone.is_empty()
            && self.due.is_empty()
            && self.described.is_empty()
            && self.kept.is_empty()
            && self.metadata.is_empty()
            && self.dropped.is_empty()
            && self.torn.is_empty()
            && self.given_up.is_empty()
            && self.chunks_closed.is_empty()
            && self.answered.is_empty()
    }

    /// Drops the facts that all listeners have read.
    pub fn clear(&mut self) {
        self.published.clear();
        self.packets.clear();
        self.beacons.clear();
        self.closed.clear();
        self.gone.clear();
        self.due.clear();
        self.described.clear();
        self.kept.clear();
        self.metadata.clear();
        self.dropped.clear();
        self.torn.clear();
        self.given_up.clear();
        self.chunks_closed.clear();
        self.answered.clear();
    }
}

/// A producer has published streams of its session, together.
#[derive(Debug)]
pub struct StreamsPublished {
    /// The producer's connection: it pays for the work of listeners.
    pub by: ConnectionKey,
    pub session: SessionKey,
    pub streams: Vec<StreamKey>,
}

/// A packet of that stream has both halves: its record may be read.
#[derive(Clone, Copy, Debug)]
pub struct PacketComplete(pub StreamKey);

/// A stream got a new beacon: it has no event before that time.
#[derive(Clone, Copy, Debug)]
pub struct BeaconMoved(pub StreamKey);

/// A stream was closed: nothing is added to it. The record exists until listeners have run.
#[derive(Clone, Copy, Debug)]
pub struct StreamClosed(pub StreamKey);

/// The control connection of a session has ended: no stream is added any more.
#[derive(Clone, Copy, Debug)]
pub struct ProducerGone(pub SessionKey);

/// The timer of a viewer's question has expired; `due` is its time (monotonic).
#[derive(Clone, Copy, Debug)]
pub struct QuestionDue {
    pub viewer: ViewerSessionKey,
    pub due: Duration,
}

/// The description of another packet of that stream has come, with what its tracer counts.
#[derive(Clone, Copy, Debug)]
pub struct PacketDescribed {
    pub stream: StreamKey,
    pub events_discarded: u64,
    /// The tracer's number of the packet; `NONE` from producers before 2.8.
    pub packet_sequence: u64,
    /// It is the first after a clear.
    pub begins_anew: bool,
    /// Its session goes on in another chunk: it is not known yet whether the one before is
    /// to be deleted.
    pub may_be_cleared: bool,
}

/// The chunk that a session had before the current one was closed.
#[derive(Clone, Copy, Debug)]
pub struct ChunkClosed {
    pub session: SessionKey,
    pub is_deleted: bool,
}

/// The bytes of packets are in a file: storage has confirmed them.
#[derive(Clone, Copy, Debug)]
pub struct PacketsKept {
    pub stream: StreamKey,
    /// The ordinal of the file.
    pub file: u64,
    /// Number of the last of them. Where one of the stream has broken off, each is told alone.
    pub last: u64,
    pub packets: u64,
    pub bytes: u64,
}

/// Metadata was added to a file of a stream.
#[derive(Clone, Copy, Debug)]
pub struct MetadataGrew {
    pub stream: StreamKey,
    /// The ordinal of the file.
    pub file: u64,
    pub bytes: u64,
}

/// A change of a name on disk. These facts are with the arenas, since files are made
/// wherever those are at hand.
#[derive(Debug)]
pub enum NameFact {
    /// A file of a stream was made, data or index.
    Made(Box<Made>),
    /// The files of an ordinal were removed by their stream.
    Removed(FileOfStream),
    /// A chunk is closed, and where it stays; or it is to be deleted.
    Closed(Box<ChunkEnd>),
}

/// A file that was made. All that the lists need is here: its chunk may be condemned when
/// listeners run.
#[derive(Debug)]
pub struct Made {
    pub chunk: ChunkKey,
    /// The ordinal of the chunk.
    pub ordinal: u64,
    /// The directory of the chunk's session.
    pub session: RelativePath,
    pub file: FileOfStream,
    /// Below the chunk's directory.
    pub path: RelativePath,
}

/// A chunk that has no users any more.
#[derive(Debug)]
pub struct ChunkEnd {
    pub ordinal: u64,
    pub directory: RelativePath,
    pub is_deleted: bool,
}

/// The facts about names of this tick, if there is a listener.
#[derive(Debug, Default)]
pub struct NameFacts {
    pub are_heard: bool,
    pub facts: Vec<NameFact>,
    /// Chunks that have got an ordinal.
    chunks: u64,
}

impl NameFacts {
    pub fn push(&mut self, fact: impl FnOnce() -> NameFact) {
        if self.are_heard {
            self.facts.push(fact());
        }
    }

    /// The ordinal of a chunk, which gets one with its first file.
    pub fn ordinal(&mut self, chunk: &mut Chunk) -> u64 {
        *chunk.ordinal.get_or_insert_with(|| {
            self.chunks += 1;
            self.chunks
        })
    }
}

/// A packet came and is not kept.
#[derive(Clone, Copy, Debug)]
pub struct PacketDropped {
    pub session: SessionKey,
    /// It may be gone.
    pub stream: StreamKey,
    pub cause: Cause,
}

/// The connection of a packet ended in the middle of it.
#[derive(Clone, Copy, Debug)]
pub struct PacketTorn {
    pub stream: StreamKey,
    pub sequence: u64,
    /// Its beginning was not kept: it is one of those that were dropped.
    pub is_dropped: bool,
}

/// A packet that was described is not waited for any more.
#[derive(Clone, Copy, Debug)]
pub struct PacketGivenUp {
    pub stream: StreamKey,
    pub sequence: u64,
}
