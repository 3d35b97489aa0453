//! Losses: what the disk did not take, learnt from the answer to a commit.
//!
//! A file goes back to what is known to be in it, and the stream goes on from there: packets
//! since are dropped and counted, and metadata is written again.

use std::collections::BTreeSet;

use baton_components::batch::{Confirmed, WrittenPacket, WrittenRecord};
use baton_components::index::Half;
use baton_components::keys::{StreamKey, TraceFileKey};
use baton_components::limits::RESTORES_MAX;
use baton_components::session::Session;
use baton_components::tally::Cause;
use baton_components::totals::Written;

use super::{Recorder, batch, data_files, index_records, pairing, waiting_metadata};
use crate::entities::Entities;
use crate::facts::{PacketDropped, PacketsKept};
use crate::named;
use crate::ports::{StorageError, StorageErrorKind};
use crate::requests::Breakage;

/// Storage has failed to write a file: packets that came to it before the failure are kept, and
/// the rest of what is not committed is lost.
pub fn roll_back(
    recorder: &mut Recorder,
    key: TraceFileKey,
    mut confirmed: Confirmed,
    breakage: &Breakage,
) {
    let error = &breakage.error;
    keep_sound(recorder, key, &mut confirmed, breakage.sound);
    let Some(file) = recorder.entities.trace_files.get(key) else {
        return;
    };
    let stream = file.stream;
    let (sound, has_begun) = (file.committed, file.written > file.size);
    let mut unconfirmed = vec![confirmed];
    unconfirmed.extend(take_later(&mut recorder.entities, key));
    let mut lost = end_halves(&mut recorder.entities, stream, key, sound);
    let mut records = Vec::new();
    for confirmed in unconfirmed {
        lost.extend(confirmed.packets.iter().map(|packet| packet.sequence));
        for written in confirmed.records {
            if written.end <= sound {
                records.push(written);
            } else {
                lost.insert(written.sequence);
            }
        }
    }
    let arriving = is_arriving(&mut recorder.entities, stream, key, has_begun);
    data_files::restore(&mut recorder.entities, &mut recorder.storage, key);
    let lost = lost.len() + usize::from(arriving);
    for _ in 0..lost {
        report(recorder, stream, error, cause(error));
    }
    if let Some(file) = recorder.entities.trace_files.get_mut(key) {
        let before = if lost > 0 { 0 } else { file.failures };
        file.failures = before.saturating_add(1);
    }
    write_again(recorder, key, stream, &records, error);
    waiting_metadata::refused(recorder, key, error);
}

/// Takes out of a batch the packets whose bytes are in the file: they are committed.
fn keep_sound(recorder: &mut Recorder, key: TraceFileKey, confirmed: &mut Confirmed, sound: u64) {
    let Some(file) = recorder.entities.trace_files.get_mut(key) else {
        return;
    };
    let sound = sound.min(file.size);
    let kept: Vec<_> = confirmed
        .packets
        .extract_if(.., |packet| packet.end <= sound)
        .collect();
    if let Some(last) = kept.last() {
        file.committed = file.committed.max(last.end);
    }
    let (stream, ordinal) = (file.stream, file.ordinal);
    keep(recorder, stream, ordinal, &kept);
}

/// The bytes of packets are in a file of a stream.
pub fn keep(recorder: &mut Recorder, stream: StreamKey, file: u64, packets: &[WrittenPacket]) {
    let Some(last) = packets.last() else {
        return;
    };
    report_recovery(recorder, stream);
    let Recorder {
        entities, facts, ..
    } = recorder;
    let record = entities.streams.get(stream);
    let has_torn = !facts.torn.is_empty() || record.is_some_and(|it| it.tally.has_torn());
    let kept = |packets: u64, bytes: u64, last: u64| PacketsKept {
        stream,
        file,
        last,
        packets,
        bytes,
    };
    if has_torn {
        let each = packets.iter();
        let each = each.map(|packet| kept(1, packet.bytes, packet.sequence));
        facts.kept.extend(each);
    } else {
        let bytes = packets.iter().map(|packet| packet.bytes).sum();
        let count = packets.len() as u64;
        facts.kept.push(kept(count, bytes, last.sequence));
    }
}

/// Takes out of later batches what they would have confirmed of a file: storage writes nothing
/// more to it until it is restored.
fn take_later(entities: &mut Entities, key: TraceFileKey) -> Vec<Confirmed> {
    let Entities {
        trace_files,
        streams,
        sessions,
        batches,
        ..
    } = entities;
    let file = trace_files.get(key);
    let Some(stream) = file.and_then(|file| streams.get(file.stream)) else {
        return Vec::new();
    };
    let session: &Session = &sessions[&stream.session];
    let later = session.writes.batches();
    let later = later.filter_map(|batch| batches.get_mut(batch)?.files.remove(&key));
    later.collect()
}

/// Ends the halves of packets that are not in the file. Gives their numbers.
fn end_halves(
    entities: &mut Entities,
    stream: StreamKey,
    key: TraceFileKey,
    sound: u64,
) -> BTreeSet<u64> {
    let mut lost = BTreeSet::new();
    let Entities {
        streams, indexes, ..
    } = entities;
    let Some(stream) = streams.get_mut(stream) else {
        return lost;
    };
    let mut ended = Vec::new();
    stream.pending.retain(|(sequence, index)| {
        let half = indexes.get(*index).map(|index| &index.half);
        let location = half.and_then(Half::location);
        let is_lost = location.is_some_and(|it| it.file == key && it.offset + it.size > sound);
        if is_lost {
            lost.insert(*sequence);
            ended.push(*index);
        }
        !is_lost
    });
    for index in ended {
        pairing::end_half(entities, index);
    }
    lost
}

/// Whether a packet is arriving in the file whose beginning is lost. The rest of it is dropped.
fn is_arriving(
    entities: &mut Entities,
    stream: StreamKey,
    key: TraceFileKey,
    has_begun: bool,
) -> bool {
    let Some(stream) = entities.streams.get_mut(stream) else {
        return false;
    };
    let is_current = stream.current_file().is_some_and(|file| *file == key);
    let arriving = stream.arriving.as_mut();
    let arriving = arriving.filter(|arriving| is_current && has_begun && !arriving.lost);
    arriving.is_some_and(|arriving| {
        arriving.lost = true;
        true
    })
}

/// Index records of packets that are in the file are written again, unless nobody waits for them
/// and the disk goes on failing: readers find the packets without an index.
fn write_again(
    recorder: &mut Recorder,
    key: TraceFileKey,
    stream: StreamKey,
    records: &[WrittenRecord],
    error: &StorageError,
) {
    let Recorder {
        entities, agenda, ..
    } = recorder;
    let Some(record) = entities.streams.get(stream) else {
        return;
    };
    let session = record.session.key();
    let is_over = record.closed && record.rare().viewers.is_empty();
    let Some(file) = entities.trace_files.get(key) else {
        return;
    };
    let (is_repeated, is_hopeless) = (file.failures > 1, file.failures > RESTORES_MAX);
    if !records.is_empty() {
        let count = records.len();
        if is_hopeless && (is_over || agenda.is_stopping) {
            tracing::error!("{count} index records are lost: {error}");
            return;
        }
        if file.failures == 1 {
            tracing::error!("cannot write index records yet, they wait: {error}");
        }
        entities.totals.fail(Written::Index);
        for written in records {
            index_records::add(entities, key, *written);
        }
    } else if !is_hopeless {
        // The next commit tells whether the file is restored.
        batch::note(entities, key, 0);
    }
    if is_repeated {
        batch::delay(entities, session, key, is_hopeless);
    }
}

/// Counts a lost packet, and logs that once for each run of losses. The protocol has no message
/// for the producer, and the next packet may find room.
pub fn report(recorder: &mut Recorder, key: StreamKey, error: &StorageError, cause: Cause) {
    if let Some(stream) = recorder.entities.streams.get(key)
        && stream.rare().lost == 0
    {
        let name = named::stream(&recorder.entities, stream);
        tracing::error!("stream {name}: packets are being lost: {error}");
    }
    let Entities {
        streams, totals, ..
    } = &mut *recorder.entities;
    let Some(stream) = streams.get_mut(key) else {
        return;
    };
    stream.rare_mut().lost += 1;
    totals.fail(Written::Packet);
    recorder.facts.dropped.push(PacketDropped {
        session: stream.session.key(),
        stream: key,
        cause,
    });
}

/// Why a packet is lost that the disk did not take.
pub fn cause(error: &StorageError) -> Cause {
    match error.kind {
        StorageErrorKind::Full => Cause::DiskFull,
        StorageErrorKind::Bound => Cause::Bound,
        _ => Cause::DiskFailed,
    }
}

/// A packet was recorded: a run of losses is over.
pub fn report_recovery(recorder: &mut Recorder, key: StreamKey) {
    if let Some(stream) = recorder.entities.streams.get_mut(key)
        && stream.rare().lost > 0
    {
        let lost = std::mem::take(&mut stream.rare_mut().lost);
        let name = recorder.entities.streams.get(key);
        let name = name.map(|stream| named::stream(&recorder.entities, stream));
        let name = name.unwrap_or_default();
        tracing::warn!("stream {name}: recording again, {lost} packets were lost");
    }
}
