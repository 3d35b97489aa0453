//! Questions of monitors about very many sessions and streams: more than this machine has
//! descriptors for, on ports in memory. Costs of an answer are counted, not timed.

use baton_components::connection::Endpoint;
use baton_components::costs;
use baton_components::steps;
use baton_components::wire::producer::{self, Command, Origin};
use baton_systems::client;
use baton_systems::memory::Peer;
use serde_json::Value;

use crate::stage::{self, Stage};

const SESSIONS: u64 = 10_000;
const STREAMS: u64 = 10;
/// Sessions that are made at once.
const BATCH: u64 = 500;
/// Lines of `/metrics`, with all the sessions that may have series.
const METRICS_LINES_MAX: usize = 2_700;
const MINOR: u32 = 15;

/// A relay with so many sessions, of ten streams each.
struct Crowd {
    stage: Stage,
    producers: Vec<Peer>,
}

impl Crowd {
    fn of(sessions: u64) -> Self {
        let mut crowd = Self {
            stage: Stage::without_audit(),
            producers: Vec::new(),
        };
        for number in 0..sessions {
            crowd.add_session(number);
            if number % BATCH == BATCH - 1 {
                crowd.stage.settle();
            }
        }
        crowd.stage.settle();
        crowd
    }

    /// Sends all of a session at once.
    fn add_session(&mut self, number: u64) {
        let (host, name) = (format!("host-{number}"), format!("session-{number}"));
        let session = producer::CreateSession {
            host: host.as_bytes(),
            origin: Some(Origin {
                daemon: u128::from(number + 1).to_be_bytes(),
                creation_time_s: stage::CREATED_S,
                ..Origin::default()
            }),
            ..stage::session(&name)
        };
        let version = producer::Version {
            major: 2,
            minor: MINOR,
        };
        let channels: Vec<_> = (0..STREAMS).map(|it| format!("channel_{it}")).collect();
        let mut commands = vec![
            Command::Version(version),
            Command::CreateSession(session),
            stage::create_chunk(0),
        ];
        commands.extend(channels.iter().map(|it| stage::add_stream("ust/uid", it)));
        let bytes = commands.iter().flat_map(|it| client::command(MINOR, it));
        let bytes: Vec<u8> = bytes.collect();
        let peer = format!("10.0.{}.{}:1", number / 256, number % 256);
        let peer = self.stage.network.connect(Endpoint::Control, &peer);
        peer.write(&bytes);
        self.producers.push(peer);
    }

    /// Asks as a browser does, and takes what comes tick by tick.
    fn ask(&mut self, path: &str) -> Answer {
        let peer = self.stage.network.connect(Endpoint::Status, "monitor");
        self.stage.settle();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        peer.write(request.as_bytes());
        let mut answer = Answer::default();
        while !peer.is_closed() {
            let before = steps::taken();
            self.stage.tick();
            answer.steps.push(steps::taken() - before);
            let bytes = peer.take_received();
            answer.sizes.push(bytes.len());
            answer.bytes.extend_from_slice(&bytes);
        }
        answer
    }
}

#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    /// Of each tick: lookups of records, and bytes.
    steps: Vec<u64>,
    sizes: Vec<usize>,
}

impl Answer {
    fn body(&self) -> &str {
        let text = std::str::from_utf8(&self.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 OK"), "{head}");
        body
    }
}

/// As many sessions as have series of their own cost as much as ten thousand.
#[test]
fn metrics_of_a_crowd_cost_what_those_of_its_first_sessions_do() {
    let all_steps = |answer: &Answer| answer.steps.iter().sum::<u64>();
    let few = all_steps(&Crowd::of(200).ask("/metrics"));
    assert!(few >= 200, "{few} steps");
    let mut crowd = Crowd::of(SESSIONS);
    let answer = crowd.ask("/metrics");
    assert!(answer.body().lines().count() <= METRICS_LINES_MAX);
    let omitted = format!("\nbaton_metrics_sessions_omitted {}\n", SESSIONS - 200);
    assert!(answer.body().contains(&omitted));
    let streams = format!("\nbaton_streams{{state=\"open\"}} {}\n", SESSIONS * STREAMS);
    assert!(answer.body().contains(&streams));
    assert_eq!(all_steps(&answer), few);
}

#[test]
fn a_list_of_a_crowd_is_whole_and_a_tick_writes_a_small_part_of_it() {
    let mut crowd = Crowd::of(SESSIONS);
    let answer = crowd.ask("/status");
    let status: Value = serde_json::from_str(answer.body()).unwrap();
    let sessions = status["sessions"].as_array().unwrap();
    assert_eq!(sessions.len() as u64, SESSIONS);
    assert!(sessions.iter().all(|it| it["streams"] == STREAMS));
    let bytes_max = *answer.sizes.iter().max().unwrap();
    assert!(bytes_max as u64 <= costs::TICK, "{bytes_max} bytes");
    // A record is looked up for each of the sessions that a turn can pay for, and no more.
    let listed_max = costs::HEAVY_TURN / costs::LISTED;
    let steps_max = *answer.steps.iter().max().unwrap();
    assert!(steps_max <= 8 * listed_max, "{steps_max} steps");
}
