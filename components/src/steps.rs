//! Steps: how often records are looked up and links are visited, counted for tests of what
//! a command costs. Without the feature `steps` nothing is counted, at no cost.

#[cfg(feature = "steps")]
use std::cell::Cell;

#[cfg(feature = "steps")]
thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// A record is looked up, or a link visited.
#[inline]
pub fn count() {
    #[cfg(feature = "steps")]
    TAKEN.set(TAKEN.get() + 1);
}

/// The steps of this thread so far.
#[cfg(feature = "steps")]
pub fn taken() -> u64 {
    TAKEN.get()
}
