//! ROTATE_STREAMS.

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = rotate();
    rows.extend(rotate_refused());
    rows.extend(rotate_layouts());
    rows
}

fn rotate() -> Vec<Row> {
    let rotate = stage::rotate;
    let to_none = [Rotate(1, None, 0), Rotate(2, None, 1)];
    vec![
        row(
            "ROTATE_STREAMS at once",
            BUSY,
            rotate(Some(1), &[(1, 0), (2, 1)]),
        )
        .at(MODERN)
        .after(&[Chunk(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS later",
            BUSY,
            rotate(Some(1), &[(1, 0), (2, 9)]),
        )
        .at(MODERN)
        .after(&[Chunk(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS to no chunk",
            BUSY,
            rotate(None, &[(1, 0), (2, 1)]),
        )
        .at(MODERN)
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS out of no chunk",
            BUSY,
            rotate(Some(1), &[(1, 0), (2, 1)]),
        )
        .at(MODERN)
        .after(&to_none)
        .after(&[CloseChunk(0, None), Chunk(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS to no chunk, twice",
            BUSY,
            rotate(None, &[(1, 0), (2, 1)]),
        )
        .after(&to_none)
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS of metadata, twice",
            BUSY,
            rotate(None, &[(1, 0)]),
        )
        .after(&[Chunk(1), Rotate(1, Some(1), 0)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS of the same stream twice",
            BUSY,
            rotate(Some(1), &[(2, 1), (2, 1)]),
        )
        .after(&[Chunk(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS before the first packet",
            STREAMS,
            rotate(Some(1), &[(2, 0)]),
        )
        .after(&[Chunk(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS in the middle of a packet",
            BUSY,
            rotate(Some(1), &[(2, 1)]),
        )
        .after(&[Chunk(1), Half(1)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS with packets beyond",
            BUSY,
            rotate(Some(1), &[(2, 1)]),
        )
        .after(&[Chunk(1), Bytes(1), Bytes(2)])
        .stays(code(OK)),
        row(
            "ROTATE_STREAMS of a stream that waits",
            BUSY,
            rotate(Some(1), &[(2, 2)]),
        )
        .after(&[Chunk(1), CloseStream(2, 1)])
        .stays(code(OK)),
    ]
}

fn rotate_refused() -> Vec<Row> {
    let rotate = stage::rotate;
    let refused = || code(FILE_CREATION);
    vec![
        row("ROTATE_STREAMS", BUSY, rotate(None, &[(2, 1)]))
            .at(OLD)
            .aborts(NOTHING),
        row(
            "ROTATE_STREAMS to an unknown chunk",
            BUSY,
            rotate(Some(1), &[(2, 1)]),
        )
        .at(MODERN)
        .aborts(code(INVALID_PROTOCOL)),
        row(
            "ROTATE_STREAMS of nothing to an unknown chunk",
            BUSY,
            rotate(Some(1), &[]),
        )
        .aborts(code(INVALID_PROTOCOL)),
        row(
            "ROTATE_STREAMS of no stream",
            BUSY,
            rotate(None, &[(99, 0)]),
        )
        .at(MODERN)
        .aborts(code(INVALID)),
        row(
            "ROTATE_STREAMS of one stream and none",
            BUSY,
            rotate(None, &[(1, 0), (99, 0)]),
        )
        .aborts(code(INVALID)),
        // Ours: the original moves it.
        row(
            "ROTATE_STREAMS of a foreign one",
            BUSY,
            rotate(None, &[(4, 0)]),
        )
        .after(&[Foreign])
        .aborts(code(INVALID)),
        row(
            "ROTATE_STREAMS of a closed one",
            BUSY,
            rotate(None, &[(2, 1)]),
        )
        .after(&[CloseStream(2, 0)])
        .aborts(code(INVALID)),
        row(
            "ROTATE_STREAMS while it rotates",
            BUSY,
            rotate(Some(1), &[(2, 9)]),
        )
        .at(MODERN)
        .after(&[Chunk(1), Rotate(2, Some(1), 9)])
        .aborts(refused()),
        row(
            "ROTATE_STREAMS of the same stream twice, later",
            BUSY,
            rotate(Some(1), &[(2, 9), (2, 9)]),
        )
        .after(&[Chunk(1)])
        .aborts(refused()),
        row(
            "ROTATE_STREAMS to no chunk, packets beyond",
            BUSY,
            rotate(None, &[(2, 1)]),
        )
        .at(MODERN)
        .after(&[Bytes(1)])
        .aborts(refused()),
        row(
            "ROTATE_STREAMS, no file can be made",
            BUSY,
            rotate(Some(1), &[(2, 1)]),
        )
        .at(MODERN)
        .after(&[Chunk(1), Fail(Operation::CreateFile)])
        .aborts(refused()),
        row(
            "ROTATE_STREAMS of metadata, no file can be made",
            BUSY,
            rotate(Some(1), &[(1, 0)]),
        )
        .after(&[Chunk(1), Fail(Operation::CreateFile)])
        .aborts(refused()),
    ]
}

/// The three layouts, told apart by their size alone.
fn rotate_layouts() -> Vec<Row> {
    let payload = |count: u32, padding: usize, positions: &[(u64, u64)]| {
        let mut bytes = [&count.to_be_bytes()[..], &[1]].concat();
        // Stale bytes of the producer's memory.
        bytes.resize(5 + padding, 0xa5);
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        for (stream, position) in positions {
            bytes.extend_from_slice(&stream.to_be_bytes());
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        bytes
    };
    let next = [Chunk(1)];
    let rotation =
        |name: String, payload: Vec<u8>| row(name, BUSY, Sent::Payload(18, payload)).after(&next);
    let mut rows = Vec::new();
    for (layout, padding) in [("packed", 0), ("padded by 3", 3), ("padded by 7", 7)] {
        let both = [(1, 0), (2, 1)];
        let name = |what: &str| format!("ROTATE_STREAMS {layout}, {what}");
        let short = payload(2, padding, &both)[1..].to_vec();
        let long = [payload(2, padding, &both), vec![0]].concat();
        rows.extend([
            rotation(name("of none"), payload(0, padding, &[]))
                .at(MODERN)
                .stays(code(OK)),
            rotation(name("of one"), payload(1, padding, &both[..1]))
                .at(MODERN)
                .stays(code(OK)),
            rotation(name("of two"), payload(2, padding, &both))
                .at(MODERN)
                .stays(code(OK)),
            rotation(name("a byte short"), short)
                .at(MODERN)
                .aborts(NOTHING),
            rotation(name("a byte long"), long)
                .at(MODERN)
                .aborts(NOTHING),
            rotation(name("one announced, two there"), payload(1, padding, &both)).aborts(NOTHING),
            rotation(
                name("two announced, one there"),
                payload(2, padding, &both[..1]),
            )
            .aborts(NOTHING),
            rotation(
                name("too many announced"),
                payload(u32::MAX, padding, &both),
            )
            .aborts(NOTHING),
        ]);
    }
    rows.push(
        row(
            "ROTATE_STREAMS in no bytes",
            BUSY,
            Sent::Payload(18, vec![]),
        )
        .at(ALL)
        .aborts(NOTHING),
    );
    rows
}
