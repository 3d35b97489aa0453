//! The data connection. Nothing ever comes back on it.

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = taken();
    rows.extend(refused());
    rows.extend(ends());
    rows
}

fn send(stream: u64, sequence: u64) -> Sent {
    sized(stream, sequence, stage::PACKET_BYTES, 0)
}

fn sized(stream: u64, sequence: u64, size: usize, padding: u32) -> Sent {
    let header = PacketHeader {
        size: size as u32,
        padding,
        ..packet_header(stream, sequence)
    };
    Sent::Packet(header, vec![0x55; size])
}

fn part(stream: u64, sequence: u64, size: usize) -> Sent {
    Sent::Packet(packet_header(stream, sequence), vec![0x55; size])
}

fn taken() -> Vec<Row> {
    let snapshot = [SnapshotSession, Chunk(0), Streams];
    vec![
        row("a packet before its index", STREAMS, send(2, 0))
            .at(ALL)
            .stays(NOTHING),
        row("a packet after its index", STREAMS, send(2, 0))
            .at(ALL)
            .after(&[Prior::Index(0)])
            .stays(NOTHING),
        row("a packet of a snapshot", VERSION, send(2, 1))
            .at(ALL)
            .after(&snapshot)
            .stays(NOTHING),
        row("a packet of any number", STREAMS, send(2, 7))
            .at(ALL)
            .stays(NOTHING),
        row("a packet with padding", BUSY, sized(2, 1, 64, 4032))
            .at(ALL)
            .stays(NOTHING),
        row("a packet without bytes", BUSY, sized(2, 1, 0, 0))
            .at(ALL)
            .stays(NOTHING),
        row("a packet of padding alone", BUSY, sized(2, 1, 0, 64))
            .at(ALL)
            .stays(NOTHING),
        row("a packet of 1 MiB", BUSY, sized(2, 1, 1 << 20, 0)).stays(NOTHING),
        row("a packet's first half", BUSY, part(2, 1, 32))
            .at(ALL)
            .stays(NOTHING),
        row("a packet's header", BUSY, part(2, 1, 0))
            .at(ALL)
            .stays(NOTHING),
        row("a packet while it rotates", BUSY, send(2, 1))
            .after(&[Chunk(1), Rotate(2, Some(1), 2)])
            .stays(NOTHING),
        row("a packet that a close waits for", BUSY, send(2, 1))
            .at(ALL)
            .after(&[CloseStream(2, 1)])
            .stays(NOTHING),
        row(
            "a packet for a stream of no STREAMS_SENT",
            CHUNK,
            send(1, 0),
        )
        .at(ALL)
        .after(&[AddStream])
        .stays(NOTHING),
        row(
            "a packet for the stream of another producer",
            STREAMS,
            send(4, 0),
        )
        .at(ALL)
        .after(&[Foreign])
        .stays(NOTHING),
        // Ours: the packet is lost, its session is not.
        row("a packet, the disk fails", BUSY, send(2, 1))
            .at(ALL)
            .after(&[Fail(Operation::Write)])
            .stays(NOTHING),
        row("padding, the disk fails", BUSY, sized(2, 1, 64, 64))
            .at(ALL)
            .after(&[Fail(Operation::Resize)])
            .stays(NOTHING),
        row(
            "a packet, its index file cannot be made",
            STREAMS,
            send(2, 0),
        )
        .at(ALL)
        .after(&[Fail(Operation::CreateFile)])
        .stays(NOTHING),
        // Ours: as with an index that repeats a number, it is stored and waits for none.
        row("a packet whose number is done", BUSY, send(2, 0))
            .at(ALL)
            .stays(NOTHING),
    ]
}

/// Ours: the session goes on, in the original it is over.
fn refused() -> Vec<Row> {
    let close = [CloseStream(2, 0)];
    vec![
        row("a packet for no stream, first", STREAMS, send(99, 0))
            .at(ALL)
            .closes(NOTHING),
        row("a packet for no stream, later", BUSY, send(99, 0))
            .at(ALL)
            .closes(NOTHING),
        row("a packet for a closed stream, first", STREAMS, send(2, 0))
            .at(ALL)
            .after(&[CloseStream(2, NONE)])
            .closes(NOTHING),
        row("a packet for a closed stream, later", BUSY, send(2, 1))
            .at(ALL)
            .after(&close)
            .closes(NOTHING),
        row("a packet for stream 0", BUSY, send(0, 0)).closes(NOTHING),
        row("a packet whose number waits", BUSY, send(2, 1))
            .at(ALL)
            .after(&[Bytes(1)])
            .closes(NOTHING),
        // Ours: the original appends it to the metadata.
        row("a packet for metadata, first", STREAMS, send(1, 0))
            .at(ALL)
            .closes(NOTHING),
        row("a packet for metadata, later", BUSY, send(1, 0))
            .at(ALL)
            .closes(NOTHING),
        // Ours: the original takes any stream of the relay.
        row("a packet for a foreign stream, later", BUSY, send(4, 0))
            .at(ALL)
            .after(&[Foreign])
            .closes(NOTHING),
        row("a packet without a chunk", BUSY, send(2, 1))
            .at(MODERN)
            .after(&[Rotate(2, None, 1)])
            .closes(NOTHING),
        row(
            "the rest of a packet without a chunk",
            BUSY,
            Sent::Rest(vec![0x55; 32]),
        )
        .at(MODERN)
        .after(&[Half(1), Rotate(2, None, 1)])
        .closes(NOTHING),
    ]
}

fn ends() -> Vec<Row> {
    let half = stage::packet_bytes(2, 1)[..64].to_vec();
    vec![
        row(
            "the end of data, before anything",
            STREAMS,
            Sent::DataEnd(vec![]),
        )
        .at(ALL)
        .closes(NOTHING),
        row(
            "the end of data, between packets",
            BUSY,
            Sent::DataEnd(vec![]),
        )
        .at(ALL)
        .closes(NOTHING),
        row(
            "the end of data, in a header",
            BUSY,
            Sent::DataEnd(vec![0; 31]),
        )
        .at(ALL)
        .closes(NOTHING),
        row("the end of data, in a packet", BUSY, Sent::DataEnd(half))
            .at(ALL)
            .closes(NOTHING),
        row(
            "the end of data, after a packet",
            BUSY,
            Sent::DataEnd(stage::packet_bytes(2, 1)),
        )
        .at(ALL)
        .closes(NOTHING),
        row(
            "the end of data, with an index in flight",
            BUSY,
            Sent::DataEnd(vec![]),
        )
        .at(ALL)
        .after(&[Prior::Index(1)])
        .closes(NOTHING),
    ]
}
