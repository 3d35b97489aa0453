//! Metadata files: append, and restart in a new file.

use baton_components::keys::StreamKey;
use baton_components::stream::Stream;

use super::{RecordError, Recorder, data_files, ring, waiting_metadata};

pub fn append(
    recorder: &mut Recorder,
    key: StreamKey,
    bytes: &[u8],
    padding: u32,
) -> Result<(), RecordError> {
    let Recorder {
        entities, storage, ..
    } = recorder;
    let stream = entities.streams.get(key).ok_or(RecordError::Closed)?;
    if !stream.is_metadata() {
        return Err(RecordError::NotMetadata);
    }
    let file = stream.current_file();
    let file = file.filter(|file| !entities.trace_files[*file].finished);
    let file = file.ok_or(RecordError::NoFile)?.key();
    entities.totals.metadata.count += 1;
    entities.totals.metadata.bytes += bytes.len() as u64;
    waiting_metadata::take(entities, storage, file, bytes, padding)
}

/// Restarts the metadata in a new file. A viewer that reads the old file goes on with it.
pub fn reset(recorder: &mut Recorder, key: StreamKey) -> Result<(), RecordError> {
    let Recorder {
        entities, storage, ..
    } = recorder;
    let entities = &mut **entities;
    let stream = entities.streams.get(key).ok_or(RecordError::Closed)?;
    if entities.sessions[&stream.session].is_live() {
        return Err(RecordError::Live);
    }
    if !stream.is_metadata() {
        return Err(RecordError::NotMetadata);
    }
    let old = stream.current_file().filter(|_| stream.chunk.is_some());
    let old = old.ok_or(RecordError::NoFile)?;
    // The producer sends all metadata again, so what waits is dropped.
    waiting_metadata::drop_waiting(&mut entities.shares, &mut entities.trace_files[old]);
    let old = old.key();
    ring::finish(entities, storage, old);
    data_files::begin(entities, storage, key)?;
    entities.unlink(key, |stream: &mut Stream| {
        let after = stream.files.iter().rev().position(|file| *file == old)?;
        stream.files.remove(stream.files.len() - 1 - after)
    });
    Ok(())
}
