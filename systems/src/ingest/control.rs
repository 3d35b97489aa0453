//! Control connections: whole messages out of their bytes, one after another.

use baton_components::connection::{Connection, Ending, Role};
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::wire::codec::WireError;
use baton_components::wire::producer::{
    Command, CommandKind, HEADER_SIZE, Header, Minors, NONE, PAYLOAD_SIZE_MAX, code, decode, reply,
};
use bevy_ecs::system::{Local, ResMut};

use super::fault::{Fault, Reason, Then};
use super::{Ingest, chunk, index, metadata, pending, rotation, session, stream};
use crate::peers::receive::receive;
use crate::peers::refusals::report_more;
use crate::ports::NetworkPort;

/// Executes every whole command that has come, in the order of each connection.
pub fn control(mut network: ResMut<NetworkPort>, mut ingest: Ingest, mut replies: Local<Vec<u8>>) {
    let mut ready = std::mem::take(&mut ingest.record.agenda.control);
    for key in ready.drain(..) {
        if !receive(
            &mut network,
            &mut ingest.record.entities,
            &mut ingest.record.agenda,
            key,
        ) {
            continue;
        }
        let input = network.input(key);
        let is_empty = input.is_empty();
        let consumed = converse(&mut ingest, key, input, &mut replies);
        network.consume(key, consumed);
        if is_empty {
            // It only ended.
        } else if replies.is_empty() {
            network.acknowledge(key);
        } else {
            network.send(key, &replies);
            ingest.record.agenda.writable.push(key);
            replies.clear();
        }
    }
    ingest.record.agenda.control = ready;
}

/// Executes the commands that `input` holds whole; gives how many bytes they took.
fn converse(ingest: &mut Ingest, key: ConnectionKey, input: &[u8], replies: &mut Vec<u8>) -> usize {
    let mut consumed = 0;
    while let Some((header, rest)) = input[consumed..].split_first_chunk::<HEADER_SIZE>() {
        let header = Header::decode(header);
        let outcome = if header.payload_size > PAYLOAD_SIZE_MAX {
            Err(Reason::Oversized(header.payload_size).abort())
        } else {
            let Some(payload) = rest.get(..header.payload_size as usize) else {
                break;
            };
            consumed += HEADER_SIZE + payload.len();
            execute(ingest, key, header.command, payload, replies)
        };
        if let Err(fault) = outcome
            && report(ingest, key, header.command, &fault) == Then::Abort
        {
            break;
        }
        if replies.len() >= UNSENT_BYTES_MAX {
            // The rest is read when these have left.
            if let Some(connection) = ingest.record.entities.connections.get_mut(key) {
                connection.throttled = true;
            }
            break;
        }
    }
    consumed
}

/// Logs a fault with its peer and command, and ends the connection if it must.
fn report(ingest: &mut Ingest, key: ConnectionKey, command: u32, fault: &Fault) -> Then {
    let Some(connection) = ingest.record.entities.connections.get_mut(key) else {
        return fault.then;
    };
    let command = CommandKind::from_number(command).map_or("command", CommandKind::name);
    let (peer, reason) = (&connection.peer, &fault.reason);
    match fault.then {
        Then::Abort => {
            tracing::warn!(
                peer,
                "control connection: {command}: {reason}; connection closed"
            );
            ingest.record.agenda.close(key, connection, Ending::Abort);
        }
        Then::Stay => {
            let Role::Control(control) = &mut connection.role else {
                return fault.then;
            };
            if let Some(before) = control.refusals.add(ingest.record.now.monotonic) {
                report_more(peer, before);
                tracing::warn!(peer, "control connection: {command}: {reason}; refused");
            }
        }
    }
    fault.then
}

fn execute(
    ingest: &mut Ingest,
    key: ConnectionKey,
    number: u32,
    payload: &[u8],
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some(kind) = CommandKind::from_number(number) else {
        reply::code(replies, code::UNKNOWN_ERR);
        return Err(Reason::UnknownCommand(number).abort());
    };
    let control = ingest
        .record
        .entities
        .connections
        .get(key)
        .and_then(Connection::control);
    let minor = control.and_then(|control| control.minor).unwrap_or(0);
    let session = control.and_then(|control| control.session);
    // An index is answered before it is written. Whoever is answered anything else may
    // go to the disk and look.
    ingest.record.agenda.commit_now |= kind != CommandKind::SendIndex;
    let session_minor = session
        .and_then(|key| ingest.record.entities.sessions.get(key))
        .map(|session| session.minor);
    if needs_session(kind) && session.is_none() {
        return Err(Reason::NoSession.abort());
    }
    if needs_chunks(kind)
        && let Some(old) = session_minor.filter(|minor| *minor < 11)
    {
        return Err(Reason::TooOld(old).abort());
    }
    let minors = Minors {
        connection: minor,
        session: session_minor.unwrap_or(minor),
    };
    let command = decode(kind, minors, payload)
        .map_err(|error| refuse_malformed(kind, minor, error, replies))?;

    match (command, session) {
        (Command::Version(command), _) => session::version(ingest, key, command, replies),
        (Command::GetConfiguration(command), _) => session::configuration(ingest, command, replies),
        (Command::CreateSession(command), _) => {
            session::create(ingest, key, minor, &command, replies)
        }
        (Command::StartData, _) => {
            // Nothing starts: data is taken from the first packet on.
            reply::code(replies, code::OK);
            Ok(())
        }
        (command, Some(session)) => execute_in_session(ingest, session, command, replies),
        (_, None) => Err(Reason::NoSession.abort()),
    }
}

fn execute_in_session(
    ingest: &mut Ingest,
    own: SessionKey,
    command: Command,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    match command {
        Command::AddStream(command) => stream::add(ingest, own, &command, replies),
        Command::CloseStream(command) => stream::close(ingest, own, command, replies),
        Command::SendMetadata(command) => metadata::send(ingest, own, &command),
        Command::SendIndex(command) => index::send(ingest, own, command, replies),
        Command::DataPending(command) => pending::ask(ingest, own, command, replies),
        Command::RotateStreams(command) => rotation::rotate(ingest, own, &command, replies),
        Command::CreateTraceChunk(command) => chunk::create(ingest, own, &command, replies),
        Command::CloseTraceChunk(command) => chunk::close(ingest, own, command, replies),
        Command::TraceChunkExists(command) => chunk::exists(ingest, own, command, replies),
        Command::ResetMetadata(command) => metadata::reset(ingest, own, command, replies),
        Command::StreamsSent => {
            stream::sent(ingest, own, replies);
            Ok(())
        }
        Command::QuiescentControl(command) => {
            pending::quiescent(ingest, own, command, replies);
            Ok(())
        }
        Command::BeginDataPending(command) => {
            pending::begin(ingest, own, command, replies);
            Ok(())
        }
        Command::EndDataPending(command) => {
            pending::end(ingest, own, command, replies);
            Ok(())
        }
        Command::Version(_)
        | Command::GetConfiguration(_)
        | Command::CreateSession(_)
        | Command::StartData => unreachable!("law: executed without regard to the session"),
    }
}

/// Commands that act on the session of their connection.
fn needs_session(kind: CommandKind) -> bool {
    !matches!(
        kind,
        CommandKind::Version
            | CommandKind::GetConfiguration
            | CommandKind::CreateSession
            | CommandKind::StartData
    )
}

/// Commands about chunks, which sessions have since 2.11.
fn needs_chunks(kind: CommandKind) -> bool {
    matches!(
        kind,
        CommandKind::RotateStreams
            | CommandKind::CreateTraceChunk
            | CommandKind::CloseTraceChunk
            | CommandKind::TraceChunkExists
    )
}

/// Most malformed payloads end the connection without a reply; a few commands have
/// one for them.
fn refuse_malformed(
    kind: CommandKind,
    minor: u32,
    error: WireError,
    replies: &mut Vec<u8>,
) -> Fault {
    match (kind, &error) {
        (CommandKind::CreateSession, _) => {
            reply::session_refused(replies, minor, code::FATAL);
            return Reason::from(error).stay();
        }
        (CommandKind::AddStream, _) => reply::stream_added(replies, NONE, code::UNKNOWN_ERR),
        // Too short for its fixed part: no reply. A bad name: one.
        (CommandKind::CreateTraceChunk, WireError::Short { .. }) => {}
        (CommandKind::CreateTraceChunk, _) => reply::code(replies, code::INVALID),
        _ => {}
    }
    Reason::from(error).abort()
}
