//! CREATE_TRACE_CHUNK, CLOSE_TRACE_CHUNK, TRACE_CHUNK_EXISTS.

use baton_components::wire::producer::{
    CloseTraceChunk, Command, CreateTraceChunk, TraceChunkExists,
};

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = create();
    rows.extend(override_names());
    rows.extend(close());
    rows.extend(close_refused());
    rows.extend(exists());
    rows
}

fn named(name: &'static [u8]) -> Command<'static> {
    Command::CreateTraceChunk(CreateTraceChunk {
        chunk: 0,
        creation_time_s: stage::CREATED_S,
        override_name: Some(name),
    })
}

/// Both streams go to a chunk, after packet 0.
const fn moved(chunk: u64) -> [Prior; 3] {
    [
        Chunk(chunk),
        Rotate(2, Some(chunk), chunk),
        Rotate(1, Some(chunk), 0),
    ]
}

fn create() -> Vec<Row> {
    let create = stage::create_chunk;
    let late = Command::CreateTraceChunk(CreateTraceChunk {
        chunk: 0,
        creation_time_s: u64::MAX,
        override_name: None,
    });
    vec![
        row("CREATE_TRACE_CHUNK", SESSION, create(0))
            .at(MODERN)
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK", SESSION, create(0))
            .at(OLD)
            .aborts(NOTHING),
        row("CREATE_TRACE_CHUNK of any number", SESSION, create(1 << 32))
            .at(MODERN)
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK, the next", BUSY, create(1))
            .at(MODERN)
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK, the same again", CHUNK, create(0))
            .at(MODERN)
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK of a sibling", SESSION, create(0))
            .after(&[Sibling])
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK after the last closed", CHUNK, create(1))
            .at(MODERN)
            .after(&[CloseChunk(0, None)])
            .stays(code(OK)),
        row("CREATE_TRACE_CHUNK after a rotation", BUSY, create(2))
            .at(MODERN)
            .after(&moved(1))
            .after(&[CloseChunk(0, Some(0))])
            .stays(code(OK)),
        row(
            "CREATE_TRACE_CHUNK, one waits for its close",
            BUSY,
            create(2),
        )
        .at(MODERN)
        .after(&[Chunk(1)])
        .aborts(code(INVALID_PROTOCOL)),
        row(
            "CREATE_TRACE_CHUNK, its directory fails",
            SESSION,
            create(0),
        )
        .at(MODERN)
        .after(&[Fail(Operation::CreateDirectory)])
        .aborts(code(UNKNOWN_ERR)),
        row(
            "CREATE_TRACE_CHUNK, the old one cannot be moved",
            BUSY,
            create(1),
        )
        .at(MODERN)
        .after(&[Fail(Operation::Rename)])
        .aborts(code(UNKNOWN_ERR)),
        // Ours: the original dies.
        row("CREATE_TRACE_CHUNK beyond the calendar", SESSION, late).aborts(code(UNKNOWN_ERR)),
        row(
            "CREATE_TRACE_CHUNK in 19 bytes",
            SESSION,
            Sent::Cut(create(0), 1),
        )
        .at(ALL)
        .aborts(NOTHING),
        row(
            "CREATE_TRACE_CHUNK and more",
            SESSION,
            Sent::Longer(create(0)),
        )
        .at(MODERN)
        .stays(code(OK)),
    ]
}

fn override_names() -> Vec<Row> {
    let mut rows = Vec::new();
    for name in ["a.b", ".", "..", ".hidden", "a/b", "/a", "a/", "archives"] {
        let sent = named(name.as_bytes());
        rows.push(
            row(format!("chunk named {name:?}"), SESSION, sent)
                .at(MODERN)
                .aborts(code(INVALID)),
        );
    }
    for name in ["snapshot-1-20240101-120000-0", "a b", "séance"] {
        let sent = named(name.as_bytes());
        rows.push(
            row(format!("chunk named {name:?}"), SESSION, sent)
                .at(MODERN)
                .stays(code(OK)),
        );
    }
    let unterminated = Sent::Patched(named(b"name"), 24, vec![b'x']);
    rows.extend([
        row("chunk name of 254 bytes", SESSION, named(&[b'n'; 254]))
            .at(MODERN)
            .stays(code(OK)),
        row("chunk name of 255 bytes", SESSION, named(&[b'n'; 255]))
            .at(MODERN)
            .aborts(code(INVALID)),
        row("chunk name, empty", SESSION, named(b""))
            .at(MODERN)
            .aborts(code(INVALID)),
        row("chunk name without its NUL", SESSION, unterminated)
            .at(MODERN)
            .aborts(code(INVALID)),
        row(
            "chunk name beyond the payload",
            SESSION,
            Sent::Cut(named(b"name"), 1),
        )
        .at(MODERN)
        .aborts(code(INVALID)),
        row("chunk name before 2.11", SESSION, named(b"name"))
            .at(OLD)
            .aborts(NOTHING),
        row(
            "chunk name after another chunk",
            BUSY,
            Command::CreateTraceChunk(CreateTraceChunk {
                chunk: 1,
                creation_time_s: stage::CREATED_S,
                override_name: Some(b"name"),
            }),
        )
        .at(MODERN)
        .stays(code(OK)),
    ]);
    rows
}

const CHUNK_0: &str = "20261122T064435+0000-20261122T064535+0000-0";
const CHUNK_1: &str = "20261122T064436+0000-20261122T064536+0000-1";

fn closed(directory: &str) -> Vec<u8> {
    [code(OK), path(directory)].concat()
}

/// The reply to a close that fails.
fn failed(number: u32) -> Vec<u8> {
    [code(number), path("")].concat()
}

fn close() -> Vec<Row> {
    let close = stage::close_chunk;
    let session = || closed(stage::DIRECTORY);
    let archive = |name: &str| closed(&format!("{}/archives/{name}", stage::DIRECTORY));
    let unset = |value| Sent::Patched(close(0, None), 17, vec![0, 0, 0, value]);
    let early = Command::CloseTraceChunk(CloseTraceChunk {
        chunk: 0,
        close_time_s: 0,
        command: None,
    });
    let named = [SnapshotSession, Prior::NamedChunk(0, "snapshot-1")];
    let rotated = [CloseChunk(0, Some(0))];
    vec![
        row("CLOSE_TRACE_CHUNK", CHUNK, close(0, None))
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK with streams", BUSY, close(0, None))
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK, no operation", BUSY, close(0, Some(1)))
            .at(MODERN)
            .stays(session()),
        // Ours: the original tells the session's directory, where the chunk was.
        row(
            "CLOSE_TRACE_CHUNK, the first archive",
            BUSY,
            close(0, Some(0)),
        )
        .at(MODERN)
        .stays(archive(CHUNK_0)),
        row("CLOSE_TRACE_CHUNK, a rotation", BUSY, close(0, Some(0)))
            .after(&moved(1))
            .stays(archive(CHUNK_0)),
        row(
            "CLOSE_TRACE_CHUNK before its streams left",
            BUSY,
            close(0, Some(0)),
        )
        .after(&[Chunk(1)])
        .stays(archive(CHUNK_0)),
        row("CLOSE_TRACE_CHUNK, delete", BUSY, close(0, Some(2)))
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK, a clear", BUSY, close(0, Some(2)))
            .after(&moved(1))
            .stays(session()),
        row(
            "CLOSE_TRACE_CHUNK, the second archive",
            BUSY,
            close(1, Some(0)),
        )
        .after(&moved(1))
        .after(&rotated)
        .stays(archive(CHUNK_1)),
        row(
            "CLOSE_TRACE_CHUNK, unset after a rotation",
            BUSY,
            close(1, None),
        )
        .after(&moved(1))
        .after(&rotated)
        .stays(archive(CHUNK_1)),
        row("CLOSE_TRACE_CHUNK of a snapshot", VERSION, close(0, None))
            .at(MODERN)
            .after(&named)
            .stays(closed(&format!("{}/snapshot-1", stage::DIRECTORY))),
        row("CLOSE_TRACE_CHUNK, unset with a value", BUSY, unset(2))
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK, unset with a bad value", BUSY, unset(9))
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK before it began", BUSY, early)
            .at(MODERN)
            .stays(session()),
        row("CLOSE_TRACE_CHUNK twice, it is used", BUSY, close(0, None))
            .after(&[CloseChunk(0, None)])
            .stays(session()),
        row(
            "CLOSE_TRACE_CHUNK and more",
            BUSY,
            Sent::Longer(close(0, None)),
        )
        .at(MODERN)
        .stays(session()),
    ]
}

fn close_refused() -> Vec<Row> {
    let close = stage::close_chunk;
    let late = Command::CloseTraceChunk(CloseTraceChunk {
        chunk: 0,
        close_time_s: u64::MAX,
        command: None,
    });
    vec![
        row("CLOSE_TRACE_CHUNK", BUSY, close(0, None))
            .at(OLD)
            .aborts(NOTHING),
        row(
            "CLOSE_TRACE_CHUNK in 20 bytes",
            BUSY,
            Sent::Cut(close(0, None), 1),
        )
        .at(ALL)
        .aborts(NOTHING),
        row("CLOSE_TRACE_CHUNK of none", BUSY, close(7, None))
            .at(MODERN)
            .aborts(failed(NOMEM)),
        row("CLOSE_TRACE_CHUNK before any", SESSION, close(0, None))
            .at(MODERN)
            .aborts(failed(NOMEM)),
        row(
            "CLOSE_TRACE_CHUNK twice, nobody uses it",
            CHUNK,
            close(0, None),
        )
        .at(MODERN)
        .after(&[CloseChunk(0, None)])
        .aborts(failed(NOMEM)),
        row(
            "CLOSE_TRACE_CHUNK of a foreign one",
            SESSION,
            close(0, None),
        )
        .after(&[Prior::ForeignChunk])
        .aborts(failed(NOMEM)),
        row(
            "CLOSE_TRACE_CHUNK, clear disallowed",
            BUSY,
            close(0, Some(2)),
        )
        .at(MODERN)
        .after(&[DisallowClear])
        .aborts(failed(INVALID_PROTOCOL)),
        row("CLOSE_TRACE_CHUNK, another waits", BUSY, close(1, None))
            .at(MODERN)
            .after(&[Chunk(1)])
            .aborts(failed(INVALID_PROTOCOL)),
        row("CLOSE_TRACE_CHUNK, command 3", BUSY, close(0, Some(3)))
            .at(MODERN)
            .aborts(failed(INVALID)),
        row(
            "CLOSE_TRACE_CHUNK, command of all ones",
            BUSY,
            close(0, Some(u32::MAX)),
        )
        .aborts(failed(INVALID)),
        // Ours: the original says OK, and no path.
        row(
            "CLOSE_TRACE_CHUNK, the next one cannot be moved",
            BUSY,
            close(0, Some(0)),
        )
        .after(&moved(1))
        .after(&[Fail(Operation::Rename)])
        .aborts(failed(UNKNOWN_ERR)),
        // Ours: the original dies.
        row("CLOSE_TRACE_CHUNK beyond the calendar", BUSY, late).aborts(failed(UNKNOWN_ERR)),
    ]
}

fn exists() -> Vec<Row> {
    let ask = |chunk| Command::TraceChunkExists(TraceChunkExists { chunk });
    let there = || [code(OK), vec![1]].concat();
    let gone = || [code(OK), vec![0]].concat();
    let left = [
        Rotate(1, None, 0),
        Rotate(2, None, 1),
        CloseChunk(0, Some(0)),
    ];
    vec![
        row("TRACE_CHUNK_EXISTS of the current one", CHUNK, ask(0))
            .at(MODERN)
            .stays(there()),
        row("TRACE_CHUNK_EXISTS of none", CHUNK, ask(1))
            .at(MODERN)
            .stays(gone()),
        row("TRACE_CHUNK_EXISTS before any", SESSION, ask(0))
            .at(MODERN)
            .stays(gone()),
        row("TRACE_CHUNK_EXISTS while it is replaced", BUSY, ask(0))
            .after(&[Chunk(1)])
            .stays(there()),
        row("TRACE_CHUNK_EXISTS, closed and used", BUSY, ask(0))
            .at(MODERN)
            .after(&[CloseChunk(0, Some(0))])
            .stays(there()),
        row("TRACE_CHUNK_EXISTS, left and not closed", BUSY, ask(0))
            .after(&moved(1))
            .stays(there()),
        row("TRACE_CHUNK_EXISTS, closed and left", BUSY, ask(0))
            .at(MODERN)
            .after(&left)
            .stays(gone()),
        row("TRACE_CHUNK_EXISTS of a sibling", SESSION, ask(0))
            .after(&[Sibling])
            .stays(there()),
        row("TRACE_CHUNK_EXISTS of a foreign one", SESSION, ask(0))
            .after(&[Prior::ForeignChunk])
            .stays(gone()),
        row("TRACE_CHUNK_EXISTS", BUSY, ask(0))
            .at(OLD)
            .aborts(NOTHING),
        row("TRACE_CHUNK_EXISTS in 7 bytes", BUSY, Sent::Cut(ask(0), 1))
            .at(ALL)
            .aborts(NOTHING),
        row("TRACE_CHUNK_EXISTS and more", BUSY, Sent::Longer(ask(0)))
            .at(MODERN)
            .stays(there()),
    ]
}
