//! Pairing of the two halves of a packet: its description and its bytes come on two
//! connections in any order. With both, the packet is complete.

use std::time::Duration;

use baton_components::batch::WrittenRecord;
use baton_components::chunk::CloseCommand;
use baton_components::hold::Links;
use baton_components::index::{Half, Index, PacketLocation};
use baton_components::keys::{IndexKey, SessionKey, StreamKey};
use baton_components::limits::{HALF_BYTES, PENDING_INDEXES_PER_STREAM};
use baton_components::shares::Asset;
use baton_components::stream::{Described, LastIndex, reached};
use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::SendIndex;

use super::{RecordError, Recorder, index_records, ring, rotation};
use crate::entities::Entities;
use crate::facts::{BeaconMoved, PacketDescribed, PacketGivenUp};

/// Records the description of a packet, or a live beacon.
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
        return Err(RecordError::IsMetadata);
    }
    let described = stream.described.get_or_insert(Described {
        class: description.class,
        beacon: None,
        told: None,
    });
    if description.packet_size_bits == 0 {
        // A beacon: the stream has no events before that time. It is not valid while a
        // half waits, since that packet's events are earlier.
        if stream.pending.is_empty() {
            set_beacon(described, now, hold_back, Some(description.timestamp_end));
            recorder.facts.beacons.push(BeaconMoved(key));
        }
        return Ok(());
    }
    set_beacon(described, now, hold_back, None);
    let session = stream.session.key();
    description_came(recorder, key, session, description)
}

/// The hold-back of a stream's session; none if there is no delay.
fn hold_back(recorder: &Recorder, key: StreamKey) -> Option<Duration> {
    let stream = recorder.entities.streams.get(key)?;
    let session = &recorder.entities.sessions[&stream.session];
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

/// Pairs a description with its packet if that has come; otherwise the description waits.
fn description_came(
    recorder: &mut Recorder,
    key: StreamKey,
    session: SessionKey,
    description: SendIndex,
) -> Result<(), RecordError> {
    let sequence = description.sequence;
    note_described(recorder, key, &description);
    match meet(recorder, key, sequence) {
        Meeting::Packet(location) => {
            complete(recorder, key, location, &description);
            rotation::try_rotate(recorder, key)
        }
        Meeting::Description(_) => Err(RecordError::Twice {
            sequence,
            half: "the description",
        }),
        // Its bytes were paired or lost before: it would wait for ever.
        Meeting::Alone { passed: true } => {
            account(recorder, key, &description);
            rotation::try_rotate(recorder, key)
        }
        Meeting::Alone { passed: false } => {
            wait(recorder, key, sequence, |_| Half::Description(description))?;
            if recorder.has_given_up(session) {
                give_up(recorder, key);
                rotation::try_rotate(recorder, key)?;
            }
            Ok(())
        }
    }
}

/// Tells of a description that is another one than the last, if it says of anything that is lost.
fn note_described(recorder: &mut Recorder, key: StreamKey, description: &SendIndex) {
    let Recorder {
        entities, facts, ..
    } = recorder;
    let packet_sequence = description.packet_sequence;
    let stream = entities.streams.get_mut(key);
    let Some(stream) = stream.filter(|it| !reached(it.last_index(), description.sequence)) else {
        return;
    };
    // A rotation may be a clear, and facts that wait for their listener come first.
    let is_usual = facts.described.is_empty() && stream.rare().rotation.is_none();
    if is_usual
        && stream
            .tally
            .follow(packet_sequence, description.events_discarded)
    {
        return;
    }
    let Some(stream) = entities.streams.get(key) else {
        return;
    };
    // The stream leaves a chunk that is to be deleted: the ring buffer was emptied, too.
    let leaves = stream.rare().rotation.as_ref();
    let leaves = leaves.is_some_and(|it| packet_sequence >= it.position);
    let chunk = stream.chunk.as_ref().filter(|_| leaves);
    let close = chunk.and_then(|chunk| entities.chunks[chunk].close);
    facts.described.push(PacketDescribed {
        stream: key,
        events_discarded: description.events_discarded,
        packet_sequence,
        begins_anew: close == Some(CloseCommand::Delete),
        may_be_cleared: entities.sessions[&stream.session].closing_chunk.is_some(),
    });
}

/// Pairs a complete packet with its description if that has come; otherwise the packet
/// waits.
pub fn packet_came(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    location: PacketLocation,
) -> Result<(), RecordError> {
    match meet(recorder, key, sequence) {
        Meeting::Description(description) => {
            complete(recorder, key, location, &description);
            Ok(())
        }
        Meeting::Packet(_) => Err(RecordError::Twice {
            sequence,
            half: "the data",
        }),
        Meeting::Alone { .. } => {
            wait(recorder, key, sequence, |links| Half::at(location, links))?;
            if let Some(file) = recorder.entities.trace_files.get_mut(location.file) {
                file.awaited += 1;
            }
            Ok(())
        }
    }
}

/// Drops the description of a packet that could not be written, if it has come.
pub fn packet_was_lost(recorder: &mut Recorder, key: StreamKey, sequence: u64) {
    if let Meeting::Description(description) = meet(recorder, key, sequence) {
        stop_waiting(recorder, key, sequence);
        account(recorder, key, &description);
    }
}

/// Drops descriptions of packets before `sequence` that did not come: the packets of a stream
/// come in order, so they never will.
pub fn give_up_before(recorder: &mut Recorder, key: StreamKey, sequence: u64) {
    while let Some(description) = oldest(recorder, key)
        && description.sequence != sequence
        && reached(Some(sequence), description.sequence)
    {
        give_up_one(recorder, key, &description);
    }
}

/// Drops all descriptions that wait: no more packets come.
pub fn give_up(recorder: &mut Recorder, key: StreamKey) {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return;
    };
    let halves = stream.pending.iter();
    let descriptions: Vec<SendIndex> = halves
        .filter_map(|(_, index)| recorder.entities.indexes.get(*index)?.half.description())
        .collect();
    for description in descriptions {
        give_up_one(recorder, key, &description);
    }
}

fn give_up_one(recorder: &mut Recorder, key: StreamKey, description: &SendIndex) {
    let sequence = description.sequence;
    stop_waiting(recorder, key, sequence);
    account(recorder, key, description);
    let given_up = PacketGivenUp {
        stream: key,
        sequence,
    };
    recorder.facts.given_up.push(given_up);
}

/// The half with the lowest sequence number, if it is a description.
fn oldest(recorder: &Recorder, key: StreamKey) -> Option<SendIndex> {
    let (_, index) = recorder.entities.streams.get(key)?.pending.front()?;
    recorder.entities.indexes.get(*index)?.half.description()
}

/// The result of looking for the other half of a packet.
enum Meeting {
    Packet(PacketLocation),
    Description(SendIndex),
    /// The other half is not there. `passed`: a packet of this or a later number has come,
    /// so this one never will.
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
    let half = waiting.and_then(|index| recorder.entities.indexes.get(index));
    let half = half.map(|index| &index.half);
    if let Some(location) = half.and_then(Half::location) {
        Meeting::Packet(location)
    } else if let Some(description) = half.and_then(Half::description) {
        Meeting::Description(description)
    } else {
        Meeting::Alone {
            passed: reached(stream.last_data, sequence),
        }
    }
}

/// Keeps a half until the other comes.
fn wait(
    recorder: &mut Recorder,
    key: StreamKey,
    sequence: u64,
    half: impl FnOnce(&Links) -> Half,
) -> Result<(), RecordError> {
    let Some(stream) = recorder.entities.streams.get(key) else {
        return Ok(());
    };
    if stream.pending.len() >= PENDING_INDEXES_PER_STREAM {
        return Err(RecordError::TooManyPending);
    }
    let address = recorder.entities.sessions[&stream.session].address;
    let shares = &mut recorder.entities.shares;
    shares.check(address, Asset::Memory, HALF_BYTES)?;
    shares.add(address, Asset::Memory, HALF_BYTES);
    let index = recorder.entities.insert(|links| Index {
        stream: links.hold(key),
        half: half(links),
    });
    if let Some(stream) = recorder.entities.streams.get_mut(key)
        && let Err(at) = stream.find_pending(sequence)
    {
        stream.pending.insert(at, (sequence, index));
    }
    Ok(())
}

/// Both halves are there: adds the index record to that of the file that has the bytes. It is
/// written with the next commit.
fn complete(
    recorder: &mut Recorder,
    key: StreamKey,
    location: PacketLocation,
    description: &SendIndex,
) {
    stop_waiting(recorder, key, description.sequence);
    account(recorder, key, description);
    let record = IndexRecord {
        offset_bytes: location.offset,
        packet_size_bits: description.packet_size_bits,
        content_size_bits: description.content_size_bits,
        timestamp_begin: description.timestamp_begin,
        timestamp_end: description.timestamp_end,
        events_discarded: description.events_discarded,
        class: description.class,
        instance: description.instance,
        packet_sequence: description.packet_sequence,
    };
    let written = WrittenRecord {
        sequence: description.sequence,
        end: location.offset + location.size,
        record,
    };
    index_records::add(&mut recorder.entities, location.file, written);
    if let Some(delay) = hold_back(recorder, key)
        && let Some(file) = recorder.entities.trace_files.get_mut(location.file)
    {
        file.hold_back_last(recorder.now.monotonic, delay);
    }
}

/// Frees a half that was paired, or never will be.
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

/// Advances the stream's last index, from which rotations and questions about pending data
/// see that a packet is done.
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

/// Ends the wait of a half: its file does not await a description for it any more.
pub fn end_half(entities: &mut Entities, key: IndexKey) {
    let half = entities.indexes.get(key).map(|index| &index.half);
    if let Some(Half::Packet { file, .. }) = half {
        entities.trace_files[file].awaited -= 1;
        let file = file.key();
        ring::note_awaited(entities, file);
    }
    entities.disown::<Index>(key);
}
