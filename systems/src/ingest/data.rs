//! Data connections: packets, written to their files as they arrive.

use baton_components::connection::{ArrivingPacket, Connection, Ending, Role};
use baton_components::keys::{ConnectionKey, SessionKey, StreamKey};
use baton_components::limits::{PAYLOAD_BYTES_PER_TICK, PAYLOAD_TAKEN_BYTES_MIN};
use baton_components::wire::producer::data::{HEADER_SIZE, PacketHeader};
use bevy_ecs::system::ResMut;

use super::Ingest;
use super::fault::Reason;
use crate::peers::receive::receive;
use crate::ports::NetworkPort;

/// Takes what every data connection has brought.
pub fn data(mut network: ResMut<NetworkPort>, mut ingest: Ingest) {
    let mut ready = std::mem::take(&mut ingest.record.agenda.data);
    for key in ready.drain(..) {
        if let Err(reason) = ingest_from(&mut network, &mut ingest, key) {
            report(&mut ingest, key, &reason);
        }
    }
    ingest.record.agenda.data = ready;
}

/// Takes what one connection has brought, up to its share of a tick.
fn ingest_from(
    network: &mut NetworkPort,
    ingest: &mut Ingest,
    key: ConnectionKey,
) -> Result<(), Reason> {
    if take_payload(network, ingest, key)? {
        ingest.record.agenda.again.push(key);
        return Ok(());
    }
    if !receive(
        network,
        &mut ingest.record.entities,
        &mut ingest.record.agenda,
        key,
    ) {
        return Ok(());
    }
    let (consumed, outcome) = ingest_packets(ingest, key, network.input(key));
    network.consume(key, consumed);
    outcome
}

/// Lets storage take the rest of a large packet by itself, as far as it has come.
/// Whether the share of a tick was used up: there may be more.
fn take_payload(
    network: &NetworkPort,
    ingest: &mut Ingest,
    key: ConnectionKey,
) -> Result<bool, Reason> {
    let mut share = PAYLOAD_BYTES_PER_TICK;
    while share > 0 {
        let Some(packet) = arriving(ingest, key) else {
            return Ok(false);
        };
        let wanted = packet.header.size - packet.received;
        if wanted < PAYLOAD_TAKEN_BYTES_MIN || !network.input(key).is_empty() {
            return Ok(false);
        }
        let Some(source) = network.source(key) else {
            return Ok(false);
        };
        let length = u64::from(wanted).min(share);
        let Some(taken) = ingest.record.take(packet.stream, length, source)? else {
            return Ok(false);
        };
        share -= taken;
        advance(ingest, key, packet, taken as u32)?;
    }
    Ok(true)
}

/// The packet that a connection is in the middle of.
fn arriving(ingest: &Ingest, key: ConnectionKey) -> Option<ArrivingPacket> {
    match &ingest.record.entities.connections.get(key)?.role {
        Role::Data(data) => data.packet,
        _ => None,
    }
}

fn report(ingest: &mut Ingest, key: ConnectionKey, reason: &Reason) {
    if let Some(connection) = ingest.record.entities.connections.get_mut(key) {
        tracing::warn!(
            peer = connection.peer,
            "data connection: {reason}; connection closed"
        );
        ingest.record.agenda.close(key, connection, Ending::Abort);
    }
}

/// Ingests what `input` holds, whole packets or parts; gives how many bytes it took.
fn ingest_packets(
    ingest: &mut Ingest,
    key: ConnectionKey,
    input: &[u8],
) -> (usize, Result<(), Reason>) {
    let mut rest = input;
    let outcome = loop {
        match ingest_some(ingest, key, &mut rest) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(reason) => break Err(reason),
        }
    };
    (input.len() - rest.len(), outcome)
}

/// Takes one step: a header, or payload. Whether there may be another.
fn ingest_some(ingest: &mut Ingest, key: ConnectionKey, input: &mut &[u8]) -> Result<bool, Reason> {
    let Some(data) = ingest
        .record
        .entities
        .connections
        .get_mut(key)
        .and_then(Connection::data_mut)
    else {
        return Ok(false);
    };
    let Some(packet) = data.packet else {
        let Some((header, rest)) = input.split_first_chunk::<HEADER_SIZE>() else {
            return Ok(false);
        };
        *input = rest;
        begin_packet(ingest, key, PacketHeader::decode(header))?;
        return Ok(true);
    };
    let wanted = (packet.header.size - packet.received) as usize;
    let (payload, rest) = input.split_at(wanted.min(input.len()));
    if payload.is_empty() && wanted > 0 {
        return Ok(false);
    }
    *input = rest;
    ingest.record.append(packet.stream, payload)?;
    advance(ingest, key, packet, payload.len() as u32)?;
    Ok(true)
}

/// So many bytes more of a packet have come.
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
        ingest.record.end_packet(packet.stream, sequence, padding)?;
    }
    Ok(())
}

fn set_arriving(ingest: &mut Ingest, key: ConnectionKey, packet: Option<ArrivingPacket>) {
    let connection = ingest.record.entities.connections.get_mut(key);
    if let Some(data) = connection.and_then(Connection::data_mut) {
        data.packet = packet;
    }
}

/// A header has come: the stream that it names takes the payload.
fn begin_packet(
    ingest: &mut Ingest,
    key: ConnectionKey,
    header: PacketHeader,
) -> Result<(), Reason> {
    let stream = ingest.record.directory.streams.get(&header.stream).copied();
    let stream = stream.ok_or(Reason::UnknownStream(header.stream))?;
    let session = session_of(ingest, key, stream, header.stream)?;
    ingest.record.begin_packet(stream, header.size)?;
    bind(ingest, key, session);
    let packet = ArrivingPacket {
        header,
        stream,
        received: 0,
    };
    set_arriving(ingest, key, Some(packet));
    Ok(())
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
    let bound = ingest
        .record
        .entities
        .connections
        .get(key)
        .and_then(Connection::session);
    if bound.is_some_and(|session| session != stream.session) {
        return Err(Reason::UnknownStream(handle));
    }
    Ok(stream.session)
}

/// The connection belongs to the session of the first stream that it serves.
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
    ingest
        .record
        .entities
        .relink(key, |connection: &mut Connection| {
            if let Some(data) = connection.data_mut() {
                data.session = Some(session);
            }
        });
    if let Some(session) = ingest.record.entities.sessions.get_mut(session) {
        session.data_connections += 1;
        session.given_up = false;
    }
}
