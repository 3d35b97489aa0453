//! Answers of storage: the records that wait for them go on.

use baton_components::waits::Waiter;
use bevy_ecs::system::Res;

use super::{Recorder, burial, confirm};
use crate::agenda::Agenda;
use crate::cold_reads;
use crate::entities::Entities;
use crate::ports::Answer;

/// Tells the waiting records of the answers of this tick.
pub fn settle(mut recorder: Recorder) {
    for Answer { ticket, outcome } in std::mem::take(&mut recorder.agenda.answers) {
        let Recorder {
            entities,
            directory,
            agenda,
            facts,
            now,
            ..
        } = &mut recorder;
        match agenda.waits.remove(ticket) {
            Some(Waiter::Chunk(key)) => {
                burial::answered(entities, directory, agenda, now, key, outcome.map(drop));
            }
            Some(Waiter::Viewer(key)) => {
                cold_reads::answered(entities, agenda, key, outcome.map(drop));
            }
            Some(Waiter::Batch(key)) => confirm::answered(&mut recorder, key, outcome),
            Some(Waiter::Listener | Waiter::Sync) => {
                facts.answered.push(Answer { ticket, outcome });
            }
            // An answer comes once; that of a probe is taken before.
            Some(Waiter::Probe) | None => {}
        }
    }
}

/// The records that wait, in the order of their requests, as text.
pub fn unanswered(entities: Res<Entities>, agenda: Res<Agenda>) -> Vec<String> {
    let waiters = agenda.waits.waiters();
    let unheard = (!entities.names.facts.is_empty()).then_some(Waiter::Listener);
    let unsynced = (!agenda.ended_chunks.is_empty()).then_some(Waiter::Sync);
    let mut lines: Vec<String> = waiters
        .chain(unheard)
        .chain(unsynced)
        .filter_map(|waiter| match waiter {
            Waiter::Listener => Some("lists of what was recorded are written".to_owned()),
            Waiter::Sync => Some("what was recorded is synced to the disk".to_owned()),
            Waiter::Probe => Some("files and directories are made when it answers".to_owned()),
            // Nobody waits for the reads of viewers that have left.
            Waiter::Viewer(key) => {
                let viewer = entities.connections.get(key)?;
                Some(format!("files are read for the viewer at {}", viewer.peer))
            }
            Waiter::Batch(key) => {
                let batch = entities.batches.get(key);
                let session = batch.map(|batch| entities.sessions[&batch.session].to_string());
                let session = session.unwrap_or_default();
                Some(format!("what was recorded of session {session} is written"))
            }
            Waiter::Chunk(key) => {
                let chunk = entities.chunks.get(key);
                let place = chunk.map(|chunk| chunk.directory().to_string());
                let place = place.unwrap_or_default();
                Some(format!("files are being removed in {place}"))
            }
        })
        .collect();
    lines.dedup();
    lines
}
