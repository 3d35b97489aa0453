//! Answers of storage: the records that wait for them go on.

use baton_components::directory::Directory;
use baton_components::time::Now;
use baton_components::waits::Waiter;
use bevy_ecs::system::{Res, ResMut};

use super::burial;
use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::ports::Answer;

/// Tells the waiting records of the answers of this tick.
pub fn settle(
    mut entities: ResMut<Entities>,
    mut directory: ResMut<Directory>,
    mut agenda: ResMut<Agenda>,
    mut facts: ResMut<Facts>,
    now: Res<Now>,
) {
    for Answer { ticket, outcome } in std::mem::take(&mut agenda.answers) {
        match agenda.waits.remove(ticket) {
            Some(Waiter::Chunk(key)) => burial::answered(
                &mut entities,
                &mut directory,
                &mut agenda,
                &now,
                key,
                outcome.map(drop),
            ),
            Some(Waiter::Listener | Waiter::Sync) => {
                facts.answered.push(Answer { ticket, outcome });
            }
            // An answer comes once.
            None => {}
        }
    }
}

/// The records that wait, in the order of their requests, as text.
pub fn unanswered(entities: Res<Entities>, agenda: Res<Agenda>) -> Vec<String> {
    let waiters = agenda.waits.waiters();
    let unheard = (!entities.names.facts.is_empty()).then_some(Waiter::Listener);
    let unsynced = (!agenda.ended_chunks.is_empty()).then_some(Waiter::Sync);
    waiters
        .chain(unheard)
        .chain(unsynced)
        .map(|waiter| match waiter {
            Waiter::Listener => "lists of what was recorded are written".to_owned(),
            Waiter::Sync => "what was recorded is synced to the disk".to_owned(),
            Waiter::Chunk(key) => {
                let chunk = entities.chunks.get(key);
                let place = chunk.map(|chunk| chunk.directory().to_string());
                format!("files are being removed in {}", place.unwrap_or_default())
            }
        })
        .collect()
}
