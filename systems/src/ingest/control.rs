//! Control connections: reads and dispatches commands.

use baton_components::connection::{Connection, Ending};
use baton_components::hold::Held;
use baton_components::keys::{ConnectionKey, SessionKey};
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::wire::codec::WireError;
use baton_components::wire::producer::{
    Command, CommandKind, HEADER_SIZE, Header, Minors, NONE, SMALL_PAYLOAD_SIZE_MAX, code, decode,
    reply,
};
use bevy_ecs::system::{Local, ResMut};

use super::fault::{Fault, Reason, Then};
use super::{Ingest, Progress, chunk, index, metadata, pending, rotation, session, stream, told};
use crate::named;
use crate::peers::receive::{Pause, Protocol, take_turn};
use crate::peers::records::Records;
use crate::peers::refusals::report_more;
use crate::ports::{Arrived, NetworkPort, Received};
use crate::probe;
use crate::record::{Recorder, batch};
use crate::turns::Turn;

/// Executes the commands of control connections, in the order of each connection.
pub fn control(mut network: ResMut<NetworkPort>, mut ingest: Ingest, mut replies: Local<Vec<u8>>) {
    while let Some(mut turn) = ingest.record.agenda.control.next() {
        let key = turn.connection;
        let mut commands = Commands {
            ingest: &mut ingest,
            replies: &mut replies,
        };
        let goes_on = take_turn(&mut network, &mut commands, &mut turn);
        if !replies.is_empty() {
            network.send(key, &replies);
            ingest.record.agenda.replies.push(key);
            replies.clear();
        } else if turn.has_work() {
            network.acknowledge(key);
        }
        ingest.record.agenda.control.end(&turn, goes_on);
        ingest.note_waiting(&network, key);
    }
}

/// The protocol of control connections.
struct Commands<'a, 'w> {
    ingest: &'a mut Ingest<'w>,
    replies: &'a mut Vec<u8>,
}

impl Protocol for Commands<'_, '_> {
    fn records(&mut self) -> Records<'_> {
        self.ingest.records()
    }

    fn execute(&mut self, turn: &mut Turn, input: Arrived<'_>, _: &Received) -> (usize, Pause) {
        let Self { ingest, replies } = self;
        let key = turn.connection;
        let input = input.bytes();
        let mut consumed = 0;
        let pause = loop {
            if replies.len() >= UNSENT_BYTES_MAX {
                break Pause::Replies;
            }
            let Some((header, rest)) = input[consumed..].split_first_chunk::<HEADER_SIZE>() else {
                break Pause::Input;
            };
            let header = Header::decode(header);
            let max = payload_size_max(ingest, key, header.command);
            let mut looked_at: &[u8] = &[];
            let outcome = if header.payload_size > max {
                let size = header.payload_size;
                Err(Reason::Oversized { size, max }.abort())
            } else {
                let Some(payload) = rest.get(..header.payload_size as usize) else {
                    break Pause::Input;
                };
                if turn.is_over() {
                    break Pause::Turn;
                }
                if makes_names(ingest, header.command, payload) && awaits_probe(ingest, key) {
                    break Pause::Disk;
                }
                if must_wait(ingest, key, header.command, payload) {
                    break Pause::Disk;
                }
                looked_at = payload;
                let (length, calls) = (replies.len(), ingest.record.storage.calls());
                let outcome = execute(ingest, key, header.command, payload, replies);
                turn.spend_message(
                    replies.len() - length,
                    ingest.record.storage.calls() - calls,
                );
                if matches!(outcome, Ok(Progress::Part)) {
                    break Pause::Turn;
                }
                consumed += HEADER_SIZE + payload.len();
                outcome
            };
            if let Some(kind) = CommandKind::from_number(header.command) {
                let counts = &mut ingest.record.entities.totals.commands;
                counts[kind as usize].add(outcome.is_err());
            }
            if let Err(fault) = outcome
                && report(ingest, key, header.command, looked_at, &fault) == Then::Abort
            {
                break Pause::Input;
            }
        };
        (consumed, pause)
    }
}

/// Whether a command may make, move or remove files or directories.
fn makes_names(ingest: &Ingest, number: u32, payload: &[u8]) -> bool {
    match CommandKind::from_number(number) {
        Some(
            CommandKind::CreateSession
            | CommandKind::AddStream
            | CommandKind::ResetMetadata
            | CommandKind::RotateStreams
            | CommandKind::CreateTraceChunk
            | CommandKind::CloseTraceChunk,
        ) => true,
        Some(CommandKind::SendIndex) => {
            let handle = payload.first_chunk().map(|it| u64::from_be_bytes(*it));
            let streams = &ingest.record.directory.streams;
            let stream = handle.and_then(|handle| streams.get(&handle));
            stream.is_some_and(|stream| ingest.record.is_rotating(*stream))
        }
        _ => false,
    }
}

/// Whether a command that makes names stays unread, since the disk has not answered just now.
fn awaits_probe(ingest: &mut Ingest, key: ConnectionKey) -> bool {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut ingest.record;
    probe::must_wait(entities, agenda, now, key)
}

/// Whether a command waits until what its session has written before is in the files, since its
/// reply says so, or since there is no room for it.
fn must_wait(ingest: &mut Ingest, key: ConnectionKey, number: u32, payload: &[u8]) -> bool {
    let entities = &ingest.record.entities;
    let connection = entities.connections.get(key);
    let session = connection.and_then(Connection::session).map(Held::key);
    let (Some(kind), Some(session)) = (CommandKind::from_number(number), session) else {
        return false;
    };
    let waits = match kind {
        CommandKind::DataPending
        | CommandKind::EndDataPending
        | CommandKind::QuiescentControl
        | CommandKind::CloseTraceChunk => true,
        CommandKind::SendMetadata => metadata::must_wait(ingest, key, session, payload),
        CommandKind::RotateStreams => {
            batch::is_buffer_full(&ingest.record.entities, session, &ingest.settings)
        }
        _ => false,
    };
    let entities = &mut ingest.record.entities;
    if !waits && let Some(connection) = entities.connections.get_mut(key) {
        // The next command that waits does so for what is written until then.
        connection.awaits_batch = None;
    }
    waits && batch::must_wait(entities, key, session)
}

/// How large the payload of a command may be, so that nothing larger is waited for: many
/// bytes come only to a session.
fn payload_size_max(ingest: &Ingest, key: ConnectionKey, command: u32) -> u64 {
    let connection = ingest.record.entities.connections.get(key);
    let session = connection.and_then(Connection::session);
    match CommandKind::from_number(command) {
        Some(kind) if session.is_some() => kind.payload_size_max(),
        _ => SMALL_PAYLOAD_SIZE_MAX,
    }
}

/// Logs a fault with its peer and command, and ends the connection if it must. `payload`:
/// as far as it was looked at.
fn report(
    ingest: &mut Ingest,
    key: ConnectionKey,
    number: u32,
    payload: &[u8],
    fault: &Fault,
) -> Then {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut ingest.record;
    let Some(connection) = entities.connections.get_mut(key) else {
        // The connection has ended.
        return fault.then;
    };
    let logged = match (fault.then, connection.control_mut()) {
        (Then::Stay, Some(control)) => control.refusals.add(now.monotonic),
        _ => Some(0),
    };
    let peer = connection.peer.clone();
    if fault.then == Then::Abort {
        agenda.close(key, connection, Ending::Fault);
    }
    let Some(before) = logged else {
        return fault.then;
    };
    let session = named::of_session(&ingest.record.entities, key);
    report_more(&peer, &session, before);
    let (command, reason) = (refused(ingest, key, number, payload), &fault.reason);
    let then = match fault.then {
        Then::Abort => "connection closed",
        Then::Stay => "refused",
    };
    tracing::warn!(
        peer,
        "control connection{session}: {command}: {reason}; {then}"
    );
    fault.then
}

/// The text of a refused command: what it is about, if that can be read.
fn refused(ingest: &Ingest, key: ConnectionKey, number: u32, payload: &[u8]) -> String {
    let Some(kind) = CommandKind::from_number(number) else {
        return "command".to_owned();
    };
    let Recorder {
        entities,
        directory,
        ..
    } = &ingest.record;
    let control = entities.connections.get(key).and_then(Connection::control);
    let connection = control.and_then(|control| control.minor).unwrap_or(0);
    let session = control.and_then(|control| control.session.as_ref());
    let session = session.map_or(connection, |session| entities.sessions[session].minor);
    let minors = Minors {
        connection,
        session,
    };
    decode(kind, minors, payload).map_or_else(
        |_| kind.name().to_owned(),
        |command| told::command(entities, directory, &command),
    )
}

fn execute(
    ingest: &mut Ingest,
    key: ConnectionKey,
    number: u32,
    payload: &[u8],
    replies: &mut Vec<u8>,
) -> Result<Progress, Fault> {
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
    let session = control.and_then(|control| control.session.as_ref());
    let session_minor = session.map(|held| ingest.record.entities.sessions[held].minor);
    let session = session.map(Held::key);
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

    let told = tracing::enabled!(tracing::Level::TRACE).then(|| {
        let Recorder {
            entities,
            directory,
            ..
        } = &ingest.record;
        told::command(entities, directory, &command)
    });
    let length = replies.len();
    let outcome = execute_decoded(ingest, key, minor, command, session, replies);
    if let Some(told) = told.filter(|_| !matches!(outcome, Ok(Progress::Part)))
        && let Some(connection) = ingest.record.entities.connections.get(key)
    {
        let reply = told::reply(kind, minor, &replies[length..]);
        tracing::trace!(peer = connection.peer, "{told}: {reply}");
    }
    outcome
}

fn execute_decoded(
    ingest: &mut Ingest,
    key: ConnectionKey,
    minor: u32,
    command: Command,
    session: Option<SessionKey>,
    replies: &mut Vec<u8>,
) -> Result<Progress, Fault> {
    let whole = match (command, session) {
        (Command::Version(command), _) => session::version(ingest, key, command, replies),
        (Command::GetConfiguration(command), _) => session::configuration(ingest, command, replies),
        (Command::CreateSession(command), _) => {
            session::create(ingest, key, minor, &command, replies)
        }
        (Command::StartData, _) => {
            // No effect: data is accepted from the first packet on.
            reply::code(replies, code::OK);
            Ok(())
        }
        (command, Some(session)) => {
            return execute_in_session(ingest, key, session, command, replies);
        }
        (_, None) => Err(Reason::NoSession.abort()),
    };
    whole.map(|()| Progress::Whole)
}

fn execute_in_session(
    ingest: &mut Ingest,
    key: ConnectionKey,
    own: SessionKey,
    command: Command,
    replies: &mut Vec<u8>,
) -> Result<Progress, Fault> {
    let whole = match command {
        Command::AddStream(command) => return stream::add(ingest, own, &command, replies),
        Command::RotateStreams(command) => {
            return rotation::rotate(ingest, key, own, &command, replies);
        }
        Command::CloseStream(command) => stream::close(ingest, own, command, replies),
        Command::SendMetadata(command) => metadata::send(ingest, own, &command),
        Command::SendIndex(command) => index::send(ingest, own, command, replies),
        Command::DataPending(command) => pending::ask(ingest, own, command, replies),
        Command::CreateTraceChunk(command) => chunk::create(ingest, own, &command, replies),
        Command::CloseTraceChunk(command) => chunk::close(ingest, own, command, replies),
        Command::TraceChunkExists(command) => chunk::exists(ingest, own, command, replies),
        Command::ResetMetadata(command) => metadata::reset(ingest, own, command, replies),
        Command::StreamsSent => {
            stream::sent(ingest, key, own, replies);
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
    };
    whole.map(|()| Progress::Whole)
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
