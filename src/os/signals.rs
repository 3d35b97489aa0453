//! SIGINT and SIGTERM: one flag, and a descriptor that wakes the poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the relay was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Those that ask a daemon to stop.
pub const STOPPING: [i32; 2] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
