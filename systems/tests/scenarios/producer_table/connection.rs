//! Transport, VERSION, GET_CONFIGURATION, START_DATA; and every command before there is
//! a session.

use baton_components::wire::producer::{
    self, Command, EndDataPending, GetConfiguration, PAYLOAD_SIZE_MAX, ResetMetadata,
    SMALL_PAYLOAD_SIZE_MAX, TraceChunkExists,
};

use super::*;

/// SEND_METADATA.
const METADATA_COMMAND: u32 = 6;

pub fn rows() -> Vec<Row> {
    let mut rows = transport();
    rows.extend(unknown_commands());
    rows.extend(versions());
    rows.extend(configuration());
    rows.extend(without_a_session());
    rows
}

fn transport() -> Vec<Row> {
    let start = client::command(15, &Command::StartData);
    let bad = numbered(4, b"");
    let two = [start.clone(), numbered(22, &[0; 8])].concat();
    let two_replies = [code(OK), configured(OK, 1)].concat();
    let spent = [bad.clone(), start.clone()].concat();
    let huge = header(METADATA_COMMAND, PAYLOAD_SIZE_MAX + 1);
    let large = header(METADATA_COMMAND, SMALL_PAYLOAD_SIZE_MAX + 1);
    let mut odd = start.clone();
    odd[..8].fill(0xff);
    odd[20..].fill(0xff);
    vec![
        row("a payload over 128 MiB", NEW, Sent::Raw(huge.clone())).aborts(NOTHING),
        row(
            "a payload over 128 MiB, in a session",
            BUSY,
            Sent::Raw(huge),
        )
        .aborts(NOTHING),
        row(
            "the largest payload",
            BUSY,
            Sent::Raw(header(METADATA_COMMAND, PAYLOAD_SIZE_MAX)),
        )
        .stays(NOTHING),
        // Ours: nobody without a session has much to say.
        row(
            "a large payload before VERSION",
            NEW,
            Sent::Raw(large.clone()),
        )
        .aborts(NOTHING),
        row(
            "a large payload without a session",
            VERSION,
            Sent::Raw(large),
        )
        .aborts(NOTHING),
        row(
            "the largest payload without metadata",
            BUSY,
            Sent::Raw(header(3, SMALL_PAYLOAD_SIZE_MAX)),
        )
        .stays(NOTHING),
        row(
            "a large payload without metadata",
            BUSY,
            Sent::Raw(header(3, SMALL_PAYLOAD_SIZE_MAX + 1)),
        )
        .aborts(NOTHING),
        row(
            "a rotation of 200,000 streams",
            BUSY,
            Sent::Raw(header(18, 20 + 16 * 200_000)),
        )
        .stays(NOTHING),
        row(
            "a payload of all ones bytes",
            BUSY,
            Sent::Raw(header(3, u64::MAX)),
        )
        .aborts(NOTHING),
        row("half a header", NEW, Sent::Raw(start[..12].to_vec())).stays(NOTHING),
        row("no payload yet", BUSY, Sent::Raw(header(7, 16))).stays(NOTHING),
        row("circuit and version are ignored", NEW, Sent::Raw(odd)).stays(code(OK)),
        row("two commands at once", NEW, Sent::Raw(two)).stays(two_replies),
        row("a command after an abort", BUSY, Sent::Raw(spent)).aborts(code(UNKNOWN_ERR)),
        row("the end, before anything", NEW, Sent::RawEnd(vec![])).closes(NOTHING),
        row("the end, between commands", BUSY, Sent::RawEnd(vec![])).closes(NOTHING),
        row("the end, in a header", BUSY, Sent::RawEnd(vec![0; 5])).closes(NOTHING),
        row("the end, in a payload", BUSY, Sent::RawEnd(header(7, 16))).closes(NOTHING),
        row("the end, after a command", BUSY, Sent::RawEnd(start)).closes(code(OK)),
        row(
            "the end, with an index in flight",
            BUSY,
            Sent::RawEnd(vec![]),
        )
        .after(&[Prior::Index(1)])
        .closes(NOTHING),
        // Ours: a producer that was killed ends with a reset, and its data may be there.
        row("a reset", BUSY, Sent::Reset)
            .after(&[Prior::Index(1)])
            .closes(NOTHING),
    ]
}

/// Ours: none of them kills a relay that logs its commands.
fn unknown_commands() -> Vec<Row> {
    let mut rows = Vec::new();
    for number in [0, 4, 12, 14, 15, 23, 10_000, u32::MAX] {
        let sent = Sent::Payload(number, vec![1; 5]);
        for (when, before) in [("first", NEW), ("after VERSION", VERSION), ("busy", BUSY)] {
            let name = format!("unknown command {number}, {when}");
            rows.push(row(name, before, sent.clone()).aborts(code(UNKNOWN_ERR)));
        }
        let name = format!("unknown command {number}, its payload not there");
        rows.push(row(name, BUSY, Sent::Raw(header(number, 5))).stays(NOTHING));
    }
    rows
}

fn versions() -> Vec<Row> {
    let version = |major, minor| Command::Version(producer::Version { major, minor });
    let mut rows = Vec::new();
    for minor in (0..=16).chain([99, u32::MAX]) {
        let name = format!("VERSION 2.{minor}");
        rows.push(row(name, NEW, version(2, minor)).stays(OUR_VERSION));
    }
    for major in [0, 1, 3, u32::MAX] {
        let name = format!("VERSION {major}.15");
        rows.push(row(name, NEW, version(major, 15)).aborts(OUR_VERSION));
    }
    let old_index = Sent::In(7, Command::SendIndex(stage::index(2, 0)));
    let new_stream = Sent::In(15, stage::add_stream("trace", "late"));
    let created = Sent::In(15, Command::CreateSession(stage::session("session")));
    rows.extend([
        row("VERSION in 7 bytes", NEW, Sent::Cut(version(2, 15), 1)).aborts(NOTHING),
        row(
            "VERSION in 7 bytes, busy",
            BUSY,
            Sent::Cut(version(2, 15), 1),
        )
        .aborts(NOTHING),
        row("VERSION in 12 bytes", NEW, Sent::Longer(version(2, 15))).stays(OUR_VERSION),
        row("VERSION again", BUSY, version(2, 4)).stays(OUR_VERSION),
        row("VERSION 3 in a session", BUSY, version(3, 0)).aborts(OUR_VERSION),
        row(
            "an index in the layout of the last VERSION",
            STREAMS,
            old_index,
        )
        .after(&[VersionOf(7)])
        .stays(code(OK)),
        row(
            "a stream in the layout of the session's VERSION",
            STREAMS,
            new_stream,
        )
        .after(&[VersionOf(7)])
        .stays(id_and_code(3, OK)),
        row("a session of 2.99 is one of 2.15", NEW, created)
            .after(&[VersionOf(99)])
            .stays([id_and_code(1, OK), path(stage::DIRECTORY)].concat()),
    ]);
    rows
}

/// The reply to GET_CONFIGURATION.
fn configured(code: u32, flags: u64) -> Vec<u8> {
    [&code.to_be_bytes()[..], &flags.to_be_bytes()].concat()
}

fn configuration() -> Vec<Row> {
    let get = |flags| Command::GetConfiguration(GetConfiguration { flags });
    let padded = || Sent::Payload(3, vec![7; 100]);
    let mut rows = vec![
        row("GET_CONFIGURATION in 7 bytes", NEW, Sent::Cut(get(0), 1)).aborts(NOTHING),
        row(
            "GET_CONFIGURATION in 7 bytes, busy",
            BUSY,
            Sent::Cut(get(0), 1),
        )
        .aborts(NOTHING),
        row("GET_CONFIGURATION in 12 bytes", NEW, Sent::Longer(get(0))).stays(configured(OK, 1)),
        row("GET_CONFIGURATION, clear disallowed", NEW, get(0))
            .after(&[DisallowClear])
            .stays(configured(OK, 0)),
    ];
    for (when, before) in [("first", NEW), ("in a session", SESSION), ("busy", BUSY)] {
        let name = |what: &str| format!("{what}, {when}");
        let refused = configured(INVALID_PROTOCOL, 0);
        rows.extend([
            row(name("GET_CONFIGURATION"), before, get(0))
                .at(ALL)
                .stays(configured(OK, 1)),
            row(name("GET_CONFIGURATION of flags"), before, get(1))
                .at(ALL)
                .stays(refused),
            row(name("START_DATA"), before, Command::StartData)
                .at(ALL)
                .stays(code(OK)),
            row(name("START_DATA with a payload"), before, padded()).stays(code(OK)),
        ]);
    }
    rows
}

/// Commands that act on a session end the connection when there is none.
fn without_a_session() -> Vec<Row> {
    let end = EndDataPending { session: 1 };
    let exists = TraceChunkExists { chunk: 0 };
    let reset = ResetMetadata {
        stream: 1,
        version: 0,
    };
    let commands = [
        stage::add_stream("trace", "chan_0"),
        metadata(1, b"metadata"),
        close_stream(1, 0),
        ask(1, 0),
        quiescent(1),
        begin(1),
        Command::EndDataPending(end),
        Command::SendIndex(stage::index(2, 0)),
        Command::StreamsSent,
        Command::ResetMetadata(reset),
        stage::rotate(None, &[(1, 0)]),
        stage::create_chunk(0),
        stage::close_chunk(0, None),
        Command::TraceChunkExists(exists),
    ];
    let mut rows = Vec::new();
    for command in commands {
        let name = command.kind().name();
        let before_version = format!("{name} before VERSION");
        let after_refusal = format!("{name} after a refused CREATE_SESSION");
        let alone = format!("{name} without a session");
        rows.extend([
            row(before_version, NEW, command.clone()).aborts(NOTHING),
            row(alone, VERSION, command.clone()).at(ALL).aborts(NOTHING),
            row(after_refusal, VERSION, command)
                .after(&[Refused])
                .aborts(NOTHING),
        ]);
    }
    rows
}
