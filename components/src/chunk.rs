//! A trace chunk: a time slice of a session, and the directory of its files.
//!
//! The sessions of one origin share their chunks.

use crate::hold::{Hold, Holder};
use crate::path::RelativePath;
use crate::session::Origin;

/// Which chunk of which session: known to all consumers of that session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    pub origin: Origin,
    /// Counted from 0 by the session daemon.
    pub number: u64,
}

#[derive(Debug)]
pub struct Chunk {
    /// None for the one chunk of a producer before 2.11.
    pub id: Option<ChunkId>,
    /// Where its files are, below the output directory.
    pub directory: RelativePath,
}

impl Holder for Chunk {
    fn holds(&self, _: &mut dyn FnMut(Hold)) {}
}
