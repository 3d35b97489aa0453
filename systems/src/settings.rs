//! Settings: the options that the systems need, chosen by the user at start.
//!
//! A journal records all of them, since a replay needs the same ones. A replay uses the
//! default for a setting that an older journal lacks, so each default must be the behaviour
//! of relays before the setting existed.

use std::time::Duration;

use baton_components::limits::{
    CUT_BYTES_MAX, CUT_BYTES_MIN, CUT_PARTS, CUT_STREAMS_MIN, LIVE_HOLD_BACK, METRICS_SESSIONS,
    NAMES_PER_CHUNK_MAX, SESSIONS_MAX, STATUS_CONNECTIONS_MAX, STREAMS_MAX,
    STREAMS_PER_SESSION_MAX, WAITING_METADATA_BYTES_TOTAL_MAX, WRITE_BUFFER_BYTES_MAX,
};
use baton_components::shares::{Amounts, Asset, Shares};
use bevy_ecs::resource::Resource;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Resource, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub grouping: Grouping,
    /// Whether producers may delete recorded files (clear).
    pub clear_allowed: bool,
    pub serve: Served,
    pub hold_back: HoldBack,
    /// Connections that the network can have at once.
    pub connections_max: u64,
    /// Files that the storage can have open at once.
    pub files_max: u64,
    /// Bytes that may wait in memory for all peers.
    pub memory_bytes_max: u64,
    /// Bytes that wait to be written, of all sessions: a part of [`WRITE_BUFFER_PARTS`] of each.
    ///
    /// [`WRITE_BUFFER_PARTS`]: baton_components::limits::WRITE_BUFFER_PARTS
    pub write_buffer_bytes_max: u64,
    /// The part that one address may have, in percent, when less than a quarter is left.
    pub address_share_percent: u32,
    pub ports: Ports,
    /// Names of this machine, by which a monitor may ask.
    pub names: Vec<String>,
    /// Sessions with figures of their own in `/metrics`.
    pub metrics_sessions: MetricsSessions,
    /// Cap on the disk space of all sessions, in bytes.
    pub max_size: Amount,
    /// Cap on the disk space of one session, in bytes.
    pub max_session_size: Amount,
    pub max_age: MaxAge,
    pub max_chunks: MaxChunks,
    /// The reserve: disk space that stays free.
    pub min_free: MinFree,
    pub when_full: WhenFull,
    pub sync: SyncWhen,
    /// Names are made after a probe of the disk only.
    pub probes_disk: bool,
    /// Producers are told that their data is recorded when it is synced.
    pub durable_replies: bool,
}

/// When what was recorded is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncWhen {
    /// When the system wants.
    #[default]
    Never,
    /// Each chunk when it is closed, by a rotation or the end of its session.
    Chunk,
    /// At that interval, and each chunk when it is closed.
    Every(Duration),
}

/// The reserve: disk space that stays free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinFree {
    /// The smaller of 1 GiB and 5 % of the disk; nothing under the name of the original.
    Auto,
    Amount(Amount),
}

impl Default for MinFree {
    fn default() -> Self {
        Self::Amount(Amount::Unlimited)
    }
}

impl MinFree {
    /// In bytes; 0: nothing. [`MinFree::on`] was called before.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Amount(amount) => amount.bytes().unwrap_or(0),
            Self::Auto => 0,
        }
    }

    /// The amount in bytes, on a disk of that size.
    #[must_use]
    pub fn on(self, disk_bytes: u64) -> Self {
        Self::Amount(match self {
            Self::Auto => Amount::Bytes((disk_bytes / 20).min(MIN_FREE_AUTO_MAX)),
            Self::Amount(amount) => amount.on(disk_bytes),
        })
    }
}

/// The largest reserve that nobody has asked for.
const MIN_FREE_AUTO_MAX: u64 = 1 << 30;

/// The treatment of packets while less is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenFull {
    /// Packets are dropped.
    #[default]
    Drop,
    /// Data connections are not read: the tracers of their machines discard events.
    Wait,
}

/// An amount of disk space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// As much as there is.
    #[default]
    Unlimited,
    Bytes(u64),
    /// Of the file system of the output directory.
    Percent(u32),
}

impl Amount {
    /// The amount in bytes, on a disk of that size.
    #[must_use]
    pub fn on(self, disk_bytes: u64) -> Self {
        match self {
            Self::Percent(percent) => Self::Bytes(disk_bytes / 100 * u64::from(percent)),
            other => other,
        }
    }

    /// Bytes, of an amount that was computed with [`Amount::on`].
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Unlimited | Self::Percent(_) => None,
        }
    }
}

/// The age at which what was recorded goes; none: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxAge(pub Option<Duration>);

/// How many closed chunks a session keeps; none: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxChunks(pub Option<u64>);

/// How much there may be on disk; none: as much as there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of all sessions.
    pub size: Option<u64>,
    /// Bytes of one session.
    pub session_size: Option<u64>,
    /// Age of what is finished.
    pub age: Option<Duration>,
    /// Closed chunks of one session.
    pub chunks: Option<u64>,
}

impl Caps {
    /// Whether there is any.
    pub fn are_set(&self) -> bool {
        *self != Self::default()
    }

    /// The size of the trace files into which a stream is to be cut, so that the oldest can
    /// go, if it is one of so many. None: it need not be cut.
    pub fn cut_bytes(&self, streams: u64) -> Option<u64> {
        let cap = self.size.into_iter().chain(self.session_size).min();
        // By its age a file goes too.
        let cap = cap.or(self.age.map(|_| u64::MAX))?;
        let share = cap / streams.max(CUT_STREAMS_MIN);
        let least = CUT_BYTES_MIN.min(share / (CUT_PARTS / 2));
        Some((share / CUT_PARTS).max(least).min(CUT_BYTES_MAX))
    }
}

/// A number of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricsSessions(pub u32);

impl Default for MetricsSessions {
    fn default() -> Self {
        Self(METRICS_SESSIONS)
    }
}

/// TCP ports that the relay listens on: log lines tell a peer at the wrong one where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub control: u16,
    pub data: u16,
    pub live: u16,
    /// None: nobody can ask about the relay.
    #[serde(default)]
    pub status: Option<u16>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            control: 5342,
            data: 5343,
            live: 5344,
            status: None,
        }
    }
}

/// The sessions that viewers may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Served {
    /// Live sessions, while their producer is connected.
    #[default]
    Live,
    /// Also sessions that are not live, and those that ended most recently.
    All,
}

/// Hold-back: the age at which packets and beacons are shown to viewers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldBack {
    /// [`LIVE_HOLD_BACK`] in sessions with buffers per process, nothing in others.
    #[default]
    Auto,
    /// The same in all sessions.
    Fixed(Duration),
}

impl HoldBack {
    /// The hold-back of a session after it got a stream with buffers per process, or
    /// another stream; none: unchanged.
    pub fn of(self, is_per_process: bool) -> Option<Duration> {
        match self {
            HoldBack::Fixed(time) => Some(time),
            HoldBack::Auto => is_per_process.then_some(LIVE_HOLD_BACK),
        }
    }
}

/// The grouping of the directories of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// `HOST/SESSION-TIME`
    #[default]
    Host,
    /// `SESSION/HOST-TIME`
    Session,
}

impl Settings {
    /// How much there may be on disk.
    pub fn caps(&self) -> Caps {
        Caps {
            size: self.max_size.bytes(),
            session_size: self.max_session_size.bytes(),
            age: self.max_age.0,
            chunks: self.max_chunks.0,
        }
    }

    /// The same with amounts in bytes, on a disk of that size.
    #[must_use]
    pub fn on(&self, disk_bytes: u64) -> Self {
        Self {
            max_size: self.max_size.on(disk_bytes),
            max_session_size: self.max_session_size.on(disk_bytes),
            min_free: self.min_free.on(disk_bytes),
            ..self.clone()
        }
    }

    /// The shares of a relay in which nobody has anything yet.
    pub fn shares(&self) -> Shares {
        let limits = Amounts::ALL
            .with(Asset::Connections, self.connections_max)
            .with(Asset::Monitors, STATUS_CONNECTIONS_MAX)
            .with(Asset::Sessions, SESSIONS_MAX)
            .with(Asset::Streams, STREAMS_MAX)
            .with(Asset::StreamsOfSession, STREAMS_PER_SESSION_MAX.into())
            .with(Asset::NamesOfChunk, NAMES_PER_CHUNK_MAX)
            // Each is two files, data and index; the other half is for those that are written
            // and read.
            .with(Asset::AwaitedFiles, self.files_max / 4)
            .with(Asset::WaitingMetadata, WAITING_METADATA_BYTES_TOTAL_MAX)
            .with(Asset::Memory, self.memory_bytes_max);
        Shares::new(limits, self.address_share_percent)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grouping: Grouping::default(),
            clear_allowed: true,
            serve: Served::default(),
            hold_back: HoldBack::default(),
            connections_max: u64::MAX,
            files_max: u64::MAX,
            memory_bytes_max: u64::MAX,
            write_buffer_bytes_max: WRITE_BUFFER_BYTES_MAX,
            address_share_percent: 100,
            ports: Ports::default(),
            names: Vec::new(),
            metrics_sessions: MetricsSessions::default(),
            max_size: Amount::default(),
            max_session_size: Amount::default(),
            max_age: MaxAge::default(),
            max_chunks: MaxChunks::default(),
            min_free: MinFree::default(),
            when_full: WhenFull::default(),
            sync: SyncWhen::default(),
            probes_disk: false,
            durable_replies: false,
        }
    }
}
