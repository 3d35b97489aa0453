//! Data connections: reads packets, and appends them to their files as they arrive.

use baton_components::connection::{ArrivingPacket, Connection, Ending, Endpoint, Role};
use baton_components::hold::Held;
use baton_components::keys::{ConnectionKey, SessionKey, StreamKey};
use baton_components::limits::PAYLOAD_TAKEN_BYTES_MIN;
use baton_components::wire::producer::data::{HEADER_SIZE, PacketHeader};
use bevy_ecs::system::ResMut;

use super::fault::Reason;
use super::{Ingest, told};
use crate::entities::Entities;
use crate::named;
use crate::peers::receive::{Pause, Protocol, take_turn};
use crate::peers::records::Records;
use crate::peers::waiting;
use crate::ports::{Arrived, NetworkPort, Received};
use crate::probe;
use crate::record::{RecordError, Recorder, batch};
use crate::turns::Turn;

/// Processes the bytes of data connections.
pub fn data(mut network: ResMut<NetworkPort>, mut ingest: Ingest) {
    while let Some(mut turn) = ingest.record.agenda.data.next() {
        if lacks_room(&mut ingest, turn.connection) {
            ingest.record.agenda.data.end(&turn, false);
            ingest.note_waiting(&network, turn.connection);
            continue;
        }
        let goes_on = take_turn(&mut network, &mut Packets(&mut ingest), &mut turn);
        ingest.record.agenda.data.end(&turn, goes_on);
        ingest.note_waiting(&network, turn.connection);
    }
}

/// Whether the write buffer has no room for more of a connection: it is not read until a commit
/// is answered.
fn lacks_room(ingest: &mut Ingest, key: ConnectionKey) -> bool {
    let settings = &ingest.settings;
    let entities = &mut ingest.record.entities;
    let session = entities.connections.get(key).and_then(Connection::session);
    let session = session.map(Held::key);
    session.is_some_and(|session| batch::lacks_room(entities, key, session, settings))
}

/// The protocol of data connections.
struct Packets<'a, 'w>(&'a mut Ingest<'w>);

impl Protocol for Packets<'_, '_> {
    fn records(&mut self) -> Records<'_> {
        self.0.records()
    }

    fn execute(
        &mut self,
        turn: &mut Turn,
        input: Arrived<'_>,
        received: &Received,
    ) -> (usize, Pause) {
        let ingest = &mut *self.0;
        let may_be_more = *received == Received::More;
        let mut rest = input;
        let pause = ingest_all(ingest, turn, &mut rest, may_be_more).unwrap_or_else(|reason| {
            report(ingest, turn.connection, &reason);
            Pause::Input
        });
        (rest.at() - input.at(), pause)
    }
}

/// Ingests whole packets or parts, and removes them from `input`; with `may_be_more`, also
/// what is not received yet of a large packet.
fn ingest_all(
    ingest: &mut Ingest,
    turn: &mut Turn,
    input: &mut Arrived<'_>,
    may_be_more: bool,
) -> Result<Pause, Reason> {
    let key = turn.connection;
    loop {
        let is_empty = input.bytes().is_empty();
        if turn.is_over() && !is_empty {
            return Ok(Pause::Turn);
        }
        if is_empty && (turn.is_over() || !may_be_more) {
            return Ok(wanted(ingest, key, 0));
        }
        if is_empty && input.at() > 0 {
            // Bytes that go by zero-copy come after those of the input.
            return Ok(Pause::Consume);
        }
        if awaits_probe(ingest, key, input.bytes()) {
            return Ok(Pause::Disk);
        }
        let calls = ingest.record.storage.calls();
        let taken = if is_empty {
            take_payload(ingest, key, turn.left())
        } else {
            ingest_some(ingest, key, input)
        };
        // The cost of a faulty packet is spent too.
        turn.spend_message(0, ingest.record.storage.calls() - calls);
        let Some(bytes) = taken? else {
            return Ok(wanted(ingest, key, input.bytes().len()));
        };
        turn.spend(bytes);
    }
}

/// Whether the next bytes stay unread, since they may begin a file, and the disk has not answered
/// just now. A file begins with the header of a packet, or when the packet is whole.
fn awaits_probe(ingest: &mut Ingest, key: ConnectionKey, input: &[u8]) -> bool {
    let Recorder { agenda, now, .. } = &ingest.record;
    if agenda.probes.are_fresh(now.monotonic) {
        return false;
    }
    let next = match arriving(ingest, key) {
        Some(packet) => Some((packet.stream, 0)),
        None => input.first_chunk().and_then(|header| {
            let header = PacketHeader::decode(header);
            let stream = ingest.record.directory.streams.get(&header.stream)?;
            Some((*stream, header.size))
        }),
    };
    let may_begin = next.is_some_and(|(stream, size)| ingest.record.may_begin_file(stream, size));
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut ingest.record;
    may_begin && probe::must_wait(entities, agenda, now, key)
}

/// Decides how much is to be received, behind `there` bytes of a header. After a large packet the
/// next header comes alone, so that all the payload behind it goes by zero-copy.
fn wanted(ingest: &Ingest, key: ConnectionKey, there: usize) -> Pause {
    let connection = ingest.record.entities.connections.get(key);
    let plain = connection.filter(|connection| !connection.has_tls);
    let data = plain.and_then(Connection::data);
    if data.is_some_and(|data| data.packet.is_none() && data.was_large) {
        Pause::Bytes(HEADER_SIZE - there)
    } else {
        Pause::Input
    }
}

/// Moves the rest of a large packet, at most `length` bytes, as far as it has arrived, with
/// zero-copy. None: it is to be received.
fn take_payload(
    ingest: &mut Ingest,
    key: ConnectionKey,
    length: u64,
) -> Result<Option<u64>, Reason> {
    let Some(packet) = arriving(ingest, key) else {
        return Ok(None);
    };
    let wanted = packet.header.size - packet.received;
    if wanted < PAYLOAD_TAKEN_BYTES_MIN {
        return Ok(None);
    }
    let length = u64::from(wanted).min(length);
    let taken = ingest.record.take(packet.stream, length, key);
    let taken = taken.map_err(|error| of_stream(ingest, packet.stream, error))?;
    let Some(taken) = taken else {
        return Ok(None);
    };
    let totals = &mut ingest.record.entities.totals;
    totals.port(Endpoint::Data).received_bytes += taken;
    advance(ingest, key, packet, taken as u32)?;
    Ok(Some(taken))
}

/// The incomplete packet of a connection.
fn arriving(ingest: &Ingest, key: ConnectionKey) -> Option<ArrivingPacket> {
    match &ingest.record.entities.connections.get(key)?.role {
        Role::Data(data) => data.packet,
        _ => None,
    }
}

fn report(ingest: &mut Ingest, key: ConnectionKey, reason: &Reason) {
    let session = named::of_session(&ingest.record.entities, key);
    if let Some(connection) = ingest.record.entities.connections.get_mut(key) {
        tracing::warn!(
            peer = connection.peer,
            "data connection{session}: {reason}; connection closed"
        );
        ingest.record.agenda.close(key, connection, Ending::Fault);
    }
}

/// Takes one step: a header, or payload. Gives the bytes that were moved by it; none: the
/// rest has to come.
fn ingest_some(
    ingest: &mut Ingest,
    key: ConnectionKey,
    input: &mut Arrived<'_>,
) -> Result<Option<u64>, Reason> {
    let Some(packet) = arriving(ingest, key) else {
        let bytes = input.bytes();
        let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let _ = input.take_first(HEADER_SIZE);
        begin_packet(ingest, key, PacketHeader::decode(header))?;
        return Ok(Some(0));
    };
    let wanted = (packet.header.size - packet.received) as usize;
    let payload = input.take_first(wanted);
    ingest
        .record
        .append(packet.stream, payload)
        .map_err(|error| of_stream(ingest, packet.stream, error))?;
    advance(ingest, key, packet, payload.bytes().len() as u32)?;
    // They were counted when they were received.
    Ok(Some(0))
}

/// Counts more bytes of a packet.
fn advance(
    ingest: &mut Ingest,
    key: ConnectionKey,
    mut packet: ArrivingPacket,
    count: u32,
) -> Result<(), Reason> {
    packet.received += count;
    let PacketHeader {
        size,
        sequence,
        padding,
        ..
    } = packet.header;
    let whole = packet.received == size;
    set_arriving(ingest, key, (!whole).then_some(packet));
    if whole {
        let ended = ingest.record.end_packet(packet.stream, sequence, padding);
        ended.map_err(|error| of_stream(ingest, packet.stream, error))?;
    }
    Ok(())
}

/// The reason, with the name of the stream.
fn of_stream(ingest: &Ingest, key: StreamKey, reason: RecordError) -> Reason {
    let entities = &ingest.record.entities;
    let name = entities.streams.get(key);
    let name = name.map_or_else(String::new, |stream| named::stream(entities, stream));
    Reason::Packet { name, reason }
}

fn set_arriving(ingest: &mut Ingest, key: ConnectionKey, packet: Option<ArrivingPacket>) {
    let connection = ingest.record.entities.connections.get_mut(key);
    if let Some(data) = connection.and_then(Connection::data_mut) {
        let before = std::mem::replace(&mut data.packet, packet);
        if let Some(packet) = packet.or(before) {
            data.was_large = packet.header.size >= PAYLOAD_TAKEN_BYTES_MIN;
        }
    }
}

/// Begins the packet of a header.
fn begin_packet(
    ingest: &mut Ingest,
    key: ConnectionKey,
    header: PacketHeader,
) -> Result<(), Reason> {
    let stream = ingest.record.directory.streams.get(&header.stream).copied();
    let stream = stream.ok_or(Reason::UnknownStream(header.stream))?;
    let session = session_of(ingest, key, stream, header.stream)?;
    tracing::trace!(
        "packet {} of {} begins: {} bytes",
        header.sequence,
        told::stream(
            &ingest.record.entities,
            &ingest.record.directory,
            header.stream
        ),
        header.size
    );
    ingest
        .record
        .begin_packet(stream, header.size)
        .map_err(|error| of_stream(ingest, stream, error))?;
    bind(ingest, key, session);
    let packet = ArrivingPacket {
        header,
        stream,
        received: 0,
    };
    advance(ingest, key, packet, 0)
}

/// The session of a data stream, which must be the connection's if it has one.
fn session_of(
    ingest: &Ingest,
    key: ConnectionKey,
    stream: StreamKey,
    handle: u64,
) -> Result<SessionKey, Reason> {
    let stream = ingest
        .record
        .entities
        .streams
        .get(stream)
        .ok_or(Reason::UnknownStream(handle))?;
    let session = stream.session.key();
    let Entities {
        connections,
        sessions,
        ..
    } = &*ingest.record.entities;
    let connection = connections.get(key);
    let is_others = connection
        .and_then(Connection::session)
        .is_some_and(|bound| *bound != stream.session);
    let may_not = connection.is_some_and(|it| !it.may_be_of(&sessions[&stream.session].host));
    if is_others || may_not {
        return Err(Reason::UnknownStream(handle));
    }
    Ok(session)
}

/// Binds the connection to the session of the first stream that it serves.
fn bind(ingest: &mut Ingest, key: ConnectionKey, session: SessionKey) {
    if ingest
        .record
        .entities
        .connections
        .get(key)
        .is_none_or(|connection| connection.session().is_some())
    {
        return;
    }
    waiting::end_silence(&mut ingest.record.entities, key);
    ingest
        .record
        .entities
        .relink(key, |connection: &mut Connection, links| {
            if let Some(data) = connection.data_mut() {
                data.session = Some(links.hold(session));
            }
        });
    if let Some(session) = ingest.record.entities.sessions.get_mut(session) {
        session.data_connections += 1;
        session.given_up = false;
    }
}
