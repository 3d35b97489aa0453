//! The bytes of packets: written to their stream's file as they come.

use std::os::fd::BorrowedFd;

use baton_components::index::PacketPlace;
use baton_components::keys::{StreamKey, TraceFileKey};
use baton_components::session::Session;
use baton_components::stream::Arriving;

use super::{
    RecordError, Recorder, closing, data_files, index_records, pairing, ring, rotation,
    waiting_metadata,
};
use crate::ports::StorageError;

pub fn begin(recorder: &mut Recorder, key: StreamKey, size: u32) -> Result<(), RecordError> {
    let stream = recorder.entities.streams.get(key);
    let stream = stream.ok_or(RecordError::Closed)?;
    if stream.is_metadata() {
        return Err(RecordError::IsMetadata(stream.number));
    }
    // The bytes of another packet would stand among those of the first.
    if stream.arriving.is_some() {
        return Err(RecordError::Arriving(stream.number));
    }
    current_file(recorder, key)?;
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    let room = waiting_metadata::check(entities, key)
        .and_then(|()| ring::make_room(entities, storage, key, u64::from(size)));
    if let Err(error) = &room {
        report_loss(recorder, key, error);
    }
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        let lost = room.is_err();
        stream.arriving = Some(Arriving { size, lost });
    }
    Ok(())
}

pub fn append(recorder: &mut Recorder, key: StreamKey, bytes: &[u8]) -> Result<(), RecordError> {
    let file = current_file(recorder, key)?;
    if is_lost(recorder, key) {
        return Ok(());
    }
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    let Some(file) = entities.trace_files.get_mut(file) else {
        return Ok(());
    };
    let written =
        data_files::write(storage, file, bytes).inspect_err(|_| data_files::cut(storage, file));
    note(recorder, key, written);
    Ok(())
}

pub fn take(
    recorder: &mut Recorder,
    key: StreamKey,
    length: u64,
    from: BorrowedFd<'_>,
) -> Result<Option<u64>, RecordError> {
    let file = current_file(recorder, key)?;
    if is_lost(recorder, key) {
        return Ok(None);
    }
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    let Some(file) = entities.trace_files.get_mut(file) else {
        return Ok(None);
    };
    let taken = data_files::take(storage, file, length, from);
    if taken.written.is_err() {
        data_files::cut(storage, file);
    } else if taken.bytes == 0 {
        return Ok(None);
    }
    note(recorder, key, taken.written);
    Ok(Some(taken.bytes))
}

/// A packet of which a part cannot be written is lost: what still comes of it is dropped.
fn note(recorder: &mut Recorder, key: StreamKey, written: Result<(), StorageError>) {
    if let Err(error) = written {
        report_loss(recorder, key, &error);
        let stream = recorder.entities.streams.get_mut(key);
        if let Some(arriving) = stream.and_then(|stream| stream.arriving.as_mut()) {
            arriving.lost = true;
        }
    }
}

fn is_lost(recorder: &Recorder, key: StreamKey) -> bool {
    let stream = recorder.entities.streams.get(key);
    let arriving = stream.and_then(|stream| stream.arriving);
    arriving.is_none_or(|arriving| arriving.lost)
}

/// The packet meets its description.
pub fn end(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    padding: u32,
) -> Result<(), RecordError> {
    let file = current_file(recorder, key)?;
    let place = if is_lost(recorder, key) {
        None
    } else {
        complete(recorder, key, file, padding)
            .inspect_err(|error| report_loss(recorder, key, error))
            .ok()
    };
    match place {
        Some(place) => {
            report_recovery(recorder, key);
            if has_indexes(recorder, key) {
                pairing::packet_came(recorder, key, sequence, place)?;
                pairing::give_up_before(recorder, key, sequence);
            }
        }
        None => pairing::packet_was_lost(recorder, key, sequence),
    }
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        stream.last_data = Some(sequence);
        stream.arriving = None;
    }
    rotation::try_rotate(recorder, key)?;
    let stream = recorder.entities.streams.get(key);
    if stream.is_some_and(|stream| stream.closing.is_some()) {
        closing::try_close(recorder, key);
    }
    Ok(())
}

/// Makes what was written of a packet a part of its file, which then has an index.
fn complete(
    recorder: &mut Recorder,
    stream: StreamKey,
    key: TraceFileKey,
    padding: u32,
) -> Result<PacketPlace, StorageError> {
    let is_indexed = has_indexes(recorder, stream);
    let Recorder {
        entities, storage, ..
    } = recorder;
    if is_indexed && let Err(error) = index_records::begin(entities, storage, key) {
        if let Some(file) = entities.trace_files.get_mut(key) {
            data_files::cut(storage, file);
        }
        return Err(error);
    }
    let file = entities
        .trace_files
        .get_mut(key)
        .expect("law of holds: a stream holds the file that it writes");
    let offset = file.size;
    let size = data_files::complete(storage, file, padding)
        .inspect_err(|_| data_files::cut(storage, file))?;
    Ok(PacketPlace {
        file: key,
        offset,
        size,
    })
}

/// The packet may come again, or the next one.
pub fn cut(recorder: &mut Recorder, key: StreamKey) {
    let Recorder {
        entities, storage, ..
    } = recorder;
    let entities = &mut **entities;
    let Some(stream) = entities.streams.get_mut(key) else {
        return;
    };
    stream.arriving = None;
    let file = stream.current_file();
    if let Some(file) = file.and_then(|file| entities.trace_files.get_mut(file)) {
        data_files::cut(storage, file);
    }
}

/// The file that the stream writes.
fn current_file(recorder: &Recorder, key: StreamKey) -> Result<TraceFileKey, RecordError> {
    let entities = &recorder.entities;
    let stream = entities.streams.get(key).filter(|stream| !stream.closed);
    let stream = stream.ok_or(RecordError::Closed)?;
    let is_open = |file: &TraceFileKey| {
        let file = entities.trace_files.get(*file);
        file.is_some_and(|file| !file.finished)
    };
    let file = stream.current_file().filter(is_open);
    file.ok_or(RecordError::NoFile(stream.number))
}

fn has_indexes(recorder: &Recorder, key: StreamKey) -> bool {
    let entities = &recorder.entities;
    let session = entities.streams.get(key).map(|stream| stream.session);
    let session = session.and_then(|session| entities.sessions.get(session));
    session.is_some_and(Session::has_indexes)
}

/// A packet cannot be written. Its producer cannot be told, and the next one may
/// find room: said once for each run of losses.
fn report_loss(recorder: &mut Recorder, key: StreamKey, error: &StorageError) {
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        if stream.lost == 0 {
            tracing::error!("stream {}: packets are being lost: {error}", stream.number);
        }
        stream.lost += 1;
    }
}

fn report_recovery(recorder: &mut Recorder, key: StreamKey) {
    if let Some(stream) = recorder.entities.streams.get_mut(key)
        && stream.lost > 0
    {
        let lost = std::mem::take(&mut stream.lost);
        tracing::warn!(
            "stream {}: recording again, {lost} packets were lost",
            stream.number
        );
    }
}
