//! ADD_STREAM, CLOSE_STREAM, SEND_METADATA, RESET_METADATA.

use baton_components::wire::producer::{AddStream, Command, ResetMetadata, SendMetadata};

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = add_stream();
    rows.extend(add_stream_lengths());
    rows.extend(add_stream_names());
    rows.extend(close_streams());
    rows.extend(send_metadata());
    rows.extend(reset_metadata());
    rows
}

fn named(path: &'static [u8], channel: &'static [u8]) -> Sent {
    Sent::Command(Command::AddStream(AddStream {
        channel,
        path,
        tracefile_size: 0,
        tracefile_count: 0,
        chunk: Some(0),
    }))
}

fn limited(tracefile_size: u64, tracefile_count: u64) -> Sent {
    Sent::Command(Command::AddStream(AddStream {
        channel: b"chan_0",
        path: b"trace",
        tracefile_size,
        tracefile_count,
        // Not looked at: a stream goes to the session's chunk.
        chunk: Some(77),
    }))
}

fn added(handle: u64) -> Vec<u8> {
    id_and_code(handle, OK)
}

/// Refused before the stream had a handle.
fn refused() -> Vec<u8> {
    id_and_code(NONE, UNKNOWN_ERR)
}

/// Refused, and its handle is never used.
fn spent(handle: u64) -> Vec<u8> {
    id_and_code(handle, UNKNOWN_ERR)
}

fn add_stream() -> Vec<Row> {
    let add = || named(b"trace", b"chan_0");
    let command = || stage::add_stream("trace", "chan_0");
    let no_file = [Fail(Operation::CreateFile)];
    let no_directory = [Fail(Operation::CreateDirectory)];
    let moved = [Rotate(1, None, 0), Rotate(2, None, 1), CloseChunk(0, None)];
    vec![
        row("ADD_STREAM", CHUNK, add()).at(ALL).stays(added(1)),
        row("ADD_STREAM, a third", BUSY, add())
            .at(ALL)
            .stays(added(3)),
        row("ADD_STREAM of a snapshot", VERSION, add())
            .at(ALL)
            .after(&[SnapshotSession, Chunk(0)])
            .stays(added(1)),
        // Ours: the original truncates the file of the first.
        row(
            "ADD_STREAM of a name that is there",
            BUSY,
            named(b"trace", b"chan_0"),
        )
        .at(ALL)
        .stays(added(3)),
        row(
            "ADD_STREAM of a second metadata",
            BUSY,
            named(b"trace", b"metadata"),
        )
        .at(ALL)
        .stays(added(3)),
        row("ADD_STREAM with a ring of files", CHUNK, limited(4096, 3))
            .at(ALL)
            .stays(added(1)),
        row("ADD_STREAM with a count alone", CHUNK, limited(0, 3))
            .at(ALL)
            .stays(added(1)),
        // Ours: files without end; the original refuses, or dies later.
        row("ADD_STREAM with a size alone", CHUNK, limited(4096, 0))
            .at(ALL)
            .stays(added(1)),
        row("ADD_STREAM, a byte short", BUSY, Sent::Cut(command(), 1))
            .at(ALL)
            .aborts(refused()),
        row(
            "ADD_STREAM in 31 bytes",
            BUSY,
            Sent::Payload(1, vec![0; 31]),
        )
        .at(ALL)
        .aborts(refused()),
        row("ADD_STREAM in no bytes", BUSY, Sent::Payload(1, vec![]))
            .at(ALL)
            .aborts(refused()),
        row("ADD_STREAM and more", CHUNK, Sent::Longer(command()))
            .at(ALL)
            .stays(added(1)),
        row("ADD_STREAM before any chunk", SESSION, add())
            .at(MODERN)
            .stays(spent(1)),
        row("ADD_STREAM after the last chunk", BUSY, add())
            .at(MODERN)
            .after(&moved)
            .stays(spent(3)),
        row("ADD_STREAM while the chunk is replaced", BUSY, add())
            .at(MODERN)
            .after(&[Chunk(1)])
            .stays(added(3)),
        row("ADD_STREAM without a file", BUSY, add())
            .at(ALL)
            .after(&no_file)
            .stays(spent(3)),
        row("ADD_STREAM without a directory", CHUNK, add())
            .at(ALL)
            .after(&no_directory)
            .stays(spent(1)),
        row("ADD_STREAM after one that was refused", CHUNK, add())
            .after(&[Fail(Operation::CreateFile), Prior::RefusedStream])
            .stays(added(2)),
    ]
}

fn add_stream_lengths() -> Vec<Row> {
    let add = || stage::add_stream("trace", "chan_0");
    // The channel's name ends at 32 + 7, the path at 6 more.
    let unterminated = |at| Sent::Patched(add(), at, vec![b'x']);
    let none = |at| Sent::Patched(add(), at, vec![0; 4]);
    let beyond = |at| Sent::Patched(add(), at, vec![0, 0, 0, 100]);
    let fixed = |at, size| Sent::Patched(add(), at, vec![b'x'; size]);
    vec![
        row(
            "a channel of 263 bytes",
            CHUNK,
            named(b"trace", &[b'c'; 263]),
        )
        .at(ALL)
        .stays(added(1)),
        row(
            "a channel of 264 bytes",
            CHUNK,
            named(b"trace", &[b'c'; 264]),
        )
        .at(MODERN)
        .aborts(refused()),
        row("a path of 254 bytes", CHUNK, named(&[b'p'; 254], b"c"))
            .at(ALL)
            .stays(added(1)),
        row("a path of 255 bytes", CHUNK, named(&[b'p'; 255], b"c"))
            .at(ALL)
            .aborts(refused()),
        row("a path of 4000 bytes", CHUNK, named(&[b'p'; 4000], b"c"))
            .at(ALL)
            .aborts(refused()),
        row("a channel without its NUL", CHUNK, unterminated(32 + 6))
            .at(MODERN)
            .aborts(refused()),
        row("a path without its NUL", CHUNK, unterminated(32 + 12))
            .at(MODERN)
            .aborts(refused()),
        row("a channel of length 0", CHUNK, none(0))
            .at(MODERN)
            .aborts(refused()),
        row("a path of length 0", CHUNK, none(4))
            .at(MODERN)
            .aborts(refused()),
        row("a channel beyond the payload", CHUNK, beyond(0))
            .at(MODERN)
            .aborts(refused()),
        row("a path beyond the payload", CHUNK, beyond(4))
            .at(MODERN)
            .aborts(refused()),
        row("a fixed channel without a NUL", CHUNK, fixed(0, 264))
            .at(OLD)
            .aborts(refused()),
        row("a fixed path without a NUL", CHUNK, fixed(264, 4096))
            .at(OLD)
            .aborts(refused()),
    ]
}

fn add_stream_names() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in ["..", "../a", "a/..", "a/../b", "/..", "/../a"] {
        let sent = named(path.as_bytes(), b"chan_0");
        rows.push(
            row(format!("path {path:?}"), CHUNK, sent)
                .at(ALL)
                .stays(refused()),
        );
    }
    for channel in ["", "a/b", "/a", "..", "../../a"] {
        let sent = named(b"trace", channel.as_bytes());
        rows.push(
            row(format!("channel {channel:?}"), CHUNK, sent)
                .at(ALL)
                .stays(refused()),
        );
    }
    for path in [
        "/trace",
        "a..b",
        ".hidden/x",
        "a/b/c",
        "a b",
        "ust/uid/0/64-bit",
        "index",
    ] {
        let sent = named(path.as_bytes(), b"chan_0");
        rows.push(
            row(format!("path {path:?}"), CHUNK, sent)
                .at(ALL)
                .stays(added(1)),
        );
    }
    for channel in [".hidden", "a..b", "a b", "séance", "index"] {
        let sent = named(b"trace", channel.as_bytes());
        rows.push(
            row(format!("channel {channel:?}"), CHUNK, sent)
                .at(ALL)
                .stays(added(1)),
        );
    }
    for path in ["", "/", "."] {
        let sent = named(path.as_bytes(), b"chan_0");
        rows.push(
            row(format!("path {path:?}"), CHUNK, sent)
                .at(ALL)
                .stays(spent(1)),
        );
    }
    let grouped = |path: &'static [u8]| named(path, b"chan_0");
    rows.extend([
        // Ours: no handle is spent on these two.
        row("path \"//trace\"", CHUNK, grouped(b"//trace"))
            .at(ALL)
            .stays(refused()),
        row("channel \".\"", CHUNK, named(b"trace", b"."))
            .at(ALL)
            .stays(refused()),
        row("by session, a host alone", VERSION, grouped(b"/h"))
            .at(OLD)
            .after(&[GroupBySession, Session])
            .stays(refused()),
        row(
            "by session, host and session",
            VERSION,
            grouped(b"/h/session/ust"),
        )
        .at(OLD)
        .after(&[GroupBySession, Session])
        .stays(added(1)),
        row("by session, new", VERSION, grouped(b"ust"))
            .at(MODERN)
            .after(&[GroupBySession, Session, Chunk(0)])
            .stays(added(1)),
    ]);
    rows
}

fn close_streams() -> Vec<Row> {
    let close = close_stream;
    let closed = [CloseStream(2, 0)];
    vec![
        row("CLOSE_STREAM", BUSY, close(2, 0))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM of metadata", BUSY, close(1, NONE))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM of metadata with a number", BUSY, close(1, 7))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM without packets", STREAMS, close(2, NONE))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM, packets missing", BUSY, close(2, 5))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM, no packet there", STREAMS, close(2, 0))
            .at(ALL)
            .stays(code(OK)),
        row("CLOSE_STREAM again while it waits", BUSY, close(2, 5))
            .after(&[CloseStream(2, 5)])
            .stays(code(OK)),
        row("CLOSE_STREAM of a closed one", BUSY, close(2, 0))
            .at(ALL)
            .after(&closed)
            .aborts(code(UNKNOWN_ERR)),
        row("CLOSE_STREAM of none", BUSY, close(99, 0))
            .at(ALL)
            .aborts(code(UNKNOWN_ERR)),
        row("CLOSE_STREAM 0", BUSY, close(0, 0)).aborts(code(UNKNOWN_ERR)),
        // Ours: the original closes it.
        row("CLOSE_STREAM of a foreign one", BUSY, close(4, 0))
            .at(ALL)
            .after(&[Foreign])
            .aborts(code(UNKNOWN_ERR)),
        row("CLOSE_STREAM without a chunk", BUSY, close(2, 0))
            .after(&[Rotate(2, None, 1)])
            .stays(code(OK)),
        row("CLOSE_STREAM while it rotates", BUSY, close(2, 0))
            .after(&[Chunk(1), Rotate(2, Some(1), 9)])
            .stays(code(OK)),
        row("CLOSE_STREAM in 15 bytes", BUSY, Sent::Cut(close(2, 0), 1))
            .at(ALL)
            .aborts(NOTHING),
        row("CLOSE_STREAM and more", BUSY, Sent::Longer(close(2, 0)))
            .at(ALL)
            .stays(code(OK)),
    ]
}

fn send_metadata() -> Vec<Row> {
    let send = || metadata(1, b"metadata");
    let padded = |bytes: &'static [u8]| {
        Command::SendMetadata(SendMetadata {
            stream: 1,
            padding_size: 4000,
            bytes,
        })
    };
    let gone = [CloseStream(1, NONE)];
    vec![
        row("SEND_METADATA", BUSY, send()).at(ALL).stays(NOTHING),
        row("SEND_METADATA with padding", BUSY, padded(b"metadata"))
            .at(ALL)
            .stays(NOTHING),
        row("SEND_METADATA of padding alone", BUSY, padded(b""))
            .at(ALL)
            .aborts(NOTHING),
        row("SEND_METADATA of nothing", BUSY, metadata(1, b""))
            .at(ALL)
            .aborts(NOTHING),
        row(
            "SEND_METADATA in 11 bytes",
            BUSY,
            Sent::Payload(6, vec![0; 11]),
        )
        .at(ALL)
        .aborts(NOTHING),
        row("SEND_METADATA to no stream", BUSY, metadata(99, b"m"))
            .at(ALL)
            .aborts(NOTHING),
        row("SEND_METADATA to a closed one", BUSY, send())
            .at(ALL)
            .after(&gone)
            .aborts(NOTHING),
        // Ours: the original appends it to the packets.
        row("SEND_METADATA to a data stream", BUSY, metadata(2, b"m"))
            .at(ALL)
            .aborts(NOTHING),
        // Ours: the original takes any stream of the relay.
        row("SEND_METADATA to a foreign one", BUSY, metadata(3, b"m"))
            .at(ALL)
            .after(&[Foreign])
            .aborts(NOTHING),
        row("SEND_METADATA without a chunk", BUSY, send())
            .after(&[Rotate(1, None, 0)])
            .aborts(NOTHING),
        // Ours: it waits for the disk.
        row("SEND_METADATA, the disk fails", BUSY, send())
            .at(ALL)
            .after(&[Fail(Operation::Write)])
            .stays(NOTHING),
        row("SEND_METADATA, its padding fails", BUSY, padded(b"m"))
            .at(ALL)
            .after(&[Fail(Operation::Resize)])
            .stays(NOTHING),
    ]
}

fn reset_metadata() -> Vec<Row> {
    let reset = |stream| Command::ResetMetadata(ResetMetadata { stream, version: 1 });
    let refused = || code(UNKNOWN_ERR);
    vec![
        row("RESET_METADATA", STORED, reset(1))
            .at(ALL)
            .stays(code(OK)),
        row("RESET_METADATA of a live session", BUSY, reset(1))
            .at(ALL)
            .aborts(refused()),
        row("RESET_METADATA of a data stream", STORED, reset(2))
            .at(ALL)
            .aborts(refused()),
        row("RESET_METADATA of no stream", STORED, reset(99))
            .at(ALL)
            .aborts(refused()),
        // Ours: the original empties it.
        row("RESET_METADATA of a foreign one", STORED, reset(3))
            .at(ALL)
            .after(&[Foreign])
            .aborts(refused()),
        row("RESET_METADATA of a closed one", STORED, reset(1))
            .after(&[CloseStream(1, NONE)])
            .aborts(refused()),
        // Ours: the original dies.
        row("RESET_METADATA without a chunk", STORED, reset(1))
            .after(&[Rotate(1, None, 0)])
            .aborts(refused()),
        row("RESET_METADATA, no file can be made", STORED, reset(1))
            .after(&[Fail(Operation::CreateFile)])
            .aborts(refused()),
        row("RESET_METADATA in 15 bytes", STORED, Sent::Cut(reset(1), 1))
            .at(ALL)
            .aborts(NOTHING),
        row("RESET_METADATA and more", STORED, Sent::Longer(reset(1)))
            .at(ALL)
            .stays(code(OK)),
    ]
}
