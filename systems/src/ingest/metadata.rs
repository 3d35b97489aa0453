//! SEND_METADATA and RESET_METADATA: the bytes that describe a trace.

use baton_components::hold::Held;
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::stream::Stream;
use baton_components::wire::producer::{
    Command, CommandKind, Minors, ResetMetadata, SendMetadata, code, decode, reply,
};

use super::Ingest;
use super::fault::{Fault, Reason};
use crate::record::{Recorder, batch, waiting_metadata};

/// Appends metadata to its file, or keeps it until the disk has room. There is no reply,
/// not even to a failure.
pub fn send(ingest: &mut Ingest, own: SessionKey, command: &SendMetadata) -> Result<(), Fault> {
    append(ingest, own, command).map_err(Reason::abort)
}

/// Whether a message waits until what was written before it is in the files, since there is no
/// room for it in memory. Messages that the disk has refused are written once more, before it is
/// refused too.
pub fn must_wait(ingest: &mut Ingest, key: ConnectionKey, own: SessionKey, payload: &[u8]) -> bool {
    let minors = Minors::both(0);
    let Ok(Command::SendMetadata(command)) = decode(CommandKind::SendMetadata, minors, payload)
    else {
        return false;
    };
    let Ok(stream) = ingest.stream_of(own, command.stream) else {
        return false;
    };
    let settings = &ingest.settings;
    let Recorder {
        entities, storage, ..
    } = &mut ingest.record;
    if batch::is_buffer_full(entities, own, settings) {
        return true;
    }
    if !waiting_metadata::lacks_room(entities, stream, command.bytes, command.padding_size) {
        return false;
    }
    let connection = entities.connections.get(key);
    let has_waited = connection.is_some_and(|connection| connection.awaits_batch.is_some());
    let file = entities.streams.get(stream).and_then(Stream::current_file);
    if let Some(file) = file.map(Held::key).filter(|_| !has_waited) {
        waiting_metadata::write_again(entities, storage, file);
    }
    true
}

fn append(ingest: &mut Ingest, own: SessionKey, command: &SendMetadata) -> Result<(), Reason> {
    let key = ingest.stream_of(own, command.stream)?;
    let (bytes, padding) = (command.bytes, command.padding_size);
    Ok(ingest.record.metadata(key, bytes, padding)?)
}

/// Begins the metadata file anew, since the producer sends all of it again. Viewers go on
/// reading the old file.
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
    Ok(ingest.record.reset_metadata(key)?)
}
