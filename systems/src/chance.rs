//! Random ids, which cannot be guessed.

use baton_components::directory::{Directory, Lot};

use crate::ports::ChancePort;

/// A random id from 1 to 2^63 - 1: some peers use signed numbers, and 0 and the largest
/// number mean "none" in places.
pub fn id(chance: &mut ChancePort, lot: Lot) -> u64 {
    loop {
        let id = chance.draw(lot) & i64::MAX.cast_unsigned();
        if id != 0 {
            return id;
        }
    }
}

/// A handle that no open stream has. Other ids are not compared: a collision is less likely
/// than a correct guess.
pub fn handle(directory: &Directory, chance: &mut ChancePort) -> u64 {
    loop {
        let handle = id(chance, Lot::Handle);
        if !directory.streams.contains_key(&handle) {
            return handle;
        }
    }
}
