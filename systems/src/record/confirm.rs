//! Confirmation: storage has answered the commit of a batch.

use baton_components::batch::{Batch, Confirmed};
use baton_components::connection::Connection;
use baton_components::keys::{BatchKey, FileKey, TraceFileKey};
use baton_components::stream::Stream;

use super::{Recorder, batch, losses, ring, waiting_metadata};
use crate::entities::Entities;
use crate::facts::{MetadataGrew, PacketComplete};
use crate::ports::StorageError;
use crate::requests::{Breakage, Outcome};

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
    let writes = &mut record.writes;
    writes.bytes -= bytes;
    writes.asked = None;
    let waiting = std::mem::take(&mut writes.waiting);
    let mut files: Vec<_> = files.into_iter().collect();
    // Facts of a stream are in the order of its files.
    let trace_files = &recorder.entities.trace_files;
    files.sort_by_key(|(key, _)| trace_files.get(*key).map(|file| file.ordinal));
    for (file, confirmed) in files {
        match failure(&recorder.entities, file, &outcome) {
            None => confirm(recorder, file, &confirmed),
            Some(breakage) => losses::roll_back(recorder, file, confirmed, &breakage),
        }
    }
    for connection in waiting {
        let record = recorder.entities.connections.get(connection);
        if let Some(endpoint) = record.map(Connection::endpoint) {
            recorder.agenda.turns(endpoint).ready(connection);
        }
    }
    recorder.entities.disown::<Batch>(key);
    batch::ask_again(&mut recorder.entities, session);
}

/// How a file has failed, if it is not what it was to be.
fn failure(
    entities: &Entities,
    key: TraceFileKey,
    outcome: &Result<Outcome, StorageError>,
) -> Option<Breakage> {
    let data: FileKey = entities.trace_files.get(key)?.data.key();
    match outcome {
        Ok(Outcome::Committed { failed }) => {
            let failed = failed.iter().find(|(file, _)| *file == data);
            failed.map(|(_, breakage)| breakage.clone())
        }
        Ok(_) => None,
        Err(error) => Some(Breakage {
            sound: 0,
            error: error.clone(),
        }),
    }
}

/// All that was written to a file is in it.
fn confirm(recorder: &mut Recorder, key: TraceFileKey, confirmed: &Confirmed) {
    let Some(file) = recorder.entities.trace_files.get_mut(key) else {
        return;
    };
    let (stream, ordinal) = (file.stream, file.ordinal);
    let size = file.committed;
    // A rotation may have taken packets out of it since.
    file.committed = size.max(confirmed.size).min(file.size);
    file.failures = 0;
    if let Some(index) = &mut file.index {
        index.committed = index.committed.max(confirmed.index_size);
    }
    let grown = file.committed.saturating_sub(size);
    losses::keep(recorder, stream, ordinal, &confirmed.packets);
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
