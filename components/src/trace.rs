//! A CTF trace: the streams of one session that share a path.

use crate::hold::Holder;
use crate::keys::{SessionKey, TraceFileKey};
use crate::kinds::Id;
use crate::path::RelativePath;

#[derive(Debug)]
pub struct Trace {
    /// Its id on the live wire.
    pub id: u64,
    pub session: SessionKey,
    /// Relative to the session's chunk, for example `ust/uid/1000/64-bit`.
    pub path: RelativePath,
    /// Weak: the metadata file for which the disk last had no room.
    pub waiting: Option<TraceFileKey>,
}

impl Holder for Trace {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        visit(self.session.into());
    }
}
