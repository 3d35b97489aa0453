//! Many sessions with ten streams each: what it costs to ask about them.
//!
//! A few by default. `BATON_TEST_CROWD` says how many, and then the figures are printed. Ten
//! thousand take minutes, and root, who may have so many descriptors:
//!
//! ```sh
//! BATON_TEST_CROWD=10000 cargo test --release --test monitor -- --nocapture crowd
//! ```
//!
//! Times are printed, not asserted. Loop time is the sum of the relay's own ticks.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{env, thread};

use baton_components::wire::producer::{
    AddStream, Command, CreateSession, CreateTraceChunk, GetConfiguration, Origin, Version,
};
use baton_systems::client;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::browser::Browser;
use crate::ports::local;
use crate::relay::{PATIENCE, Place, printed};

const CROWD: &str = "BATON_TEST_CROWD";
/// Without the variable.
const FEW: u32 = 30;
const STREAMS: u32 = 10;
/// For each session.
const DESCRIPTORS: u64 = 6;
/// Rows that the page draws.
const ROWS: u32 = 500;
const MINOR: u32 = 15;

/// A producer's control connection.
struct Control {
    socket: TcpStream,
    producer: client::Producer,
}

impl Control {
    /// With a session.
    fn connect(place: &Place, number: u32) -> Self {
        let socket = TcpStream::connect(local(place.ports.control)).expect("a relay");
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut control = Self {
            socket,
            producer: client::Producer::new(MINOR),
        };
        let (name, host) = (
            format!("session-{number}"),
            format!("host-{}", number % 100),
        );
        control.ask(&[
            Command::Version(Version {
                major: 2,
                minor: MINOR,
            }),
            Command::GetConfiguration(GetConfiguration { flags: 0 }),
            Command::CreateSession(CreateSession {
                name: name.as_bytes(),
                host: host.as_bytes(),
                live_timer_us: 1_000_000,
                origin: Some(Origin {
                    daemon: u128::from(number + 1).to_be_bytes(),
                    session: 0,
                    creation_time_s: 1_700_000_000,
                    current_chunk: None,
                }),
                ..CreateSession::default()
            }),
            Command::CreateTraceChunk(CreateTraceChunk {
                chunk: 0,
                creation_time_s: 1_700_000_000,
                override_name: None,
            }),
        ]);
        control
    }

    fn add_streams(&mut self) {
        for number in 0..STREAMS {
            self.ask(&[Command::AddStream(AddStream {
                channel: format!("channel_{number}").as_bytes(),
                path: b"ust/uid/1000/64-bit",
                chunk: Some(0),
                ..AddStream::default()
            })]);
        }
    }

    /// Sends commands, each after the reply to the one before.
    fn ask(&mut self, commands: &[Command]) {
        for command in commands {
            let mut bytes = Vec::new();
            self.producer.say(command, &mut bytes);
            self.socket.write_all(&bytes).expect("a relay that reads");
            while self.producer.reply().expect("a reply").is_none() {
                let read = self.producer.read_from(&mut self.socket);
                read.expect("a reply");
            }
        }
    }
}

/// Figures of the relay.
struct Figures(BTreeMap<String, String>);

impl Figures {
    fn of(place: &Place) -> Self {
        let page = get(place, "/metrics");
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        let series = series.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self(series.collect())
    }

    fn get(&self, series: &str) -> f64 {
        self.0[series].parse().expect("a number")
    }

    fn count(&self, series: &str) -> u64 {
        self.0[series].parse().expect("a whole number")
    }

    fn memory(&self) -> f64 {
        self.get("process_resident_memory_bytes")
    }

    /// Ticks since then: their number, their time, and the bound that none was longer than.
    fn ticks_since(&self, before: &Self) -> (f64, f64, String) {
        let more = |series: &str| self.get(series) - before.get(series);
        let name = "baton_tick_duration_seconds";
        let count = more(&format!("{name}_count"));
        let bounds = [
            "1e-05", "5e-05", "0.0002", "0.001", "0.005", "0.02", "0.1", "1", "+Inf",
        ];
        let bound = bounds.iter().find(|bound| {
            let series = format!("{name}_bucket{{le=\"{bound}\"}}");
            more(&series) >= count
        });
        let bound = bound.map_or("?", |it| it).to_owned();
        (count, more(&format!("{name}_sum")), bound)
    }
}

fn get(place: &Place, path: &str) -> String {
    let mut socket = TcpStream::connect(place.status_address()).expect("a relay");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    socket
        .write_all(request.as_bytes())
        .expect("a relay that reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.contains(" 200 OK"), "{head}");
    body.to_owned()
}

/// Asks several times, and prints what that costs.
fn measure(place: &Place, path: &str) -> usize {
    const TIMES: u32 = 20;
    let before = Figures::of(place);
    let (mut longest, mut size, mut lines) = (Duration::ZERO, 0, 0);
    for _ in 0..TIMES {
        let begun = Instant::now();
        let body = get(place, path);
        longest = longest.max(begun.elapsed());
        (size, lines) = (body.len(), body.lines().count());
    }
    let (count, sum, bound) = Figures::of(place).ticks_since(&before);
    // The figures before are an answer by themselves.
    let times = f64::from(TIMES) + f64::from(u8::from(path == "/metrics"));
    println!(
        "{path}: {size} bytes, {lines} lines; {:.2} ms of loop time in {:.0} ticks, none above \
         {bound} s; the reader waits {longest:.1?} at most",
        1000.0 * sum / times,
        count / times,
    );
    lines
}

#[test]
fn a_crowd_of_sessions_can_be_asked_about() {
    let crowd = env::var(CROWD).ok().map(|it| it.parse().expect("a number"));
    let sessions: u32 = crowd.unwrap_or(FEW);
    if crowd.is_some() {
        let limit = Rlimit {
            current: Some(DESCRIPTORS * u64::from(sessions)),
            maximum: Some(DESCRIPTORS * u64::from(sessions)),
        };
        setrlimit(Resource::Nofile, limit).expect("root");
    }
    let place = Place::new();
    let _relay = place.start(&["--address-share=100"]);
    let empty = Figures::of(&place).memory();
    let mut controls: Vec<_> = (0..sessions)
        .map(|it| Control::connect(&place, it))
        .collect();
    let with_sessions = Figures::of(&place).memory();
    for control in &mut controls {
        control.add_streams();
    }
    let with_streams = Figures::of(&place).memory();
    println!(
        "memory: {:.0} bytes a session, {:.0} a stream",
        (with_sessions - empty) / f64::from(sessions),
        (with_streams - with_sessions) / f64::from(sessions * STREAMS)
    );
    let status = Figures::of(&place);
    let recording = status.count("baton_sessions{state=\"recording\"}");
    assert_eq!(recording, u64::from(sessions));
    let streams = status.count("baton_streams{state=\"open\"}");
    assert_eq!(streams, u64::from(sessions * STREAMS));

    assert!(measure(&place, "/metrics") <= 2700);
    measure(&place, "/livez");
    measure(&place, "/status");
    for words in [&["status"][..], &["top", "--once"]] {
        let begun = Instant::now();
        let url = place.url();
        let words = [words, &[&*url]].concat();
        let output = place.baton(&words);
        assert!(output.status.success(), "{}", printed(&output));
        let size = output.stdout.len();
        println!("baton {}: {size} bytes, {:.1?}", words[0], begun.elapsed());
    }
    if let Some(browser) = Browser::start(place.home()) {
        let begun = Instant::now();
        browser.open(&place.url());
        browser.wait_for_text("#sessions", &sessions.to_string());
        let rows = browser.run("return document.querySelectorAll('#rows tr').length");
        assert_eq!(rows, sessions.min(ROWS));
        let first = begun.elapsed();
        if crowd.is_some() {
            thread::sleep(Duration::from_secs(30));
        }
        let heap = browser.run("return performance.memory.usedJSHeapSize");
        let begun = Instant::now();
        browser.run("document.getElementById('filter').value = 'session-9'; table(); return 1");
        let filtered = begun.elapsed();
        println!(
            "the page: drawn after {first:.1?} with {rows} rows, filtered in {filtered:.1?}, \
             {heap} bytes of heap after half a minute"
        );
    }
}
