//! Index records: offsets and descriptions of the packets of a data file, in its index
//! file.

use baton_components::file::File;
use baton_components::keys::TraceFileKey;
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::wire::ctf_index::{IndexRecord, Version};

use super::file_paths::{self, FilePath};
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};

/// Creates the index file of a stream's current data file, if it has none.
pub fn begin(
    entities: &mut Entities,
    storage: &mut StoragePort,
    key: TraceFileKey,
) -> Result<(), StorageError> {
    let Some(file) = entities
        .trace_files
        .get(key)
        .filter(|file| file.index.is_none())
    else {
        // It has one.
        return Ok(());
    };
    let Some(stream) = entities.streams.get(file.stream) else {
        // The stream is gone, so no packet of it becomes complete.
        return Ok(());
    };
    let Some(path) = FilePath::current(entities, file.stream, file.ordinal) else {
        // A stream in no chunk writes no file.
        return Ok(());
    };
    let version = Version::for_minor(entities.sessions[&stream.session].minor);
    let index = file_paths::create(entities, storage, &path.of_index())?;
    let begun = storage.write(index, 0, &version.header());
    if begun.is_ok() {
        entities.relink(key, |file: &mut TraceFile, links| {
            file.index = Some(Box::new(IndexFile {
                file: links.hold(index),
                version,
                committed: 0,
                fresh: Vec::new(),
                told: None,
            }));
        });
    } else if let Some(file) = entities.files.get(index)
        // Readers work without an index, but not with an incomplete one.
        && let Err(error) = storage.remove_file(&file.path)
    {
        tracing::error!("cannot remove an incomplete index file: {error}");
    }
    entities.disown::<File>(index);
    begun
}

/// Queues a record for the next [`flush`]. Returns how many bytes are queued.
pub fn add(file: &mut TraceFile, record: &IndexRecord) -> usize {
    let Some(index) = &mut file.index else {
        // A file whose stream has left its chunk has no index file: the record is dropped.
        return 0;
    };
    record.encode(index.version, &mut index.fresh);
    index.fresh.len()
}

/// Writes the queued records with one write; viewers may see them afterwards. After a
/// failure the records stay queued for the next attempt.
pub fn flush(storage: &mut StoragePort, file: &mut TraceFile) -> Result<(), StorageError> {
    let index = file.index.as_mut().filter(|index| !index.fresh.is_empty());
    let Some(index) = index else { return Ok(()) };
    let offset = index.record_offset(index.committed);
    storage.write(index.file.key(), offset, &index.fresh)?;
    index.committed += index.fresh_records();
    index.fresh.clear();
    // Most streams are idle most of the time.
    index.fresh.shrink_to(2 * index.version.record_size());
    Ok(())
}

/// Drops records that cannot be written, and cuts a torn record off: readers find the
/// packets without an index.
pub fn give_up(storage: &mut StoragePort, file: &mut TraceFile, error: &StorageError) {
    let Some(index) = &mut file.index else { return };
    tracing::error!("{} index records are lost: {error}", index.fresh_records());
    index.fresh.clear();
    if let Err(error) = storage.resize(index.file.key(), index.record_offset(index.committed)) {
        tracing::error!("cannot cut a torn record off an index file: {error}");
    }
}
