//! SEND_METADATA and RESET_METADATA: the bytes that describe a trace.

use baton_components::keys::SessionKey;
use baton_components::wire::producer::{ResetMetadata, SendMetadata, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};

/// Appends metadata to its file, or keeps it until the disk has room. There is no reply,
/// not even to a failure.
pub fn send(ingest: &mut Ingest, own: SessionKey, command: &SendMetadata) -> Result<(), Fault> {
    append(ingest, own, command).map_err(Reason::abort)
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
