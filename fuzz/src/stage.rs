//! A relay on ports in memory, audited at every tick.

use std::path::Path;
use std::time::Duration;

use baton::fuzzing::journal;
use baton_components::connection::Port;
use baton_systems::audit::Audit;
use baton_systems::memory::{self, MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage, Peer};
use baton_systems::settings::Settings;
use baton_systems::tick::Relay;

/// The relay and the world around it.
pub struct Stage {
    network: MemoryNetwork,
    /// Its disk.
    pub storage: MemoryStorage,
    clock: MemoryClock,
    relay: Relay,
    peers: Vec<Peer>,
}

impl Stage {
    /// A relay; with a path, one that keeps a journal there.
    pub fn new(settings: Settings, journal: Option<&Path>) -> Self {
        let network = MemoryNetwork::new();
        let storage = MemoryStorage::new();
        storage.limit_bytes(Some(DISK_BYTES));
        let clock = MemoryClock::new(1_795_331_211);
        let chance = MemoryChance::default();
        let ports = (network.port(), storage.port(), clock.port(), chance.port());
        let ports = match journal {
            Some(path) => journal::record(path, ports),
            None => ports,
        };
        Self {
            relay: Relay::new(ports.0, ports.1, ports.2, ports.3, settings, true),
            network,
            storage,
            clock,
            peers: Vec::new(),
        }
    }

    /// A peer comes.
    pub fn connect(&mut self, port: Port) {
        let name = format!("peer-{}", self.peers.len());
        self.peers.push(self.network.connect(port, &name));
    }

    /// A peer by a number, if any has come.
    pub fn peer(&self, number: u8) -> Option<&Peer> {
        let count = self.peers.len();
        self.peers.get(usize::from(number).checked_rem(count)?)
    }

    /// Runs the relay once.
    pub fn tick(&mut self) {
        self.relay.tick();
        let breaches = &self.relay.world.resource::<Audit>().breaches;
        assert!(breaches.is_empty(), "the law is broken: {breaches:#?}");
    }

    /// Ticks until nothing is left to do.
    pub fn settle(&mut self) {
        let (network, clock) = (self.network.clone(), self.clock.clone());
        memory::settle(&network, &clock, TICKS_MAX, || self.tick());
    }

    /// Lets time pass, and does what comes of it.
    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    /// The disk has room again, all peers leave, and nothing may be left of them.
    pub fn leave(&mut self) {
        self.storage.limit_bytes(Some(DISK_BYTES));
        for peer in &self.peers {
            peer.accept_bytes(usize::MAX);
            peer.finish();
        }
        self.settle();
        // Longer than anybody is waited for.
        for _ in 0..4 {
            self.pass(Duration::from_mins(10));
        }
        // Sessions that are kept for viewers to come.
        self.relay.hang_up_all();
        self.tick();
        let remains = self.relay.remains();
        assert!(remains.is_empty(), "{remains:#?}");
        assert_eq!(self.storage.open_files(), 0, "files are open");
    }
}

/// Padding is a number of zeros, up to 4 GiB, and this disk is in memory.
pub const DISK_BYTES: u64 = 16 << 20;

/// More than any input needs.
const TICKS_MAX: usize = 100_000;
