//! Viewers' connections: reads and dispatches requests.

use baton_components::connection::{Connection, Ending};
use baton_components::hold::Held;
use baton_components::keys::ConnectionKey;
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::wire::viewer::{HEADER_SIZE, Header, Request, RequestKind, decode, reply};
use bevy_ecs::system::{Local, ResMut};

use super::fault::Rejection;
use super::{
    Caller, Serve, attach, connect, list, metadata, new_streams, next_index, packet, told,
};
use crate::peers::receive::{Pause, Protocol, take_turn};
use crate::peers::records::Records;
use crate::peers::waiting;
use crate::ports::{Arrived, NetworkPort, Received};
use crate::turns::Turn;

/// Answers the requests of viewers, in the order of each connection, unless one is kept.
pub fn serve(mut network: ResMut<NetworkPort>, mut serve: Serve, mut replies: Local<Vec<u8>>) {
    while let Some(mut turn) = serve.agenda.viewers.next() {
        let key = turn.connection;
        let mut requests = Requests {
            unsent: network.unsent(key),
            serve: &mut serve,
            replies: &mut replies,
        };
        let goes_on = take_turn(&mut network, &mut requests, &mut turn);
        if !replies.is_empty() {
            network.send(key, &replies);
            serve.agenda.writable.ready(key);
            replies.clear();
        }
        serve.agenda.viewers.end(&turn, goes_on);
        waiting::note(
            &network,
            &mut serve.entities,
            &mut serve.agenda,
            &serve.now,
            key,
        );
    }
}

/// The protocol of live connections.
struct Requests<'a, 'w> {
    serve: &'a mut Serve<'w>,
    replies: &'a mut Vec<u8>,
    /// Bytes of earlier replies that wait to be sent.
    unsent: usize,
}

impl Protocol for Requests<'_, '_> {
    fn records(&mut self) -> Records<'_> {
        Records {
            entities: &mut self.serve.entities,
            agenda: &mut self.serve.agenda,
            settings: &self.serve.settings,
            now: &self.serve.now,
        }
    }

    fn execute(
        &mut self,
        turn: &mut Turn,
        input: Arrived<'_>,
        received: &Received,
    ) -> (usize, Pause) {
        let has_ended = matches!(received, Received::Ended | Received::Broken(_));
        let mut consumed = 0;
        let pause = self.answer_all(turn, input.bytes(), &mut consumed, has_ended);
        let pause = pause.unwrap_or_else(|reason| {
            report(self.serve, turn.connection, &reason);
            Pause::Input
        });
        (consumed, pause)
    }
}

impl Requests<'_, '_> {
    /// Answers the whole requests in `input`, and adds their size to `consumed`. The next
    /// request waits while a large reply is being sent, or the viewer does not read its
    /// replies (backpressure); a question for a packet that is not there may wait too.
    fn answer_all(
        &mut self,
        turn: &mut Turn,
        input: &[u8],
        consumed: &mut usize,
        has_ended: bool,
    ) -> Result<Pause, Rejection> {
        let key = turn.connection;
        loop {
            let Self {
                serve,
                replies,
                unsent,
            } = self;
            let rest = &input[*consumed..];
            let is_busy = !rest.is_empty() && is_busy(serve, key);
            if is_busy || *unsent + replies.len() >= UNSENT_BYTES_MAX {
                return Ok(Pause::Replies);
            }
            let Some((header, rest)) = rest.split_first_chunk::<HEADER_SIZE>() else {
                return Ok(Pause::Input);
            };
            let number = Header::decode(header).command;
            let Some(kind) = RequestKind::from_number(number) else {
                return Err(refuse_unknown(serve, key, number, replies));
            };
            // The payload's size follows from the request; what the header says of it
            // is not reliable in old viewers.
            let Some(payload) = rest.get(..kind.payload_size()) else {
                return Ok(Pause::Input);
            };
            if turn.is_over() {
                return Ok(Pause::Turn);
            }
            let goes_on = has_ended || rest.len() > payload.len();
            let calls = serve.storage.calls();
            let length = replies.len() + listed_bytes(serve, key);
            let changes = serve.entities.changes;
            let answered = execute(serve, key, kind, payload, goes_on, replies);
            if !matches!(answered, Ok(Some(_))) {
                let counts = &mut serve.entities.totals.requests;
                counts[kind as usize].add(answered.is_err());
            }
            let pause = answered?;
            let written = replies.len() + listed_bytes(serve, key) - length;
            turn.spend_message(written, serve.storage.calls() - calls);
            turn.spend_records(serve.entities.changes - changes);
            if let Some(pause) = pause {
                return Ok(pause);
            }
            *consumed += HEADER_SIZE + payload.len();
        }
    }
}

/// Decodes and answers a request, unless it is one that waits: why.
fn execute(
    serve: &mut Serve,
    key: ConnectionKey,
    kind: RequestKind,
    payload: &[u8],
    goes_on: bool,
    replies: &mut Vec<u8>,
) -> Result<Option<Pause>, Rejection> {
    let request = decode(kind, payload)?;
    let length = replies.len();
    let told =
        tracing::enabled!(tracing::Level::TRACE).then(|| told::request(serve, key, &request));
    let pause = answer(serve, key, request, goes_on, replies)?;
    if let Some(told) = told.filter(|_| pause.is_none()) {
        trace(serve, key, kind, &told, &replies[length..]);
    }
    Ok(pause)
}

/// Logs a request with its reply.
fn trace(serve: &Serve, key: ConnectionKey, kind: RequestKind, told: &str, reply: &[u8]) {
    if let Some(connection) = serve.entities.connections.get(key) {
        let minor = connection.viewer().and_then(|viewer| viewer.minor);
        let reply = told::reply(kind, minor.unwrap_or(0), reply);
        tracing::trace!(peer = connection.peer, "{told}: {reply}");
    }
}

fn report(serve: &mut Serve, key: ConnectionKey, reason: &Rejection) {
    if let Some(connection) = serve.entities.connections.get_mut(key) {
        tracing::warn!(
            peer = connection.peer,
            "live connection: {reason}; connection closed"
        );
        serve.agenda.close(key, connection, Ending::Fault);
    }
}

/// Bytes of a list that is being written.
fn listed_bytes(serve: &Serve, key: ConnectionKey) -> usize {
    let connection = serve.entities.connections.get(key);
    let list = connection.and_then(|connection| connection.viewer()?.list.as_ref());
    list.map_or(0, |list| list.bytes.len())
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

fn refuse_unknown(
    serve: &Serve,
    key: ConnectionKey,
    number: u32,
    replies: &mut Vec<u8>,
) -> Rejection {
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    if viewer.is_some_and(|viewer| viewer.minor.is_some()) {
        reply::unknown_command(replies);
    }
    Rejection::UnknownRequest(number)
}

/// Answers a request, unless it is one that waits: why.
fn answer(
    serve: &mut Serve,
    key: ConnectionKey,
    request: Request,
    goes_on: bool,
    replies: &mut Vec<u8>,
) -> Result<Option<Pause>, Rejection> {
    if let Request::Connect { major, minor, kind } = request {
        connect::connect(serve, key, major, minor, kind, replies)?;
        return Ok(None);
    }
    let viewer = serve
        .entities
        .connections
        .get(key)
        .and_then(Connection::viewer);
    let Some((minor, session)) =
        viewer.and_then(|viewer| Some((viewer.minor?, viewer.session.as_ref().map(Held::key))))
    else {
        return Err(Rejection::NotConnected(request.kind().name()));
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
        Request::ListSessions => {
            let is_whole = list::list(serve, caller, replies);
            return Ok((!is_whole).then_some(Pause::Turn));
        }
        Request::CreateSession => connect::create_session(serve, caller, replies),
        Request::Attach { session, seek } => attach::attach(serve, caller, session, seek, replies),
        Request::Detach { session } => attach::detach(serve, caller, session, replies),
        Request::NewStreams { session } => new_streams::answer(serve, caller, session, replies),
        Request::NextIndex { stream } => {
            return Ok(next_index::answer(serve, caller, stream, last, replies));
        }
        Request::Metadata { stream } => {
            return Ok(metadata::answer(serve, caller, stream, replies));
        }
        Request::Packet {
            stream,
            offset,
            length,
        } => {
            let pause = packet::answer(serve, caller, stream, offset, length, replies);
            return Ok(pause);
        }
    }
    Ok(None)
}
