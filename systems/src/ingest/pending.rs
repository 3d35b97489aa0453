//! Pending data: a producer that stops polls, in rounds, whether all its data is on disk:
//! BEGIN, a command for each stream that it knows, END.
//!
//! A round is a number in the session. A stream that was asked about in this round
//! carries that number, and the session counts those that were not, so neither BEGIN
//! nor END looks at the streams.

use baton_components::keys::{SessionKey, StreamKey};
use baton_components::stream::{Stream, reached};
use baton_components::wire::producer::{
    BeginDataPending, DataPending, EndDataPending, NONE, QuiescentControl, code, reply,
};

use super::Ingest;
use super::fault::Fault;
use crate::entities::Entities;
use crate::record::batch;

pub fn begin(
    ingest: &mut Ingest,
    own: SessionKey,
    command: BeginDataPending,
    replies: &mut Vec<u8>,
) {
    if let Some(session) = own_session(ingest, own, command.session)
        && let Some(session) = ingest.record.entities.sessions.get_mut(session)
    {
        session.pending_round += 1;
        session.unchecked = session.open_streams.len() as u32;
    }
    reply::code(replies, code::OK);
}

/// Whether a packet that was sent is not on disk, or its index is not.
pub fn ask(
    ingest: &mut Ingest,
    own: SessionKey,
    command: DataPending,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let key = ingest.stream_of(own, command.stream).map_err(|reason| {
        reply::code(replies, code::PENDING_ERROR);
        reason.abort()
    })?;
    check(ingest, key);
    let Entities {
        sessions, streams, ..
    } = &*ingest.record.entities;
    let (session, stream) = (sessions.get(own), streams.get(key));
    let pending = session.zip(stream).is_some_and(|(session, stream)| {
        !session.given_up && is_pending(stream, session.has_indexes(), command.last_sequence)
    });
    let pending = pending || !is_safe(ingest, own, Some(key)) || has_unconfirmed(ingest, own);
    reply::code(
        replies,
        if pending {
            code::PENDING
        } else {
            code::NOT_PENDING
        },
    );
    Ok(())
}

/// Whether a producer may be told that the data of its session, or of a stream, has arrived. If
/// replies are durable a failed sync is pending for ever: an error would end the connection, and
/// with it the recording.
fn is_safe(ingest: &mut Ingest, session: SessionKey, stream: Option<StreamKey>) -> bool {
    !ingest.settings.durable_replies || ingest.durability.is_safe(session, stream)
}

/// Whether more has come since the command began to wait, and is not known to be in the files.
fn has_unconfirmed(ingest: &Ingest, session: SessionKey) -> bool {
    batch::is_any_open(&ingest.record.entities, session)
}

/// Metadata: all that was sent before this command is in its file.
pub fn quiescent(
    ingest: &mut Ingest,
    own: SessionKey,
    command: QuiescentControl,
    replies: &mut Vec<u8>,
) {
    if let Ok(key) = ingest.stream_of(own, command.stream) {
        check(ingest, key);
    }
    reply::code(replies, code::OK);
}

/// Whether a stream is open that this round did not ask about: its producer closed
/// it and its last packets have not come. Or whether a sync has to cover what the session, its
/// closed streams included, has recorded.
pub fn end(ingest: &mut Ingest, own: SessionKey, command: EndDataPending, replies: &mut Vec<u8>) {
    let session = own_session(ingest, own, command.session);
    let unchecked = session
        .and_then(|session| ingest.record.entities.sessions.get(session))
        .map_or(0, |session| session.unchecked);
    let is_safe = session.is_none_or(|key| is_safe(ingest, key, None));
    let is_unconfirmed = session.is_some_and(|key| has_unconfirmed(ingest, key));
    reply::code(
        replies,
        if unchecked > 0 || !is_safe || is_unconfirmed {
            code::PENDING
        } else {
            code::NOT_PENDING
        },
    );
}

fn is_pending(stream: &Stream, indexed: bool, last_sequence: u64) -> bool {
    if last_sequence == NONE {
        return false;
    }
    !reached(stream.last_data, last_sequence)
        || (indexed && !reached(stream.last_index(), last_sequence))
}

fn check(ingest: &mut Ingest, key: StreamKey) {
    let entities = &mut *ingest.record.entities;
    let Some(stream) = entities.streams.get_mut(key) else {
        // The stream is gone.
        return;
    };
    let session = &mut entities.sessions[&stream.session];
    if stream.checked_round != session.pending_round {
        stream.checked_round = session.pending_round;
        session.unchecked -= 1;
    }
}

/// The session that a command names, if it is the producer's own.
fn own_session(ingest: &Ingest, own: SessionKey, id: u64) -> Option<SessionKey> {
    let session = ingest.record.entities.sessions.get(own)?;
    (session.id == id).then_some(own)
}
