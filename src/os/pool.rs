//! How many descriptors the relay may have open, and for what.
//!
//! Half are for connections, half for files: neither can take all from the other. Files
//! that find no place are closed and opened again when they are used; connections wait
//! to be accepted.

use super::directories::HANDLES_MAX;

/// Kept for what is always open (standard streams, the poll and its signals, listeners,
/// the output directory, the health socket and its clients) and for directories that
/// were used lately.
const RESERVED: u64 = 28 + HANDLES_MAX as u64;

/// A share of the descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub connections: usize,
    pub files: usize,
}

impl Pool {
    /// Shares out this many, of which there are at least as many as are reserved.
    pub fn of(descriptors: u64) -> Self {
        let shared = descriptors.saturating_sub(RESERVED).max(2);
        let connections = shared / 2;
        Self {
            connections: connections as usize,
            files: (shared - connections) as usize,
        }
    }
}
