//! Metadata that the disk has not taken waits until there is room: a trace with a hole in
//! it cannot be read.
//!
//! Packets do not wait: they are large, and one that is missing spoils nothing. Those
//! whose metadata waits are lost too: should the disk stay full, nobody could read them.

use baton_components::arena::Arena;
use baton_components::file::File;
use baton_components::keys::{FileKey, StreamKey};
use baton_components::limits::WAITING_METADATA_BYTES_MAX;
use baton_components::trace_file::TraceFile;
use bevy_ecs::system::ResMut;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};
use crate::record::data_files;

type Files = Arena<FileKey, File>;

/// Tries to write what waits, before packets come that need it.
pub fn retry(
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
) {
    let Entities {
        trace_files, files, ..
    } = &mut *entities;
    agenda.waiting_metadata.retain(|key| {
        // One that is gone has written its last.
        let file = trace_files.get_mut(*key);
        file.is_some_and(|file| flush(files, &mut storage, file).is_err())
    });
}

/// Takes a message: onto the disk, or among what waits. Fails if that would be more than
/// may wait.
pub fn take(
    files: &Files,
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
    padding: u32,
) -> Result<(), StorageError> {
    let waiting = file
        .waiting
        .as_ref()
        .map_or(0, |waiting| waiting.bytes.len());
    let size = waiting as u64 + bytes.len() as u64 + u64::from(padding);
    let may_wait = size <= WAITING_METADATA_BYTES_MAX;
    if file.waiting.is_none() || !may_wait {
        let written =
            flush(files, storage, file).and_then(|()| append(storage, file, bytes, padding));
        match written {
            Ok(()) => return Ok(()),
            Err(error) if !may_wait => return Err(error),
            Err(error) => tracing::error!("metadata waits, and packets are lost: {error}"),
        }
    }
    let waiting = file.waiting.get_or_insert_default();
    waiting.bytes.extend_from_slice(bytes);
    waiting.bytes.resize(size as usize, 0);
    Ok(())
}

/// Writes what waits, if the disk takes all of it.
pub fn flush(
    files: &Files,
    storage: &mut StoragePort,
    file: &mut TraceFile,
) -> Result<(), StorageError> {
    let Some(waiting) = file.waiting.take() else {
        return Ok(());
    };
    if let Err(error) = append(storage, file, &waiting.bytes, 0) {
        file.waiting = Some(waiting);
        return Err(error);
    }
    let path = path(files, file);
    tracing::warn!("the metadata in {path} is written again, all of it");
    Ok(())
}

/// Whole messages, or nothing: viewers see what is complete.
fn append(
    storage: &mut StoragePort,
    file: &mut TraceFile,
    bytes: &[u8],
    padding: u32,
) -> Result<(), StorageError> {
    data_files::write(storage, file, bytes)
        .and_then(|()| data_files::complete(storage, file, padding))
        .map(|_| ())
        .inspect_err(|_| data_files::cut(storage, file))
}

/// Whether the metadata of a stream's packets is there: an error says which waits.
pub fn check(entities: &Entities, key: StreamKey) -> Result<(), StorageError> {
    let stream = entities.streams.get(key);
    let trace = stream.and_then(|stream| entities.traces.get(stream.trace));
    let file = trace.and_then(|trace| entities.trace_files.get(trace.waiting?));
    match file {
        Some(file) if file.waiting.is_some() => Err(StorageError {
            action: "use",
            path: path(&entities.files, file),
            reason: "it waits for room on the disk".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The file goes. Readers find the metadata up to the last message that was written.
pub fn give_up(files: &Files, file: &TraceFile, error: &StorageError) {
    let path = path(files, file);
    let bytes = file
        .waiting
        .as_ref()
        .map_or(0, |waiting| waiting.bytes.len());
    tracing::error!("{bytes} bytes of metadata in {path} are lost: {error}");
}

/// For messages.
fn path(files: &Files, file: &TraceFile) -> String {
    let file = files.get(file.data);
    file.map_or_else(String::new, |file| file.path.to_string())
}
