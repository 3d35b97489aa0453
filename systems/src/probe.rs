//! Probes of the disk, before names are made on it.
//!
//! Files and directories are made, renamed and removed in the midst of a command, by the thread
//! that owns the world: on a disk that does not answer it would stand still, and everybody with
//! it. So another thread changes something on it first. Until that is done, what makes names
//! waits: commands and packets stay unread, and producers' connections that have ended are not
//! closed. An answer is good for a short while, [`PROBE_AGE_MAX`].
//!
//! [`PROBE_AGE_MAX`]: baton_components::limits::PROBE_AGE_MAX

use baton_components::chunk::Chunk;
use baton_components::connection::Probe;
use baton_components::keys::ConnectionKey;
use baton_components::limits::{PROBE_PATIENCE, PROBE_TURN_MAX};
use baton_components::time::Now;
use baton_components::waits::Waiter;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::ports::{Answer, StoragePort};
use crate::requests::Request;

/// Whether names can be made now. False: storage is asked in this tick.
pub fn may_make_names(agenda: &mut Agenda, now: &Now) -> bool {
    let probes = &mut agenda.probes;
    let are_fresh = probes.are_fresh(now.monotonic);
    probes.is_wanted |= !are_fresh && probes.asked().is_none();
    are_fresh
}

/// Names will be made soon: the disk is asked meanwhile.
pub fn expect_names(agenda: &mut Agenda, now: &Now) {
    may_make_names(agenda, now);
}

/// Whether a message that makes names stays unread. The answer makes its connection ready.
pub fn must_wait(
    entities: &mut Entities,
    agenda: &mut Agenda,
    now: &Now,
    key: ConnectionKey,
) -> bool {
    let Some(connection) = entities.connections.get_mut(key) else {
        return false;
    };
    let has_waited = connection.probe == Probe::Answered
        && agenda
            .probes
            .have_answer_since(now.monotonic, PROBE_TURN_MAX);
    if has_waited || may_make_names(agenda, now) {
        return false;
    }
    if std::mem::replace(&mut connection.probe, Probe::Awaited) != Probe::Awaited {
        agenda.probes.connections.push(key);
    }
    true
}

/// Asks storage.
pub fn ask(mut storage: ResMut<StoragePort>, mut agenda: ResMut<Agenda>, now: Res<Now>) {
    let agenda = &mut *agenda;
    let ticket = agenda.waits.add(Waiter::Probe);
    agenda.probes.ask(ticket, now.monotonic);
    storage.ask(ticket, Request::Probe);
    if !std::mem::replace(&mut agenda.probes.is_watched, true) {
        let when = now.monotonic + PROBE_PATIENCE;
        agenda.deadlines.at(when, Timer::Probe);
    }
}

/// Takes the answer of storage, if it has come: all that has waited goes on in this tick. That a
/// file could not be made is an answer, too: what makes names finds out why.
pub fn settle(mut entities: ResMut<Entities>, mut agenda: ResMut<Agenda>, now: Res<Now>) {
    let agenda = &mut *agenda;
    let asked = agenda.probes.asked().map(|(ticket, _)| ticket);
    let is_it = |answer: &Answer| Some(answer.ticket) == asked;
    let Some(at) = agenda.answers.iter().position(is_it) else {
        return;
    };
    let Answer { ticket, .. } = agenda.answers.remove(at);
    agenda.waits.remove(ticket);
    let probes = &mut agenda.probes;
    let asked = probes.answer(now.monotonic).unwrap_or(now.monotonic);
    if std::mem::take(&mut probes.is_silent) {
        let seconds = now.monotonic.saturating_sub(asked).as_secs();
        tracing::warn!("the disk answers again, after {seconds} s: recording goes on");
    }
    for key in std::mem::take(&mut probes.connections) {
        let connection = entities.connections.get_mut(key);
        if let Some(connection) = connection.filter(|connection| connection.ending.is_none()) {
            connection.probe = Probe::Answered;
            let endpoint = connection.endpoint();
            agenda.turns(endpoint).ready(key);
        }
    }
    let probes = &mut agenda.probes;
    agenda.ending.append(&mut probes.ending);
    agenda.is_retention_due |= std::mem::take(&mut probes.is_awaited_by_retention);
    // Timers expire after the turns of this tick, which may bring what they wait for.
    for session in std::mem::take(&mut probes.sessions) {
        agenda.deadlines.at(now.monotonic, Timer::Drain(session));
    }
    for chunk in std::mem::take(&mut probes.chunks) {
        entities.disown::<Chunk>(chunk);
    }
}

/// Tells of a disk that has not answered for long.
pub fn expire(agenda: &mut Agenda, now: &Now) {
    agenda.probes.is_watched = false;
    let Some((_, asked)) = agenda.probes.asked() else {
        return;
    };
    let due = asked + PROBE_PATIENCE;
    if due > now.monotonic {
        agenda.probes.is_watched = true;
        agenda.deadlines.at(due, Timer::Probe);
    } else if !std::mem::replace(&mut agenda.probes.is_silent, true) {
        let seconds = PROBE_PATIENCE.as_secs();
        tracing::error!(
            "the disk has not answered for {seconds} s: until it does, no session and no file is \
             begun; what is in memory is served"
        );
    }
}

/// Whether the end of a producer's connection is put off: files may have to be made then.
pub fn puts_off(
    entities: &mut Entities,
    agenda: &mut Agenda,
    now: &Now,
    key: ConnectionKey,
) -> bool {
    let Some(connection) = entities.connections.get_mut(key) else {
        return false;
    };
    let is_producers = connection.session().is_some() && connection.viewer().is_none();
    let puts_off = is_producers && !may_make_names(agenda, now);
    if puts_off {
        connection.probe = Probe::PutOff;
        agenda.probes.ending.push(key);
    }
    puts_off
}
