//! Rights: two teams on one relay. A session that a peer has no right to is as if it were not there.

use baton_components::connection::Endpoint;
use baton_components::rights::{Pattern, Rights};
use baton_components::wire::producer::{self, Command, CreateSession};
use baton_components::wire::viewer::{Request, SEEK_BEGINNING};
use baton_systems::client;
use baton_systems::memory::Peer;
use proptest::prelude::*;

use crate::stage::{Producer, Stage, Viewer, create_chunk, payload, session};
use crate::viewer_words::{UNKNOWN, connect};

fn list(names: &[&str]) -> Vec<Pattern> {
    names.iter().map(|name| Pattern::new(*name)).collect()
}

fn of_hosts(names: &[&str]) -> Rights {
    Rights {
        hosts: Some(list(names)),
        sessions: None,
    }
}

/// A session of a team: its host has the team's name, too.
fn team(name: &str) -> CreateSession<'_> {
    CreateSession {
        host: name.as_bytes(),
        ..session(name)
    }
}

fn producer(stage: &mut Stage, minor: u32, rights: &Rights) -> Producer {
    let dial = |endpoint: Endpoint| {
        let rights = Some(rights.clone());
        stage.network.connect_with(endpoint, "producer", rights)
    };
    let producer = Producer {
        control: dial(Endpoint::Control),
        data: dial(Endpoint::Data),
        minor,
    };
    let version = Command::Version(producer::Version { major: 2, minor });
    assert_eq!(producer.ask(stage, &version).len(), 8);
    producer
}

fn viewer(stage: &mut Stage, rights: Rights) -> Viewer {
    let peer = stage
        .network
        .connect_with(Endpoint::Live, "viewer", Some(rights));
    let viewer = Viewer { peer, minor: 14 };
    assert_eq!(viewer.ask(stage, connect(14)).len(), 20);
    assert_eq!(viewer.ask(stage, Request::CreateSession), [0, 0, 0, 1]);
    viewer
}

#[test]
fn a_producer_is_of_its_own_hosts_alone() {
    let mut stage = Stage::new();
    let own = producer(&mut stage, 13, &of_hosts(&["a*"]));
    assert_eq!(
        own.try_make(&mut stage, &Command::CreateSession(team("b"))),
        None
    );
    // It may try again as itself.
    own.make(&mut stage, &Command::CreateSession(team("a-1")));
    let any = producer(&mut stage, 13, &Rights::default());
    any.make(&mut stage, &Command::CreateSession(team("b")));
    own.leave(&mut stage);
    any.leave(&mut stage);
    stage.assert_empty();
}

/// Before 2.11 each stream names its directory, and the host with it.
#[test]
fn a_producer_that_names_directories_has_no_host_to_be_trusted_with() {
    let mut stage = Stage::new();
    let old = CreateSession {
        origin: None,
        ..team("a")
    };
    let own = producer(&mut stage, 10, &of_hosts(&["a"]));
    assert_eq!(own.try_make(&mut stage, &Command::CreateSession(old)), None);
    let any = producer(&mut stage, 10, &Rights::default());
    any.make(&mut stage, &Command::CreateSession(old));
    own.leave(&mut stage);
    any.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn packets_of_anothers_host_are_refused() {
    let mut stage = Stage::new();
    let own = Producer::create(&mut stage, 13, team("b"));
    own.expect_ok(&mut stage, &create_chunk(0));
    let (_, data) = own.add_trace(&mut stage, "ust/uid/0/64-bit");
    let rights = Some(of_hosts(&["a"]));
    let other: Peer = stage.network.connect_with(Endpoint::Data, "other", rights);
    other.write(&client::packet(data, 0, &payload(data, 0)));
    stage.settle();
    assert!(other.is_closed());
    own.send_whole_packet(&mut stage, data, 0);
    own.close_stream(&mut stage, data, Some(0));
    own.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_list_has_the_sessions_of_a_viewer_alone() {
    let mut stage = Stage::new();
    let producers = ["a", "b"].map(|name| {
        let producer = Producer::create(&mut stage, 13, team(name));
        producer.expect_ok(&mut stage, &create_chunk(0));
        producer
    });
    let by_name = Rights {
        hosts: None,
        sessions: Some(list(&["a*"])),
    };
    for (rights, sees) in [
        (by_name, [true, false]),
        (of_hosts(&["b"]), [false, true]),
        (of_hosts(&[]), [false, false]),
        (Rights::default(), [true, true]),
    ] {
        let viewer = viewer(&mut stage, rights);
        let words = viewer.hear(&mut stage, Request::ListSessions);
        for (name, sees) in ["a", "b"].into_iter().zip(sees) {
            let listed = words.contains(&format!("{name}/{name} "));
            assert_eq!(listed, sees, "{name} in {words}");
        }
        viewer.leave(&mut stage);
    }
    for producer in producers {
        producer.leave(&mut stage);
    }
    stage.assert_empty();
}

/// The ids of team B, as a viewer of it gets them: those of its session and its two streams.
const SESSION_A: u64 = 1;
const SESSION_B: u64 = 2;
const STREAMS_B: [u64; 2] = [3, 4];

#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    /// A team sends a packet.
    Packet(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let session = prop_oneof![Just(SESSION_A), Just(SESSION_B)];
    let stream = 1..8_u64;
    prop_oneof![
        Just(Step::Ask(Request::ListSessions)),
        session.clone().prop_map(|session| {
            Step::Ask(Request::Attach {
                session,
                seek: SEEK_BEGINNING,
            })
        }),
        session
            .clone()
            .prop_map(|session| Step::Ask(Request::Detach { session })),
        session.prop_map(|session| Step::Ask(Request::NewStreams { session })),
        stream
            .clone()
            .prop_map(|stream| Step::Ask(Request::NextIndex { stream })),
        stream
            .clone()
            .prop_map(|stream| Step::Ask(Request::Metadata { stream })),
        (stream, 0..3_u64).prop_map(|(stream, packet)| {
            Step::Ask(Request::Packet {
                stream,
                offset: packet * 64,
                length: 64,
            })
        }),
        (0..2_usize).prop_map(Step::Packet),
    ]
}

/// The same request, where what is team B's is something that never was.
fn with_unknown(request: Request) -> Request {
    let session = |id| if id == SESSION_B { UNKNOWN } else { id };
    let stream = |id| if STREAMS_B.contains(&id) { UNKNOWN } else { id };
    match request {
        Request::Attach { session: id, seek } => Request::Attach {
            session: session(id),
            seek,
        },
        Request::Detach { session: id } => Request::Detach {
            session: session(id),
        },
        Request::NewStreams { session: id } => Request::NewStreams {
            session: session(id),
        },
        Request::NextIndex { stream: id } => Request::NextIndex { stream: stream(id) },
        Request::Metadata { stream: id } => Request::Metadata { stream: stream(id) },
        Request::Packet {
            stream: id,
            offset,
            length,
        } => Request::Packet {
            stream: stream(id),
            offset,
            length,
        },
        other => other,
    }
}

/// All that a viewer of team A hears, which asks by those steps.
fn hears(steps: &[Step], change: impl Fn(Request) -> Request) -> Vec<String> {
    let mut stage = Stage::new();
    let teams = ["a", "b"].map(|name| {
        let producer = Producer::create(&mut stage, 13, team(name));
        producer.expect_ok(&mut stage, &create_chunk(0));
        let (metadata, data) = producer.add_trace(&mut stage, "ust/uid/0/64-bit");
        producer.send_metadata(&mut stage, metadata, b"metadata");
        (producer, metadata, data)
    });
    let theirs = viewer(&mut stage, of_hosts(&["b"]));
    let attach = Request::Attach {
        session: SESSION_B,
        seek: SEEK_BEGINNING,
    };
    assert_eq!(theirs.hear(&mut stage, attach), format!("OK {STREAMS_B:?}"));
    let ours = viewer(&mut stage, of_hosts(&["a"]));
    let mut sequences = [0, 0];
    let mut heard = Vec::new();
    for step in steps {
        match step {
            Step::Ask(request) => {
                heard.push(ours.hear(&mut stage, change(*request)));
                if ours.peer.is_closed() {
                    break;
                }
            }
            Step::Packet(at) => {
                let (producer, _, data) = &teams[*at];
                producer.send_whole_packet(&mut stage, *data, sequences[*at]);
                sequences[*at] += 1;
            }
        }
    }
    ours.leave(&mut stage);
    theirs.leave(&mut stage);
    for (producer, metadata, data) in teams {
        producer.close_stream(&mut stage, data, None);
        producer.close_stream(&mut stage, metadata, None);
        producer.leave(&mut stage);
    }
    heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_is_another_teams_is_to_a_viewer_as_what_never_was(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let with_theirs = hears(&steps, |request| request);
        let with_unknown = hears(&steps, with_unknown);
        prop_assert_eq!(with_theirs, with_unknown);
    }
}
