//! The answers of a relay, as far as people are shown them: schema 1 of `/status`. A member that
//! an older relay does not have is at its default.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ask::{Error, Target};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    pub time: Time,
    /// Advice for each kind of loss.
    pub advice: BTreeMap<String, String>,
    pub relay: Relay,
    pub ports: Vec<Port>,
    pub storage: Storage,
    /// None: there is no archiver.
    pub archive: Option<Archive>,
    pub totals: Tally,
    pub sessions: Vec<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Relay {
    pub version: String,
    pub started: Time,
    pub ready: bool,
    pub reasons: Vec<String>,
    pub descriptors: u64,
    pub descriptors_max: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Port {
    #[serde(rename = "port")]
    pub name: String,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Storage {
    pub size_bytes: u64,
    pub free_bytes: u64,
    /// Disk space of recordings, if there are caps.
    pub used_bytes: Option<u64>,
    /// The cap of all of them.
    pub limit_bytes: Option<u64>,
    /// By the cap that was exceeded.
    pub removed: BTreeMap<String, Removed>,
    pub sync: Sync,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Removed {
    pub chunks: u64,
    pub files: u64,
    pub bytes: u64,
}

/// Syncs to the disk; an older relay makes none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sync {
    pub when: String,
    pub period_seconds: Option<u64>,
    pub done: u64,
    pub failed: u64,
}

/// The chunks that wait for an archive.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Archive {
    pub to: String,
    pub looked: Time,
    pub waiting_chunks: u64,
    pub waiting_bytes: u64,
    pub failing_chunks: u64,
}

impl Archive {
    /// Whether the archiver has stopped, or waits for its server.
    pub fn stands_still(&self, now: Time) -> bool {
        self.waiting_chunks > 0 && self.looked.until(now) > STILL_S
    }
}

/// Least time without a sign of an archiver that counts as a standstill: a server may take
/// minutes to join the parts of a large object.
const STILL_S: u64 = 600;

/// Counts of packets and losses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub packets: u64,
    pub bytes: u64,
    pub events_discarded: u64,
    /// By cause.
    pub packets_lost: BTreeMap<String, u64>,
}

impl Tally {
    /// Losses: numbers that are not 0, by the names of the causes.
    pub fn losses(&self) -> impl Iterator<Item = (&str, u64)> {
        let lost = self
            .packets_lost
            .iter()
            .map(|(cause, it)| (cause.as_str(), *it));
        let all = std::iter::once((DISCARDED, self.events_discarded)).chain(lost);
        all.filter(|(_, count)| *count > 0)
    }

    /// Events and packets together: whether it grows is the question.
    pub fn lost(&self) -> u64 {
        self.losses().fold(0, |sum, (_, it)| sum.saturating_add(it))
    }
}

/// The name of the loss that is counted in events.
pub const DISCARDED: &str = "events_discarded";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Session {
    pub id: u64,
    pub host: String,
    pub name: String,
    pub created: Time,
    pub state: String,
    pub snapshot: bool,
    pub directory: String,
    /// Its viewers.
    pub command: Option<String>,
    /// Why no viewer can read it.
    pub unreadable: Option<String>,
    pub from: String,
    pub streams: u64,
    pub open_streams: u64,
    pub data_connections: u64,
    pub chunk: Option<u64>,
    pub viewers: Vec<Viewer>,
    #[serde(flatten)]
    pub tally: Tally,
}

impl Session {
    pub fn is_recording(&self) -> bool {
        self.state == "recording"
    }

    /// That of the slowest viewer, in seconds; none without viewers.
    pub fn lag(&self) -> Option<f64> {
        let lags = self.viewers.iter().map(|viewer| viewer.lag_seconds);
        lags.reduce(f64::max)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Viewer {
    pub peer: String,
    pub since: Time,
    pub packets: u64,
    pub lag_packets: u64,
    pub lag_seconds: f64,
}

/// A session with its streams.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Detail {
    pub session: Session,
    pub streams: Vec<Stream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Stream {
    pub channel: String,
    pub packets: u64,
    pub bytes: u64,
    pub events_discarded: u64,
    pub packets_lost: u64,
    /// Packets of which one half has come.
    pub pending: u64,
}

/// Seconds since 1970; none: it did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time(pub Option<i64>);

impl Time {
    /// Seconds from this moment to a later one; 0 if one is unknown.
    pub fn until(self, later: Self) -> u64 {
        let passed = later
            .0
            .zip(self.0)
            .map(|(later, it)| later.saturating_sub(it));
        passed.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let time = text.map(|text| text.parse::<jiff::Timestamp>());
        let time = time.transpose().map_err(serde::de::Error::custom)?;
        Ok(Self(time.map(jiff::Timestamp::as_second)))
    }
}

impl Report {
    /// Asks for it.
    pub fn of(target: &Target) -> Result<Self, Error> {
        Self::read(target, &target.get("/status")?)
    }

    pub fn read(target: &Target, bytes: &[u8]) -> Result<Self, Error> {
        read(target, bytes)
    }
}

impl Detail {
    /// Asks for it.
    pub fn of(target: &Target, session: u64) -> Result<Self, Error> {
        read(target, &target.get(&format!("/status/sessions/{session}"))?)
    }
}

fn read<T: DeserializeOwned>(target: &Target, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Answer {
        target: target.clone(),
        reason: error.to_string(),
    })
}
