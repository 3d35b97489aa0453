//! At most two cases at a time, whatever the number of test threads.
//!
//! A case is half a dozen processes with live timers. On a small machine more
//! of them would only measure how deadlines and load get along.

use crate::requirements;
use std::sync::{Condvar, Mutex, PoisonError};

const AT_ONCE: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right of a case to run, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    places: usize,
}

/// Waits for a place among the running cases. Each case begins with it.
pub fn take() -> Turn {
    take_places(1)
}

/// Waits until no other case runs, and keeps others from running: for cases of many processes.
pub fn take_alone() -> Turn {
    take_places(AT_ONCE)
}

fn take_places(places: usize) -> Turn {
    requirements::check();
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut running = ENDED
        .wait_while(running, |running| *running + places > AT_ONCE)
        .unwrap_or_else(PoisonError::into_inner);
    *running += places;
    Turn { places }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= self.places;
        ENDED.notify_all();
    }
}
