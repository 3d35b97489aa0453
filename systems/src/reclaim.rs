//! Reclamation: what nobody holds any more is freed, in the tick in which its last
//! holder let go.
//!
//! Kinds are visited in an order in which whatever a kind holds comes later, so one
//! pass frees a whole session, children before parents, at a cost in proportion to
//! what is freed.

use std::collections::BTreeSet;

use baton_components::chunk::{Chunk, CloseCommand};
use baton_components::directory::Directory;
use baton_components::keys::{ChunkKey, StreamKey};
use baton_components::viewer_stream::ViewerStream;
use bevy_ecs::system::ResMut;

use crate::chunks;
use crate::entities::{Entities, Entity};
use crate::ports::StoragePort;
use crate::serve;
use crate::trace_files;
use crate::waiting_metadata;

/// Frees every condemned record, after its last rites.
pub fn reclaim(
    mut entities: ResMut<Entities>,
    mut directory: ResMut<Directory>,
    mut storage: ResMut<StoragePort>,
) {
    while let Some((_, record)) = entities.connections.pop_condemned() {
        if !cfg!(feature = "seeded-defect") {
            entities.release_all(&record);
        }
    }
    while let Some((key, record)) = entities.viewer_sessions.pop_condemned() {
        serve::detach_all(&mut entities, key, &record);
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
    let mut recorded = Vec::new();
    while let Some((key, record)) = entities.traces.pop_condemned() {
        let name = (record.session, record.path.clone());
        let session = entities.sessions.get(record.session);
        if session.is_some_and(|session| !session.has_directory()) {
            recorded.push(record.path.clone());
        }
        if directory.traces.get(&name) == Some(&key) {
            directory.traces.remove(&name);
        }
        entities.release_all(&record);
    }
    while let Some((_, record)) = entities.sessions.pop_condemned() {
        directory.sessions.remove(&record.id);
        directory.leave_output(&record.directory);
        tracing::info!(session = record.id, "session {} is over", record.id);
        entities.release_all(&record);
        if record.has_directory() {
            recorded.push(record.directory);
        }
    }
    while let Some((key, mut record)) = entities.chunks.pop_condemned() {
        bury(&mut entities, &mut storage, key, &mut record);
        if let Some(id) = record.id
            && directory.chunks.get(&id) == Some(&key)
        {
            directory.chunks.remove(&id);
        }
        entities.release_all(&record);
    }
    while let Some((_, mut record)) = entities.trace_files.pop_condemned() {
        // The last chance of what waits for room on the disk.
        if let Err(error) = trace_files::flush(&mut storage, &mut record) {
            trace_files::give_up_records(&mut storage, &mut record, &error);
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
    trace_files::forget_passed(entities, record.stream);
}

/// Does what a chunk's close asked for, and takes what was deleted from viewers.
fn bury(entities: &mut Entities, storage: &mut StoragePort, key: ChunkKey, chunk: &mut Chunk) {
    if let Err(error) = chunks::bury(storage, chunk) {
        let (name, directory) = (chunk.name(), chunk.directory());
        tracing::error!("chunk {name} stays in {directory}: {error}");
    }
    if chunk.close != Some(CloseCommand::Delete) {
        return;
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
        trace_files::forget_passed(entities, *stream);
    }
}
