//! Metadata files: append, and restart in a new file.

use baton_components::keys::StreamKey;
use baton_components::stream::Stream;
use baton_components::totals::Written;

use super::{RecordError, Recorder, data_files, ring, waiting_metadata};

pub fn append(
    recorder: &mut Recorder,
    key: StreamKey,
    bytes: &[u8],
    padding: u32,
) -> Result<(), RecordError> {
    let Recorder {
        entities,
        storage,
        agenda,
        now,
        ..
    } = recorder;
    let entities = &mut **entities;
    let stream = entities.streams.get(key).ok_or(RecordError::Closed)?;
    if !stream.is_metadata() {
        return Err(RecordError::NotMetadata);
    }
    let (key, file) = stream
        .current_file()
        .map(|held| (held.key(), &mut entities.trace_files[held]))
        .filter(|(_, file)| !file.finished)
        .ok_or(RecordError::NoFile)?;
    entities.totals.metadata.count += 1;
    entities.totals.metadata.bytes += bytes.len() as u64;
    let waited = file.waiting.is_some();
    let address = entities.sessions[&stream.session].address;
    let (files, shares) = (&entities.files, &mut entities.shares);
    waiting_metadata::take(files, shares, address, storage, file, bytes, padding)?;
    if !waited && file.waiting.is_some() {
        entities.totals.fail(Written::Metadata);
        agenda.expect_room(now.monotonic, key);
        entities.traces[&stream.trace].waiting = Some(key);
    }
    Ok(())
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
