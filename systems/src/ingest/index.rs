//! SEND_INDEX: the description of a packet, or a live beacon; and how it meets the
//! packet's bytes.

use std::time::Duration;

use baton_components::index::{Half, Index, PacketPlace};
use baton_components::keys::{SessionKey, StreamKey};
use baton_components::limits::{COMMIT_BYTES, PENDING_INDEXES_PER_STREAM};
use baton_components::stream::{Described, LastIndex, reached};
use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::{NONE, SendIndex, code, reply};

use super::fault::{Fault, Reason};
use super::{Ingest, rotation};
use crate::record::trace_files;
use crate::serve::question;

/// Takes a description. The answer is the same whether the packet's bytes have come
/// or not.
pub fn send(
    ingest: &mut Ingest,
    own: SessionKey,
    command: SendIndex,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let taken = ingest
        .stream_of(own, command.stream)
        .and_then(|stream| take(ingest, stream, command));
    match taken {
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

fn take(ingest: &mut Ingest, key: StreamKey, description: SendIndex) -> Result<(), Reason> {
    let hold_back = hold_back(ingest, key);
    let now = ingest.now.monotonic;
    let Some(stream) = ingest.entities.streams.get_mut(key) else {
        return Ok(());
    };
    if stream.is_metadata() {
        return Err(Reason::IsMetadata(stream.number));
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
            question::look_again(&ingest.entities, &mut ingest.agenda, key);
        }
        return Ok(());
    }
    set_beacon(described, now, hold_back, None);
    let session = stream.session;
    description_came(ingest, key, session, description)
}

/// How long viewers are not told of what comes in a stream; none: not at all.
fn hold_back(ingest: &Ingest, key: StreamKey) -> Option<Duration> {
    let stream = ingest.entities.streams.get(key)?;
    let session = ingest.entities.sessions.get(stream.session)?;
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
    ingest: &mut Ingest,
    key: StreamKey,
    session: SessionKey,
    description: SendIndex,
) -> Result<(), Reason> {
    let sequence = description.sequence;
    match meet(ingest, key, sequence) {
        Meeting::With(Half::Packet(place)) => {
            complete(ingest, key, place, &description);
            rotation::try_rotate(ingest, key)
        }
        Meeting::With(Half::Description(_)) => twice(ingest, key, sequence, "the description"),
        // Its bytes were paired, or lost: it would wait for ever.
        Meeting::Alone { passed: true } => {
            account(ingest, key, &description);
            rotation::try_rotate(ingest, key)
        }
        Meeting::Alone { passed: false } => {
            wait(ingest, key, sequence, Half::Description(description))?;
            if ingest.has_given_up(session) {
                give_up(ingest, key);
                rotation::try_rotate(ingest, key)?;
            }
            Ok(())
        }
    }
}

/// The bytes of a packet are complete in the stream's current file.
pub fn packet_came(
    ingest: &mut Ingest,
    key: StreamKey,
    sequence: u64,
    place: PacketPlace,
) -> Result<(), Reason> {
    match meet(ingest, key, sequence) {
        Meeting::With(Half::Description(description)) => {
            complete(ingest, key, place, &description);
            Ok(())
        }
        Meeting::With(Half::Packet(_)) => twice(ingest, key, sequence, "the data"),
        Meeting::Alone { .. } => {
            wait(ingest, key, sequence, Half::Packet(place))?;
            if let Some(file) = ingest.entities.trace_files.get_mut(place.file) {
                file.awaited += 1;
            }
            Ok(())
        }
    }
}

/// The bytes of a packet could not be written: its description is not waited for, or
/// waits for nothing.
pub fn packet_was_lost(ingest: &mut Ingest, key: StreamKey, sequence: u64) {
    if let Meeting::With(Half::Description(description)) = meet(ingest, key, sequence) {
        stop_waiting(ingest, key, sequence);
        account(ingest, key, &description);
    }
}

/// The packets of a stream come in order: those before `sequence` that were described and
/// did not come will not.
pub fn give_up_before(ingest: &mut Ingest, key: StreamKey, sequence: u64) {
    while let Some(description) = oldest(ingest, key)
        && description.sequence != sequence
        && reached(Some(sequence), description.sequence)
    {
        stop_waiting(ingest, key, description.sequence);
        account(ingest, key, &description);
    }
}

/// No packet that was described will come.
pub fn give_up(ingest: &mut Ingest, key: StreamKey) {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return;
    };
    let halves = stream.pending.iter();
    let descriptions: Vec<SendIndex> = halves
        .filter_map(
            |(_, index)| match ingest.entities.indexes.get(*index)?.half {
                Half::Description(description) => Some(description),
                Half::Packet(_) => None,
            },
        )
        .collect();
    for description in descriptions {
        stop_waiting(ingest, key, description.sequence);
        account(ingest, key, &description);
    }
}

/// The half that waits for longest, if it is a description.
fn oldest(ingest: &Ingest, key: StreamKey) -> Option<SendIndex> {
    let (_, index) = ingest.entities.streams.get(key)?.pending.front()?;
    match ingest.entities.indexes.get(*index)?.half {
        Half::Description(description) => Some(description),
        Half::Packet(_) => None,
    }
}

/// What a half finds when it comes.
enum Meeting {
    With(Half),
    /// No half waits. `passed`: the packet's bytes have come before.
    Alone {
        passed: bool,
    },
}

fn meet(ingest: &Ingest, key: StreamKey, sequence: u64) -> Meeting {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return Meeting::Alone { passed: true };
    };
    let waiting = stream
        .find_pending(sequence)
        .ok()
        .map(|at| stream.pending[at].1);
    match waiting.and_then(|index| ingest.entities.indexes.get(index)) {
        Some(index) => Meeting::With(index.half),
        None => Meeting::Alone {
            passed: reached(stream.last_data, sequence),
        },
    }
}

fn twice(ingest: &Ingest, key: StreamKey, sequence: u64, half: &'static str) -> Result<(), Reason> {
    let stream = ingest
        .entities
        .streams
        .get(key)
        .map_or(NONE, |stream| stream.number);
    Err(Reason::Twice {
        stream,
        sequence,
        half,
    })
}

/// Keeps a half until the other comes.
fn wait(ingest: &mut Ingest, key: StreamKey, sequence: u64, half: Half) -> Result<(), Reason> {
    let Some(stream) = ingest.entities.streams.get(key) else {
        return Ok(());
    };
    if stream.pending.len() >= PENDING_INDEXES_PER_STREAM {
        return Err(Reason::TooManyPending(stream.number));
    }
    let index = ingest.entities.insert(Index { stream: key, half });
    if let Some(stream) = ingest.entities.streams.get_mut(key)
        && let Err(at) = stream.find_pending(sequence)
    {
        stream.pending.insert(at, (sequence, index));
    }
    Ok(())
}

/// Both halves are there: the record goes to the index of the file that the bytes
/// are in, and is written with those that follow soon.
fn complete(ingest: &mut Ingest, key: StreamKey, place: PacketPlace, description: &SendIndex) {
    stop_waiting(ingest, key, description.sequence);
    account(ingest, key, description);
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
    let hold_back = hold_back(ingest, key);
    let Some(file) = ingest.entities.trace_files.get_mut(place.file) else {
        return;
    };
    if !file.has_unwritten() {
        ingest.agenda.indexed.push(place.file);
        ingest.agenda.expect_commit(ingest.now.monotonic);
    }
    let waiting = trace_files::record(file, &record);
    if let Some(delay) = hold_back {
        file.hold_back_last(ingest.now.monotonic, delay);
    }
    if waiting >= COMMIT_BYTES {
        // If this fails, `commit` says so and tries again.
        let _ = trace_files::flush(&mut ingest.storage, file);
    }
    question::look_again(&ingest.entities, &mut ingest.agenda, key);
}

/// The half of a packet that waits has met the other, or never will.
fn stop_waiting(ingest: &mut Ingest, key: StreamKey, sequence: u64) {
    let Ingest { entities, .. } = ingest;
    let Some(stream) = entities.streams.get_mut(key) else {
        return;
    };
    let at = stream.find_pending(sequence).ok();
    if let Some((_, index)) = at.and_then(|at| stream.pending.remove(at)) {
        trace_files::end_half(entities, index);
    }
}

/// The packet is done with: rotations and questions about pending data count on it.
fn account(ingest: &mut Ingest, key: StreamKey, description: &SendIndex) {
    if let Some(stream) = ingest.entities.streams.get_mut(key)
        && !reached(stream.last_index(), description.sequence)
    {
        stream.last_index = Some(LastIndex {
            sequence: description.sequence,
            packet_sequence: description.packet_sequence,
        });
    }
}
