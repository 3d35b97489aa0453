//! Data connections: packets, written to their files as they arrive.

use baton_components::connection::{ArrivingPacket, Connection, Ending, Role};
use baton_components::index::PacketPlace;
use baton_components::keys::{ConnectionKey, SessionKey, StreamKey, TraceFileKey};
use baton_components::limits::{PAYLOAD_BYTES_PER_TICK, PAYLOAD_TAKEN_BYTES_MIN};
use baton_components::session::Session;
use baton_components::wire::producer::data::{HEADER_SIZE, PacketHeader};
use bevy_ecs::system::ResMut;

use super::fault::Reason;
use super::{Ingest, index, rotation};
use crate::peers::receive::receive;
use crate::ports::{NetworkPort, StorageError};
use crate::record::closing;
use crate::record::trace_files;
use crate::record::waiting_metadata;

/// Takes what every data connection has brought.
pub fn data(mut network: ResMut<NetworkPort>, mut ingest: Ingest) {
    let mut ready = std::mem::take(&mut ingest.agenda.data);
    for key in ready.drain(..) {
        if let Err(reason) = ingest_from(&mut network, &mut ingest, key) {
            report(&mut ingest, key, &reason);
        }
    }
    ingest.agenda.data = ready;
}

/// Takes what one connection has brought, up to its share of a tick.
fn ingest_from(
    network: &mut NetworkPort,
    ingest: &mut Ingest,
    key: ConnectionKey,
) -> Result<(), Reason> {
    if take_payload(network, ingest, key)? {
        ingest.agenda.again.push(key);
        return Ok(());
    }
    if !receive(network, &mut ingest.entities, &mut ingest.agenda, key) {
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
        if packet.lost || wanted < PAYLOAD_TAKEN_BYTES_MIN || !network.input(key).is_empty() {
            return Ok(false);
        }
        let Some(source) = network.source(key) else {
            return Ok(false);
        };
        let file = current_file(ingest, packet.stream, packet.header.stream)?;
        let Some(trace_file) = ingest.entities.trace_files.get_mut(file) else {
            return Ok(false);
        };
        let length = u64::from(wanted).min(share);
        let taken = trace_files::take(&mut ingest.storage, trace_file, length, source);
        if taken.written.is_err() {
            trace_files::cut(&mut ingest.storage, trace_file);
        }
        if taken.bytes == 0 && taken.written.is_ok() {
            return Ok(false);
        }
        share -= taken.bytes;
        advance(ingest, key, packet, file, taken.bytes as u32, taken.written)?;
    }
    Ok(true)
}

/// The packet that a connection is in the middle of.
fn arriving(ingest: &Ingest, key: ConnectionKey) -> Option<ArrivingPacket> {
    match &ingest.entities.connections.get(key)?.role {
        Role::Data(data) => data.packet,
        _ => None,
    }
}

fn report(ingest: &mut Ingest, key: ConnectionKey, reason: &Reason) {
    if let Some(connection) = ingest.entities.connections.get_mut(key) {
        tracing::warn!(
            peer = connection.peer,
            "data connection: {reason}; connection closed"
        );
        connection.end(Ending::Abort);
        ingest.agenda.ending.push(key);
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
    let file = current_file(ingest, packet.stream, packet.header.stream)?;
    let written = if packet.lost {
        Ok(())
    } else {
        write_payload(ingest, file, payload)
    };
    advance(ingest, key, packet, file, payload.len() as u32, written)?;
    Ok(true)
}

/// So many bytes more of a packet have come, and are in its file or lost.
fn advance(
    ingest: &mut Ingest,
    key: ConnectionKey,
    mut packet: ArrivingPacket,
    file: TraceFileKey,
    count: u32,
    written: Result<(), StorageError>,
) -> Result<(), Reason> {
    if let Err(error) = written {
        packet.lost = true;
        report_loss(ingest, packet.stream, &error);
    }
    packet.received += count;
    let whole = packet.received == packet.header.size;
    if let Some(data) = ingest
        .entities
        .connections
        .get_mut(key)
        .and_then(Connection::data_mut)
    {
        data.packet = (!whole).then_some(packet);
    }
    if whole {
        complete_packet(ingest, packet, file)?;
    }
    Ok(())
}

/// A header has come: the stream that it names takes the payload.
fn begin_packet(
    ingest: &mut Ingest,
    key: ConnectionKey,
    header: PacketHeader,
) -> Result<(), Reason> {
    let stream = ingest.directory.streams.get(&header.stream).copied();
    let stream = stream.ok_or(Reason::UnknownStream(header.stream))?;
    let session = session_of(ingest, key, stream, header.stream)?;
    refuse_second(ingest, stream)?;
    current_file(ingest, stream, header.stream)?;
    let room = waiting_metadata::check(&ingest.entities, stream).and_then(|()| {
        trace_files::make_room(
            &mut ingest.entities,
            &mut ingest.storage,
            stream,
            u64::from(header.size),
        )
    });
    if let Err(error) = &room {
        report_loss(ingest, stream, error);
    }
    if let Some(stream) = ingest.entities.streams.get_mut(stream) {
        stream.arriving = Some(header.size);
    }
    bind(ingest, key, session);
    if let Some(data) = ingest
        .entities
        .connections
        .get_mut(key)
        .and_then(Connection::data_mut)
    {
        data.packet = Some(ArrivingPacket {
            header,
            stream,
            received: 0,
            lost: room.is_err(),
        });
    }
    Ok(())
}

/// A stream is in the middle of one packet at a time: the bytes of another would stand
/// among those of the first.
fn refuse_second(ingest: &Ingest, key: StreamKey) -> Result<(), Reason> {
    let stream = ingest.entities.streams.get(key);
    match stream.filter(|stream| stream.arriving.is_some()) {
        Some(stream) => Err(Reason::Arriving(stream.number)),
        None => Ok(()),
    }
}

/// The session of a data stream, which must be the connection's if it has one.
fn session_of(
    ingest: &Ingest,
    key: ConnectionKey,
    stream: StreamKey,
    handle: u64,
) -> Result<SessionKey, Reason> {
    let stream = ingest
        .entities
        .streams
        .get(stream)
        .ok_or(Reason::UnknownStream(handle))?;
    let bound = ingest
        .entities
        .connections
        .get(key)
        .and_then(Connection::session);
    if bound.is_some_and(|session| session != stream.session) {
        return Err(Reason::UnknownStream(handle));
    }
    if stream.is_metadata() {
        return Err(Reason::IsMetadata(handle));
    }
    Ok(stream.session)
}

/// The connection belongs to the session of the first stream that it serves.
fn bind(ingest: &mut Ingest, key: ConnectionKey, session: SessionKey) {
    if ingest
        .entities
        .connections
        .get(key)
        .is_none_or(|connection| connection.session().is_some())
    {
        return;
    }
    ingest.entities.relink(key, |connection: &mut Connection| {
        if let Some(data) = connection.data_mut() {
            data.session = Some(session);
        }
    });
    if let Some(session) = ingest.entities.sessions.get_mut(session) {
        session.data_connections += 1;
        session.given_up = false;
    }
}

fn current_file(ingest: &Ingest, stream: StreamKey, handle: u64) -> Result<TraceFileKey, Reason> {
    let stream = ingest
        .entities
        .streams
        .get(stream)
        .filter(|stream| !stream.closed)
        .ok_or(Reason::UnknownStream(handle))?;
    stream
        .current_file()
        .filter(|file| {
            ingest
                .entities
                .trace_files
                .get(*file)
                .is_some_and(|file| !file.finished)
        })
        .ok_or(Reason::NoFile(handle))
}

fn write_payload(
    ingest: &mut Ingest,
    key: TraceFileKey,
    payload: &[u8],
) -> Result<(), StorageError> {
    let Ingest {
        entities, storage, ..
    } = ingest;
    let Some(file) = entities.trace_files.get_mut(key) else {
        return Ok(());
    };
    trace_files::write(storage, file, payload).inspect_err(|_| trace_files::cut(storage, file))
}

/// The last byte of a packet has come: the packet meets its description, and whatever
/// waited for it goes on.
fn complete_packet(
    ingest: &mut Ingest,
    packet: ArrivingPacket,
    file: TraceFileKey,
) -> Result<(), Reason> {
    let key = packet.stream;
    let sequence = packet.header.sequence;
    let place = if packet.lost {
        None
    } else {
        end_packet(ingest, packet, file)
            .inspect_err(|error| report_loss(ingest, key, error))
            .ok()
    };
    match place {
        Some(place) => {
            report_recovery(ingest, key);
            if has_indexes(ingest, key) {
                index::packet_came(ingest, key, sequence, place)?;
                index::give_up_before(ingest, key, sequence);
            }
        }
        None => index::packet_was_lost(ingest, key, sequence),
    }
    if let Some(stream) = ingest.entities.streams.get_mut(key) {
        stream.last_data = Some(sequence);
        stream.arriving = None;
    }
    rotation::try_rotate(ingest, key)?;
    if ingest
        .entities
        .streams
        .get(key)
        .is_some_and(|stream| stream.closing.is_some())
    {
        closing::try_close(
            &mut ingest.entities,
            &mut ingest.directory,
            &mut ingest.storage,
            key,
        );
    }
    Ok(())
}

/// Makes what was written of a packet a part of its file, which then has an index.
fn end_packet(
    ingest: &mut Ingest,
    packet: ArrivingPacket,
    key: TraceFileKey,
) -> Result<PacketPlace, StorageError> {
    if has_indexes(ingest, packet.stream) {
        let begun = trace_files::begin_index(&mut ingest.entities, &mut ingest.storage, key);
        if let Err(error) = begun {
            if let Some(file) = ingest.entities.trace_files.get_mut(key) {
                trace_files::cut(&mut ingest.storage, file);
            }
            return Err(error);
        }
    }
    let Ingest {
        entities, storage, ..
    } = ingest;
    let file = entities
        .trace_files
        .get_mut(key)
        .expect("law of holds: a stream holds the file that it writes");
    let offset = file.size;
    let size = trace_files::complete(storage, file, packet.header.padding)
        .inspect_err(|_| trace_files::cut(storage, file))?;
    Ok(PacketPlace {
        file: key,
        offset,
        size,
    })
}

fn has_indexes(ingest: &Ingest, key: StreamKey) -> bool {
    let entities = &ingest.entities;
    let session = entities.streams.get(key).map(|stream| stream.session);
    let session = session.and_then(|session| entities.sessions.get(session));
    session.is_some_and(Session::has_indexes)
}

/// A packet cannot be written. Its producer cannot be told, and the next one may
/// find room: said once for each run of losses.
fn report_loss(ingest: &mut Ingest, key: StreamKey, error: &StorageError) {
    if let Some(stream) = ingest.entities.streams.get_mut(key) {
        if stream.lost == 0 {
            tracing::error!("stream {}: packets are being lost: {error}", stream.number);
        }
        stream.lost += 1;
    }
}

fn report_recovery(ingest: &mut Ingest, key: StreamKey) {
    if let Some(stream) = ingest.entities.streams.get_mut(key)
        && stream.lost > 0
    {
        let lost = std::mem::take(&mut stream.lost);
        tracing::warn!(
            "stream {}: recording again, {lost} packets were lost",
            stream.number
        );
    }
}
