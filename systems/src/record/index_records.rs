//! Index records: where the packets of a data file are, in the index file beside it.

use baton_components::file::File;
use baton_components::keys::TraceFileKey;
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::wire::ctf_index::{IndexRecord, Version};

use super::file_paths::{self, FilePath};
use crate::entities::Entities;
use crate::ports::{StorageError, StoragePort};

/// Makes the index file of a stream's current file, if it has none.
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
        return Ok(());
    };
    let Some(stream) = entities.streams.get(file.stream) else {
        return Ok(());
    };
    let Some(path) = FilePath::current(entities, file.stream) else {
        return Ok(());
    };
    let minor = entities
        .sessions
        .get(stream.session)
        .map_or(0, |session| session.minor);
    let version = Version::for_minor(minor);
    let index = file_paths::create(entities, storage, &path.of_index())?;
    let begun = storage.write(index, 0, &version.header());
    if begun.is_ok() {
        entities.relink(key, |file: &mut TraceFile| {
            file.index = Some(Box::new(IndexFile {
                file: index,
                version,
                committed: 0,
                fresh: Vec::new(),
                told: None,
            }));
        });
    } else if let Some(file) = entities.files.get(index)
        // Readers do without an index, but not with half a one.
        && let Err(error) = storage.remove_file(&file.path)
    {
        tracing::error!("half an index stays: {error}");
    }
    entities.disown::<File>(index);
    begun
}

/// Adds a record to those that the next [`flush`] writes; gives how many bytes wait.
pub fn add(file: &mut TraceFile, record: &IndexRecord) -> usize {
    let Some(index) = &mut file.index else {
        return 0;
    };
    record.encode(index.version, &mut index.fresh);
    index.fresh.len()
}

/// Writes the records that are complete in one go; from then on viewers may see them.
/// Those that cannot be written are kept for the next try.
pub fn flush(storage: &mut StoragePort, file: &mut TraceFile) -> Result<(), StorageError> {
    let index = file.index.as_mut().filter(|index| !index.fresh.is_empty());
    let Some(index) = index else { return Ok(()) };
    let offset = index.record_offset(index.committed);
    storage.write(index.file, offset, &index.fresh)?;
    index.committed += index.fresh_records();
    index.fresh.clear();
    // Most streams are idle most of the time.
    index.fresh.shrink_to(2 * index.version.record_size());
    Ok(())
}

/// Records that cannot be written are lost, and what was written of them is cut off:
/// readers find the packets without their index.
pub fn give_up(storage: &mut StoragePort, file: &mut TraceFile, error: &StorageError) {
    let Some(index) = &mut file.index else { return };
    tracing::error!("{} index records are lost: {error}", index.fresh_records());
    index.fresh.clear();
    if let Err(error) = storage.resize(index.file, index.record_offset(index.committed)) {
        tracing::error!("a torn record stays at the end of an index: {error}");
    }
}
