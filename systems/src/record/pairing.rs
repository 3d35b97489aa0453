//! Pairing: the two halves of a packet, its description and its bytes, come on two
//! connections in any order. When they have met, the packet is complete.

use std::time::Duration;

use baton_components::index::{Half, Index, PacketPlace};
use baton_components::keys::{IndexKey, SessionKey, StreamKey};
use baton_components::limits::{COMMIT_BYTES, PENDING_INDEXES_PER_STREAM};
use baton_components::stream::{Described, LastIndex, reached};
use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::{NONE, SendIndex};

use super::{RecordError, Recorder, index_records, rotation};
use crate::entities::Entities;
use crate::facts::{BeaconMoved, PacketComplete};

/// Takes the description of a packet, or a live beacon.
pub fn describe(
    recorder: &mut Recorder,
    key: StreamKey,
    description: SendIndex,
) -> Result<(), RecordError> {
    let hold_back = hold_back(recorder, key);
    let now = recorder.now.monotonic;
    let Some(stream) = recorder.entities.streams.get_mut(key) else {
        return Ok(());
    };
    if stream.is_metadata() {
        return Err(RecordError::IsMetadata(stream.number));
    }
    let described = stream.described.get_or_insert(Described {
        class: description.class,
        beacon: None,
        told: None,
    });
    if description.packet_size_bits == 0 {
        // A beacon: nothing happens in this stream before that time, unless a packet
        // is under way.
        if stream.pending.is_empty() {
            set_beacon(described, now, hold_back, Some(description.timestamp_end));
            recorder.facts.beacons.push(BeaconMoved(key));
        }
        return Ok(());
    }
    set_beacon(described, now, hold_back, None);
    let session = stream.session;
    description_came(recorder, key, session, description)
}

/// How long viewers are not told of what comes in a stream; none: not at all.
fn hold_back(recorder: &Recorder, key: StreamKey) -> Option<Duration> {
    let stream = recorder.entities.streams.get(key)?;
    let session = recorder.entities.sessions.get(stream.session)?;
    Some(session.hold_back).filter(|time| !time.is_zero())
}

fn set_beacon(
    described: &mut Described,
    now: Duration,
    hold_back: Option<Duration>,
    beacon: Option<u64>,
) {
    if let Some(delay) = hold_back {
        let told = described.told.get_or_insert_default();
        told.set(now, delay, beacon);
    }
    described.beacon = beacon;
}

/// The description of a packet has come: its record is complete, or it waits.
fn description_came(
    recorder: &mut Recorder,
    key: StreamKey,
    session: SessionKey,
    description: SendIndex,
) -> Result<(), RecordError> {
    let sequence = description.sequence;
    match meet(recorder, key, sequence) {
        Meeting::With(Half::Packet(place)) => {
            complete(recorder, key, place, &description);
            rotation::try_rotate(recorder, key)
        }
        Meeting::With(Half::Description(_)) => twice(recorder, key, sequence, "the description"),
        // Its bytes were paired, or lost: it would wait for ever.
        Meeting::Alone { passed: true } => {
            account(recorder, key, &description);
            rotation::try_rotate(recorder, key)
        }
        Meeting::Alone { passed: false } => {
            wait(recorder, key, sequence, Half::Description(description))?;
            if recorder.has_given_up(session) {
                give_up(recorder, key);
                rotation::try_rotate(recorder, key)?;
            }
            Ok(())
        }
    }
}

/// The bytes of a packet are complete in the stream's current file.
pub fn packet_came(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    place: PacketPlace,
) -> Result<(), RecordError> {
    match meet(recorder, key, sequence) {
        Meeting::With(Half::Description(description)) => {
            complete(recorder, key, place, &description);
            Ok(())
        }
        Meeting::With(Half::Packet(_)) => twice(recorder, key, sequence, "the data"),
        Meeting::Alone { .. } => {
            wait(recorder, key, sequence, Half::Packet(place))?;
            if let Some(file) = recorder.entities.trace_files.get_mut(place.file) {
                file.awaited += 1;
            }
            Ok(())
        }
    }
}

/// The bytes of a packet could not be written: its description is not waited for, or
/// waits for nothing.
pub fn packet_was_lost(recorder: &mut Recorder, key: StreamKey, sequence: u64) {
    if let Meeting::With(Half::Description(description)) = meet(recorder, key, sequence) {
        stop_waiting(recorder, key, sequence);
        account(recorder, key, &description);
    }
}

/// The packets of a stream come in order: those before `sequence` that were described and
/// did not come will not.
pub fn give_up_before(recorder: &mut Recorder, key: StreamKey, sequence: u64) {
    while let Some(description) = oldest(recorder, key)
        && description.sequence != sequence
        && reached(Some(sequence), description.sequence)
    {
        stop_waiting(recorder, key, description.sequence);
        account(recorder, key, &description);
    }
}

/// No packet that was described will come.
pub fn give_up(recorder: &mut Recorder, key: StreamKey) {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return;
    };
    let halves = stream.pending.iter();
    let descriptions: Vec<SendIndex> = halves
        .filter_map(
            |(_, index)| match recorder.entities.indexes.get(*index)?.half {
                Half::Description(description) => Some(description),
                Half::Packet(_) => None,
            },
        )
        .collect();
    for description in descriptions {
        stop_waiting(recorder, key, description.sequence);
        account(recorder, key, &description);
    }
}

/// The half that waits for longest, if it is a description.
fn oldest(recorder: &Recorder, key: StreamKey) -> Option<SendIndex> {
    let (_, index) = recorder.entities.streams.get(key)?.pending.front()?;
    match recorder.entities.indexes.get(*index)?.half {
        Half::Description(description) => Some(description),
        Half::Packet(_) => None,
    }
}

/// The result of looking for the other half of a packet.
enum Meeting {
    With(Half),
    /// No half waits. `passed`: the packet's bytes have come before.
    Alone {
        passed: bool,
    },
}

fn meet(recorder: &Recorder, key: StreamKey, sequence: u64) -> Meeting {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Meeting::Alone { passed: true };
    };
    let waiting = stream
        .find_pending(sequence)
        .ok()
        .map(|at| stream.pending[at].1);
    match waiting.and_then(|index| recorder.entities.indexes.get(index)) {
        Some(index) => Meeting::With(index.half),
        None => Meeting::Alone {
            passed: reached(stream.last_data, sequence),
        },
    }
}

fn twice(
    recorder: &Recorder,
    key: StreamKey,
    sequence: u64,
    half: &'static str,
) -> Result<(), RecordError> {
    let stream = recorder
        .entities
        .streams
        .get(key)
        .map_or(NONE, |stream| stream.number);
    Err(RecordError::Twice {
        stream,
        sequence,
        half,
    })
}

/// Keeps a half until the other comes.
fn wait(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    half: Half,
) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Ok(());
    };
    if stream.pending.len() >= PENDING_INDEXES_PER_STREAM {
        return Err(RecordError::TooManyPending(stream.number));
    }
    let index = recorder.entities.insert(Index { stream: key, half });
    if let Some(stream) = recorder.entities.streams.get_mut(key)
        && let Err(at) = stream.find_pending(sequence)
    {
        stream.pending.insert(at, (sequence, index));
    }
    Ok(())
}

/// Both halves are there: the record goes to the index of the file that the bytes
/// are in, and is written with those that follow soon.
fn complete(recorder: &mut Recorder, key: StreamKey, place: PacketPlace, description: &SendIndex) {
    stop_waiting(recorder, key, description.sequence);
    account(recorder, key, description);
    let record = IndexRecord {
        offset_bytes: place.offset,
        packet_size_bits: description.packet_size_bits,
        content_size_bits: description.content_size_bits,
        timestamp_begin: description.timestamp_begin,
        timestamp_end: description.timestamp_end,
        events_discarded: description.events_discarded,
        class: description.class,
        instance: description.instance,
        packet_sequence: description.packet_sequence,
    };
    let hold_back = hold_back(recorder, key);
    let Some(file) = recorder.entities.trace_files.get_mut(place.file) else {
        return;
    };
    if !file.has_unwritten() {
        recorder.agenda.indexed.push(place.file);
        recorder.agenda.expect_commit(recorder.now.monotonic);
    }
    let waiting = index_records::add(file, &record);
    if let Some(delay) = hold_back {
        file.hold_back_last(recorder.now.monotonic, delay);
    }
    if waiting >= COMMIT_BYTES {
        // If this fails, `commit` says so and tries again.
        let _ = index_records::flush(&mut recorder.storage, file);
    }
    recorder.facts.packets.push(PacketComplete(key));
}

/// The half of a packet that waits has met the other, or never will.
fn stop_waiting(recorder: &mut Recorder, key: StreamKey, sequence: u64) {
    let Recorder { entities, .. } = recorder;
    let Some(stream) = entities.streams.get_mut(key) else {
        return;
    };
    let at = stream.find_pending(sequence).ok();
    if let Some((_, index)) = at.and_then(|at| stream.pending.remove(at)) {
        end_half(entities, index);
    }
}

/// The packet is done with: rotations and questions about pending data count on it.
fn account(recorder: &mut Recorder, key: StreamKey, description: &SendIndex) {
    if let Some(stream) = recorder.entities.streams.get_mut(key)
        && !reached(stream.last_index(), description.sequence)
    {
        stream.last_index = Some(LastIndex {
            sequence: description.sequence,
            packet_sequence: description.packet_sequence,
        });
    }
}

/// A half does not wait any more: its file may be complete now.
pub fn end_half(entities: &mut Entities, key: IndexKey) {
    if let Some(Index {
        half: Half::Packet(place),
        ..
    }) = entities.indexes.get(key)
        && let Some(file) = entities.trace_files.get_mut(place.file)
    {
        file.awaited -= 1;
    }
    entities.disown::<Index>(key);
}
