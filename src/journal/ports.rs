//! Ports that wrap others and record each call with its result.

mod inputs;
mod network;
mod storage;

use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};

use self::inputs::{RecordedChance, RecordedClock};
use self::network::RecordedNetwork;
use self::storage::RecordedStorage;
use super::book::Journal;

/// All ports of a relay.
pub type Ports = (NetworkPort, StoragePort, ClockPort, ChancePort);

/// Wraps ports, so that their calls are recorded.
pub fn record(journal: &Journal, (network, storage, clock, chance): Ports) -> Ports {
    let clock = RecordedClock {
        inner: clock,
        journal: journal.clone(),
    };
    let chance = RecordedChance {
        inner: chance,
        journal: journal.clone(),
    };
    (
        NetworkPort(Box::new(RecordedNetwork::new(network, journal.clone()))),
        StoragePort::new(Box::new(RecordedStorage::new(storage, journal.clone()))),
        ClockPort(Box::new(clock)),
        ChancePort(Box::new(chance)),
    )
}
