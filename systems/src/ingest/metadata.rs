//! SEND_METADATA and RESET_METADATA: the bytes that describe a trace.

use baton_components::keys::SessionKey;
use baton_components::session::Session;
use baton_components::stream::Stream;
use baton_components::wire::producer::{ResetMetadata, SendMetadata, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};
use crate::record::trace_files;
use crate::record::waiting_metadata;

/// Appends metadata to its file, or keeps it until there is room. There is no reply, not
/// even to a failure.
pub fn send(ingest: &mut Ingest, own: SessionKey, command: &SendMetadata) -> Result<(), Fault> {
    append(ingest, own, command).map_err(Reason::abort)
}

fn append(ingest: &mut Ingest, own: SessionKey, command: &SendMetadata) -> Result<(), Reason> {
    let key = ingest.stream_of(own, command.stream)?;
    let Ingest {
        entities,
        storage,
        agenda,
        ..
    } = ingest;
    let entities = &mut **entities;
    let stream = entities
        .streams
        .get(key)
        .ok_or(Reason::UnknownStream(command.stream))?;
    if !stream.is_metadata() {
        return Err(Reason::NotMetadata(command.stream));
    }
    let (key, file) = stream
        .current_file()
        .and_then(|key| Some((key, entities.trace_files.get_mut(key)?)))
        .filter(|(_, file)| !file.finished)
        .ok_or(Reason::NoFile(command.stream))?;
    let waited = file.waiting.is_some();
    let (bytes, padding) = (command.bytes, command.padding_size);
    waiting_metadata::take(&entities.files, storage, file, bytes, padding)
        .map_err(Reason::MetadataExcess)?;
    if !waited && file.waiting.is_some() {
        agenda.waiting_metadata.push(key);
        if let Some(trace) = entities.traces.get_mut(stream.trace) {
            trace.waiting = Some(key);
        }
    }
    Ok(())
}

/// Empties the metadata, since all of it comes again. Whoever reads the old file
/// keeps it.
pub fn reset(
    ingest: &mut Ingest,
    own: SessionKey,
    command: ResetMetadata,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    match try_reset(ingest, own, command) {
        Ok(()) => {
            reply::code(replies, code::OK);
            Ok(())
        }
        Err(reason) => {
            reply::code(replies, code::UNKNOWN_ERR);
            Err(reason.abort())
        }
    }
}

fn try_reset(ingest: &mut Ingest, own: SessionKey, command: ResetMetadata) -> Result<(), Reason> {
    let key = ingest.stream_of(own, command.stream)?;
    let Ingest {
        entities, storage, ..
    } = ingest;
    if entities.sessions.get(own).is_some_and(Session::is_live) {
        return Err(Reason::Live);
    }
    let stream = entities
        .streams
        .get(key)
        .ok_or(Reason::UnknownStream(command.stream))?;
    if !stream.is_metadata() {
        return Err(Reason::NotMetadata(command.stream));
    }
    let old = stream.current_file().filter(|_| stream.chunk.is_some());
    let old = old.ok_or(Reason::NoFile(command.stream))?;
    if let Some(file) = entities.trace_files.get_mut(old) {
        // What waits comes again with the rest.
        file.waiting = None;
    }
    trace_files::finish(entities, storage, old);
    trace_files::begin(entities, storage, key)?;
    entities.relink(key, |stream: &mut Stream| {
        stream.files.retain(|file| *file != old);
    });
    Ok(())
}
