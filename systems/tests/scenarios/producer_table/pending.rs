//! The round of questions about pending data.

use baton_components::wire::producer::{Command, EndDataPending};

use super::*;

pub fn rows() -> Vec<Row> {
    let mut rows = data_pending();
    rows.extend(quiescent_control());
    rows.extend(begin_and_end());
    rows
}

const DONE: u32 = 0;
const PENDING: u32 = 1;
const ERROR: u32 = u32::MAX;

fn data_pending() -> Vec<Row> {
    let done = || code(DONE);
    let pending = || code(PENDING);
    let snapshot = [SnapshotSession, Chunk(0), Streams];
    vec![
        row("nothing sent, nothing there", STREAMS, ask(2, NONE))
            .at(ALL)
            .stays(done()),
        row("nothing sent, packet 0 there", BUSY, ask(2, NONE))
            .at(ALL)
            .stays(done()),
        row("packet 0 sent, nothing there", STREAMS, ask(2, 0))
            .at(ALL)
            .stays(pending()),
        row("packet 0 sent, and there", BUSY, ask(2, 0))
            .at(ALL)
            .stays(done()),
        row("packet 1 sent, packet 0 there", BUSY, ask(2, 1))
            .at(ALL)
            .stays(pending()),
        // Ours: the original says that nothing is pending.
        row("packet 0 sent, its bytes there", STREAMS, ask(2, 0))
            .at(ALL)
            .after(&[Bytes(0)])
            .stays(pending()),
        row("packet 0 sent, its index there", STREAMS, ask(2, 0))
            .at(ALL)
            .after(&[Prior::Index(0)])
            .stays(pending()),
        row("packet 1 sent, its bytes there", BUSY, ask(2, 1))
            .at(ALL)
            .after(&[Bytes(1)])
            .stays(pending()),
        row("packet 1 sent, its index there", BUSY, ask(2, 1))
            .at(ALL)
            .after(&[Prior::Index(1)])
            .stays(pending()),
        row("packet 1 sent, half its bytes there", BUSY, ask(2, 1))
            .at(ALL)
            .after(&[Half(1)])
            .stays(pending()),
        row("packet 1 sent, and there", BUSY, ask(2, 1))
            .at(ALL)
            .after(&[Packet(1)])
            .stays(done()),
        row("packet 0 sent, a later one there", BUSY, ask(2, 0))
            .at(ALL)
            .after(&[Packet(1)])
            .stays(done()),
        row("numbers wrap", BUSY, ask(2, NONE - 1))
            .at(ALL)
            .stays(done()),
        row("a snapshot has no index", VERSION, ask(2, 0))
            .at(ALL)
            .after(&snapshot)
            .after(&[Bytes(0)])
            .stays(done()),
        row("a snapshot's bytes are missing", VERSION, ask(2, 0))
            .at(ALL)
            .after(&snapshot)
            .stays(pending()),
        row("DATA_PENDING of metadata", BUSY, ask(1, NONE))
            .at(ALL)
            .stays(done()),
        row("DATA_PENDING without a chunk", BUSY, ask(2, 0))
            .after(&[Rotate(2, None, 1)])
            .stays(done()),
        row("DATA_PENDING after a rotation", BUSY, ask(2, 0))
            .after(&[Chunk(1), Rotate(2, Some(1), 1)])
            .stays(done()),
        row("DATA_PENDING of one that waits", BUSY, ask(2, 1))
            .at(ALL)
            .after(&[CloseStream(2, 1)])
            .stays(pending()),
        row("DATA_PENDING of a closed one", BUSY, ask(2, 0))
            .at(ALL)
            .after(&[CloseStream(2, 0)])
            .aborts(code(ERROR)),
        row("DATA_PENDING of none", BUSY, ask(99, 0))
            .at(ALL)
            .aborts(code(ERROR)),
        // Ours: the original answers for any stream of the relay.
        row("DATA_PENDING of a foreign one", BUSY, ask(4, 0))
            .at(ALL)
            .after(&[Foreign])
            .aborts(code(ERROR)),
        row("DATA_PENDING in 15 bytes", BUSY, Sent::Cut(ask(2, 0), 1))
            .at(ALL)
            .aborts(NOTHING),
        row("DATA_PENDING and more", BUSY, Sent::Longer(ask(2, 0)))
            .at(ALL)
            .stays(done()),
    ]
}

fn quiescent_control() -> Vec<Row> {
    vec![
        row("QUIESCENT_CONTROL", BUSY, quiescent(1))
            .at(ALL)
            .stays(code(OK)),
        row("QUIESCENT_CONTROL of a data stream", BUSY, quiescent(2))
            .at(ALL)
            .stays(code(OK)),
        row("QUIESCENT_CONTROL of none", BUSY, quiescent(99))
            .at(ALL)
            .stays(code(OK)),
        row("QUIESCENT_CONTROL of a closed one", BUSY, quiescent(1))
            .at(ALL)
            .after(&[CloseStream(1, NONE)])
            .stays(code(OK)),
        row("QUIESCENT_CONTROL of a foreign one", BUSY, quiescent(3))
            .at(ALL)
            .after(&[Foreign])
            .stays(code(OK)),
        row(
            "QUIESCENT_CONTROL in 7 bytes",
            BUSY,
            Sent::Cut(quiescent(1), 1),
        )
        .at(ALL)
        .aborts(NOTHING),
        row(
            "QUIESCENT_CONTROL and more",
            BUSY,
            Sent::Longer(quiescent(1)),
        )
        .at(ALL)
        .stays(code(OK)),
    ]
}

fn begin_and_end() -> Vec<Row> {
    let end = |session| Command::EndDataPending(EndDataPending { session });
    let all = [Begin, Prior::Ask(2), Quiescent(1)];
    let one = [Begin, Prior::Ask(2)];
    let done = || code(DONE);
    let pending = || code(PENDING);
    vec![
        row("BEGIN_DATA_PENDING", BUSY, begin(1))
            .at(ALL)
            .stays(code(OK)),
        row("BEGIN_DATA_PENDING twice", BUSY, begin(1))
            .at(ALL)
            .after(&one)
            .stays(code(OK)),
        row("BEGIN_DATA_PENDING of no streams", SESSION, begin(1))
            .at(ALL)
            .stays(code(OK)),
        row("BEGIN_DATA_PENDING of no session", BUSY, begin(99))
            .at(ALL)
            .stays(code(OK)),
        row("BEGIN_DATA_PENDING of a foreign one", BUSY, begin(2))
            .at(ALL)
            .after(&[Foreign])
            .stays(code(OK)),
        row(
            "BEGIN_DATA_PENDING in 7 bytes",
            BUSY,
            Sent::Cut(begin(1), 1),
        )
        .at(ALL)
        .aborts(NOTHING),
        row("BEGIN_DATA_PENDING and more", BUSY, Sent::Longer(begin(1)))
            .at(ALL)
            .stays(code(OK)),
        row("END, every stream asked about", BUSY, end(1))
            .at(ALL)
            .after(&all)
            .stays(done()),
        row("END, one stream not asked about", BUSY, end(1))
            .at(ALL)
            .after(&one)
            .stays(pending()),
        row("END, none asked about", BUSY, end(1))
            .at(ALL)
            .after(&[Begin])
            .stays(pending()),
        row("END without BEGIN", BUSY, end(1))
            .at(ALL)
            .stays(pending()),
        row("END of no streams", SESSION, end(1))
            .at(ALL)
            .stays(done()),
        row("END, asked about twice", BUSY, end(1))
            .at(ALL)
            .after(&all)
            .after(&[Prior::Ask(2)])
            .stays(done()),
        row("END, asked about in the round before", BUSY, end(1))
            .at(ALL)
            .after(&all)
            .after(&one)
            .stays(pending()),
        row("END, a stream came since", BUSY, end(1))
            .at(ALL)
            .after(&all)
            .after(&[AddStream])
            .stays(pending()),
        row("END, the rest is closed", BUSY, end(1))
            .at(ALL)
            .after(&one)
            .after(&[CloseStream(1, NONE)])
            .stays(done()),
        row("END, a closed stream waits", BUSY, end(1))
            .at(ALL)
            .after(&[CloseStream(2, 1), Begin, Quiescent(1)])
            .stays(pending()),
        row("END, the packet that was waited for came", BUSY, end(1))
            .at(ALL)
            .after(&[
                Prior::Index(1),
                CloseStream(2, 1),
                Begin,
                Quiescent(1),
                Bytes(1),
            ])
            .stays(done()),
        row("END of no session", BUSY, end(99))
            .at(ALL)
            .stays(done()),
        // Ours: a foreign session has nothing to tell.
        row("END of a foreign session", BUSY, end(2))
            .at(ALL)
            .after(&[Foreign])
            .stays(done()),
        row("END_DATA_PENDING in 7 bytes", BUSY, Sent::Cut(end(1), 1))
            .at(ALL)
            .aborts(NOTHING),
        row("END_DATA_PENDING and more", BUSY, Sent::Longer(end(1)))
            .at(ALL)
            .after(&all)
            .stays(done()),
    ]
}
