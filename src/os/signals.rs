//! Signals: one flag for those that ask to stop, and a descriptor that wakes the poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

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

/// Those that are taken. Two of them only so that they do no harm: a terminal that is
/// closed hangs up (there is no log file to open again), and a readiness signal may
/// come to the wrong process.
pub const TAKEN: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];

/// A file that may grow no more (`RLIMIT_FSIZE`) is a disk that is full: the write fails
/// with EFBIG, and the signal that would end the process is ignored.
pub fn outlive_full_files() {
    // SAFETY: it changes what happens on one signal, and no handler runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether a signal asks a daemon to stop.
pub fn stops(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM)
}
