//! Requests of retention to storage, and the numbers of lists and of removed files.

use baton_components::directory::Lot;
use baton_components::waits::Waiter;

use super::ledger::ChunkNumber;
use super::{Job, Retain};
use crate::chance;
use crate::requests::Request;

/// The number of a chunk, by its ordinal: no other list has it, of this run or an earlier one.
pub fn number_of(retain: &mut Retain, ordinal: u64) -> ChunkNumber {
    first(retain).wrapping_add(ordinal)
}

/// A number that no other removed file has.
pub fn draw(retain: &mut Retain) -> u64 {
    retain.retention.removed += 1;
    first(retain).wrapping_add(retain.retention.removed)
}

/// The number that all of this run follow.
fn first(retain: &mut Retain) -> u64 {
    let chance = &mut retain.chance;
    let first = &mut retain.retention.first_number;
    *first.get_or_insert_with(|| chance::id(chance, Lot::List))
}

/// Asks storage.
pub fn ask(retain: &mut Retain, request: Request, job: Job) {
    let Retain {
        agenda, storage, ..
    } = retain;
    let ticket = agenda.waits.add(Waiter::Listener);
    storage.ask(ticket, request);
    retain.retention.asked.insert(ticket, job);
}
