//! Holds: the links that keep their target alive.
//!
//! A record declares its holds in one place, [`Holder::holds`]. Whoever counts,
//! releases, checks or draws them asks there; nothing else may count.

use crate::keys::{
    ChunkKey, FileKey, SessionKey, StreamKey, TraceFileKey, TraceKey, ViewerSessionKey,
};

/// A link to a record that lives at least as long as the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hold {
    ViewerSession(ViewerSessionKey),
    Stream(StreamKey),
    Trace(TraceKey),
    Session(SessionKey),
    TraceFile(TraceFileKey),
    Chunk(ChunkKey),
    File(FileKey),
}

/// A record that can hold others.
pub trait Holder {
    /// Calls `visit` once for each hold, a target held twice being named twice.
    fn holds(&self, visit: &mut dyn FnMut(Hold));
}
