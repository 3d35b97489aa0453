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

/// An id that no stream has. That one of a stream long gone comes again is less likely
/// than that it is guessed.
pub fn unused_id(directory: &Directory, chance: &mut ChancePort, lot: Lot) -> u64 {
    loop {
        let id = id(chance, lot);
        if !directory.drawn.contains(&(lot, id)) {
            return id;
        }
    }
}
