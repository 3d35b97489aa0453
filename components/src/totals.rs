//! Totals: what a relay counts of all its peers, sessions that are gone included.

use std::time::Duration;

use crate::connection::{Ending, Endpoint};
use crate::tally::Tally;
use crate::wire::producer::CommandKind;
use crate::wire::viewer::RequestKind;

/// The counts of the whole relay.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Packets and losses.
    pub tally: Tally,
    /// Connections and bytes, by [`Endpoint`].
    pub ports: [Traffic; Endpoint::ALL.len()],
    /// Commands of producers, by [`CommandKind`].
    pub commands: [Outcomes; CommandKind::ALL.len()],
    /// Requests of viewers, by [`RequestKind`].
    pub requests: [Outcomes; RequestKind::ALL.len()],
    /// Messages of metadata, and their bytes.
    pub metadata: Amount,
    /// Live beacons that came.
    pub beacons: u64,
    /// Failures of storage, by [`Written`].
    pub failures: [u64; Written::ALL.len()],
    /// The disk has not taken the last packet that came.
    pub is_disk_failing: bool,
    /// Less is free on the disk than is to stay free: nothing more is recorded.
    pub is_reserve_reached: bool,
    /// No connection is accepted any more.
    pub is_stopping: bool,
    /// Disk space used by recordings, if there are caps.
    pub stock: Stock,
    /// Syncs of recordings.
    pub syncs: Syncs,
}

impl Totals {
    /// The counts of that port.
    pub fn port(&mut self, endpoint: Endpoint) -> &mut Traffic {
        &mut self.ports[endpoint as usize]
    }

    /// That could not be written, or not yet.
    pub fn fail(&mut self, what: Written) {
        self.failures[what as usize] += 1;
    }
}

/// Traffic of a port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Connections that came.
    pub accepted: u64,
    /// Those that have ended, by [`Ending`].
    pub ended: [u64; Ending::ALL.len()],
    /// Bytes from peers.
    pub received_bytes: u64,
    /// Bytes to peers.
    pub sent_bytes: u64,
}

impl Traffic {
    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.accepted - self.ended.iter().sum::<u64>()
    }
}

/// Messages of a kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes {
    /// All that came.
    pub all: u64,
    /// Those that were refused.
    pub refused: u64,
}

impl Outcomes {
    /// One more.
    pub fn add(&mut self, is_refused: bool) {
        self.all += 1;
        self.refused += u64::from(is_refused);
    }
}

/// How many, and how large together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Their number.
    pub count: u64,
    /// Their sum.
    pub bytes: u64,
}

/// Something that the disk may not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A packet, which is lost.
    Packet,
    /// Index records, which wait.
    Index,
    /// Metadata, which waits.
    Metadata,
    /// The files of a chunk, which are to be moved or deleted.
    Chunk,
}

impl Written {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Packet, Self::Index, Self::Metadata, Self::Chunk];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Index => "index",
            Self::Metadata => "metadata",
            Self::Chunk => "chunk",
        }
    }
}

/// Disk space that this relay and earlier ones use, and removals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock {
    /// Caps are set, and the rest is counted.
    pub is_counted: bool,
    /// Bytes of allocated blocks, those of removed files that still take them included.
    pub used_bytes: u64,
    /// Those of removed files.
    pub leaving_bytes: u64,
    /// How many there may be in all.
    pub limit_bytes: Option<u64>,
    /// Removals in this run, by [`Excess`].
    pub removed: [Removed; Excess::ALL.len()],
    /// Removals that failed.
    pub failed: u64,
}

/// Syncs of recordings to the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Syncs {
    /// Those that succeeded, each of many files.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that storage has not answered.
    pub pending: u64,
    /// Files that have changed since they were synced, if there is a period.
    pub dirty_files: u64,
    /// Time from request to answer, of all that were answered.
    pub spent: Duration,
}

/// Counts of removals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    /// Chunks that were closed.
    pub chunks: u64,
    /// Trace files of streams that go on.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Packets in them that this run has recorded.
    pub packets: u64,
}

/// The cap that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// All sessions together are too large.
    Size,
    /// A session is too large.
    Session,
    /// It is too old.
    Age,
    /// A session has too many chunks.
    Count,
}

impl Excess {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Size, Self::Session, Self::Age, Self::Count];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Session => "session",
            Self::Age => "age",
            Self::Count => "count",
        }
    }
}
