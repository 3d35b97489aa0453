//! Buffers for bytes that wait to be written. They are used again, since memory that is new to
//! the process costs more than the copy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers that are not in use; its clones are the same pool.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Maximum number of buffers that are kept. One has as much as a commit at most: 256 KiB and a
/// packet.
const IDLE_MAX: usize = 16;

impl Buffers {
    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.idle().pop().unwrap_or_default()
    }

    /// Takes back a buffer.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(buffer);
        }
    }

    /// Frees the memory of those that are not in use.
    pub fn free_idle(&self) {
        *self.idle() = Vec::new();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_some_are_kept() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[7; 100]);
        buffers.give_back(buffer);
        let again = buffers.take();
        assert!(again.is_empty() && again.capacity() >= 100);
        for _ in 0..2 * IDLE_MAX {
            buffers.give_back(Vec::new());
        }
        assert_eq!(buffers.idle().len(), IDLE_MAX);
        buffers.free_idle();
        assert!(buffers.idle().is_empty());
    }
}
