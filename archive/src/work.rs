//! A chunk that is being uploaded: what all workers need of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::attempt::Attempt;
use crate::chunk::{Chunk, LocalFile};
use crate::facts::Traces;
use crate::keys::Directory;
use crate::plan::Planned;
use crate::queue::Queue;
use crate::store::Store;
use crate::verify::Verify;

/// A chunk that is being uploaded.
pub struct Work<'a> {
    pub store: &'a Store,
    pub chunk: &'a Chunk,
    pub files: &'a [LocalFile],
    pub traces: &'a Traces,
    pub plan: Vec<Planned>,
    pub directory: Directory,
    pub verify: Verify,
    pub attempt: Mutex<Attempt>,
    pub queue: &'a Queue,
}

impl Work<'_> {
    pub fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
