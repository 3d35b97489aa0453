//! Viewers' connections: whole requests out of their bytes, one after another.

use baton_components::connection::{Connection, Ending};
use baton_components::keys::ConnectionKey;
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::wire::codec::WireError;
use baton_components::wire::viewer::{HEADER_SIZE, Header, Request, RequestKind, decode, reply};
use bevy_ecs::system::{Local, ResMut};

use super::{Caller, Serve, attach, connect, list, metadata, new_streams, next_index, packet};
use crate::peers::receive::receive;
use crate::ports::NetworkPort;

/// Why a viewer's connection is closed, in the words of a log line that begins with
/// the peer.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("no request has the number {0}")]
    UnknownRequest(u32),
    #[error("{0} before CONNECT")]
    NotConnected(&'static str),
    #[error("CONNECT: protocol {0}.x is asked for, this relay speaks 2.x")]
    Major(u32),
    #[error("CONNECT: no connection is of type {0}")]
    Type(u32),
    #[error("malformed: {0}")]
    Malformed(#[from] WireError),
}

/// Answers every whole request that has come, in the order of each connection, unless it
/// waits.
pub fn serve(mut network: ResMut<NetworkPort>, mut serve: Serve, mut replies: Local<Vec<u8>>) {
    let mut ready = std::mem::take(&mut serve.agenda.viewers);
    // Who has said something may wait for something as well.
    ready.sort_unstable();
    ready.dedup();
    for key in ready.drain(..) {
        if !receive(&mut network, &mut serve.entities, &mut serve.agenda, key) {
            continue;
        }
        let unsent = network.unsent(key);
        let consumed = match converse(&mut serve, key, network.input(key), unsent, &mut replies) {
            Ok(consumed) => consumed,
            Err(reason) => {
                report(&mut serve, key, &reason);
                0
            }
        };
        network.consume(key, consumed);
        if !replies.is_empty() {
            network.send(key, &replies);
            serve.agenda.writable.push(key);
            replies.clear();
        }
    }
    serve.agenda.viewers = ready;
}

fn report(serve: &mut Serve, key: ConnectionKey, reason: &Reason) {
    if let Some(connection) = serve.entities.connections.get_mut(key) {
        tracing::warn!(
            peer = connection.peer,
            "live connection: {reason}; connection closed"
        );
        serve.agenda.close(key, connection, Ending::Abort);
    }
}

/// Answers the requests that `input` holds whole; gives how many bytes they took.
/// While a large reply is being sent, or the viewer does not take what it has, the
/// next request waits; and so may a question for a packet that is not there.
fn converse(
    serve: &mut Serve,
    key: ConnectionKey,
    input: &[u8],
    unsent: usize,
    replies: &mut Vec<u8>,
) -> Result<usize, Reason> {
    let mut consumed = 0;
    loop {
        let busy = is_busy(serve, key);
        if busy || unsent + replies.len() >= UNSENT_BYTES_MAX {
            let waits = consumed < input.len();
            if let Some(connection) = serve.entities.connections.get_mut(key) {
                connection.throttled |= waits;
            }
            return Ok(consumed);
        }
        let Some((header, rest)) = input[consumed..].split_first_chunk::<HEADER_SIZE>() else {
            return Ok(consumed);
        };
        let number = Header::decode(header).command;
        let Some(kind) = RequestKind::from_number(number) else {
            return Err(refuse_unknown(serve, key, number, replies));
        };
        // The payload's size follows from the request; what the header says of it
        // is not reliable in old viewers.
        let Some(payload) = rest.get(..kind.payload_size()) else {
            return Ok(consumed);
        };
        let goes_on = rest.len() > payload.len() || is_ending(serve, key);
        if !answer(serve, key, decode(kind, payload)?, goes_on, replies)? {
            return Ok(consumed);
        }
        consumed += HEADER_SIZE + payload.len();
    }
}

/// Whether no other tick comes in which the viewer could be answered.
fn is_ending(serve: &Serve, key: ConnectionKey) -> bool {
    let connection = serve.entities.connections.get(key);
    connection.is_none_or(|connection| connection.ending.is_some())
}

/// Whether a reply is still being sent.
fn is_busy(serve: &Serve, key: ConnectionKey) -> bool {
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    viewer.is_some_and(|viewer| viewer.body.is_some())
}

fn refuse_unknown(serve: &Serve, key: ConnectionKey, number: u32, replies: &mut Vec<u8>) -> Reason {
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    if viewer.is_some_and(|viewer| viewer.minor.is_some()) {
        reply::unknown_command(replies);
    }
    Reason::UnknownRequest(number)
}

/// Answers a request, unless it is one that waits: whether it was answered.
fn answer(
    serve: &mut Serve,
    key: ConnectionKey,
    request: Request,
    goes_on: bool,
    replies: &mut Vec<u8>,
) -> Result<bool, Reason> {
    if let Request::Connect { major, minor, kind } = request {
        connect::connect(serve, key, major, minor, kind, replies)?;
        return Ok(true);
    }
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    let Some((minor, session)) = viewer.and_then(|viewer| Some((viewer.minor?, viewer.session)))
    else {
        return Err(Reason::NotConnected(request.kind().name()));
    };
    let caller = Caller {
        connection: key,
        minor,
        session,
        goes_on,
    };
    let last = serve.take_question(caller);
    match request {
        Request::Connect { .. } => unreachable!("law: CONNECT was answered above"),
        Request::ListSessions => list::list(serve, caller, replies),
        Request::CreateSession => connect::create_session(serve, caller, replies),
        Request::Attach { session, seek } => attach::attach(serve, caller, session, seek, replies),
        Request::Detach { session } => attach::detach(serve, caller, session, replies),
        Request::NewStreams { session } => new_streams::answer(serve, caller, session, replies),
        Request::NextIndex { stream } => {
            return Ok(next_index::answer(serve, caller, stream, last, replies));
        }
        Request::Metadata { stream } => metadata::answer(serve, caller, stream, replies),
        Request::Packet {
            stream,
            offset,
            length,
        } => {
            packet::answer(serve, caller, stream, offset, length, replies);
        }
    }
    Ok(true)
}
