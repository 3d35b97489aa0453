//! Index records: offsets and descriptions of the packets of a data file, in its index
//! file.

use baton_components::batch::WrittenRecord;
use baton_components::file::File;
use baton_components::keys::TraceFileKey;
use baton_components::trace_file::{IndexFile, TraceFile};
use baton_components::wire::ctf_index::Version;

use super::batch;
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
    entities.relink(key, |file: &mut TraceFile, links| {
        file.index = Some(Box::new(IndexFile::new(links.hold(index), version)));
    });
    entities.disown::<File>(index);
    Ok(())
}

/// Adds the record of a complete packet: it is written with the next commit.
pub fn add(entities: &mut Entities, key: TraceFileKey, written: WrittenRecord) {
    let Some(file) = entities.trace_files.get_mut(key) else {
        return;
    };
    let Some(index) = &mut file.index else {
        // A file whose stream has left its chunk has no index file: the record is dropped.
        return;
    };
    written.record.encode(index.version, &mut index.fresh);
    let bytes = index.version.record_size() as u64;
    if let Some(confirmed) = batch::note(entities, key, bytes) {
        confirmed.records.push(written);
    }
}
