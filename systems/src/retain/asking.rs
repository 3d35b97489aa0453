//! Requests of retention to storage, and random numbers for names of files.

use baton_components::directory::Lot;
use baton_components::waits::Waiter;

use super::{Job, Retain};
use crate::chance;
use crate::requests::Request;

/// A number that no other list has, and no removed file.
pub fn draw(retain: &mut Retain) -> u64 {
    let next = &mut retain.retention.next_number;
    if *next == 0 {
        *next = chance::id(&mut retain.chance, Lot::List);
    }
    let number = *next;
    *next = number.wrapping_add(1).max(1);
    number
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
