//! CREATE_SESSION, and STREAMS_SENT which needs no more than a session.

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::{Command, CreateSession, Origin};

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = versions();
    rows.extend(lengths());
    rows.extend(shortened());
    rows.extend(session_names());
    rows.extend(base_paths());
    rows.extend(circumstances());
    rows.extend(streams_sent());
    rows
}

/// A session of that name, host and base path.
fn named(name: &'static [u8], host: &'static [u8], base_path: &'static [u8]) -> Sent {
    Sent::Command(Command::CreateSession(CreateSession {
        name,
        host,
        base_path,
        ..stage::session("")
    }))
}

fn session() -> Command<'static> {
    Command::CreateSession(stage::session("session"))
}

fn with_origin(origin: Origin) -> Command<'static> {
    Command::CreateSession(CreateSession {
        origin: Some(origin),
        ..stage::session("session")
    })
}

fn origin() -> Origin {
    stage::session("").origin.unwrap()
}

/// The reply of 2.11 and later.
fn created(id: u64, directory: &str) -> Vec<u8> {
    [id_and_code(id, OK), path(directory)].concat()
}

fn refused() -> Vec<u8> {
    [id_and_code(0, FATAL), path("")].concat()
}

fn refused_old() -> Vec<u8> {
    id_and_code(0, FATAL)
}

fn versions() -> Vec<Row> {
    let ctf2 = Command::CreateSession(CreateSession {
        trace_format: TraceFormat::Ctf2,
        ..stage::session("session")
    });
    let format = |number| Sent::Patched(session(), 59, vec![0, 0, 0, number]);
    let done = || created(1, stage::DIRECTORY);
    vec![
        row("CREATE_SESSION before VERSION", NEW, session())
            .at(ALL)
            .stays(refused_old()),
        // They have no names to give.
        row("CREATE_SESSION", VERSION, session())
            .at(&[0, 1, 2, 3])
            .stays(refused_old()),
        row(
            "CREATE_SESSION with a payload",
            VERSION,
            Sent::In(15, session()),
        )
        .at(&[0, 1, 2, 3])
        .stays(refused_old()),
        row("CREATE_SESSION", VERSION, session())
            .at(&[4, 5, 6, 7, 8, 9, 10])
            .stays(id_and_code(1, OK)),
        row("CREATE_SESSION", VERSION, session())
            .at(&[11, 12, 13, 14, 15, 16])
            .stays(done()),
        row(
            "CREATE_SESSION, a byte short",
            VERSION,
            Sent::Cut(session(), 1),
        )
        .at(OLD)
        .stays(refused_old()),
        row(
            "CREATE_SESSION, a byte short",
            VERSION,
            Sent::Cut(session(), 1),
        )
        .at(MODERN)
        .stays(refused()),
        row(
            "CREATE_SESSION in 58 bytes",
            VERSION,
            Sent::Payload(2, vec![0; 58]),
        )
        .at(MODERN)
        .stays(refused()),
        row(
            "CREATE_SESSION in 62 bytes",
            VERSION,
            Sent::Payload(2, vec![0; 62]),
        )
        .stays(refused()),
        row(
            "CREATE_SESSION in no bytes",
            VERSION,
            Sent::Payload(2, vec![]),
        )
        .at(MODERN)
        .stays(refused()),
        row("CREATE_SESSION and more", VERSION, Sent::Longer(session()))
            .at(OLD)
            .stays(id_and_code(1, OK)),
        row("CREATE_SESSION and more", VERSION, Sent::Longer(session()))
            .at(MODERN)
            .stays(done()),
        row("CREATE_SESSION in CTF 2", VERSION, ctf2).stays(done()),
        row("CREATE_SESSION in format 0", VERSION, format(0)).stays(refused()),
        row("CREATE_SESSION in format 3", VERSION, format(3)).stays(refused()),
    ]
}

/// Ours: the original cannot make directories of these names, or dies.
fn shortened() -> Vec<Row> {
    let base_of_40_names = vec!["b".repeat(100); 40].join("/").leak().as_bytes();
    // A name that is too long for a file system ends with the hash of the whole.
    let long_name = format!("h/{}~14eec8cf3fd96ba5", "b".repeat(238));
    let long_path = format!(
        "h/{}~2542c9e57efa4aaf",
        format!("{}/", "b".repeat(100)).repeat(30)
    );
    let stamped = format!("host/{}~83484599dfaefb5d-20261122-064435", "n".repeat(222));
    vec![
        row(
            "a base path of 4095 bytes",
            VERSION,
            named(b"s", b"h", &[b'b'; 4095]),
        )
        .stays(created(1, &long_name)),
        row(
            "a path that is too long in names that are not",
            VERSION,
            named(b"s", b"h", base_of_40_names),
        )
        .stays(created(1, &long_path)),
        row(
            "a name and a time that are too long together",
            VERSION,
            named(&[b'n'; 254], b"host", b""),
        )
        .stays(created(1, &stamped)),
    ]
}

/// Limits of the names' lengths, and the NULs at their ends.
fn lengths() -> Vec<Row> {
    const HOST_255: &[u8] = &[b'h'; 255];
    let host_255 = format!("{}/base", "h".repeat(255));
    // "session" and "host" end at 63 + 8 and 63 + 8 + 5, the base path after that.
    let unterminated = |at| Sent::Patched(session(), at, vec![b'x']);
    let length = |at, length| Sent::Patched(session(), at, vec![0, 0, length, 0]);
    let none = |at| Sent::Patched(session(), at, vec![0, 0, 0, 0]);
    let fixed = |at, size| Sent::Patched(session(), at, vec![b'x'; size]);
    vec![
        row(
            "a name of 254 bytes",
            VERSION,
            named(&[b'n'; 254], b"host", b"base"),
        )
        .stays(created(1, "host/base")),
        row(
            "a name of 255 bytes",
            VERSION,
            named(&[b'n'; 255], b"host", b"base"),
        )
        .stays(refused()),
        row(
            "a host of 255 bytes",
            VERSION,
            named(b"s", HOST_255, b"base"),
        )
        .stays(created(1, &host_255)),
        row(
            "a host of 256 bytes",
            VERSION,
            named(b"s", &[b'h'; 256], b"base"),
        )
        .stays(refused()),
        row(
            "a base path of 4096 bytes",
            VERSION,
            named(b"s", b"h", &[b'b'; 4096]),
        )
        .stays(refused()),
        row("a name without its NUL", VERSION, unterminated(63 + 7)).stays(refused()),
        row("a host without its NUL", VERSION, unterminated(63 + 12)).stays(refused()),
        row(
            "a base path without its NUL",
            VERSION,
            unterminated(63 + 13),
        )
        .stays(refused()),
        row("a name of length 0", VERSION, none(0)).stays(refused()),
        row("a host of length 0", VERSION, none(4)).stays(refused()),
        row("a base path of length 0", VERSION, none(8)).stays(created(1, stage::DIRECTORY)),
        row("a name beyond the payload", VERSION, length(0, 1)).stays(refused()),
        row("a host beyond the payload", VERSION, length(4, 1)).stays(refused()),
        row("a base path beyond the payload", VERSION, length(8, 1)).stays(refused()),
        row(
            "lengths that overflow",
            VERSION,
            Sent::Patched(session(), 0, vec![0xff; 12]),
        )
        .stays(refused()),
        row("a fixed name without a NUL", VERSION, fixed(0, 255))
            .at(OLD)
            .stays(refused_old()),
        row("a fixed host without a NUL", VERSION, fixed(255, 64))
            .at(OLD)
            .stays(refused_old()),
        row("a fixed name of 254 bytes", VERSION, fixed(0, 254))
            .at(OLD)
            .stays(id_and_code(1, OK)),
        row("a fixed host of 63 bytes", VERSION, fixed(255, 63))
            .at(OLD)
            .stays(id_and_code(1, OK)),
        row(
            "a base path's NUL is not needed for none",
            VERSION,
            named(b"s", b"h", b""),
        )
        .stays(created(1, "h/s-20261122-064435")),
    ]
}

/// Valid and invalid names of sessions and hosts.
fn session_names() -> Vec<Row> {
    let mut rows = Vec::new();
    for name in ["", ".", "..", ".hidden", "a/b", "/a", "a/"] {
        let bytes = name.as_bytes();
        rows.extend([
            row(
                format!("session {name:?}"),
                VERSION,
                named(bytes, b"h", b""),
            )
            .at(OLD)
            .stays(refused_old()),
            row(
                format!("session {name:?}"),
                VERSION,
                named(bytes, b"h", b""),
            )
            .at(MODERN)
            .stays(refused()),
            row(format!("host {name:?}"), VERSION, named(b"s", bytes, b""))
                .at(OLD)
                .stays(refused_old()),
            row(format!("host {name:?}"), VERSION, named(b"s", bytes, b""))
                .at(MODERN)
                .stays(refused()),
        ]);
    }
    for name in [
        "a..b",
        "a.",
        "my session",
        "a\\b",
        "tab\there",
        "séance",
        "host.example.org",
    ] {
        let bytes = name.as_bytes();
        let session = created(1, &format!("h/{name}-20261122-064435"));
        let host = created(1, &format!("{name}/s-20261122-064435"));
        rows.extend([
            row(
                format!("session {name:?}"),
                VERSION,
                named(bytes, b"h", b""),
            )
            .at(MODERN)
            .stays(session),
            row(format!("host {name:?}"), VERSION, named(b"s", bytes, b""))
                .at(MODERN)
                .stays(host),
        ]);
    }
    let ended = created(1, "h/a-20261122-064435");
    rows.push(
        row(
            "a name ends at its first NUL",
            VERSION,
            named(b"a\0/b", b"h\0/", b"\0/"),
        )
        .stays(ended),
    );
    rows
}

fn base_paths() -> Vec<Row> {
    let mut rows = Vec::new();
    for base in [
        "/abs", "//abs", "..", "../a", "a/..", "a/../b", "a//..", "/",
    ] {
        let sent = named(b"s", b"h", base.as_bytes());
        rows.push(
            row(format!("base path {base:?}"), VERSION, sent)
                .at(MODERN)
                .stays(refused()),
        );
    }
    for (base, directory) in [
        ("a..b", "h/a..b"),
        (".hidden/x", "h/.hidden/x"),
        ("my base/dir", "h/my base/dir"),
        // Ours: the path that is told has no doubled slashes, and none at the end.
        ("a//b", "h/a/b"),
        ("a/b/", "h/a/b"),
        ("./a", "h/a"),
    ] {
        let sent = named(b"s", b"h", base.as_bytes());
        rows.push(
            row(format!("base path {base:?}"), VERSION, sent)
                .at(MODERN)
                .stays(created(1, directory)),
        );
    }
    rows
}

/// Other inputs that decide about a session and its directory.
fn circumstances() -> Vec<Row> {
    let timed = Command::CreateSession(CreateSession {
        name_holds_time: true,
        ..stage::session("auto-20200101-000000")
    });
    let based = Command::CreateSession(CreateSession {
        base_path: b"my/base",
        ..stage::session("session")
    });
    let stored = Command::CreateSession(stored("session"));
    let snapshot = Command::CreateSession(snapshot("session"));
    let chunk = with_origin(Origin {
        current_chunk: Some(0),
        ..origin()
    });
    let nobody = with_origin(Origin {
        daemon: [0; 16],
        ..origin()
    });
    let late = with_origin(Origin {
        creation_time_s: u64::MAX,
        ..origin()
    });
    let early = with_origin(Origin {
        creation_time_s: 0,
        ..origin()
    });
    let by_session = "session/host-20261122-064435";
    let done = || created(1, stage::DIRECTORY);
    let full = || [Fail(Operation::CreateDirectory)];
    vec![
        row("a session that is not live", VERSION, stored)
            .at(MODERN)
            .stays(done()),
        row("a snapshot session", VERSION, snapshot)
            .at(MODERN)
            .stays(done()),
        row("a name that holds its time", VERSION, timed)
            .stays(created(1, "host/auto-20200101-000000")),
        row("by session", VERSION, session())
            .after(&[GroupBySession])
            .stays(created(1, by_session)),
        row("by session, with a base path", VERSION, based)
            .after(&[GroupBySession])
            .stays(created(1, &format!("{by_session}/my/base"))),
        row("by session, old", VERSION, session())
            .at(OLD)
            .after(&[GroupBySession])
            .stays(id_and_code(1, OK)),
        row("a daemon of all zeros", VERSION, nobody)
            .at(MODERN)
            .stays(refused()),
        row("the first second there was", VERSION, early)
            .stays(created(1, "host/session-19700101-000000")),
        // Ours: the original dies.
        row("a creation time beyond the calendar", VERSION, late).stays(refused()),
        row("a chunk that nobody has", VERSION, chunk.clone())
            .at(MODERN)
            .stays(refused()),
        row("the chunk of a sibling", VERSION, chunk)
            .at(MODERN)
            .after(&[Sibling])
            .stays(created(2, stage::DIRECTORY)),
        row("a sibling's directory", VERSION, session())
            .at(MODERN)
            .after(&[Sibling])
            .stays(created(2, stage::DIRECTORY)),
        row("no directory can be made", VERSION, session())
            .at(MODERN)
            .after(&full())
            .stays(refused()),
        row("again after a refusal", VERSION, session())
            .after(&[Refused, Refused])
            .stays(done()),
        // Ours: the original dies. The first session stays.
        row("a second session", SESSION, session())
            .at(OLD)
            .stays(refused_old()),
        row("a second session", SESSION, session())
            .at(MODERN)
            .stays(refused()),
        row("a second session, busy", BUSY, session())
            .at(MODERN)
            .stays(refused()),
        row("a second session, malformed", BUSY, Sent::Cut(session(), 9))
            .at(MODERN)
            .stays(refused()),
    ]
}

fn streams_sent() -> Vec<Row> {
    let sent = || Command::StreamsSent;
    vec![
        row("STREAMS_SENT of none", SESSION, sent())
            .at(ALL)
            .stays(code(OK)),
        row("STREAMS_SENT of nothing new", STREAMS, sent())
            .at(ALL)
            .stays(code(OK)),
        row("STREAMS_SENT of a late stream", BUSY, sent())
            .at(ALL)
            .after(&[AddStream])
            .stays(code(OK)),
        row("STREAMS_SENT with a payload", BUSY, Sent::Longer(sent()))
            .at(ALL)
            .stays(code(OK)),
    ]
}
