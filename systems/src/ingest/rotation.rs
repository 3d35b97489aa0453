//! ROTATE_STREAMS: moves streams to another chunk, or to none.

use baton_components::chunk::ChunkId;
use baton_components::keys::{ChunkKey, SessionKey};
use baton_components::wire::producer::{RotateStreams, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};

pub fn rotate(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &RotateStreams,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let target = target(ingest, own, command.new_chunk).map_err(|reason| {
        reply::code(replies, code::INVALID_PROTOCOL);
        reason.abort()
    })?;
    for position in &command.positions {
        let stream = ingest.stream_of(own, position.stream).map_err(|reason| {
            reply::code(replies, code::INVALID);
            reason.abort()
        })?;
        let moved = ingest.record.rotate(stream, target, position.position);
        moved.map_err(|error| {
            reply::code(replies, code::FILE_CREATION);
            Reason::from(error).abort()
        })?;
    }
    reply::code(replies, code::OK);
    Ok(())
}

fn target(
    ingest: &Ingest,
    own: SessionKey,
    number: Option<u64>,
) -> Result<Option<ChunkKey>, Reason> {
    let Some(number) = number else {
        return Ok(None);
    };
    let session = ingest.session(own)?;
    let origin = session.origin.ok_or(Reason::UnknownChunk(number))?;
    let chunk = ingest
        .record
        .directory
        .chunks
        .get(&ChunkId { origin, number })
        .copied();
    chunk
        .filter(|chunk| ingest.record.entities.chunks.contains(*chunk))
        .map(Some)
        .ok_or(Reason::UnknownChunk(number))
}
