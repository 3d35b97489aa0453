//! CREATE_TRACE_CHUNK, CLOSE_TRACE_CHUNK, TRACE_CHUNK_EXISTS: the directories that a
//! session's files go to, one time slice after another.

use baton_components::chunk::{Chunk, ChunkId};
use baton_components::keys::SessionKey;
use baton_components::session::Session;
use baton_components::wire::producer::{
    CloseTraceChunk, CreateTraceChunk, TraceChunkExists, code, reply,
};

use super::Ingest;
use super::fault::{Fault, Reason};

pub fn create(
    ingest: &mut Ingest,
    own: SessionKey,
    command: &CreateTraceChunk,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some((id, session)) = id_of(ingest, own, command.chunk) else {
        return Err(Reason::NoSession.abort());
    };
    if session.chunk.is_some() {
        reply::code(replies, code::UNKNOWN_ERR);
        return Err(Reason::ChunkInUse(command.chunk).abort());
    }
    let directory = session.directory.clone();
    let known = ingest.directory.chunks.get(&id).copied();
    let chunk = known
        .filter(|chunk| ingest.entities.chunks.contains(*chunk))
        .unwrap_or_else(|| {
            let chunk = ingest.entities.insert(Chunk {
                id: Some(id),
                directory,
            });
            ingest.directory.chunks.insert(id, chunk);
            chunk
        });
    ingest
        .entities
        .relink(own, |session: &mut Session| session.chunk = Some(chunk));
    // Its sessions and streams have it now.
    ingest.entities.disown::<Chunk>(chunk);
    reply::code(replies, code::OK);
    Ok(())
}

pub fn close(
    ingest: &mut Ingest,
    own: SessionKey,
    command: CloseTraceChunk,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some((id, session)) = id_of(ingest, own, command.chunk) else {
        return Err(Reason::NoSession.abort());
    };
    let path = session.directory.clone();
    let chunk = ingest.directory.chunks.get(&id).copied();
    let Some(chunk) = chunk.filter(|chunk| ingest.entities.chunks.contains(*chunk)) else {
        reply::chunk_closed(replies, code::NOMEM, None);
        return Err(Reason::UnknownChunk(command.chunk).abort());
    };
    ingest.entities.relink(own, |session: &mut Session| {
        if session.chunk == Some(chunk) {
            session.chunk = None;
        }
    });
    reply::chunk_closed(replies, code::OK, Some(path.as_bytes()));
    Ok(())
}

/// Whether anybody still uses the chunk. A producer asks until nobody does.
pub fn exists(
    ingest: &Ingest,
    own: SessionKey,
    command: TraceChunkExists,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some((id, _)) = id_of(ingest, own, command.chunk) else {
        return Err(Reason::NoSession.abort());
    };
    let chunk = ingest.directory.chunks.get(&id);
    let exists = chunk.is_some_and(|chunk| ingest.entities.chunks.contains(*chunk));
    reply::chunk_exists(replies, code::OK, exists);
    Ok(())
}

/// The chunk that `number` means in the own's session.
fn id_of<'a>(ingest: &'a Ingest, own: SessionKey, number: u64) -> Option<(ChunkId, &'a Session)> {
    let session = ingest.entities.sessions.get(own)?;
    Some((
        ChunkId {
            origin: session.origin?,
            number,
        },
        session,
    ))
}
