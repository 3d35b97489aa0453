//! Rotation: a stream moves on to another chunk, or to none.
//!
//! A data stream moves when the last packet of its old chunk has its index. By then
//! the data connection may have brought packets of the new chunk, which stand in the
//! old file: they are *excess*, and move with the stream.

use baton_components::index::{Half, Index, PacketPlace};
use baton_components::keys::{ChunkKey, IndexKey, StreamKey, TraceFileKey};
use baton_components::limits::COPY_SLICE_BYTES;
use baton_components::stream::{Rotation, Stream};

use super::{RecordError, Recorder, data_files, index_records, ring};

/// Moves the stream to its new chunk if the time has come.
pub fn try_rotate(recorder: &mut Recorder, key: StreamKey) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Ok(());
    };
    let Some(rotation) = stream.rotation.as_deref().copied().filter(|rotation| {
        is_due(stream, rotation.position) || recorder.has_given_up(stream.session)
    }) else {
        return Ok(());
    };
    let excess = excess(recorder, stream);
    if rotation.target.is_none() && !excess.is_empty() {
        return Err(RecordError::WouldLose(stream.number));
    }
    move_to(recorder, key, rotation.target, &excess)
}

/// The stream is to move to another chunk, or to none, before the packet `position`.
pub fn rotate(
    recorder: &mut Recorder,
    key: StreamKey,
    target: Option<ChunkKey>,
    position: u64,
) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Ok(());
    };
    if stream.rotation.is_some() {
        return Err(RecordError::Rotating(stream.number));
    }
    if stream.chunk == target {
        // It was added after that chunk was opened: it is there.
        return Ok(());
    }
    if stream.is_metadata() {
        // Metadata has no packets to wait for: all of it comes again.
        return move_to(recorder, key, target, &[]);
    }
    recorder.entities.relink(key, |stream: &mut Stream| {
        stream.rotation = Some(Box::new(Rotation { target, position }));
    });
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

/// The complete packets after the last one with an index, in the order in which they
/// came.
fn excess(recorder: &Recorder, stream: &Stream) -> Vec<(IndexKey, PacketPlace)> {
    let pivot = stream.last_index();
    let is_after =
        |sequence: u64| pivot.is_none_or(|pivot| sequence.wrapping_sub(pivot).cast_signed() > 0);
    stream
        .pending
        .iter()
        .filter(|(sequence, _)| is_after(*sequence))
        .filter_map(|(_, key)| match recorder.entities.indexes.get(*key)?.half {
            Half::Packet(place) => Some((*key, place)),
            Half::Description(_) => None,
        })
        .collect()
}

/// The stream leaves its chunk, with its excess packets and the part of a packet
/// that has come.
fn move_to(
    recorder: &mut Recorder,
    key: StreamKey,
    target: Option<ChunkKey>,
    excess: &[(IndexKey, PacketPlace)],
) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Ok(());
    };
    let old = files_left(recorder, stream, excess);
    let torn = stream.current_file().and_then(|key| {
        let file = recorder.entities.trace_files.get(key)?;
        Some((key, file.size, file.written)).filter(|_| !file.finished)
    });
    recorder.entities.relink(key, |stream: &mut Stream| {
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
    data_files::begin(&mut recorder.entities, &mut recorder.storage, key)?;
    for (index, place) in excess {
        let moved = copy_packet(recorder, key, *place)?;
        repoint(recorder, *index, *place, moved);
    }
    if let Some((file, from, to)) = torn.filter(|_| target.is_some()) {
        let stream = recorder.entities.streams.get(key);
        if let Some(arriving) = stream.and_then(|stream| stream.arriving) {
            let Recorder {
                entities, storage, ..
            } = &mut *recorder;
            ring::make_room(entities, storage, key, u64::from(arriving.size))?;
        }
        copy_to_current(recorder, key, file, from, to)?;
    }
    for (_, place) in excess {
        if let Some(file) = recorder.entities.trace_files.get_mut(place.file) {
            file.size = file.size.min(place.offset);
        }
    }
    // Nothing reads the old files any more: they end with the packets that stay.
    for file in &old {
        ring::finish(&mut recorder.entities, &mut recorder.storage, *file);
    }
    ring::forget_passed(&mut recorder.entities, key);
    Ok(())
}

/// The files that a stream leaves behind, oldest first: those of the packets that
/// move may not be among the stream's own any more.
fn files_left(
    recorder: &Recorder,
    stream: &Stream,
    excess: &[(IndexKey, PacketPlace)],
) -> Vec<TraceFileKey> {
    let moving = excess.iter().map(|(_, place)| place.file);
    let mut files: Vec<TraceFileKey> = stream.files.iter().copied().chain(moving).collect();
    files.sort_by_key(|file| {
        let file = recorder.entities.trace_files.get(*file);
        file.map(|file| file.ordinal)
    });
    files.dedup();
    files
}

/// Lays a complete packet out again in the stream's new chunk; gives its new place.
fn copy_packet(
    recorder: &mut Recorder,
    key: StreamKey,
    place: PacketPlace,
) -> Result<PacketPlace, RecordError> {
    ring::make_room(
        &mut recorder.entities,
        &mut recorder.storage,
        key,
        place.size,
    )?;
    let end = place.offset + place.size;
    let file = copy_to_current(recorder, key, place.file, place.offset, end)?;
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    index_records::begin(entities, storage, file)?;
    let new = entities
        .trace_files
        .get_mut(file)
        .expect("law of holds: a stream holds the file that it writes");
    let offset = new.size;
    data_files::complete(storage, new, 0)?;
    Ok(PacketPlace {
        file,
        offset,
        size: place.size,
    })
}

/// A packet stands elsewhere: its description is awaited for that file.
fn repoint(recorder: &mut Recorder, index: IndexKey, from: PacketPlace, to: PacketPlace) {
    let entities = &mut recorder.entities;
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
    recorder: &mut Recorder,
    key: StreamKey,
    from: TraceFileKey,
    start: u64,
    end: u64,
) -> Result<TraceFileKey, RecordError> {
    let Recorder {
        entities, storage, ..
    } = recorder;
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
        data_files::write(storage, file, &slice[..size])?;
        at += size as u64;
    }
    Ok(to)
}
