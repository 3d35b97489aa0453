//! ROTATE_STREAMS: streams move on to another chunk, or to none.
//!
//! A data stream moves when the last packet of its old chunk has its index. By then
//! the data connection may have brought packets of the new chunk, which stand in the
//! old file: they are *excess*, and move with the stream.

use baton_components::chunk::ChunkId;
use baton_components::index::{Half, Index, PacketPlace};
use baton_components::keys::{ChunkKey, IndexKey, SessionKey, StreamKey, TraceFileKey};
use baton_components::limits::COPY_SLICE_BYTES;
use baton_components::stream::{Rotation, Stream};
use baton_components::wire::producer::{RotatePosition, RotateStreams, code, reply};

use super::Ingest;
use super::fault::{Fault, Reason};
use crate::record::trace_files;

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
        rotate_one(ingest, stream, target, *position).map_err(|reason| {
            reply::code(replies, code::FILE_CREATION);
            reason.abort()
        })?;
    }
    reply::code(replies, code::OK);
    Ok(())
}

/// Moves the stream to its new chunk if the time has come.
pub fn try_rotate(ingest: &mut Ingest, key: StreamKey) -> Result<(), Reason> {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return Ok(());
    };
    let Some(rotation) = stream.rotation.as_deref().copied().filter(|rotation| {
        is_due(stream, rotation.position) || ingest.has_given_up(stream.session)
    }) else {
        return Ok(());
    };
    let excess = excess(ingest, stream);
    if rotation.target.is_none() && !excess.is_empty() {
        return Err(Reason::WouldLose(stream.number));
    }
    move_to(ingest, key, rotation.target, &excess)
}

fn target(
    ingest: &Ingest,
    own: SessionKey,
    number: Option<u64>,
) -> Result<Option<ChunkKey>, Reason> {
    let Some(number) = number else {
        return Ok(None);
    };
    let session = ingest.entities.sessions.get(own).ok_or(Reason::NoSession)?;
    let origin = session.origin.ok_or(Reason::UnknownChunk(number))?;
    let chunk = ingest
        .directory
        .chunks
        .get(&ChunkId { origin, number })
        .copied();
    chunk
        .filter(|chunk| ingest.entities.chunks.contains(*chunk))
        .map(Some)
        .ok_or(Reason::UnknownChunk(number))
}

fn rotate_one(
    ingest: &mut Ingest,
    key: StreamKey,
    target: Option<ChunkKey>,
    position: RotatePosition,
) -> Result<(), Reason> {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return Ok(());
    };
    if stream.rotation.is_some() {
        return Err(Reason::Rotating(stream.number));
    }
    if stream.chunk == target {
        // It was added after that chunk was opened: it is there.
        return Ok(());
    }
    if stream.is_metadata() {
        // Metadata has no packets to wait for: all of it comes again.
        return move_to(ingest, key, target, &[]);
    }
    ingest.entities.relink(key, |stream: &mut Stream| {
        stream.rotation = Some(Box::new(Rotation {
            target,
            position: position.position,
        }));
    });
    try_rotate(ingest, key)
}

/// Whether every packet before `position` has its index. The tracer's counts may
/// jump, so the position is a lower bound; 0 is before the first.
fn is_due(stream: &Stream, position: u64) -> bool {
    position == 0
        || stream
            .last_index
            .is_some_and(|last| last.packet_sequence.wrapping_add(1) >= position)
}

/// The complete packets after the last one with an index, in the order in which they
/// came.
fn excess(ingest: &Ingest, stream: &Stream) -> Vec<(IndexKey, PacketPlace)> {
    let pivot = stream.last_index();
    let is_after =
        |sequence: u64| pivot.is_none_or(|pivot| sequence.wrapping_sub(pivot).cast_signed() > 0);
    stream
        .pending
        .iter()
        .filter(|(sequence, _)| is_after(*sequence))
        .filter_map(|(_, key)| match ingest.entities.indexes.get(*key)?.half {
            Half::Packet(place) => Some((*key, place)),
            Half::Description(_) => None,
        })
        .collect()
}

/// The stream leaves its chunk, with its excess packets and the part of a packet
/// that has come.
fn move_to(
    ingest: &mut Ingest,
    key: StreamKey,
    target: Option<ChunkKey>,
    excess: &[(IndexKey, PacketPlace)],
) -> Result<(), Reason> {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return Ok(());
    };
    let old = files_left(ingest, stream, excess);
    let torn = stream.current_file().and_then(|key| {
        let file = ingest.entities.trace_files.get(key)?;
        Some((key, file.size, file.written)).filter(|_| !file.finished)
    });
    ingest.entities.relink(key, |stream: &mut Stream| {
        stream.chunk = target;
        stream.rotation = None;
        if let Some(limit) = &mut stream.limit {
            limit.file_number = 0;
        }
        stream.files = old.iter().copied().collect();
        if target.is_some() {
            stream.chunk_ordinal = stream.next_ordinal;
        }
    });
    trace_files::begin(&mut ingest.entities, &mut ingest.storage, key)?;
    for (index, place) in excess {
        let moved = copy_packet(ingest, key, *place)?;
        repoint(ingest, *index, *place, moved);
    }
    if let Some((file, from, to)) = torn.filter(|_| target.is_some()) {
        let stream = ingest.entities.streams.get(key);
        if let Some(size) = stream.and_then(|stream| stream.arriving) {
            let Ingest {
                entities, storage, ..
            } = &mut *ingest;
            trace_files::make_room(entities, storage, key, u64::from(size))?;
        }
        copy_to_current(ingest, key, file, from, to)?;
    }
    for (_, place) in excess {
        if let Some(file) = ingest.entities.trace_files.get_mut(place.file) {
            file.size = file.size.min(place.offset);
        }
    }
    // Nothing reads the old files any more: they end with the packets that stay.
    for file in &old {
        trace_files::finish(&mut ingest.entities, &mut ingest.storage, *file);
    }
    trace_files::forget_passed(&mut ingest.entities, key);
    Ok(())
}

/// The files that a stream leaves behind, oldest first: those of the packets that
/// move may not be among the stream's own any more.
fn files_left(
    ingest: &Ingest,
    stream: &Stream,
    excess: &[(IndexKey, PacketPlace)],
) -> Vec<TraceFileKey> {
    let moving = excess.iter().map(|(_, place)| place.file);
    let mut files: Vec<TraceFileKey> = stream.files.iter().copied().chain(moving).collect();
    files.sort_by_key(|file| {
        let file = ingest.entities.trace_files.get(*file);
        file.map(|file| file.ordinal)
    });
    files.dedup();
    files
}

/// Lays a complete packet out again in the stream's new chunk; gives its new place.
fn copy_packet(
    ingest: &mut Ingest,
    key: StreamKey,
    place: PacketPlace,
) -> Result<PacketPlace, Reason> {
    trace_files::make_room(&mut ingest.entities, &mut ingest.storage, key, place.size)?;
    let end = place.offset + place.size;
    let file = copy_to_current(ingest, key, place.file, place.offset, end)?;
    let Ingest {
        entities, storage, ..
    } = &mut *ingest;
    trace_files::begin_index(entities, storage, file)?;
    let new = entities
        .trace_files
        .get_mut(file)
        .expect("law of holds: a stream holds the file that it writes");
    let offset = new.size;
    trace_files::complete(storage, new, 0)?;
    Ok(PacketPlace {
        file,
        offset,
        size: place.size,
    })
}

/// A packet stands elsewhere: its description is awaited for that file.
fn repoint(ingest: &mut Ingest, index: IndexKey, from: PacketPlace, to: PacketPlace) {
    let entities = &mut ingest.entities;
    if let Some(file) = entities.trace_files.get_mut(from.file) {
        file.awaited -= 1;
    }
    if let Some(file) = entities.trace_files.get_mut(to.file) {
        file.awaited += 1;
    }
    entities.relink(index, |index: &mut Index| index.half = Half::Packet(to));
}

/// Copies a range of a file to the end of the stream's current one, which it gives.
fn copy_to_current(
    ingest: &mut Ingest,
    key: StreamKey,
    from: TraceFileKey,
    start: u64,
    end: u64,
) -> Result<TraceFileKey, Reason> {
    let Ingest {
        entities, storage, ..
    } = ingest;
    let source = entities.trace_files.get(from).map(|file| file.data);
    let source = source.expect("law of holds: a stream and its packets hold their files");
    let to = entities.streams.get(key).and_then(Stream::current_file);
    let to = to.expect("law: a stream with a chunk has a current file");
    let file = entities
        .trace_files
        .get_mut(to)
        .expect("law of holds: a stream holds the file that it writes");
    let mut slice = vec![0; COPY_SLICE_BYTES.min(end - start) as usize];
    let mut at = start;
    while at < end {
        let size = slice.len().min((end - at) as usize);
        storage.read(source, at, &mut slice[..size])?;
        trace_files::write(storage, file, &slice[..size])?;
        at += size as u64;
    }
    Ok(to)
}
