//! Reclamation: what nobody holds any more is freed, in the tick in which its last
//! holder let go.
//!
//! Kinds are visited in an order in which whatever a kind holds comes later, so one
//! pass frees a whole session, children before parents, at a cost in proportion to
//! what is freed.

use std::collections::BTreeSet;

use baton_components::chunk::{Chunk, CloseCommand, Place};
use baton_components::directory::Directory;
use baton_components::keys::{ChunkKey, SessionKey, StreamKey, ViewerSessionKey};
use baton_components::limits::{CHUNK_RETRIES_MAX, CHUNK_RETRY};
use baton_components::time::Now;
use baton_components::viewer_session::ViewerSession;
use baton_components::viewer_stream::ViewerStream;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::{Entities, Entity};
use crate::ports::{StorageError, StoragePort};
use crate::record::chunks;
use crate::record::index_records;
use crate::record::ring;
use crate::record::waiting_metadata;

/// Frees every condemned record, after its last rites.
pub fn reclaim(
    mut entities: ResMut<Entities>,
    mut directory: ResMut<Directory>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    while let Some((_, record)) = entities.connections.pop_condemned() {
        if !cfg!(feature = "seeded-defect") {
            entities.release_all(&record);
        }
    }
    while let Some((key, record)) = entities.viewer_sessions.pop_condemned() {
        detach_all(&mut entities, key, &record);
        entities.release_all(&record);
    }
    while let Some((key, record)) = entities.viewer_streams.pop_condemned() {
        leave_stream(&mut entities, key, &record);
        entities.release_all(&record);
    }
    while let Some((_, record)) = entities.indexes.pop_condemned() {
        entities.release_all(&record);
    }
    while let Some((_, record)) = entities.streams.pop_condemned() {
        if let Some(session) = entities.sessions.get_mut(record.session) {
            session.stream_count -= 1;
        }
        entities.release_all(&record);
    }
    while let Some((key, record)) = entities.traces.pop_condemned() {
        let name = (record.session, record.path.clone());
        if directory.traces.get(&name) == Some(&key) {
            directory.traces.remove(&name);
        }
        entities.release_all(&record);
    }
    let mut recorded = Vec::new();
    while let Some((_, record)) = entities.sessions.pop_condemned() {
        directory.sessions.remove(&record.id);
        for place in &record.places {
            directory.places.leave(place);
        }
        tracing::info!(session = record.id, "session {} is over", record.id);
        entities.release_all(&record);
        recorded.extend(record.places);
    }
    while let Some((key, mut record)) = entities.chunks.pop_condemned() {
        let buried = bury(&mut entities, &mut storage, key, &mut record);
        if record.close.is_none() && record.place == Place::Session {
            directory.places.settle(&record.session);
        }
        if let Some(id) = record.id
            && directory.chunks.get(&id) == Some(&key)
        {
            directory.chunks.remove(&id);
        }
        entities.release_all(&record);
        match buried {
            Ok(()) => report_done(&record),
            Err(error) => {
                let is_last = agenda.is_stopping || record.failed >= CHUNK_RETRIES_MAX;
                report_failure(&record, &error, is_last);
                if !is_last {
                    try_again(&mut entities, &mut agenda, &now, record);
                }
            }
        }
    }
    while let Some((_, mut record)) = entities.trace_files.pop_condemned() {
        // The last chance of what waits for room on the disk.
        if let Err(error) = index_records::flush(&mut storage, &mut record) {
            index_records::give_up(&mut storage, &mut record, &error);
        }
        if let Err(error) = waiting_metadata::flush(&entities.files, &mut storage, &mut record) {
            waiting_metadata::give_up(&entities.files, &record, &error);
        }
        entities.release_all(&record);
    }
    while let Some((key, _)) = entities.files.pop_condemned() {
        storage.close(key);
    }
    for directory in &recorded {
        storage.end_recording(directory);
    }
}

/// A viewer session is over: its viewer streams end, and sessions forget it.
fn detach_all(entities: &mut Entities, key: ViewerSessionKey, viewer: &ViewerSession) {
    for stream in viewer.streams.values() {
        entities.disown::<ViewerStream>(*stream);
    }
    for attachment in viewer.attached.values() {
        leave_session(entities, key, attachment.session);
    }
}

/// A viewer session does not follow that session any more.
pub fn leave_session(entities: &mut Entities, viewer: ViewerSessionKey, session: SessionKey) {
    if let Some(session) = entities.sessions.get_mut(session) {
        session.viewers.retain(|key| *key != viewer);
    }
}

/// A stream that writes nothing more keeps its files for its viewers only.
fn leave_stream(
    entities: &mut Entities,
    key: <ViewerStream as Entity>::Key,
    record: &ViewerStream,
) {
    let Some(stream) = entities.streams.get_mut(record.stream) else {
        return;
    };
    stream.viewers.retain(|viewer| *viewer != key);
    ring::forget_passed(entities, record.stream);
}

/// Does what a chunk's close asked for, and takes what was deleted from viewers.
fn bury(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: ChunkKey,
    chunk: &mut Chunk,
) -> Result<(), StorageError> {
    let buried = chunks::bury(storage, chunk);
    if chunk.close != Some(CloseCommand::Delete) {
        return buried;
    }
    let streams: BTreeSet<StreamKey> = chunk.files.values().copied().collect();
    for stream in &streams {
        let files = entities
            .streams
            .get(*stream)
            .map(|stream| stream.files.clone());
        for file in files.into_iter().flatten() {
            if let Some(file) = entities
                .trace_files
                .get_mut(file)
                .filter(|file| file.chunk == key)
            {
                file.cleared = true;
            }
        }
        ring::forget_passed(entities, *stream);
    }
    buried
}

/// The files of a chunk are not where they belong, and may be hidden: said once, and once
/// more if the relay stops before the disk does its part.
fn report_failure(chunk: &Chunk, error: &StorageError, is_last: bool) {
    let (name, directory) = (chunk.name(), chunk.directory());
    if is_last {
        tracing::error!("chunk {name} stays in {directory}: {error}");
    } else if chunk.failed == 0 {
        let seconds = CHUNK_RETRY.as_secs();
        tracing::error!(
            "chunk {name} is in {directory} for now: {error}; this is tried again every {seconds} s"
        );
    }
}

fn report_done(chunk: &Chunk) {
    if chunk.failed > 0 {
        tracing::info!("chunk {} is where it belongs now", chunk.name());
    }
}

/// Keeps a chunk until the disk may do what was asked.
fn try_again(entities: &mut Entities, agenda: &mut Agenda, now: &Now, mut chunk: Chunk) {
    chunk.failed += 1;
    if agenda.unburied.is_empty() {
        let when = now.monotonic + CHUNK_RETRY;
        agenda.deadlines.at(when, Timer::Bury);
    }
    agenda.unburied.push(entities.insert(chunk));
}
