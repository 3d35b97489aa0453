//! The bytes of packets, appended to their stream's file as they arrive.

use baton_components::batch::WrittenPacket;
use baton_components::hold::Held;
use baton_components::index::PacketLocation;
use baton_components::keys::{ConnectionKey, SessionKey, StreamKey, TraceFileKey};
use baton_components::stream::Arriving;
use baton_components::tally::Cause;

use super::losses::{self, cause};
use super::{
    RecordError, Recorder, batch, closing, data_files, index_records, pairing, ring, rotation,
    waiting_metadata,
};
use crate::entities::Entities;
use crate::facts::{PacketDropped, PacketTorn};
use crate::ports::{Arrived, StorageError, StorageErrorKind};

/// Size of what is kept in memory of a packet until it is confirmed.
const PACKET_NOTE_BYTES: u64 = size_of::<WrittenPacket>() as u64;

pub fn begin(recorder: &mut Recorder, key: StreamKey, size: u32) -> Result<(), RecordError> {
    let stream = recorder.entities.streams.get(key);
    let stream = stream.ok_or(RecordError::Closed)?;
    if stream.is_metadata() {
        return Err(RecordError::IsMetadata);
    }
    // The bytes of a second packet would be mixed with those of the first.
    if stream.arriving.is_some() {
        return Err(RecordError::Arriving);
    }
    let metadata = waiting_metadata::check(&recorder.entities, stream);
    current_file(recorder, key)?;
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    let is_metadata_there = metadata.is_ok();
    let room = metadata
        .and_then(|()| check_reserve(entities))
        .and_then(|()| ring::make_room(entities, storage, key, u64::from(size)));
    if let Err(error) = &room {
        let cause = if is_metadata_there {
            cause(error)
        } else {
            Cause::NoMetadata
        };
        losses::report(recorder, key, error, cause);
    }
    if let Some(stream) = recorder.entities.streams.get_mut(key) {
        let lost = room.is_err();
        stream.arriving = Some(Arriving { size, lost });
    }
    Ok(())
}

/// Refuses a packet while less is free on the disk than is to stay free.
fn check_reserve(entities: &Entities) -> Result<(), StorageError> {
    if !entities.totals.is_reserve_reached {
        return Ok(());
    }
    Err(StorageError {
        kind: StorageErrorKind::Full,
        action: "write to".into(),
        path: "the disk".to_owned(),
        reason: "less than --min-free is left on it".to_owned(),
    })
}

pub fn append(
    recorder: &mut Recorder,
    key: StreamKey,
    bytes: Arrived<'_>,
) -> Result<(), RecordError> {
    let file = current_file(recorder, key)?;
    if is_lost(recorder, key) {
        return Ok(());
    }
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    data_files::append(entities, storage, file, bytes);
    Ok(())
}

pub fn take(
    recorder: &mut Recorder,
    key: StreamKey,
    length: u64,
    from: ConnectionKey,
) -> Result<Option<u64>, RecordError> {
    let file = current_file(recorder, key)?;
    if is_lost(recorder, key) {
        return Ok(None);
    }
    let Recorder {
        entities, storage, ..
    } = &mut *recorder;
    let taken = data_files::take(entities, storage, file, length, from);
    Ok(Some(taken).filter(|bytes| *bytes > 0))
}

fn is_lost(recorder: &Recorder, key: StreamKey) -> bool {
    let stream = recorder.entities.streams.get(key);
    let arriving = stream.and_then(|stream| stream.arriving);
    arriving.is_none_or(|arriving| arriving.lost)
}

/// Completes the packet in its file, and pairs it with its description if that has come.
pub fn end(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    padding: u32,
) -> Result<(), RecordError> {
    let file = current_file(recorder, key)?;
    let location = if is_lost(recorder, key) {
        None
    } else {
        complete(recorder, key, file, padding)
            .inspect_err(|error| losses::report(recorder, key, error, cause(error)))
            .ok()
    };
    match location {
        Some(location) => {
            // Memory is taken for a packet without bytes, too.
            let confirmed = batch::note(&mut recorder.entities, file, PACKET_NOTE_BYTES);
            if let Some(confirmed) = confirmed {
                confirmed.packets.push(WrittenPacket {
                    sequence,
                    bytes: location.size,
                    end: location.offset + location.size,
                });
            }
            if has_indexes(recorder, key) {
                pairing::packet_came(recorder, key, sequence, location)?;
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
    if stream.is_some_and(|stream| stream.rare().closing.is_some()) {
        closing::try_close(recorder, key);
    }
    Ok(())
}

/// Makes the written bytes the next complete packet of the file. Its index file is created
/// before, so that no packet is complete without one.
fn complete(
    recorder: &mut Recorder,
    stream: StreamKey,
    key: TraceFileKey,
    padding: u32,
) -> Result<PacketLocation, StorageError> {
    let is_indexed = has_indexes(recorder, stream);
    let Recorder {
        entities, storage, ..
    } = recorder;
    if is_indexed && let Err(error) = index_records::begin(entities, storage, key) {
        data_files::cut(entities, storage, key);
        return Err(error);
    }
    let file = entities.trace_files.get(key);
    let offset = file.map_or(0, |file| file.size);
    let size = data_files::complete(entities, storage, key, padding);
    Ok(PacketLocation {
        file: key,
        offset,
        size,
        padding,
    })
}

/// Discards the packet that is arriving. The producer may send it again, or the next one.
pub fn cut(recorder: &mut Recorder, session: Option<SessionKey>, key: StreamKey, sequence: u64) {
    let Recorder {
        entities,
        storage,
        facts,
        ..
    } = recorder;
    let entities = &mut **entities;
    let stream = entities.streams.get_mut(key);
    let Some(stream) = stream.filter(|stream| !stream.closed) else {
        // The stream has not waited for it, since it was not announced.
        facts.dropped.extend(session.map(|session| PacketDropped {
            session,
            stream: key,
            cause: Cause::Torn,
        }));
        return;
    };
    if let Some(arriving) = stream.arriving.take() {
        facts.torn.push(PacketTorn {
            stream: key,
            sequence,
            is_dropped: arriving.lost,
        });
    }
    if let Some(file) = stream.current_file().map(Held::key) {
        data_files::cut(entities, storage, file);
    }
}

/// The file to which the stream appends.
fn current_file(recorder: &Recorder, key: StreamKey) -> Result<TraceFileKey, RecordError> {
    let entities = &recorder.entities;
    let stream = entities.streams.get(key).filter(|stream| !stream.closed);
    let stream = stream.ok_or(RecordError::Closed)?;
    let is_open = |file: &&Held<TraceFileKey>| !entities.trace_files[*file].finished;
    let file = stream.current_file().filter(is_open);
    file.map(Held::key).ok_or(RecordError::NoFile)
}

fn has_indexes(recorder: &Recorder, key: StreamKey) -> bool {
    let entities = &recorder.entities;
    let stream = entities.streams.get(key);
    stream.is_some_and(|stream| entities.sessions[&stream.session].has_indexes())
}
