//! Ids by chance, for what must not be guessed.

use baton_components::directory::{Directory, Lot};

use crate::ports::ChancePort;

/// An id that can be told to peers: some of them know numbers with a sign only, and 0 and
/// the largest number mean "none" in places.
pub fn id(chance: &mut ChancePort, lot: Lot) -> u64 {
    loop {
        let id = chance.draw(lot) & i64::MAX.cast_unsigned();
        if id != 0 {
            return id;
        }
    }
}

/// A handle that no open stream has. Other ids are not compared: that two of them are equal
/// is less likely than that one is guessed.
pub fn handle(directory: &Directory, chance: &mut ChancePort) -> u64 {
    loop {
        let handle = id(chance, Lot::Handle);
        if !directory.streams.contains_key(&handle) {
            return handle;
        }
    }
}
