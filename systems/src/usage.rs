//! Resource usage of a relay's process: read through the clock's port, since it
//! is known to the operating system alone, and changes as time does.

use std::time::Duration;

use baton_components::connection::Endpoint;
use serde::{Deserialize, Serialize};

/// A reading. Figures that the system does not tell are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Memory that is in use, in bytes.
    pub resident_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Open descriptors, and how many there may be.
    pub descriptors: u64,
    pub descriptors_max: u64,
    /// When the relay started, in seconds since 1970.
    pub started_s: u64,
    /// The file system of the output directory: its size, and what is left of it.
    pub disk_bytes: u64,
    pub disk_free_bytes: u64,
    /// The note of an archiver there; none: there is no archiver.
    pub archive: Option<Archive>,
    /// Of ticks, from the end of the wait to the begin of the next.
    pub ticks: Durations,
    pub counts: Counts,
}

/// The chunks that wait for an archive, as the archiver has noted them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Archive {
    /// The place of the archive.
    pub to: String,
    /// When it looked last, or uploaded something, in seconds since 1970.
    pub looked_s: u64,
    /// Chunks that are finished and not archived, and the bytes of their files.
    pub waiting_chunks: u64,
    pub waiting_bytes: u64,
    /// Of these, those whose last attempt failed.
    pub failing_chunks: u64,
}

/// Counts from below the network and the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Of writes to files.
    pub writes: Durations,
    /// Connections that were closed at accept, since their address may not connect; by
    /// endpoint, as the next.
    pub strangers: [u64; Endpoint::ALL.len()],
    /// Connections whose TLS handshake failed.
    pub failed_handshakes: [u64; Endpoint::ALL.len()],
    /// When the certificate of the TLS ports expires, in seconds since 1970; none: no port has
    /// TLS.
    pub certificate_expiry_s: Option<u64>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Those up to each of [`BOUNDS`], and longer than the one before it.
    pub counts: [u64; BOUNDS.len()],
    /// Those that were longer than all of them.
    pub longer: u64,
    /// Their sum.
    pub sum: Duration,
}

/// Upper bounds of the buckets, and how they are written in seconds.
pub const BOUNDS: [(Duration, &str); 8] = [
    (Duration::from_micros(10), "1e-05"),
    (Duration::from_micros(50), "5e-05"),
    (Duration::from_micros(200), "0.0002"),
    (Duration::from_millis(1), "0.001"),
    (Duration::from_millis(5), "0.005"),
    (Duration::from_millis(20), "0.02"),
    (Duration::from_millis(100), "0.1"),
    (Duration::from_secs(1), "1"),
];

impl Durations {
    /// One more has passed.
    pub fn add(&mut self, duration: Duration) {
        let at = BOUNDS.iter().position(|(bound, _)| duration <= *bound);
        match at {
            Some(at) => self.counts[at] += 1,
            None => self.longer += 1,
        }
        self.sum += duration;
    }
}

/// A line of the log, of level WARN or ERROR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// When it was written, in seconds since 1970.
    pub unix_s: u64,
    pub is_error: bool,
    pub text: String,
}
