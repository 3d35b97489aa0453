//! A relay in memory, audited at every tick, and its peers by their numbers.

use std::path::Path;
use std::time::Duration;

use baton::fuzzing::journal;
use baton_components::connection::Endpoint;
use baton_systems::memory::{MemoryStorage, Peer, Stage};
use baton_systems::settings::Settings;

/// The relay and its peers.
pub struct Crowd {
    /// The relay and the world around it.
    pub stage: Stage,
    peers: Vec<Peer>,
}

impl Crowd {
    /// A relay; with a path, one that keeps a journal there.
    pub fn new(settings: Settings, journal: Option<&Path>) -> Self {
        let storage = MemoryStorage::new();
        storage.limit_bytes(Some(DISK_BYTES));
        let stage = Stage::through(storage, settings, |ports| match journal {
            Some(path) => journal::record(path, ports),
            None => ports,
        });
        Self {
            stage,
            peers: Vec::new(),
        }
    }

    /// A peer comes.
    pub fn connect(&mut self, endpoint: Endpoint) {
        let name = format!("peer-{}", self.peers.len());
        self.peers.push(self.stage.network.connect(endpoint, &name));
    }

    /// A peer by a number, if any has come.
    pub fn peer(&self, number: u8) -> Option<&Peer> {
        let count = self.peers.len();
        self.peers.get(usize::from(number).checked_rem(count)?)
    }

    /// The disk has room again, all peers leave, and nothing may be left of them.
    pub fn leave(&mut self) {
        self.stage.storage.limit_bytes(Some(DISK_BYTES));
        for peer in &self.peers {
            peer.accept_bytes(usize::MAX);
            peer.finish();
        }
        self.stage.settle();
        // Longer than anybody is waited for.
        for _ in 0..4 {
            self.stage.pass(Duration::from_mins(10));
        }
        // Sessions that are kept for viewers to come.
        self.stage.relay.hang_up_all();
        self.stage.tick();
        self.stage.assert_empty();
    }
}

/// Padding is a number of zeros, up to 4 GiB, and this disk is in memory.
pub const DISK_BYTES: u64 = 16 << 20;
