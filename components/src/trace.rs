//! A CTF trace: the streams of one session that share a path.

use crate::hold::{Held, Holder};
use crate::keys::{SessionKey, TraceFileKey};
use crate::kinds::Id;
use crate::path::RelativePath;

/// The record of a trace. Made with its first stream, freed with its last one.
#[derive(Debug)]
pub struct Trace {
    /// Its id on the live wire.
    pub id: u64,
    /// The session of its streams.
    pub session: Held<SessionKey>,
    /// Relative to the session's chunk, for example `ust/uid/1000/64-bit`.
    pub path: RelativePath,
    /// Weak: the metadata file for which the disk last had no room.
    pub waiting: Option<TraceFileKey>,
}

impl Holder for Trace {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit((&self.session).into());
    }
}
