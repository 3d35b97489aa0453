//! The lock of the state that the two sides of a port share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, and ignores poisoning: a test that panicked while it held the lock has failed
/// already, and its cleanup still needs the state.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
