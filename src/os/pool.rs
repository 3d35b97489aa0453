//! The pool of descriptors: shares for connections and for files.
//!
//! Half are for connections, half for files, so neither can starve the other. At the limit,
//! files are suspended and opened again when they are used, and connections wait in the
//! backlog.

use super::directories::HANDLES_MAX;

/// Reserved for descriptors that are always open (standard streams, the poll and its
/// signals, listeners, the output directory, the health socket and its clients) and for the
/// cache of directories.
const RESERVED: u64 = 28 + HANDLES_MAX as u64;

/// The shares of the descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub connections: usize,
    pub files: usize,
}

impl Pool {
    /// Divides `descriptors`, less the reserved ones, at least two.
    pub fn of(descriptors: u64) -> Self {
        let shared = descriptors.saturating_sub(RESERVED).max(2);
        let connections = shared / 2;
        Self {
            connections: connections as usize,
            files: (shared - connections) as usize,
        }
    }
}
