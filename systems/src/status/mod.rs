//! Status: what monitors ask about the relay, by HTTP.
//!
//! One request a connection, answered from what is counted already: no question walks all
//! sessions in one tick. Requests come through the network port as everything does, so a
//! journal has them, and a replay gives the same bytes.

mod advice;
pub mod escape;
mod health;
pub mod http;
mod json;
mod listing;
mod metrics;
mod page;
mod web;

use baton_components::connection::{Connection, Ending, Listed, Listing, Progress};
use baton_components::directory::Directory;
use baton_components::keys::ConnectionKey;
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::time::Now;
use bevy_ecs::system::{Local, Res, ResMut, SystemParam};

use self::http::{Answer, Asked, Refusal};
use self::page::Format;
use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::peers::receive::{Pause, Protocol, take_turn};
use crate::peers::records::Records;
use crate::peers::waiting;
use crate::ports::{Arrived, ClockPort, NetworkPort, Received};
use crate::settings::Settings;
use crate::turns::Turn;

/// The sources of answers.
#[derive(SystemParam)]
pub struct Status<'w> {
    entities: ResMut<'w, Entities>,
    agenda: ResMut<'w, Agenda>,
    directory: Res<'w, Directory>,
    settings: Res<'w, Settings>,
    clock: ResMut<'w, ClockPort>,
    now: Res<'w, Now>,
}

/// Answers the requests of monitors.
pub fn answer(mut network: ResMut<NetworkPort>, mut status: Status, mut replies: Local<Vec<u8>>) {
    while let Some(mut turn) = status.agenda.status.next() {
        let key = turn.connection;
        let mut requests = Requests {
            unsent: network.unsent(key),
            status: &mut status,
            replies: &mut replies,
        };
        let goes_on = take_turn(&mut network, &mut requests, &mut turn);
        if !replies.is_empty() {
            network.send(key, &replies);
            status.agenda.writable.ready(key);
            replies.clear();
        }
        let Status {
            entities,
            agenda,
            now,
            ..
        } = &mut status;
        agenda.status.end(&turn, goes_on);
        waiting::note_memory(&network, entities, agenda, now, key);
    }
}

/// The protocol of status connections.
struct Requests<'a, 'w> {
    status: &'a mut Status<'w>,
    replies: &'a mut Vec<u8>,
    /// Bytes of the answer that wait to be sent.
    unsent: usize,
}

impl Protocol for Requests<'_, '_> {
    fn records(&mut self) -> Records<'_> {
        Records {
            entities: &mut self.status.entities,
            agenda: &mut self.status.agenda,
            settings: &self.status.settings,
            now: &self.status.now,
        }
    }

    fn execute(&mut self, turn: &mut Turn, input: Arrived<'_>, _: &Received) -> (usize, Pause) {
        let key = turn.connection;
        let input = input.bytes();
        let Some(mut progress) = self.take_progress(key) else {
            // It has ended.
            return (input.len(), Pause::Input);
        };
        if matches!(progress, Progress::Nothing) {
            let asked = http::read(input, &self.status.settings.names);
            if asked == Ok(None) {
                return (0, Pause::Input);
            }
            progress = begin(self.status, turn, asked, self.replies);
        }
        // Bytes after the request are not read: there is one a connection.
        let mut has_moved = false;
        let pause = match &mut progress {
            Progress::Part(listing) => {
                has_moved = true;
                if self.go_on(turn, listing) {
                    progress = Progress::All;
                    Pause::Replies
                } else if turn.is_over() {
                    Pause::Turn
                } else {
                    Pause::Replies
                }
            }
            Progress::All if self.unsent == 0 && self.replies.is_empty() => {
                self.close(key);
                Pause::Input
            }
            Progress::All | Progress::Nothing => Pause::Replies,
        };
        self.put_progress(key, progress, has_moved);
        (input.len(), pause)
    }
}

impl Requests<'_, '_> {
    fn take_progress(&mut self, key: ConnectionKey) -> Option<Progress> {
        let connection = self.status.entities.connections.get_mut(key)?;
        Some(std::mem::take(&mut connection.monitor_mut()?.answer))
    }

    fn put_progress(&mut self, key: ConnectionKey, progress: Progress, has_moved: bool) {
        let connection = self.status.entities.connections.get_mut(key);
        if let Some(monitor) = connection.and_then(Connection::monitor_mut) {
            monitor.has_moved |= has_moved;
            monitor.answer = progress;
        }
    }

    /// Writes another slice of a list: as much as the turn allows, and the peer takes. Returns
    /// whether it was the last.
    fn go_on(&mut self, turn: &mut Turn, listing: &mut Listing) -> bool {
        let mut slice = String::new();
        let mut is_last = false;
        let has_room = |slice: &str| self.unsent + slice.len() < UNSENT_BYTES_MAX;
        while !is_last && !turn.is_over() && has_room(&slice) {
            let before = slice.len();
            is_last = listing::write_next(self.status, listing, &mut slice);
            turn.spend(baton_components::costs::LISTED + (slice.len() - before) as u64);
        }
        http::write_slice(listing.is_chunked, &slice, is_last, self.replies);
        is_last
    }

    fn close(&mut self, key: ConnectionKey) {
        let Status {
            entities, agenda, ..
        } = &mut *self.status;
        if let Some(connection) = entities.connections.get_mut(key) {
            agenda.close(key, connection, Ending::Close);
        }
    }
}

/// Answers a request, or begins to.
fn begin(
    status: &mut Status,
    turn: &mut Turn,
    asked: Result<Option<Asked>, Refusal>,
    replies: &mut Vec<u8>,
) -> Progress {
    let asked = match asked {
        Ok(Some(asked)) => asked,
        Ok(None) => return Progress::Nothing,
        Err(refusal) => {
            Answer::refusal(refusal).write(false, replies);
            return Progress::All;
        }
    };
    if let Some(what) = listed(status, &asked.path) {
        let is_chunked = asked.knows_chunks;
        http::begin_json(is_chunked, replies);
        if asked.is_head {
            return Progress::All;
        }
        let listing = Listing {
            what,
            after: 0,
            is_chunked,
            host: asked.host,
        };
        let head = listing::begin(status, &listing);
        turn.spend_message(head.len(), 0);
        http::write_slice(is_chunked, &head, false, replies);
        return Progress::Part(Box::new(listing));
    }
    let answer = match asked.path.as_str() {
        "/metrics" => {
            let usage = status.clock.usage();
            metrics::answer(status, &usage, Format::of(&asked))
        }
        "/livez" => health::lives(),
        "/readyz" => health::is_ready(&status.agenda, &status.entities),
        path => web::answer(path).unwrap_or_else(|| Answer::refusal(Refusal::NotFound)),
    };
    answer.write(asked.is_head, replies);
    turn.spend_message(replies.len(), 0);
    Progress::All
}

/// The subject of a path's list, if it is of one.
fn listed(status: &Status, path: &str) -> Option<Listed> {
    if path == "/status" {
        return Some(Listed::Sessions);
    }
    let id = path.strip_prefix("/status/sessions/")?.parse().ok()?;
    status
        .directory
        .sessions
        .contains_key(&id)
        .then_some(Listed::Streams(id))
}
