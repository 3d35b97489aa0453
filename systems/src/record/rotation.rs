//! Rotation: a stream moves to another chunk, or to none.
//!
//! A data stream moves when the last packet of its old chunk has its index. By then
//! the data connection may have brought packets of the new chunk, which stand in the
//! old file: they are *excess*, and move with the stream. Their padding does not: it is made
//! anew, as a hole.

use std::ops::Range;

use baton_components::hold::Held;
use baton_components::index::{Half, Index, PacketLocation};
use baton_components::keys::{ChunkKey, IndexKey, StreamKey, TraceFileKey};
use baton_components::stream::{Rotation, Stream};

use super::{RecordError, Recorder, batch, data_files, index_records, ring};
use crate::entities::Entities;

/// Moves the stream to its new chunk if it is due to rotate.
pub fn try_rotate(recorder: &mut Recorder, key: StreamKey) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        // The stream is gone, and has left its chunk.
        return Ok(());
    };
    let Some(rotation) = stream.rare().rotation.as_deref().filter(|rotation| {
        is_due(stream, rotation.position) || recorder.entities.sessions[&stream.session].given_up
    }) else {
        // No rotation is due, or the last packet before it has not come.
        return Ok(());
    };
    let excess = excess(recorder, stream);
    if rotation.target.is_none() && !excess.is_empty() {
        return Err(RecordError::WouldLose);
    }
    go(recorder, key, &excess)
}

/// Requests the move of a stream to another chunk, or to none, before the packet `position`.
pub fn rotate(
    recorder: &mut Recorder,
    key: StreamKey,
    target: Option<ChunkKey>,
    position: u64,
) -> Result<(), RecordError> {
    let stream = recorder.entities.streams.get(key);
    let stream = stream.ok_or(RecordError::Closed)?;
    if stream.rare().rotation.is_some() {
        return Err(RecordError::Rotating);
    }
    if stream.chunk.as_ref().map(Held::key) == target {
        // It was added after that chunk was opened: it is there.
        return Ok(());
    }
    // Metadata has no packets to wait for: all of it comes again.
    let position = if stream.is_metadata() { 0 } else { position };
    let entities = &mut recorder.entities;
    let rotation = |target| Some(Box::new(Rotation { target, position }));
    match target {
        Some(target) => entities.link(key, target, |stream: &mut Stream, target| {
            stream.rare_mut().rotation = rotation(Some(target));
        }),
        None => {
            if let Some(stream) = entities.streams.get_mut(key) {
                stream.rare_mut().rotation = rotation(None);
            }
        }
    }
    try_rotate(recorder, key)
}

/// Whether every packet before `position` has its index. The tracer's counts may
/// jump, so the position is a lower bound; 0 is before the first.
fn is_due(stream: &Stream, position: u64) -> bool {
    position == 0
        || stream
            .last_index
            .is_some_and(|last| last.packet_sequence.wrapping_add(1) >= position)
}

/// A packet that moves: its number, its half that waits, and where it is.
type Excess = (u64, IndexKey, PacketLocation);

/// The complete packets after the last one with an index, in the order in which they
/// came.
fn excess(recorder: &Recorder, stream: &Stream) -> Vec<Excess> {
    let pivot = stream.last_index();
    let is_after =
        |sequence: u64| pivot.is_none_or(|pivot| sequence.wrapping_sub(pivot).cast_signed() > 0);
    stream
        .pending
        .iter()
        .filter(|(sequence, _)| is_after(*sequence))
        .filter_map(|(sequence, key)| {
            let location = recorder.entities.indexes.get(*key)?.half.location()?;
            Some((*sequence, *key, location))
        })
        .collect()
}

/// Moves a stream to the target of its rotation, with its excess packets and the part of a
/// packet that has come.
fn go(recorder: &mut Recorder, key: StreamKey, excess: &[Excess]) -> Result<(), RecordError> {
    let stream = recorder.entities.streams.get(key);
    let stream = stream.ok_or(RecordError::Closed)?;
    let torn = stream.current_file().and_then(|held| {
        let file = &recorder.entities.trace_files[held];
        Some((held.key(), file.size..file.written)).filter(|_| !file.finished)
    });
    let left = files_left(&mut recorder.entities, key, excess);
    for file in &left {
        // Their chunk is not over before they are what they are to be.
        batch::note(&mut recorder.entities, *file, 0);
    }
    recorder.entities.unlink(key, |stream: &mut Stream| {
        let rare = stream.rare_mut();
        let rotation = rare.rotation.take();
        let target = rotation.and_then(|rotation| rotation.target);
        rare.namesake = 1;
        if let Some(limit) = &mut rare.limit {
            limit.file_number = 0;
        }
        if target.is_some() {
            stream.chunk_ordinal = stream.next_ordinal;
        }
        std::mem::replace(&mut stream.chunk, target)
    });
    let moved = move_excess(recorder, key, excess, torn);
    // Nothing reads the old files any more: they end with the packets that stay.
    for file in &left {
        ring::finish(&mut recorder.entities, &mut recorder.storage, *file);
    }
    ring::forget_passed(&mut recorder.entities, key);
    moved
}

/// Moves complete packets, and the part of one that has come, to the stream's new chunk.
fn move_excess(
    recorder: &mut Recorder,
    key: StreamKey,
    excess: &[Excess],
    torn: Option<(TraceFileKey, Range<u64>)>,
) -> Result<(), RecordError> {
    data_files::begin(&mut recorder.entities, &mut recorder.storage, key)?;
    for (sequence, index, location) in excess {
        let moved = move_packet(recorder, key, *location)?;
        repoint(recorder, *index, *location, moved);
        batch::move_packet(&mut recorder.entities, *sequence, location.file, moved);
    }
    let stream = recorder.entities.streams.get(key);
    let stream = stream.ok_or(RecordError::Closed)?;
    if let Some((file, range)) = torn.filter(|_| stream.chunk.is_some()) {
        if let Some(arriving) = stream.arriving {
            let Recorder {
                entities, storage, ..
            } = &mut *recorder;
            ring::make_room(entities, storage, key, u64::from(arriving.size))?;
        }
        move_to_current(recorder, key, file, range);
    }
    for (_, _, location) in excess {
        if let Some(file) = recorder.entities.trace_files.get_mut(location.file) {
            file.size = file.size.min(location.offset);
            file.committed = file.committed.min(file.size);
        }
    }
    Ok(())
}

/// The files that end with a rotation, of the packets that move and of the one that is
/// arriving. They may not be among the stream's own any more, and are again until they have
/// ended.
fn files_left(entities: &mut Entities, key: StreamKey, excess: &[Excess]) -> Vec<TraceFileKey> {
    let stream = entities.streams.get(key);
    let current = stream.and_then(Stream::current_file).map(Held::key);
    let mut left: Vec<TraceFileKey> = excess
        .iter()
        .map(|(_, _, location)| location.file)
        .collect();
    left.extend(current);
    left.dedup();
    for file in &left {
        let (Some(stream), Some(record)) =
            (entities.streams.get(key), entities.trace_files.get(*file))
        else {
            continue;
        };
        let is_before =
            |other: &Held<TraceFileKey>| entities.trace_files[other].ordinal < record.ordinal;
        let at = stream.files.partition_point(is_before);
        if stream.files.get(at).is_none_or(|there| *there != *file) {
            entities.link(key, *file, |stream: &mut Stream, file| {
                stream.files.insert(at, file);
            });
        }
    }
    left
}

/// Lays a complete packet out again in the stream's new chunk; gives its new place.
fn move_packet(
    recorder: &mut Recorder,
    key: StreamKey,
    location: PacketLocation,
) -> Result<PacketLocation, RecordError> {
    ring::make_room(
        &mut recorder.entities,
        &mut recorder.storage,
        key,
        location.size,
    )?;
    let range = location.offset..location.offset + location.size - u64::from(location.padding);
    let file = move_to_current(recorder, key, location.file, range);
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    index_records::begin(entities, storage, file)?;
    let new = entities.trace_files.get(file);
    let offset = new.map_or(0, |new| new.size);
    data_files::complete(entities, storage, file, location.padding);
    Ok(PacketLocation {
        file,
        offset,
        ..location
    })
}

/// Updates the location of a moved packet whose description has not come.
fn repoint(recorder: &mut Recorder, index: IndexKey, from: PacketLocation, to: PacketLocation) {
    let entities = &mut recorder.entities;
    if let Some(file) = entities.trace_files.get_mut(from.file) {
        file.awaited -= 1;
    }
    ring::note_awaited(entities, from.file);
    if let Some(file) = entities.trace_files.get_mut(to.file) {
        file.awaited += 1;
    }
    entities.relink(index, |index: &mut Index, links| {
        index.half = Half::at(to, links);
    });
}

/// Moves a range of a file to the end of the stream's current one, which it gives.
fn move_to_current(
    recorder: &mut Recorder,
    key: StreamKey,
    from: TraceFileKey,
    range: Range<u64>,
) -> TraceFileKey {
    let Recorder {
        entities, storage, ..
    } = recorder;
    let source = entities.trace_files.get(from).map(|file| file.data.key());
    let source = source.expect("law of holds: a stream and its packets hold their files");
    let to = entities.streams.get(key).and_then(Stream::current_file);
    let to = to
        .expect("law: a stream with a chunk has a current file")
        .key();
    data_files::move_in(entities, storage, to, source, range);
    to
}
