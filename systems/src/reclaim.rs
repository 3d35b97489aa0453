//! The reclamation pass: frees records without holders, in the tick in which they lost the
//! last one.
//!
//! Kinds are visited in topological order (a kind comes before the kinds that it holds), so
//! one pass frees a whole session, at a cost proportional to the number of freed records.

use baton_components::arena::Arena;
use baton_components::connection::Role;
use baton_components::directory::Directory;
use baton_components::hold::Held;
use baton_components::keys::{SessionKey, ViewerSessionKey};
use baton_components::limits::{HALF_BYTES, VIEWER_STREAM_BYTES};
use baton_components::session::Session;
use baton_components::shares::Asset;
use baton_components::shown::Shown;
use baton_components::time::Now;
use baton_components::viewer_session::ViewerSession;
use baton_components::viewer_stream::ViewerStream;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::entities::{Entities, Entity};
use crate::ports::StoragePort;
use crate::probe;
use crate::record::burial;
use crate::record::ring;
use crate::record::sweep;
use crate::record::waiting_metadata;

/// Frees every condemned record, after its last rites.
// Long because: one paragraph a kind, in the order of their holds.
pub fn reclaim(
    mut entities: ResMut<Entities>,
    mut directory: ResMut<Directory>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    now: Res<Now>,
) {
    while let Some((_, record)) = entities.connections.pop_condemned() {
        let shares = &mut entities.shares;
        if matches!(&record.role, Role::Data(data) if data.is_silent) {
            shares.remove(record.address, Asset::SilentConnections, 1);
        }
        if matches!(&record.role, Role::Status(_)) {
            shares.remove(record.address, Asset::Monitors, 1);
        }
        shares.remove(record.address, Asset::Memory, record.memory_bytes);
        shares.remove(record.address, Asset::Connections, 1);
        if !cfg!(feature = "seeded-defect") {
            entities.release_all(record);
        }
    }
    while let Some((key, record)) = entities.viewer_sessions.pop_condemned() {
        detach_all(&mut entities, &mut agenda, key, &record);
        entities.release_all(record);
    }
    while let Some((key, record)) = entities.viewer_streams.pop_condemned() {
        leave_stream(&mut entities, key, &record);
        let shares = &mut entities.shares;
        shares.remove(record.address, Asset::Memory, VIEWER_STREAM_BYTES);
        entities.release_all(record);
    }
    while let Some((_, record)) = entities.indexes.pop_condemned() {
        let session = &entities.streams[&record.stream].session;
        let address = entities.sessions[session].address;
        entities.shares.remove(address, Asset::Memory, HALF_BYTES);
        entities.release_all(record);
    }
    while let Some((_, record)) = entities.batches.pop_condemned() {
        entities.release_all(record);
    }
    while let Some((_, record)) = entities.streams.pop_condemned() {
        let session = &mut entities.sessions[&record.session];
        session.stream_count -= 1;
        let address = session.address;
        entities.shares.remove(address, Asset::Streams, 1);
        entities.release_all(record);
    }
    while let Some((key, record)) = entities.traces.pop_condemned() {
        let name = (record.session.key(), record.path.clone());
        if directory.traces.get(&name) == Some(&key) {
            directory.traces.remove(&name);
        }
        entities.release_all(record);
    }
    let mut recorded = Vec::new();
    while let Some((_, record)) = entities.sessions.pop_condemned() {
        end_session(&mut directory, &record);
        entities.shares.remove(record.address, Asset::Sessions, 1);
        recorded.extend(record.places().cloned());
        entities.release_all(record);
    }
    while let Some((key, record)) = entities.chunks.pop_condemned() {
        burial::bury(
            &mut entities,
            &mut directory,
            &mut storage,
            &mut agenda,
            &now,
            key,
            record,
        );
    }
    while let Some((_, mut record)) = entities.trace_files.pop_condemned() {
        waiting_metadata::give_up(&mut entities, &mut record);
        entities.release_all(record);
    }
    while let Some((key, _)) = entities.files.pop_condemned() {
        storage.close(key);
    }
    let ended = &mut agenda.probes.recordings;
    ended.append(&mut recorded);
    if !ended.is_empty() && probe::may_make_names(&mut agenda, &now) {
        for directory in agenda.probes.recordings.drain(..) {
            storage.end_recording(&directory);
        }
    }
}

/// Ends a session: removes it from the directory, and frees its places.
fn end_session(directory: &mut Directory, session: &Session) {
    directory.sessions.remove(&session.id);
    directory.listed.remove(&session.id);
    for place in session.places() {
        directory.places.leave(place);
    }
    let noun = if session.streams_added == 1 {
        "stream"
    } else {
        "streams"
    };
    let channels: Vec<String> = session
        .rare()
        .lossy_channels
        .iter()
        .map(|name| Shown(name).to_string())
        .collect();
    let of = match &channels[..] {
        [] => String::new(),
        [one] => format!(" (channel {one})"),
        several => format!(" (channels {})", several.join(", ")),
    };
    tracing::info!(
        "session {session} is over: {} {noun}, {}{of}",
        session.streams_added,
        session.tally
    );
}

/// Ends a viewer session: disowns its viewer streams, and removes it from its sessions'
/// lists.
fn detach_all(
    entities: &mut Entities,
    agenda: &mut Agenda,
    key: ViewerSessionKey,
    viewer: &ViewerSession,
) {
    for stream in viewer.streams.values() {
        sweep::leave(entities, agenda, *stream);
    }
    for attachment in viewer.attached.values() {
        leave_session(&mut entities.sessions, key, &attachment.session);
    }
}

/// Removes a viewer session from a session's list of viewers.
pub fn leave_session(
    sessions: &mut Arena<SessionKey, Session>,
    viewer: ViewerSessionKey,
    session: &Held<SessionKey>,
) {
    sessions[session].viewers.remove(&viewer);
}

/// A closed stream keeps its files only for its viewers.
fn leave_stream(
    entities: &mut Entities,
    key: <ViewerStream as Entity>::Key,
    record: &ViewerStream,
) {
    let file = ring::file_of(entities, record);
    let viewers = &mut entities.streams[&record.stream].rare_mut().viewers;
    viewers.remove(&(file, key));
    ring::forget_passed(entities, record.stream.key());
}
