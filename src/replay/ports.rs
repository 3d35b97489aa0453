//! The ports of a replay: they answer from the script, and compare the relay's calls with
//! it.

mod inputs;
mod network;
mod storage;

use baton_systems::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};

use self::inputs::{ReplayChance, ReplayClock};
use self::network::ReplayNetwork;
use self::storage::ReplayStorage;
use super::script::Shared;
use crate::journal::ports::Ports;

/// Ports that answer from the script and write to `storage`.
pub fn act_from(script: &Shared, storage: StoragePort) -> Ports {
    (
        NetworkPort(Box::new(ReplayNetwork::new(script.clone()))),
        StoragePort::new(Box::new(ReplayStorage::new(script.clone(), storage))),
        ClockPort(Box::new(ReplayClock::new(script.clone()))),
        ChancePort(Box::new(ReplayChance::new(script.clone()))),
    )
}
