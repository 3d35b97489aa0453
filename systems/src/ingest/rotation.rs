//! ROTATE_STREAMS: moves streams to another chunk, or to none.

use baton_components::chunk::ChunkId;
use baton_components::costs::ROTATED_AT_ONCE;
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey};
use baton_components::wire::producer::{RotateStreams, code, reply};

use super::fault::{Fault, Reason};
use super::{Ingest, Progress};

/// Rotates the streams of a command, or some of them if there are very many: the rest follows when
/// the command is executed again.
pub fn rotate(
    ingest: &mut Ingest,
    by: ConnectionKey,
    own: SessionKey,
    command: &RotateStreams,
    replies: &mut Vec<u8>,
) -> Result<Progress, Fault> {
    let target = target(ingest, own, command.new_chunk).map_err(|reason| {
        reply::code(replies, code::INVALID_PROTOCOL);
        reason.abort()
    })?;
    let done = rotated(ingest, by).map_or(0, |rotated| *rotated as usize);
    for position in command.positions.after(done, ROTATED_AT_ONCE) {
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
    let done = done + ROTATED_AT_ONCE;
    let is_whole = done >= command.positions.len();
    if let Some(rotated) = rotated(ingest, by) {
        *rotated = if is_whole { 0 } else { done as u32 };
    }
    if !is_whole {
        return Ok(Progress::Part);
    }
    reply::code(replies, code::OK);
    Ok(Progress::Whole)
}

/// Streams of the current command that are rotated.
fn rotated<'a>(ingest: &'a mut Ingest, by: ConnectionKey) -> Option<&'a mut u32> {
    let connection = ingest.record.entities.connections.get_mut(by)?;
    Some(&mut connection.control_mut()?.rotated)
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
