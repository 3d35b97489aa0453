//! A relay on ports in memory, with the audit at each tick, and access to its records and
//! files.

use std::time::Duration;

use baton_components::chunk::Chunk;
use baton_components::path::RelativePath;
use baton_components::session::Session;
use baton_components::stream::Stream;
use baton_components::wire::ctf_index::{IndexRecord, Version};
use bevy_ecs::system::ResMut;

use super::{MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage, Peer, settle};
use crate::audit::Audit;
use crate::entities::Entities;
use crate::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
use crate::settings::Settings;
use crate::tick::Relay;

/// The ports of a relay.
pub type Ports = (NetworkPort, StoragePort, ClockPort, ChancePort);

/// A relay with its ports in memory.
pub struct Stage {
    /// Its peers connect here.
    pub network: MemoryNetwork,
    /// Its disk.
    pub storage: MemoryStorage,
    /// Its time.
    pub clock: MemoryClock,
    /// Its random numbers.
    pub chance: MemoryChance,
    /// The relay itself.
    pub relay: Relay,
}

impl Default for Stage {
    fn default() -> Self {
        Self::with(Settings::default())
    }
}

impl Stage {
    /// A relay with the default settings on an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A relay with those settings on an empty disk.
    pub fn with(settings: Settings) -> Self {
        Self::on(MemoryStorage::new(), settings)
    }

    /// A relay on that disk.
    pub fn on(storage: MemoryStorage, settings: Settings) -> Self {
        Self::through(storage, settings, |ports| ports)
    }

    /// A relay on ports that lead to those in memory, such as those of a journal.
    pub fn through(
        storage: MemoryStorage,
        settings: Settings,
        wrap: impl FnOnce(Ports) -> Ports,
    ) -> Self {
        Self::build(storage, settings, wrap, true)
    }

    /// A relay whose holds are not recounted, for many records.
    pub fn without_audit() -> Self {
        Self::without_audit_with(Settings::default())
    }

    /// The same with those settings.
    pub fn without_audit_with(settings: Settings) -> Self {
        Self::build(MemoryStorage::new(), settings, |ports| ports, false)
    }

    fn build(
        storage: MemoryStorage,
        settings: Settings,
        wrap: impl FnOnce(Ports) -> Ports,
        audited: bool,
    ) -> Self {
        let network = MemoryNetwork::new();
        let clock = MemoryClock::new(STARTED_S);
        let chance = MemoryChance::of_run(storage.run());
        let ports = (network.port(), storage.port(), clock.port(), chance.port());
        let (network_port, storage_port, clock_port, chance_port) = wrap(ports);
        let relay = Relay::new(
            network_port,
            storage_port,
            clock_port,
            chance_port,
            settings,
            audited,
        );
        Self {
            network,
            storage,
            clock,
            chance,
            relay,
        }
    }

    /// Runs the relay once.
    pub fn tick(&mut self) {
        self.relay.tick();
        let breaches = &self.relay.read::<Audit>().breaches;
        assert!(breaches.is_empty(), "the law is broken: {breaches:#?}");
    }

    /// Ticks until no work is left, and what was written is confirmed.
    pub fn settle(&mut self) {
        let (network, clock) = (self.network.clone(), self.clock.clone());
        settle(&network, &clock, TICKS_MAX, || self.tick());
        // A disk that is full is asked again and again, as time passes: here it does not.
        while self.storage.is_busy() || self.relay.goes_on() {
            self.tick();
        }
    }

    /// The time by the relay's clock (monotonic).
    pub fn now(&self) -> Duration {
        self.clock.port().now().monotonic
    }

    /// Advances the clock, and ticks until no work is left.
    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    /// Sends bytes as a peer, and returns all bytes of the replies.
    pub fn ask(&mut self, peer: &Peer, bytes: &[u8]) -> Vec<u8> {
        peer.write(bytes);
        self.settle();
        peer.take_received()
    }

    /// Checks the end of a test: all peers have gone, so the arenas must be empty.
    pub fn assert_empty(&mut self) {
        let remains = self.remains();
        assert!(remains.is_empty(), "{remains:#?}");
        assert_eq!(self.storage.open_files(), 0, "files are open");
        let cold_reads = self.storage.cold_reads();
        assert_eq!(cold_reads, 0, "reads have waited for the disk");
        let shares = &self.entities().shares;
        assert!(shares.is_empty(), "{shares:#?}");
    }

    /// The records in the arenas, one line a kind.
    pub fn remains(&mut self) -> Vec<String> {
        self.settle();
        self.relay.remains()
    }

    /// The records in the arenas, in one line.
    pub fn census(&mut self) -> String {
        self.remains().join(", ").replace(" are left", "")
    }

    /// Changes an option while the relay runs.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.relay.prepare::<ResMut<Settings>>();
        change(&mut self.relay.lend(&mut state));
    }

    /// The options.
    pub fn settings(&self) -> &Settings {
        self.relay.read()
    }

    /// The arenas.
    pub fn entities(&self) -> &Entities {
        self.relay.read()
    }

    /// The session of that number, while it is there.
    pub fn session(&self, id: u64) -> Option<&Session> {
        let mut sessions = self.entities().sessions.iter();
        sessions.find_map(|(_, session)| (session.id == id).then_some(session))
    }

    /// The stream of that handle, closed or not, while it is there.
    pub fn stream(&self, handle: u64) -> Option<&Stream> {
        let mut streams = self.entities().streams.iter();
        streams.find_map(|(_, stream)| (stream.handle == handle).then_some(stream))
    }

    /// How many hold the chunk of that number; 0 if it is gone.
    pub fn chunk_holders(&self, number: u64) -> u32 {
        let chunks = &self.entities().chunks;
        let is_it = |chunk: &Chunk| chunk.id.is_some_and(|id| id.number == number);
        let found = chunks.iter().find(|(_, chunk)| is_it(chunk));
        found.map_or(0, |(key, _)| chunks.holders(key))
    }

    /// The names on disk, one line each, directories with a `/` at the end.
    pub fn tree(&self) -> Vec<String> {
        let line = |(path, content): (RelativePath, Option<Vec<u8>>)| match content {
            Some(_) => path.to_string(),
            None => format!("{path}/"),
        };
        self.storage.tree().into_iter().map(line).collect()
    }

    /// The bytes of a file on disk, which must be there.
    pub fn file(&self, path: &str) -> Vec<u8> {
        let parsed = RelativePath::parse(path.as_bytes()).ok();
        let file = parsed.and_then(|parsed| self.storage.file(&parsed));
        file.unwrap_or_else(|| panic!("{path} is not in {:#?}", self.tree()))
    }

    /// The records of an index file on disk.
    pub fn index_records(&self, path: &str) -> Vec<IndexRecord> {
        let bytes = self.file(path);
        let version = Version::from_header(&bytes).expect("law: an index file has a version");
        let records = bytes[version.header().len()..].chunks(version.record_size());
        let record = |bytes| IndexRecord::decode(version, bytes).expect("law: records are whole");
        records.map(record).collect()
    }
}

/// The clock's time at the start: 2026-11-22 06:44:35 UTC.
pub const STARTED_S: u64 = 1_795_329_875;

/// Limit of ticks, more than any test needs.
const TICKS_MAX: usize = 300_000;
