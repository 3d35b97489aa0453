//! Signals: a flag for SIGINT and SIGTERM, and a descriptor that wakes the poll.

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

/// Whether the relay was asked to read its configuration anew, by SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Reload(Arc<AtomicBool>);

impl Reload {
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked since the last call.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The signals with a handler. SIGHUP, which is also that of a closed terminal, reopens the
/// log file, and has the configuration read anew. SIGUSR1 (readiness) has one so that it does not end the process: it may come to
/// the wrong one.
pub const TAKEN: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];

/// A file at its limit (`RLIMIT_FSIZE`) is treated as a full disk: SIGXFSZ is ignored, and
/// the write fails with EFBIG.
pub fn outlive_full_files() {
    // SAFETY: it changes what happens on one signal, and no handler runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether a signal asks a daemon to stop.
pub fn stops(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM)
}

/// Whether a signal asks a daemon to open its log file, and read its configuration, anew.
pub fn reloads(signal: i32) -> bool {
    signal == SIGHUP
}
