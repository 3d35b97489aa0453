//! ROTATE_STREAMS: moves streams to another chunk, or to none.

use baton_components::chunk::ChunkId;
use baton_components::connection::Control;
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
    let before = control(ingest, by).map_or(0, |control| control.rotated as usize);
    let mut done = before;
    let calls = ingest.record.storage.calls();
    for position in command.positions.after(before, ROTATED_AT_ONCE) {
        let stream = ingest.stream_of(own, position.stream).map_err(|reason| {
            reply::code(replies, code::INVALID);
            reason.abort()
        })?;
        let moved = ingest.record.rotate(stream, target, position.position);
        moved.map_err(|error| {
            reply::code(replies, code::FILE_CREATION);
            Reason::from(error).abort()
        })?;
        done += 1;
        // Each may make the directories of a deep path.
        if ingest.record.storage.calls() - calls >= 2 * ROTATED_AT_ONCE as u64 {
            break;
        }
    }
    let is_whole = done >= command.positions.len();
    if let Some(control) = control(ingest, by) {
        control.rotated = if is_whole { 0 } else { done as u32 };
    }
    if !is_whole {
        return Ok(Progress::Part);
    }
    reply::code(replies, code::OK);
    Ok(Progress::Whole)
}

fn control<'a>(ingest: &'a mut Ingest, by: ConnectionKey) -> Option<&'a mut Control> {
    ingest
        .record
        .entities
        .connections
        .get_mut(by)?
        .control_mut()
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
