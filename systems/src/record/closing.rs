//! Closing of streams: at once, or when the packets that were announced have come.

use std::collections::VecDeque;

use baton_components::directory::Directory;
use baton_components::hold::Held;
use baton_components::keys::{SessionKey, StreamKey};
use baton_components::limits::{KEPT_SESSIONS, KEPT_STREAMS_PER_SESSION};
use baton_components::session::Session;
use baton_components::stream::{Closing, Stream, reached};
use bevy_ecs::system::ResMut;

use super::{Recorder, pairing, ring};
use crate::entities::Entities;
use crate::facts::{ChunkClosed, Facts, PacketGivenUp, StreamClosed};

pub fn begin(recorder: &mut Recorder, key: StreamKey, last_sequence: Option<u64>) {
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        stream.rare_mut().closing = Some(Closing { last_sequence });
    }
    try_close(recorder, key);
}

/// Closes a stream unless a packet that was announced is still to come.
pub fn try_close(recorder: &mut Recorder, key: StreamKey) {
    let entities = &mut recorder.entities;
    let stream = entities.streams.get(key);
    let closing = stream.and_then(|stream| stream.rare().closing);
    if closing.is_none_or(|closing| closing.last_sequence.is_none()) {
        let last_sequence = last_announced(entities, key);
        if let Some(stream) = entities.streams.get_mut(key) {
            stream.rare_mut().closing = Some(Closing { last_sequence });
        }
    }
    if !must_wait(entities, key) {
        close(recorder, key);
    }
}

/// Releases the chunks of a session whose producer is gone. Its open streams still hold
/// theirs, and other consumers of the same session poll until a chunk has no users.
pub fn end_producer(recorder: &mut Recorder, key: SessionKey, is_broken: bool) {
    let now = recorder.now.monotonic;
    recorder.facts.chunks_closed.push(ChunkClosed {
        session: key,
        is_deleted: false,
    });
    recorder.entities.relink(key, |session: &mut Session, _| {
        session.gone_since = Some(now);
        session.given_up |= is_broken;
        session.chunk = None;
        session.closing_chunk = None;
    });
    if let Some(session) = recorder.entities.sessions.get(key)
        && !recorder.entities.sessions.is_owned(key)
    {
        recorder.directory.listed.remove(&session.id);
    }
}

/// Whether the stream waits for a packet.
fn must_wait(entities: &Entities, key: StreamKey) -> bool {
    let Some(stream) = entities.streams.get(key) else {
        // The stream is gone: no packet of it comes.
        return false;
    };
    let session = &entities.sessions[&stream.session];
    // Metadata has no packets.
    if stream.is_metadata() || session.given_up {
        return false;
    }
    let closing = stream.rare().closing;
    let last = closing.and_then(|closing| closing.last_sequence);
    last.is_some_and(|last| !reached(stream.last_data, last))
}

/// The number of the last packet whose description has come and whose bytes have
/// not. Packets that wait for their description are given up: it cannot come.
fn last_announced(entities: &mut Entities, key: StreamKey) -> Option<u64> {
    let stream = entities.streams.get_mut(key)?;
    let pending = std::mem::take(&mut stream.pending);
    let (described, undescribed): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, index)| {
        let index = entities.indexes.get(*index);
        index.is_some_and(|index| index.half.description().is_some())
    });
    stream.pending = described.into();
    let last = stream.pending.back().map(|(sequence, _)| *sequence);
    for (_, index) in undescribed {
        pairing::end_half(entities, index);
    }
    last
}

/// Makes the stream unknown to producers. Its files stay for the viewers that read it.
fn close(recorder: &mut Recorder, key: StreamKey) {
    let Recorder {
        entities,
        directory,
        storage,
        facts,
        ..
    } = recorder;
    let entities = &mut **entities;
    let Some(stream) = entities
        .streams
        .get_mut(key)
        .filter(|stream| !stream.closed)
    else {
        // It was closed before.
        return;
    };
    let session = stream.session.key();
    let kept = stream.published && entities.sessions.is_owned(session);
    stream.closed = true;
    let (number, handle) = (stream.number, stream.handle);
    let checked_round = stream.checked_round;
    let file = stream.current_file().map(Held::key);
    let pending = std::mem::take(&mut stream.pending);

    for (sequence, index) in pending {
        let half = entities.indexes.get(index).map(|index| &index.half);
        if half.is_some_and(|half| half.description().is_some()) {
            facts.given_up.push(PacketGivenUp {
                stream: key,
                sequence,
            });
        }
        pairing::end_half(entities, index);
    }
    if let Some(file) = file {
        ring::finish(entities, storage, file);
    }
    directory.streams.remove(&handle);
    if let Some(session) = entities.sessions.get_mut(session) {
        session.open_streams.remove(&number);
        session.unpublished.remove(&number);
        if checked_round != session.pending_round {
            session.unchecked -= 1;
        }
        if kept {
            session.rare_mut().kept_streams.push_back(key);
        }
    }
    entities.unlink(key, |stream: &mut Stream| {
        let rotation = stream.rare_mut().rotation.take();
        let target = rotation.and_then(|rotation| rotation.target);
        stream.chunk.take().into_iter().chain(target)
    });
    facts.closed.push(StreamClosed(key));
}

/// After the listeners: disowns streams that were closed in this tick, except those kept
/// for later viewers, so that they live for the viewers that read them. Then drops the
/// facts.
pub fn let_go_of_closed(mut entities: ResMut<Entities>, mut facts: ResMut<Facts>) {
    for key in facts.published.iter().flat_map(|fact| &fact.streams) {
        if let Some(stream) = entities.streams.get_mut(*key) {
            stream.unheard = false;
            ring::forget_passed(&mut entities, *key);
        }
    }
    for StreamClosed(key) in facts.closed.iter().copied() {
        let Some(stream) = entities.streams.get(key) else {
            // The relay stops, and has dropped the session.
            continue;
        };
        let session = stream.session.key();
        if stream.published && entities.sessions.is_owned(session) {
            ring::forget_passed(&mut entities, key);
            forget_oldest_kept(&mut entities, session);
        } else {
            let_go(&mut entities, key);
        }
    }
    facts.clear();
    entities.names.facts.clear();
}

/// Drops the oldest closed stream that is kept for later viewers, beyond the maximum.
fn forget_oldest_kept(entities: &mut Entities, session: SessionKey) {
    let Some(session) = entities.sessions.get_mut(session) else {
        // A session that is over keeps nothing.
        return;
    };
    if session.rare().kept_streams.len() > KEPT_STREAMS_PER_SESSION
        && let Some(oldest) = session.rare_mut().kept_streams.pop_front()
    {
        let_go(entities, oldest);
    }
}

/// Keeps a session that is over, in place of the oldest kept one.
pub fn keep(recorder: &mut Recorder, key: SessionKey) {
    let Recorder {
        entities,
        agenda,
        directory,
        ..
    } = recorder;
    let kept = &mut agenda.kept;
    let over = entities
        .sessions
        .get(key)
        .is_some_and(|session| session.is_producer_gone() && session.open_streams.is_empty());
    if !over || !entities.sessions.is_owned(key) || kept.contains(&key) {
        return;
    }
    kept.push_back(key);
    while kept.len() > KEPT_SESSIONS {
        forget_oldest_session(entities, directory, kept);
    }
}

/// Drops the session that was kept for longest.
pub fn forget_oldest_session(
    entities: &mut Entities,
    directory: &mut Directory,
    kept: &mut VecDeque<SessionKey>,
) {
    let Some(key) = kept.pop_front() else { return };
    if let Some(session) = entities.sessions.get_mut(key) {
        directory.listed.remove(&session.id);
        for stream in std::mem::take(&mut session.rare_mut().kept_streams) {
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
