//! Confirmation: storage has answered the commit of a batch.

use std::time::Duration;

use baton_components::batch::{Batch, Confirmed};
use baton_components::connection::Connection;
use baton_components::keys::{BatchKey, FileKey, TraceFileKey};
use baton_components::stream::Stream;

use super::{Recorder, losses, ring, waiting_metadata};
use crate::entities::Entities;
use crate::facts::{MetadataGrew, PacketComplete, PacketKept};
use crate::ports::StorageError;
use crate::requests::Outcome;

/// Storage has answered a commit: what it confirms is a fact, and the rest is lost.
pub fn answered(recorder: &mut Recorder, key: BatchKey, outcome: Result<Outcome, StorageError>) {
    let Some(batch) = recorder.entities.batches.get_mut(key) else {
        // The wait owns it.
        return;
    };
    let files = std::mem::take(&mut batch.files);
    let (session, bytes) = (batch.session.key(), batch.bytes);
    recorder.entities.unconfirmed_bytes -= bytes;
    let Some(record) = recorder.entities.sessions.get_mut(session) else {
        return;
    };
    record.unconfirmed_bytes -= bytes;
    record.unconfirmed.retain(|other| *other != key);
    let waiting = std::mem::take(&mut record.waiting);
    let mut files: Vec<_> = files.into_iter().collect();
    // Facts of a stream are in the order of its files.
    let trace_files = &recorder.entities.trace_files;
    files.sort_by_key(|(key, _)| trace_files.get(*key).map(|file| file.ordinal));
    for (file, confirmed) in files {
        match failure(&recorder.entities, file, &outcome) {
            None => confirm(recorder, file, &confirmed),
            Some(error) => losses::roll_back(recorder, file, confirmed, &error),
        }
    }
    for connection in waiting {
        let record = recorder.entities.connections.get(connection);
        if let Some(endpoint) = record.map(Connection::endpoint) {
            recorder.agenda.turns(endpoint).ready(connection);
        }
    }
    recorder.entities.disown::<Batch>(key);
}

/// Why a file is not what it was to be.
fn failure(
    entities: &Entities,
    key: TraceFileKey,
    outcome: &Result<Outcome, StorageError>,
) -> Option<StorageError> {
    let data: FileKey = entities.trace_files.get(key)?.data.key();
    match outcome {
        Ok(Outcome::Committed { failed }) => {
            let failed = failed.iter().find(|(file, _)| *file == data);
            failed.map(|(_, error)| error.clone())
        }
        Ok(_) => None,
        Err(error) => Some(error.clone()),
    }
}

/// All that was written to a file is in it.
fn confirm(recorder: &mut Recorder, key: TraceFileKey, confirmed: &Confirmed) {
    let Some(file) = recorder.entities.trace_files.get_mut(key) else {
        return;
    };
    let (stream, ordinal) = (file.stream, file.ordinal);
    let (size, records) = (file.committed, file.committed_records());
    // A rotation may have taken packets out of it since.
    file.committed = size.max(confirmed.size).min(file.size);
    file.failures = 0;
    if let Some(index) = &mut file.index {
        index.committed = index.committed.max(confirmed.index_size);
    }
    let grown = file.committed.saturating_sub(size);
    if let Some(delay) = hold_back(&recorder.entities, key)
        && let Some(file) = recorder.entities.trace_files.get_mut(key)
        && file.committed_records() > records
    {
        file.hold_back(records, recorder.now.monotonic, delay);
    }
    for packet in &confirmed.packets {
        losses::report_recovery(recorder, stream);
        recorder.facts.kept.push(PacketKept {
            stream,
            file: ordinal,
            sequence: packet.sequence,
            bytes: packet.bytes,
        });
    }
    for written in &confirmed.records {
        ring::note_complete(&mut recorder.entities, stream, key, &written.record);
        recorder.facts.packets.push(PacketComplete(stream));
    }
    let is_metadata = recorder.entities.streams.get(stream);
    if grown > 0 && is_metadata.is_some_and(Stream::is_metadata) {
        let Recorder {
            entities, storage, ..
        } = &mut *recorder;
        waiting_metadata::confirm(entities, storage, key, grown);
        recorder.facts.metadata.push(MetadataGrew {
            stream,
            file: ordinal,
            bytes: grown,
        });
    }
}

/// The hold-back of the session of a file; none if there is no delay.
fn hold_back(entities: &Entities, key: TraceFileKey) -> Option<Duration> {
    let stream = entities.trace_files.get(key)?.stream;
    let session = &entities.streams.get(stream)?.session;
    Some(entities.sessions[session].hold_back).filter(|time| !time.is_zero())
}
