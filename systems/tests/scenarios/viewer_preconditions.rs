//! Every request in every state of a connection, and the order in which a request's
//! conditions are looked at: `docs/protocol.md#rules-that-viewers-depend-on`.

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::CreateSession;
use baton_components::wire::viewer::Request;
use baton_systems::client;

use crate::stage::{Producer, Stage, Viewer, create_chunk, session};
use crate::viewer_words::{
    ATTACH, DATA, DETACH, GET_METADATA, METADATA, NEW_STREAMS, NEXT_INDEX, PACKET, SESSION, Scene,
    UNKNOWN, connect,
};

/// The requests of a viewer before the tested one.
type State = fn(&mut Scene) -> Viewer;

const REQUESTS: [Request; 9] = [
    Request::ListSessions,
    Request::CreateSession,
    ATTACH,
    NEXT_INDEX,
    PACKET,
    GET_METADATA,
    NEW_STREAMS,
    DETACH,
    Request::Connect {
        major: 2,
        minor: 15,
        kind: 2,
    },
];

/// The replies to [`REQUESTS`], each asked alone.
const STATES: [(&str, State, [&str; 9]); 8] = [
    (
        "nothing",
        |scene| Viewer::dial(&mut scene.stage, 15),
        [
            "closed",
            "closed",
            "closed",
            "closed",
            "closed",
            "closed",
            "closed",
            "closed",
            // A notification connection has no number, and nothing else of its own.
            "2.15 number 0",
        ],
    ),
    (
        "CONNECT",
        |scene| {
            let viewer = Viewer::dial(&mut scene.stage, 15);
            viewer.hear(&mut scene.stage, connect(15));
            viewer
        },
        [
            LISTED,
            "OK",
            "NO_SESSION",
            "ERR",
            "ERR",
            "ERR",
            "ERR",
            "ERR",
            "2.15 number 0",
        ],
    ),
    (
        "CREATE_SESSION",
        |scene| Viewer::connect(&mut scene.stage, 15),
        UNATTACHED,
    ),
    (
        "ATTACH_SESSION of another session",
        |scene| {
            let other = Producer::create(&mut scene.stage, 15, session("other"));
            other.expect_ok(&mut scene.stage, &create_chunk(0));
            other.add_trace(&mut scene.stage, "ust");
            let viewer = Viewer::connect(&mut scene.stage, 15);
            let attach = Request::Attach {
                session: 2,
                seek: 1,
            };
            assert_eq!(viewer.hear(&mut scene.stage, attach), "OK [3, 4]");
            other.leave(&mut scene.stage);
            viewer
        },
        UNATTACHED,
    ),
    (
        "ATTACH_SESSION",
        attached,
        [
            ATTACHED,
            "OK",
            "ALREADY",
            INDEX,
            "ERR",
            "OK meta",
            "OK []",
            "OK",
            "2.15 number 0",
        ],
    ),
    (
        "ATTACH_SESSION and GET_NEXT_INDEX",
        |scene| {
            let viewer = attached(scene);
            assert_eq!(viewer.index(&mut scene.stage, DATA), INDEX);
            viewer
        },
        [
            ATTACHED,
            "OK",
            "ALREADY",
            "RETRY NEW_METADATA",
            "OK 64 bytes",
            "OK meta",
            "OK []",
            "OK",
            "2.15 number 0",
        ],
    ),
    (
        "ATTACH_SESSION, and the producer left",
        |scene| {
            let viewer = attached(scene);
            scene.producer_leaves();
            viewer
        },
        [
            "[]",
            "OK",
            "ALREADY",
            INDEX,
            "ERR",
            "OK meta",
            "OK []",
            "OK",
            "2.15 number 0",
        ],
    ),
    (
        "CREATE_SESSION, and the producer left",
        |scene| {
            // Somebody else keeps the session.
            scene.hear(ATTACH);
            scene.producer_leaves();
            Viewer::connect(&mut scene.stage, 15)
        },
        [
            "[]",
            "OK",
            "UNK",
            "ERR",
            "ERR",
            "ERR",
            "ERR",
            "ERR",
            "2.15 number 0",
        ],
    ),
];

const LISTED: &str = "[1: host/session clients 0 streams 2]";

/// Replies to a viewer that may attach, and has not.
const UNATTACHED: [&str; 9] = [
    LISTED,
    "OK",
    "OK [1, 2]",
    "ERR",
    "ERR",
    "ERR",
    "ERR",
    "ERR",
    "2.15 number 0",
];
const ATTACHED: &str = "[1: host/session clients 1 streams 2]";
const INDEX: &str = "OK 0 at 0 NEW_METADATA";

fn attached(scene: &mut Scene) -> Viewer {
    let viewer = Viewer::connect(&mut scene.stage, 15);
    assert_eq!(viewer.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
    viewer
}

/// A session with a packet and metadata.
fn recorded() -> Scene {
    let mut scene = Scene::with_trace();
    scene.send_metadata(b"meta");
    scene.send(0);
    scene
}

#[test]
fn every_request_in_every_state() {
    let mut wrong = Vec::new();
    for (name, state, expected) in STATES {
        for (request, expected) in REQUESTS.into_iter().zip(expected) {
            let mut scene = recorded();
            let viewer = state(&mut scene);
            let told = viewer.hear(&mut scene.stage, request);
            if told != expected {
                wrong.push(format!("{name}: {request:?}: {told}, not {expected}"));
            }
            viewer.leave(&mut scene.stage);
            scene.end();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unknown_sessions_and_streams_are_a_status() {
    let mut scene = recorded();
    scene.hear(ATTACH);
    let unknown = [
        (
            Request::Attach {
                session: UNKNOWN,
                seek: 1,
            },
            "UNK",
        ),
        (
            Request::Attach {
                session: 0,
                seek: 1,
            },
            "UNK",
        ),
        (Request::NewStreams { session: UNKNOWN }, "ERR"),
        (Request::Detach { session: UNKNOWN }, "UNK"),
        (Request::NextIndex { stream: 0 }, "ERR"),
        (Request::NextIndex { stream: u64::MAX }, "ERR"),
        (Request::Metadata { stream: UNKNOWN }, "ERR"),
        (
            Request::Packet {
                stream: UNKNOWN,
                offset: 0,
                length: 0,
            },
            "ERR",
        ),
        // A stream of the other kind.
        (Request::Metadata { stream: DATA }, "ERR"),
        (Request::NextIndex { stream: METADATA }, "HUP NEW_METADATA"),
        (
            Request::Packet {
                stream: METADATA,
                offset: 0,
                length: 4,
            },
            "ERR",
        ),
    ];
    for (request, expected) in unknown {
        assert_eq!(scene.hear(request), expected, "{request:?}");
    }
    assert_eq!(scene.indexes(1), INDEX);
    scene.end();
}

/// The session that is attached has all these faults at once, or those from some on:
/// the first decides.
#[test]
fn attach_looks_at_its_conditions_in_order() {
    let mut stage = Stage::new();
    let faulty = CreateSession {
        live_timer_us: 0,
        trace_format: TraceFormat::Ctf2,
        ..session("session")
    };
    let live = CreateSession {
        live_timer_us: 1,
        ..faulty
    };
    let plain = CreateSession {
        trace_format: TraceFormat::Ctf1,
        ..live
    };
    let sessions = [faulty, live, plain];
    let producers = sessions.map(|session| Producer::create(&mut stage, 15, session));
    let asked = |viewer: &Viewer, stage: &mut Stage, session, seek| {
        viewer.hear(stage, Request::Attach { session, seek })
    };
    let nobody = Viewer::dial(&mut stage, 4);
    nobody.hear(&mut stage, connect(4));
    assert_eq!(asked(&nobody, &mut stage, UNKNOWN, 7), "NO_SESSION");
    let viewer = Viewer::connect(&mut stage, 4);
    assert_eq!(asked(&viewer, &mut stage, UNKNOWN, 7), "UNK");
    assert_eq!(asked(&viewer, &mut stage, 1, 7), "NOT_LIVE");
    assert_eq!(asked(&viewer, &mut stage, 2, 7), "UNK");
    assert_eq!(asked(&viewer, &mut stage, 3, 7), "SEEK_ERR");
    assert_eq!(asked(&viewer, &mut stage, 3, 1), "OK []");
    assert_eq!(asked(&viewer, &mut stage, 3, 7), "SEEK_ERR");
    producers[2].leave(&mut stage);
    // Attached before its producer left; and not attached.
    assert_eq!(asked(&viewer, &mut stage, 3, 1), "ALREADY");
    let late = Viewer::connect(&mut stage, 4);
    assert_eq!(asked(&late, &mut stage, 3, 7), "SEEK_ERR");
    assert_eq!(asked(&late, &mut stage, 3, 1), "UNK");
    for viewer in [nobody, viewer, late] {
        viewer.leave(&mut stage);
    }
    for producer in producers {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

#[test]
fn every_minor_hears_the_same_but_in_the_list() {
    let mut scene = recorded();
    for minor in (4..=15).chain([0, 2, 20, u32::MAX]) {
        let viewer = Viewer::dial(&mut scene.stage, minor);
        let hello = viewer.hear(&mut scene.stage, connect(minor));
        assert!(hello.starts_with("2.15 number "), "{hello}");
        let list = viewer.ask(&mut scene.stage, Request::ListSessions);
        let strings = "hostsession".len();
        assert_eq!(
            list.len(),
            if minor < 15 {
                4 + 339
            } else {
                4 + 32 + strings
            }
        );
        if minor < 15 {
            // Nothing but zeros after a name.
            assert!(list[4 + 20 + 4..4 + 84].iter().all(|byte| *byte == 0));
            assert!(list[4 + 84 + 7..].iter().all(|byte| *byte == 0));
        }
        let requests = [
            Request::CreateSession,
            ATTACH,
            GET_METADATA,
            NEXT_INDEX,
            PACKET,
            NEW_STREAMS,
            DETACH,
        ];
        let told = viewer.hear_all(&mut scene.stage, &requests);
        let expected = "OK, OK [1, 2], OK meta, OK 0 at 0, OK 64 bytes, OK [], OK";
        assert_eq!(told, expected, "minor {minor}");
        viewer.leave(&mut scene.stage);
    }
    scene.end();
}

#[test]
fn connect_again_keeps_what_is_attached() {
    let mut scene = recorded();
    scene.hear(ATTACH);
    // The format of the list follows the last CONNECT.
    assert_eq!(scene.hear(connect(4)), "2.15 number 2");
    assert_eq!(
        scene
            .viewer
            .ask(&mut scene.stage, Request::ListSessions)
            .len(),
        4 + 339
    );
    assert_eq!(scene.indexes(1), INDEX);
    scene.end();
}

#[test]
fn producers_of_every_age_have_viewers() {
    for minor in 4..=15 {
        let mut stage = Stage::new();
        let producer = Producer::create(&mut stage, minor, session("session"));
        let path = if minor < 11 {
            "host/session-1/ust"
        } else {
            "ust"
        };
        if minor >= 11 {
            producer.expect_ok(&mut stage, &create_chunk(0));
        }
        let (metadata, data) = producer.add_trace(&mut stage, path);
        producer.send_metadata(&mut stage, metadata, b"meta");
        producer.send_whole_packet(&mut stage, data, 0);
        let viewer = Viewer::connect(&mut stage, 15);
        let entries = viewer.entries(&mut stage, ATTACH);
        assert_eq!(
            entries.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
            [path; 2]
        );
        let requests = [GET_METADATA, NEXT_INDEX, PACKET, NEXT_INDEX];
        let expected = "OK meta, OK 0 at 0, OK 64 bytes, RETRY";
        assert_eq!(
            viewer.hear_all(&mut stage, &requests),
            expected,
            "minor {minor}"
        );
        producer.leave(&mut stage);
        assert_eq!(
            viewer.hear_all(&mut stage, &[NEXT_INDEX, NEW_STREAMS]),
            "HUP, HUP"
        );
        viewer.leave(&mut stage);
        stage.assert_empty();
    }
}

#[test]
fn a_session_that_just_began_is_listed_and_attached() {
    let mut stage = Stage::new();
    let producer = Producer::create(&mut stage, 15, session("session"));
    let viewer = Viewer::connect(&mut stage, 15);
    let requests = [Request::ListSessions, ATTACH, NEW_STREAMS];
    let listed = "[1: host/session clients 0 streams 0], OK [], OK []";
    assert_eq!(viewer.hear_all(&mut stage, &requests), listed);
    // The first streams come with the first chunk; all in one write.
    let mut bytes = client::command(15, &create_chunk(0));
    for channel in ["metadata", "chan_0"] {
        bytes.extend(client::command(
            15,
            &crate::stage::add_stream("ust", channel),
        ));
    }
    producer.send(&mut stage, &bytes);
    let asked = Request::NewStreams { session: SESSION };
    assert_eq!(viewer.hear(&mut stage, asked), "OK []");
    producer.leave(&mut stage);
    viewer.leave(&mut stage);
    stage.assert_empty();
}
