//! How streams close: at once, or when the packets that were announced have come.

use std::collections::VecDeque;

use baton_components::index::Half;
use baton_components::keys::{SessionKey, StreamKey};
use baton_components::limits::{KEPT_SESSIONS, KEPT_STREAMS_PER_SESSION};
use baton_components::session::Session;
use baton_components::stream::{Closing, Stream, reached};
use bevy_ecs::system::{Res, ResMut};

use super::{Recorder, pairing, ring};
use crate::entities::Entities;
use crate::facts::{Facts, StreamClosed, StreamsPublished};

pub fn begin(recorder: &mut Recorder, key: StreamKey, last_sequence: Option<u64>) {
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        stream.closing = Some(Box::new(Closing { last_sequence }));
    }
    try_close(recorder, key);
}

/// Closes a stream unless a packet that was announced is still to come.
pub fn try_close(recorder: &mut Recorder, key: StreamKey) {
    let entities = &mut recorder.entities;
    let stream = entities.streams.get(key);
    let closing = stream.and_then(|stream| stream.closing.as_ref());
    if closing.is_none_or(|closing| closing.last_sequence.is_none()) {
        let last_sequence = last_announced(entities, key);
        if let Some(stream) = entities.streams.get_mut(key) {
            stream.closing = Some(Box::new(Closing { last_sequence }));
        }
    }
    if !must_wait(entities, key) {
        close(recorder, key);
    }
}

/// Streams that are there have their chunk; other consumers of the session wait until
/// nobody has it.
pub fn end_producer(recorder: &mut Recorder, key: SessionKey, is_broken: bool) {
    recorder.entities.relink(key, |session: &mut Session| {
        session.producer_gone = true;
        session.given_up |= is_broken;
        session.chunk = None;
        session.closing_chunk = None;
    });
    let Some(session) = recorder.entities.sessions.get(key) else {
        return;
    };
    for stream in session.open_streams.clone() {
        try_close(recorder, stream);
    }
    keep(recorder, key);
}

/// Whether the stream waits for a packet.
fn must_wait(entities: &Entities, key: StreamKey) -> bool {
    let Some(stream) = entities.streams.get(key) else {
        return false;
    };
    let Some(session) = entities.sessions.get(stream.session) else {
        return false;
    };
    // Metadata has no packets.
    if stream.is_metadata() || session.given_up {
        return false;
    }
    let last = stream
        .closing
        .as_ref()
        .and_then(|closing| closing.last_sequence);
    last.is_some_and(|last| !reached(stream.last_data, last))
}

/// The number of the last packet whose description has come and whose bytes have
/// not. Packets that wait for their description are given up: it cannot come.
fn last_announced(entities: &mut Entities, key: StreamKey) -> Option<u64> {
    let stream = entities.streams.get_mut(key)?;
    let pending = std::mem::take(&mut stream.pending);
    let (described, undescribed): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, index)| {
        let index = entities.indexes.get(*index);
        index.is_some_and(|index| matches!(index.half, Half::Description(_)))
    });
    stream.pending = described.into();
    let last = stream.pending.back().map(|(sequence, _)| *sequence);
    for (_, index) in undescribed {
        pairing::end_half(entities, index);
    }
    last
}

/// Makes the stream unknown to producers. What it recorded stays for the viewers
/// that read it.
fn close(recorder: &mut Recorder, key: StreamKey) {
    let Recorder {
        entities,
        directory,
        storage,
        happened,
        ..
    } = recorder;
    let entities = &mut **entities;
    let Some(stream) = entities
        .streams
        .get_mut(key)
        .filter(|stream| !stream.closed)
    else {
        return;
    };
    let kept = stream.published && entities.sessions.is_owned(stream.session);
    stream.closed = true;
    let (number, handle) = (stream.number, stream.handle);
    let checked_round = stream.checked_round;
    let files: Vec<_> = stream.files.iter().copied().collect();
    let pending = std::mem::take(&mut stream.pending);
    let session = stream.session;

    for (_, index) in pending {
        pairing::end_half(entities, index);
    }
    for file in files {
        ring::finish(entities, storage, file);
    }
    directory.streams.remove(&handle);
    let Entities {
        sessions, streams, ..
    } = &mut *entities;
    if let Some(session) = sessions.get_mut(session) {
        // They stand in the order in which they were added, that of their numbers.
        let number_of = |key: &StreamKey| streams.get(*key).map(|stream| stream.number);
        let open = &mut session.open_streams;
        if let Ok(at) = open.binary_search_by_key(&Some(number), number_of) {
            open.remove(at);
        }
        session.unpublished.retain(|stream| *stream != key);
        if checked_round != session.pending_round {
            session.unchecked -= 1;
        }
        if kept {
            session.kept_streams.push_back(key);
        }
    }
    entities.relink(key, |stream: &mut Stream| {
        stream.chunk = None;
        stream.rotation = None;
    });
    happened.closed.push(StreamClosed(key));
}

/// Listeners have heard which streams were published and closed in this tick: closed ones
/// are kept for the viewers that read them, and for viewers to come, and for nobody else.
pub fn let_go_of_closed(
    mut entities: ResMut<Entities>,
    published: Res<Facts<StreamsPublished>>,
    closed: Res<Facts<StreamClosed>>,
) {
    for key in published
        .0
        .iter()
        .flat_map(|fact| fact.streams.iter().copied())
    {
        if let Some(stream) = entities.streams.get_mut(key) {
            stream.unheard = false;
            ring::forget_passed(&mut entities, key);
        }
    }
    for StreamClosed(key) in closed.0.iter().copied() {
        let Some(stream) = entities.streams.get(key) else {
            continue;
        };
        let session = stream.session;
        if stream.published && entities.sessions.is_owned(session) {
            ring::forget_passed(&mut entities, key);
            forget_oldest_kept(&mut entities, session);
        } else {
            let_go(&mut entities, key);
        }
    }
}

/// The relay keeps closed streams for viewers to come, up to a number.
fn forget_oldest_kept(entities: &mut Entities, session: SessionKey) {
    let Some(session) = entities.sessions.get_mut(session) else {
        return;
    };
    if session.kept_streams.len() > KEPT_STREAMS_PER_SESSION
        && let Some(oldest) = session.kept_streams.pop_front()
    {
        let_go(entities, oldest);
    }
}

/// A session that is over is kept, in the place of the oldest of those kept so far.
pub fn keep(recorder: &mut Recorder, key: SessionKey) {
    let Recorder {
        entities, agenda, ..
    } = recorder;
    let kept = &mut agenda.kept;
    let over = entities
        .sessions
        .get(key)
        .is_some_and(|session| session.producer_gone && session.open_streams.is_empty());
    if !over || !entities.sessions.is_owned(key) || kept.contains(&key) {
        return;
    }
    kept.push_back(key);
    while kept.len() > KEPT_SESSIONS {
        forget_oldest_session(entities, kept);
    }
}

/// The relay lets go of the session that it has kept for longest.
pub fn forget_oldest_session(entities: &mut Entities, kept: &mut VecDeque<SessionKey>) {
    let Some(key) = kept.pop_front() else { return };
    if let Some(session) = entities.sessions.get_mut(key) {
        for stream in std::mem::take(&mut session.kept_streams) {
            let_go(entities, stream);
        }
    }
    entities.disown::<Session>(key);
}

fn let_go(entities: &mut Entities, key: StreamKey) {
    if let Some(stream) = entities.streams.get_mut(key) {
        stream.published = false;
        entities.disown::<Stream>(key);
    }
    ring::forget_passed(entities, key);
}
