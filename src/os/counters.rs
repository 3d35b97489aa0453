//! Counters of what no system sees: writes to the disk, peers that were turned away before they
//! were connections, the end of the certificate. Network and storage count, and the clock's
//! reading of the usage has the counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use baton_components::connection::Endpoint;
use baton_systems::usage::Counts;

/// Handle of the counters of a relay; its clones are the same counters.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

impl Counters {
    pub fn read(&self) -> Counts {
        self.counts().clone()
    }

    /// Does a write, and counts how long that took.
    pub fn time_write<T>(&self, write: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let outcome = write();
        self.counts().writes.add(begun.elapsed());
        outcome
    }

    /// A peer was closed at accept, since its address may not connect.
    pub fn add_stranger(&self, endpoint: Endpoint) {
        self.counts().strangers[endpoint as usize] += 1;
    }

    /// A TLS handshake failed.
    pub fn add_failed_handshake(&self, endpoint: Endpoint) {
        self.counts().failed_handshakes[endpoint as usize] += 1;
    }

    /// The relay has this certificate from now on; none: no port has TLS.
    pub fn set_certificate_expiry(&self, unix: Option<Duration>) {
        self.counts().certificate_expiry_s = unix.map(|it| it.as_secs());
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
