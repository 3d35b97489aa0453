//! CREATE_TRACE_CHUNK, CLOSE_TRACE_CHUNK, TRACE_CHUNK_EXISTS: the directories that a
//! session's files go to, one time slice after another.

use std::collections::{BTreeMap, BTreeSet};

use baton_components::chunk::{Chunk, ChunkId, CloseCommand, Location, Removal};
use baton_components::hold::Held;
use baton_components::keys::{ChunkKey, SessionKey};
use baton_components::path::{PathError, RelativePath};
use baton_components::session::Session;
use baton_components::wire::producer::{
    CloseTraceChunk, CreateTraceChunk, TraceChunkExists, code, reply,
};

use super::Ingest;
use super::fault::{Fault, Reason};
use crate::facts::ChunkClosed;
use crate::ports::{StorageError, StoragePort};
use crate::record::{Recorder, chunks, places};

/// Opens the session's next chunk. Streams stay in the one before until they are
/// rotated; new ones go to this one.
pub fn create(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &CreateTraceChunk,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    match try_create(ingest, own, command) {
        Ok(()) => {
            reply::code(replies, code::OK);
            Ok(())
        }
        Err(reason) => {
            let code = match &reason {
                Reason::Name { .. } => code::INVALID,
                Reason::ChunkClosing(_) => code::INVALID_PROTOCOL,
                Reason::ChunkDisposed(_) => code::NOMEM,
                _ => code::UNKNOWN_ERR,
            };
            reply::code(replies, code);
            Err(reason.abort())
        }
    }
}

fn try_create(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &CreateTraceChunk,
) -> Result<(), Reason> {
    let (id, session) = id_of(ingest, own, command.chunk)?;
    // A chunk waits for its close: checked before anything is moved.
    if session.closing_chunk.is_some() {
        return Err(Reason::ChunkClosing(command.chunk));
    }
    let current = session.chunk.as_ref().map(Held::key);
    let new = describe(ingest, session, id, command)?;
    if current.is_some() && current == ingest.record.directory.chunks.get(&id).copied() {
        return Ok(());
    }
    if let Some(chunk) = current.and_then(|key| ingest.record.entities.chunks.get_mut(key)) {
        chunks::set_aside(&mut ingest.record.storage, chunk)?;
    }
    let chunk = find_or_make(ingest, id, new, current.is_some())?;
    ingest
        .record
        .entities
        .relink(own, |session: &mut Session, links| {
            let before = session.chunk.replace(links.hold(chunk));
            session.closing_chunk = before.filter(|before| *before != chunk);
        });
    // Its sessions and streams hold it now.
    ingest.record.entities.disown::<Chunk>(chunk);
    Ok(())
}

/// The chunk that another consumer of the same session made, or a new one.
fn find_or_make(
    ingest: &mut Ingest,
    id: ChunkId,
    mut new: Chunk,
    follows: bool,
) -> Result<ChunkKey, Reason> {
    if let Some(known) = ingest.record.directory.chunks.get(&id).copied() {
        // It has no users any more: its files are about to be moved or deleted.
        let living = ingest.record.entities.chunks.contains(known);
        return if living {
            Ok(known)
        } else {
            Err(Reason::ChunkDisposed(id.number))
        };
    }
    if follows && !new.is_overridden() {
        new.location = chunks::next_location();
    }
    chunks::make(&mut ingest.record.storage, &mut new)?;
    let chunk = ingest.record.entities.insert(|_| new);
    ingest.record.directory.chunks.insert(id, chunk);
    Ok(chunk)
}

/// The chunk as a command describes it, at its location if no other is open.
fn describe(
    ingest: &Ingest,
    session: &Session,
    id: ChunkId,
    command: &CreateTraceChunk,
) -> Result<Chunk, Reason> {
    let time = ingest.clock.civil(command.creation_time_s);
    let begin = time
        .ok_or(Reason::Time(command.creation_time_s))?
        .chunk_stamp();
    let mut chunk = Chunk {
        id: Some(id),
        session: session.directory.clone(),
        location: Location::Session,
        begin,
        end: None,
        moving: None,
        failed: 0,
        close: None,
        directories: BTreeSet::new(),
        files: BTreeMap::new(),
        ordinal: None,
        first: None,
        removal: Removal::default(),
    };
    match command.override_name {
        Some(name) => chunk.location = Location::Overridden(override_name(name)?),
        // Its session's directory is that of many snapshots.
        None if session.snapshot => {
            chunk.location = Location::Overridden(chunks::name_of(&chunk));
        }
        None if session.rotated || is_settled(ingest, session) => {
            chunk.location = chunks::named_location(&chunk);
        }
        None => {}
    }
    Ok(chunk)
}

/// Whether a chunk that is over stays in the session's own directory.
fn is_settled(ingest: &Ingest, session: &Session) -> bool {
    ingest
        .record
        .directory
        .places
        .is_settled(&session.directory)
}

/// A name for a chunk that is not made of its times: snapshots have one.
fn override_name(name: &[u8]) -> Result<RelativePath, Reason> {
    let refused = |error| Reason::name("chunk name", name, error);
    if name.contains(&b'.') {
        return Err(refused(PathError::Dot));
    }
    // Such a chunk could not be archived: it would have to go into itself.
    if name == places::ARCHIVES {
        return Err(refused(PathError::Archives));
    }
    RelativePath::root().child(name).map_err(refused)
}

/// Closes a chunk. The close command is executed when the last stream has left it; the
/// reply has the final path of its files.
pub fn close(
    ingest: &mut Ingest,
    own: SessionKey,
    command: CloseTraceChunk,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    match try_close(ingest, own, command) {
        Ok(path) => {
            reply::chunk_closed(replies, code::OK, Some(path.as_bytes()));
            Ok(())
        }
        Err(reason) => {
            let code = match &reason {
                Reason::UnknownChunk(_) => code::NOMEM,
                Reason::CloseCommand(_) => code::INVALID,
                Reason::ClearDisallowed | Reason::ChunkClosing(_) => code::INVALID_PROTOCOL,
                _ => code::UNKNOWN_ERR,
            };
            reply::chunk_closed(replies, code, Some(&[]));
            Err(reason.abort())
        }
    }
}

fn try_close(
    ingest: &mut Ingest,
    own: SessionKey,
    command: CloseTraceChunk,
) -> Result<RelativePath, Reason> {
    let (id, session) = id_of(ingest, own, command.chunk)?;
    let (rotated, snapshot) = (session.rotated, session.snapshot);
    let is_settled = is_settled(ingest, session);
    let current = session.chunk.as_ref().map(Held::key);
    let closing = session.closing_chunk.as_ref().map(Held::key);
    let chunk = ingest.record.directory.chunks.get(&id).copied();
    let chunk = chunk.filter(|chunk| ingest.record.entities.chunks.contains(*chunk));
    let chunk = chunk.ok_or(Reason::UnknownChunk(command.chunk))?;
    let asked = close_command(ingest, command.command)?;
    if closing.is_some_and(|closing| closing != chunk) {
        return Err(Reason::ChunkClosing(command.chunk));
    }
    let end = ingest.clock.civil(command.close_time_s);
    let end = end.ok_or(Reason::Time(command.close_time_s))?.chunk_stamp();

    let Recorder {
        entities,
        directory,
        storage,
        ..
    } = &mut ingest.record;
    if let Some(next) = current.filter(|current| *current != chunk)
        && let Some(next) = entities.chunks.get_mut(next)
    {
        // The location of a deleted chunk is free again.
        let stays = asked == Some(CloseCommand::Delete) && !rotated && !is_settled;
        give_place(storage, next, stays)?;
    }
    let closed = entities
        .chunks
        .get_mut(chunk)
        .ok_or(Reason::UnknownChunk(command.chunk))?;
    if asked.is_none() {
        let stays = !rotated && (!is_settled || closed.location == Location::Session);
        give_place(storage, closed, stays)?;
        if closed.location == Location::Session {
            directory.places.settle(&closed.session);
        }
    }
    // The consumers of a session close its chunk one after another.
    let is_first = closed.end.is_none();
    closed.close = asked;
    closed.end = Some(end);
    let path = final_path(closed, snapshot, rotated);
    if is_first && let Some(session) = entities.sessions.get(own) {
        report_closed(session, asked, &path);
    }
    release(ingest, own, chunk, asked);
    Ok(path)
}

/// The session does not use a chunk any more, which was closed.
fn release(ingest: &mut Ingest, own: SessionKey, chunk: ChunkKey, asked: Option<CloseCommand>) {
    let Recorder {
        entities, facts, ..
    } = &mut ingest.record;
    facts.chunks_closed.push(ChunkClosed {
        session: own,
        is_deleted: asked == Some(CloseCommand::Delete),
    });
    entities.relink(own, |session: &mut Session, _| {
        session.closing_chunk = None;
        session.rotated |= asked == Some(CloseCommand::Archive);
        session.chunk.take_if(|current| *current == chunk);
    });
}

/// Where the files of a closed chunk will be.
fn final_path(closed: &Chunk, is_snapshot: bool, has_rotated: bool) -> RelativePath {
    if is_snapshot {
        closed.directory()
    } else if has_rotated || closed.close == Some(CloseCommand::Archive) {
        chunks::archived(closed)
    } else {
        closed.session.clone()
    }
}

/// Logs what a user has done: a rotation, a clear, or a snapshot. A session's last chunk is
/// closed without a command, by its end.
fn report_closed(session: &Session, asked: Option<CloseCommand>, path: &RelativePath) {
    match asked {
        _ if session.snapshot => tracing::info!("session {session}: a snapshot is in {path}"),
        Some(CloseCommand::Archive) => {
            tracing::info!("session {session} has rotated: the archive is {path}");
        }
        Some(CloseCommand::Delete) => {
            tracing::info!(
                "session {session} was cleared: what it recorded since the last rotation is deleted"
            );
        }
        None => {}
    }
}

/// Moves a chunk to its final location: the session's directory, or one with the chunk's
/// name. A chunk that its producer has named stays where it is.
fn give_place(
    storage: &mut StoragePort,
    chunk: &mut Chunk,
    is_sessions: bool,
) -> Result<(), StorageError> {
    if chunk.is_overridden() {
        return Ok(());
    }
    let place = if is_sessions {
        Location::Session
    } else {
        chunks::named_location(chunk)
    };
    chunks::relocate(storage, chunk, place)
}

fn close_command(ingest: &Ingest, command: Option<u32>) -> Result<Option<CloseCommand>, Reason> {
    match command {
        None | Some(1) => Ok(None),
        Some(0) => Ok(Some(CloseCommand::Archive)),
        Some(2) if ingest.settings.clear_allowed => Ok(Some(CloseCommand::Delete)),
        Some(2) => Err(Reason::ClearDisallowed),
        Some(unknown) => Err(Reason::CloseCommand(unknown)),
    }
}

/// Whether the chunk has users, or its files are being moved or deleted. A producer polls
/// until neither is so.
pub fn exists(
    ingest: &Ingest,
    own: SessionKey,
    command: TraceChunkExists,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let (id, _) = id_of(ingest, own, command.chunk).map_err(Reason::abort)?;
    // It leaves the directory when its last rites are done.
    let exists = ingest.record.directory.chunks.contains_key(&id);
    reply::chunk_exists(replies, code::OK, exists);
    Ok(())
}

/// The chunk that `number` means in the caller's session.
fn id_of<'a>(
    ingest: &'a Ingest,
    own: SessionKey,
    number: u64,
) -> Result<(ChunkId, &'a Session), Reason> {
    let session = ingest.session(own)?;
    let origin = session.origin.ok_or(Reason::TooOld(session.minor))?;
    Ok((ChunkId { origin, number }, session))
}
