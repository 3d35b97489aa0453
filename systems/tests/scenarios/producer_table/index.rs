//! SEND_INDEX: descriptions of packets, and live beacons.

use baton_components::wire::producer::{Command, SendIndex};

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = descriptions();
    rows.extend(beacons());
    rows
}

fn send(stream: u64, sequence: u64) -> Command<'static> {
    Command::SendIndex(stage::index(stream, sequence))
}

fn descriptions() -> Vec<Row> {
    let refused = || code(UNKNOWN_ERR);
    let nameless = Command::SendIndex(SendIndex {
        instance: NONE,
        packet_sequence: NONE,
        ..stage::index(2, 1)
    });
    let closed = [CloseStream(2, 0)];
    vec![
        row("SEND_INDEX before its packet", STREAMS, send(2, 0))
            .at(ALL)
            .stays(code(OK)),
        row("SEND_INDEX after its packet", STREAMS, send(2, 0))
            .at(ALL)
            .after(&[Bytes(0)])
            .stays(code(OK)),
        row("SEND_INDEX of a later packet", BUSY, send(2, 9))
            .at(ALL)
            .stays(code(OK)),
        row("SEND_INDEX without the tracer's numbers", BUSY, nameless)
            .at(ALL)
            .stays(code(OK)),
        row("SEND_INDEX in 63 bytes", BUSY, Sent::Cut(send(2, 1), 1))
            .at(&[4, 7])
            .aborts(NOTHING),
        row("SEND_INDEX in 79 bytes", BUSY, Sent::Cut(send(2, 1), 1))
            .at(&[8, 11, 15])
            .aborts(NOTHING),
        row("SEND_INDEX in 64 bytes", BUSY, Sent::In(7, send(2, 1)))
            .at(&[8, 11, 15])
            .aborts(NOTHING),
        row("SEND_INDEX in 80 bytes", BUSY, Sent::In(8, send(2, 1)))
            .at(&[4, 7])
            .stays(code(OK)),
        row("SEND_INDEX and more", BUSY, Sent::Longer(send(2, 1)))
            .at(ALL)
            .stays(code(OK)),
        row("SEND_INDEX of no stream", BUSY, send(99, 0))
            .at(ALL)
            .aborts(refused()),
        row("SEND_INDEX of a closed stream", BUSY, send(2, 1))
            .at(ALL)
            .after(&closed)
            .aborts(refused()),
        row("SEND_INDEX of a stream that waits", BUSY, send(2, 1))
            .after(&[CloseStream(2, 1)])
            .stays(code(OK)),
        // Ours: the original takes any stream of the relay.
        row("SEND_INDEX of a foreign stream", BUSY, send(4, 0))
            .at(ALL)
            .after(&[Foreign])
            .aborts(refused()),
        // Ours: the original gives the metadata an index.
        row("SEND_INDEX of metadata", BUSY, send(1, 0))
            .at(ALL)
            .aborts(refused()),
        row("SEND_INDEX twice, no packet there", BUSY, send(2, 1))
            .at(ALL)
            .after(&[Prior::Index(1)])
            .aborts(refused()),
        // Ours: it is ignored; in the original it waits for ever.
        row("SEND_INDEX twice, the packet is done", BUSY, send(2, 0))
            .at(ALL)
            .stays(code(OK)),
        row("SEND_INDEX of a snapshot", VERSION, send(2, 0))
            .at(ALL)
            .after(&[SnapshotSession, Chunk(0), Streams])
            .stays(code(OK)),
        row("SEND_INDEX without a chunk", BUSY, send(2, 1))
            .after(&[Rotate(2, None, 1)])
            .stays(code(OK)),
        // Ours: records are written again when the disk takes them.
        row("SEND_INDEX, the disk fails", BUSY, send(2, 1))
            .at(ALL)
            .after(&[Bytes(1), Fail(Operation::Write)])
            .stays(code(OK)),
        row(
            "SEND_INDEX that completes a rotation that fails",
            BUSY,
            send(2, 1),
        )
        .after(&[
            Chunk(1),
            Rotate(2, Some(1), 2),
            Bytes(1),
            Fail(Operation::CreateFile),
        ])
        .aborts(refused()),
        row(
            "SEND_INDEX that ends in no chunk, packets follow",
            BUSY,
            send(2, 1),
        )
        .after(&[Rotate(2, None, 2), Bytes(1), Bytes(2)])
        .aborts(refused()),
    ]
}

fn beacons() -> Vec<Row> {
    let beacon = || stage::beacon(2, 5000);
    let first = Command::SendIndex(SendIndex {
        sequence: NONE,
        packet_size_bits: 0,
        ..stage::index(2, 0)
    });
    vec![
        row("a beacon", BUSY, beacon()).at(ALL).stays(code(OK)),
        row("a beacon before any packet", STREAMS, first)
            .at(ALL)
            .stays(code(OK)),
        row("a beacon with an index in flight", BUSY, beacon())
            .at(ALL)
            .after(&[Prior::Index(1)])
            .stays(code(OK)),
        row("a beacon with data in flight", BUSY, beacon())
            .at(ALL)
            .after(&[Bytes(1)])
            .stays(code(OK)),
        row("a beacon without a chunk", BUSY, beacon())
            .after(&[Rotate(2, None, 1)])
            .stays(code(OK)),
        row("a beacon while it rotates", BUSY, beacon())
            .after(&[Chunk(1), Rotate(2, Some(1), 5)])
            .stays(code(OK)),
        row("a beacon of a closed stream", BUSY, beacon())
            .at(ALL)
            .after(&[CloseStream(2, 0)])
            .aborts(code(UNKNOWN_ERR)),
        row("a beacon of no stream", BUSY, stage::beacon(99, 1))
            .at(ALL)
            .aborts(code(UNKNOWN_ERR)),
    ]
}
