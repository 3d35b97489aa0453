//! Group commit: what is written for a session gathers in a batch, and one commit tells whether
//! it is in the files.
//!
//! Nobody waits for a write, and no write has an error path of its own: a packet is kept, a
//! record can be read, and metadata is there when the answer to its commit says so.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use baton_components::batch::{Batch, Confirmed, Kept};
use baton_components::index::PacketLocation;
use baton_components::keys::{BatchKey, ConnectionKey, SessionKey, TraceFileKey};
use baton_components::limits::{
    COMMIT_BYTES, COMMIT_DELAY, COMMIT_RETRY, UNCONFIRMED_FILES_MIN, UNCONFIRMED_FILES_PARTS,
    WRITE_BUFFER_PARTS,
};
use baton_components::session::Session;
use baton_components::time::Now;
use baton_components::waits::Waiter;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::StoragePort;
use crate::requests::{FileEnd, IndexEnd, Lane, Request};
use crate::settings::Settings;

/// Notes that so many bytes of a file were written: the batch of its session confirms them.
/// Gives what it confirms of the file.
pub fn note(entities: &mut Entities, key: TraceFileKey, bytes: u64) -> Option<&mut Confirmed> {
    let file = entities.trace_files.get(key)?;
    let (stream, chunk) = (file.stream, file.chunk);
    let session = entities.streams.get(stream)?.session.key();
    let batch = gathering(entities, session)?;
    entities.unconfirmed_bytes += bytes;
    let record = entities.batches.get_mut(batch)?;
    record.bytes += bytes;
    let is_much = record.bytes >= COMMIT_BYTES;
    let of = &mut entities.sessions[&record.session];
    of.writes.bytes += bytes;
    if is_much || !of.viewers.is_empty() {
        want(entities, session);
    }
    let record = entities.batches.get_mut(batch)?;
    if let Entry::Vacant(new) = record.files.entry(key) {
        new.insert(Confirmed::default());
        entities.link(batch, key, |batch: &mut Batch, held| {
            batch.holds.push(Kept::File(held));
        });
        entities.link(batch, stream, |batch: &mut Batch, held| {
            batch.holds.push(Kept::Stream(held));
        });
        if entities.chunks.contains(chunk) {
            entities.link(batch, chunk, |batch: &mut Batch, held| {
                batch.holds.push(Kept::Chunk(held));
            });
        }
    }
    let confirmed = entities.batches.get_mut(batch)?.files.get_mut(&key)?;
    confirmed.is_hopeless &= bytes == 0;
    Some(confirmed)
}

/// A packet moves to another place: the commit of the file there confirms it, if none has.
pub fn move_packet(
    entities: &mut Entities,
    sequence: u64,
    from: TraceFileKey,
    to: PacketLocation,
) -> Option<()> {
    let Entities {
        trace_files,
        streams,
        sessions,
        batches,
        ..
    } = &mut *entities;
    let stream = streams.get(trace_files.get(from)?.stream)?;
    let session = &sessions[&stream.session];
    let mut packet = session.writes.batches().find_map(|batch| {
        let packets = &mut batches.get_mut(batch)?.files.get_mut(&from)?.packets;
        let at = packets.iter().position(|it| it.sequence == sequence)?;
        Some(packets.remove(at))
    })?;
    packet.end = to.offset + to.size;
    note(entities, to.file, 0)?.packets.push(packet);
    Some(())
}

/// The batch of a session that gathers.
fn gathering(entities: &mut Entities, key: SessionKey) -> Option<BatchKey> {
    let session = entities.sessions.get_mut(key)?;
    let writes = &mut session.writes;
    if let Some(batch) = writes.gathering {
        return Some(batch);
    }
    writes.last_batch += 1;
    let number = writes.last_batch;
    let batch = entities.insert(|links| Batch {
        session: links.hold(key),
        number,
        due: Duration::ZERO,
        is_wanted: false,
        is_late: false,
        bytes: 0,
        files: BTreeMap::new(),
        holds: Vec::new(),
    });
    entities.gathering.begun.push(batch);
    let session = entities.sessions.get_mut(key)?;
    session.writes.gathering = Some(batch);
    Some(batch)
}

/// Somebody needs what was written for a session: its commit is asked for in this tick.
pub fn want(entities: &mut Entities, session: SessionKey) {
    let session = entities.sessions.get(session);
    let batch = session.and_then(|session| session.writes.gathering);
    if let Some(key) = batch
        && let Some(batch) = entities.batches.get_mut(key)
        && !std::mem::replace(&mut batch.is_wanted, true)
    {
        entities.gathering.wanted.push(key);
    }
}

/// The commit of a session is answered: the next is asked for in this tick if it is due.
pub fn ask_again(entities: &mut Entities, session: SessionKey) {
    let session = entities.sessions.get(session);
    let batch = session.and_then(|session| session.writes.gathering);
    if let Some(key) = batch
        && entities
            .batches
            .get(key)
            .is_some_and(|batch| batch.is_wanted)
    {
        entities.gathering.wanted.push(key);
    }
}

/// The batch of a session that gathers has a file that the disk has refused repeatedly: it is not
/// asked again at once.
pub fn delay(entities: &mut Entities, session: SessionKey, file: TraceFileKey, is_hopeless: bool) {
    let session = entities.sessions.get(session);
    let batch = session.and_then(|session| session.writes.gathering);
    if let Some(batch) = batch.and_then(|batch| entities.batches.get_mut(batch)) {
        batch.is_late = true;
        if let Some(confirmed) = batch.files.get_mut(&file) {
            confirmed.is_hopeless = is_hopeless;
        }
    }
}

/// Whether something was written for a session that the disk has neither taken nor refused
/// repeatedly.
pub fn is_any_open(entities: &Entities, session: SessionKey) -> bool {
    let Some(session) = entities.sessions.get(session) else {
        return false;
    };
    session.writes.batches().any(|batch| {
        let files = entities.batches.get(batch).map(|batch| &batch.files);
        files.is_some_and(|files| files.values().any(|file| !file.is_hopeless))
    })
}

/// The number of the newest batch of a session that is not confirmed. None: all that was
/// written is in the files, or is lost and counted.
fn newest(entities: &Entities, session: SessionKey) -> Option<u64> {
    let writes = &entities.sessions.get(session)?.writes;
    writes.batches().next().map(|_| writes.last_batch)
}

/// The number of the oldest of them.
fn oldest(entities: &Entities, session: SessionKey) -> Option<u64> {
    let oldest = entities.sessions.get(session)?.writes.batches().next()?;
    Some(entities.batches.get(oldest)?.number)
}

/// Whether a connection waits for what was written for its session before it began to wait.
/// Its answer makes the connection ready.
pub fn must_wait(entities: &mut Entities, connection: ConnectionKey, session: SessionKey) -> bool {
    let (newest, oldest) = (newest(entities, session), oldest(entities, session));
    let Some(record) = entities.connections.get_mut(connection) else {
        return false;
    };
    let awaited = record.awaits_batch.or(newest);
    let waits = awaited.is_some_and(|awaited| oldest.is_some_and(|oldest| oldest <= awaited));
    record.awaits_batch = awaited.filter(|_| waits);
    if waits {
        want(entities, session);
        wait(entities, connection, session);
    }
    waits
}

/// Whether there is as much as there may be of a session, or of all, that is not confirmed: bytes,
/// or files, whose descriptors stay open until then.
pub fn is_buffer_full(entities: &Entities, key: SessionKey, settings: &Settings) -> bool {
    let Some(session) = entities.sessions.get(key) else {
        return false;
    };
    let (bytes, buffer_bytes) = (session.writes.bytes, settings.write_buffer_bytes_max);
    let files_max = (settings.files_max / UNCONFIRMED_FILES_PARTS).max(UNCONFIRMED_FILES_MIN);
    // A session may always write a little: it is not kept waiting by others alone.
    bytes > 0
        && (bytes >= buffer_bytes / WRITE_BUFFER_PARTS
            || entities.unconfirmed_bytes >= buffer_bytes
            || unconfirmed_files(entities, session) >= files_max)
}

/// Files of batches that are not confirmed; one that is in several counts for each.
fn unconfirmed_files(entities: &Entities, session: &Session) -> u64 {
    let batches = session.writes.batches();
    let files = batches.filter_map(|batch| Some(entities.batches.get(batch)?.files.len() as u64));
    files.sum()
}

/// Whether a connection waits for room in the write buffer of its session, or of all.
pub fn lacks_room(
    entities: &mut Entities,
    connection: ConnectionKey,
    session: SessionKey,
    settings: &Settings,
) -> bool {
    let is_full = is_buffer_full(entities, session, settings);
    if let Some(record) = entities.connections.get_mut(connection) {
        record.awaits_batch = is_full.then_some(0);
    }
    if is_full {
        want(entities, session);
        wait(entities, connection, session);
    }
    is_full
}

fn wait(entities: &mut Entities, connection: ConnectionKey, session: SessionKey) {
    if let Some(session) = entities.sessions.get_mut(session)
        && !session.writes.waiting.contains(&connection)
    {
        session.writes.waiting.push(connection);
    }
}

/// Asks for the commits that are due: after a short wait for more, or when there is much, or
/// when somebody needs it.
pub fn commit(
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    let now = now.monotonic;
    agenda.commit_by.take_if(|by| *by <= now);
    for key in std::mem::take(&mut entities.gathering.begun) {
        if let Some(batch) = entities.batches.get_mut(key) {
            let delay = if batch.is_late {
                COMMIT_RETRY
            } else {
                COMMIT_DELAY
            };
            batch.due = now + delay;
            schedule(&mut entities, key);
        }
    }
    while let Some(key) = entities.gathering.waiting.front().copied() {
        if let Some(batch) = gathers(&mut entities, key) {
            if now < batch.due && !agenda.is_stopping {
                agenda.expect_commit(batch.due);
                break;
            }
            batch.is_late = false;
            ask(&mut entities, &mut storage, &mut agenda, key);
        }
        entities.gathering.waiting.pop_front();
    }
    for key in std::mem::take(&mut entities.gathering.wanted) {
        let Some(batch) = gathers(&mut entities, key) else {
            continue;
        };
        if !batch.is_late || batch.bytes >= COMMIT_BYTES || agenda.is_stopping {
            ask(&mut entities, &mut storage, &mut agenda, key);
            continue;
        }
        // The disk is not asked again before its time for what it has refused.
        batch.is_wanted = false;
        if batch.due <= now {
            batch.due = now + COMMIT_RETRY;
            agenda.expect_commit(batch.due);
            schedule(&mut entities, key);
        }
    }
}

fn schedule(entities: &mut Entities, key: BatchKey) {
    let Entities {
        gathering, batches, ..
    } = entities;
    gathering.schedule(key, |key| batches.get(key).map(|batch| batch.due));
}

/// A batch, if it still gathers.
fn gathers(entities: &mut Entities, key: BatchKey) -> Option<&mut Batch> {
    let batch = entities.batches.get_mut(key)?;
    let gathering = entities.sessions[&batch.session].writes.gathering;
    (gathering == Some(key)).then_some(batch)
}

/// Asks for a commit, or notes that it is due: the answer to the one before is awaited.
fn ask(entities: &mut Entities, storage: &mut StoragePort, agenda: &mut Agenda, key: BatchKey) {
    let Entities {
        batches,
        sessions,
        trace_files,
        ..
    } = entities;
    let Some(batch) = batches.get_mut(key) else {
        return;
    };
    let session = &mut sessions[&batch.session];
    if session.writes.asked.is_some() {
        batch.is_wanted = true;
        return;
    }
    session.writes.gathering = None;
    session.writes.asked = Some(key);
    let mut ends = Vec::new();
    for (file, confirmed) in &mut batch.files {
        let Some(file) = trace_files.get_mut(*file) else {
            continue;
        };
        confirmed.size = file.size;
        let index = file.index.as_mut();
        let index = index.filter(|index| !index.fresh.is_empty());
        let index = index.map(|index| {
            let bytes = std::mem::take(&mut index.fresh);
            let offset = index.written;
            index.written += bytes.len() as u64;
            confirmed.index_size = index.written;
            IndexEnd {
                file: index.file.key(),
                offset,
                bytes,
            }
        });
        let data = file.data.key();
        ends.push(FileEnd { data, index });
    }
    let lane = Lane(session.id);
    let ticket = agenda.waits.add(Waiter::Batch(key));
    storage.ask(ticket, Request::Commit { lane, ends });
}
