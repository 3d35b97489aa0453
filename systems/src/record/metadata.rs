//! Metadata: the bytes that describe a trace.

use baton_components::keys::StreamKey;
use baton_components::session::Session;
use baton_components::stream::Stream;

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
        ..
    } = recorder;
    let entities = &mut **entities;
    let stream = entities.streams.get(key).ok_or(RecordError::Closed)?;
    if !stream.is_metadata() {
        return Err(RecordError::NotMetadata(stream.number));
    }
    let (key, file) = stream
        .current_file()
        .and_then(|key| Some((key, entities.trace_files.get_mut(key)?)))
        .filter(|(_, file)| !file.finished)
        .ok_or(RecordError::NoFile(stream.number))?;
    let waited = file.waiting.is_some();
    waiting_metadata::take(&entities.files, storage, file, bytes, padding)
        .map_err(RecordError::MetadataExcess)?;
    if !waited && file.waiting.is_some() {
        agenda.waiting_metadata.push(key);
        if let Some(trace) = entities.traces.get_mut(stream.trace) {
            trace.waiting = Some(key);
        }
    }
    Ok(())
}

/// A viewer that reads the old file keeps it.
pub fn reset(recorder: &mut Recorder, key: StreamKey) -> Result<(), RecordError> {
    let Recorder {
        entities, storage, ..
    } = recorder;
    let stream = entities.streams.get(key).ok_or(RecordError::Closed)?;
    if entities
        .sessions
        .get(stream.session)
        .is_some_and(Session::is_live)
    {
        return Err(RecordError::Live);
    }
    if !stream.is_metadata() {
        return Err(RecordError::NotMetadata(stream.number));
    }
    let old = stream.current_file().filter(|_| stream.chunk.is_some());
    let old = old.ok_or(RecordError::NoFile(stream.number))?;
    if let Some(file) = entities.trace_files.get_mut(old) {
        // Waiting metadata comes again with the rest.
        file.waiting = None;
    }
    ring::finish(entities, storage, old);
    data_files::begin(entities, storage, key)?;
    entities.relink(key, |stream: &mut Stream| {
        stream.files.retain(|file| *file != old);
    });
    Ok(())
}
