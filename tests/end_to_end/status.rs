//! Figures that a monitor reads of a relay, against what the producer says and what babeltrace2
//! finds.

use crate::lttng::{Buffers, Mode, Producer, Session, Setup};
use crate::process::{Process, retry};
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{Workload, end, layout, ports, sandbox, skip, turn};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

const PATIENCE: Duration = Duration::from_secs(30);

/// Far more than two small ring buffers take.
pub const FLOOD: Workload = Workload {
    threads: 2,
    events_per_thread: 20_000,
    sleep_us: 0,
    payload_length: 40,
};

/// Two sub-buffers, and no application waits for one.
pub const SMALL: [&str; 3] = ["--blocking-timeout=0", "--subbuf-size=4k", "--num-subbuf=2"];

/// The same, and the oldest packets make room for new ones.
const OVERWRITE: [&str; 4] = [
    "--blocking-timeout=0",
    "--subbuf-size=4k",
    "--num-subbuf=2",
    "--overwrite",
];

/// The name that `lttng stop` has for them.
const EVENTS: &str = "events were discarded";
const PACKETS: &str = "packets were lost";

#[test]
fn events_that_the_tracer_discarded_are_those_that_lttng_stop_tells() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Recorded, Buffers::PerUser);
    scene.producer.launch(FLOOD).finish();
    let lttng = scene.stop(EVENTS);
    assert_eq!(scene.lost(), (lttng, 0));
    scene.check_page();
    session.destroy();
    scene.check_sum(1, lttng);
    assert!(scene.babeltrace_losses() <= lttng);
    scene.end((lttng, 0));
}

#[test]
fn packets_that_the_tracer_overwrote_are_those_that_lttng_stop_tells() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&OVERWRITE, Mode::Recorded, Buffers::PerUser);
    scene.producer.launch(FLOOD).finish();
    let lttng = scene.stop(PACKETS);
    assert_eq!(scene.lost(), (0, lttng));
    session.destroy();
    assert_eq!(scene.babeltrace_losses(), lttng);
    scene.end((0, lttng));
}

/// Streams come and go; what was lost in them is counted still. `lttng stop` does not know all
/// of what applications lost that have ended.
#[test]
fn losses_of_short_lived_applications_are_all_that_is_missing() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Recorded, Buffers::PerProcess);
    for _ in 0..4 {
        scene.producer.launch(FLOOD).finish();
    }
    let lttng = scene.try_stop(EVENTS).unwrap_or(0);
    let (events, packets) = scene.lost();
    assert!(events > 0 && lttng <= events);
    assert_eq!(packets, 0);
    session.destroy();
    scene.check_sum(4, events);
    scene.end((events, 0));
}

#[test]
fn packets_that_short_lived_applications_lost_are_those_that_babeltrace_misses() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&OVERWRITE, Mode::Recorded, Buffers::PerProcess);
    for _ in 0..4 {
        scene.producer.launch(FLOOD).finish();
    }
    let lttng = scene.try_stop(PACKETS).unwrap_or(0);
    let (events, packets) = scene.lost();
    assert!(packets > 0 && lttng <= packets);
    session.destroy();
    assert_eq!(scene.babeltrace_losses(), packets);
    scene.end((events, packets));
}

/// The tracer goes on counting, whatever becomes of the files.
#[test]
fn losses_are_those_that_lttng_stop_tells_after_a_rotation_and_a_clear() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Recorded, Buffers::PerUser);
    scene.producer.launch(FLOOD).finish();
    session.rotate();
    scene.producer.launch(FLOOD).finish();
    session.clear();
    scene.producer.launch(FLOOD).finish();
    let lttng = scene.stop(EVENTS);
    assert_eq!(scene.lost(), (lttng, 0));
    session.destroy();
    scene.end((lttng, 0));
}

/// A snapshot begins anywhere in the tracer's count, and loses nothing.
#[test]
fn snapshots_lose_nothing() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Snapshot, Buffers::PerUser);
    for number in 0..2 {
        scene.producer.launch(FLOOD).finish();
        session.record_snapshot(&[&format!("--name=part{number}")]);
    }
    session.destroy();
    let Scene {
        producer,
        relay,
        address,
        _turn,
    } = scene;
    // The client does not wait until the relay has received a snapshot.
    drop(producer);
    let page = retry(PATIENCE, || {
        let page = get(address, "/metrics");
        let is_over = value(&page, "baton_sessions{state=\"recording\"}") == 0;
        is_over.then_some(page).ok_or("the snapshots are not there")
    });
    assert_eq!(lost(&page), (0, 0));
    let directory = relay.trace_directory("loud");
    assert_eq!(layout::names(&directory).len(), 2);
    let bytes = value(&page, "baton_packet_bytes_total");
    assert!(bytes > 0);
    assert_eq!(bytes, layout::data_bytes(&directory));
    end([], relay);
}

/// Questions of viewers change no figure; viewers lag until they have read all.
#[test]
fn losses_are_the_same_when_viewers_have_read_everything_twice() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Live, Buffers::PerUser);
    let viewers = Viewer::attach_all(&scene.relay, "loud", 2);
    scene.producer.launch(FLOOD).finish();
    let lttng = scene.stop(EVENTS);
    assert_eq!(scene.lost(), (lttng, 0));
    retry(PATIENCE, || {
        let status = get(scene.address, "/status");
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        let session = &status["sessions"][0];
        let viewers = session["viewers"].as_array().expect("a list");
        let has_all = |it: &serde_json::Value| it["lag_packets"] == 0 && it["lag_seconds"] == 0.0;
        let have_all = viewers.len() == 2 && viewers.iter().all(has_all);
        (have_all && session["packets"] == viewers[0]["packets"])
            .then_some(())
            .ok_or(format!("viewers lag: {session}"))
    });
    assert_eq!(scene.lost(), (lttng, 0));
    session.destroy();
    for viewer in viewers {
        assert!(!viewer.finish().is_empty());
    }
    scene.end((lttng, 0));
}

/// How many seconds Prometheus scrapes while a session is recorded; then what it says is printed.
///
/// ```sh
/// BATON_TEST_SCRAPE_SECONDS=120 cargo test --test end_to_end -- status::prometheus
/// ```
const SCRAPE: &str = "BATON_TEST_SCRAPE_SECONDS";

/// Prometheus scrapes the relay, and answers about it.
#[test]
fn prometheus_scrapes_the_relay() {
    let Some(scene) = Scene::start() else { return };
    let session = scene.session(&SMALL, Mode::Recorded, Buffers::PerUser);
    scene.producer.launch(FLOOD).finish();
    let mut lttng = scene.stop(EVENTS);
    let address = ports::local(ports::free_port());
    let home = scene.relay.home();
    let config = home.join("prometheus.yml");
    let target = scene.address;
    let text = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: baton\n  \
         static_configs:\n  - targets: ['{target}']\n"
    );
    fs::write(&config, text).expect("a file");
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        home.join("series").display()
    ));
    command.arg(format!("--web.listen-address={address}"));
    if !Path::new("/usr/bin/prometheus").exists() {
        return skip::say("since prometheus is missing");
    }
    let prometheus = Process::spawn(&mut command, home, "prometheus");
    for (query, expected) in [
        ("baton_events_discarded_total", lttng),
        ("up", 1),
        ("baton_sessions{state=\"recording\"}", 1),
    ] {
        retry(PATIENCE, || {
            let value = ask_prometheus(address, query)?;
            (value == expected.to_string())
                .then_some(())
                .ok_or(format!("{query}: {value}"))
        });
    }
    let seconds = env::var(SCRAPE).ok();
    if let Some(seconds) = seconds.map(|it| it.parse().expect("a number")) {
        session.start();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            scene.producer.launch(FLOOD).finish();
            thread::sleep(Duration::from_secs(5));
        }
        lttng = scene.stop(EVENTS);
        // The next scrape has that.
        retry(PATIENCE, || {
            let value = ask_prometheus(address, "baton_events_discarded_total")?;
            (value == lttng.to_string()).then_some(()).ok_or(value)
        });
        let tell = |query: &str| {
            let query = query.replace("SPAN", &format!("[{seconds}s]"));
            let value = ask_prometheus(address, &query).expect("an answer");
            // Not `eprintln!`: the output of a case that passes is not shown.
            let _ = writeln!(io::stderr(), "{query}: {value}");
            value
        };
        assert_eq!(tell("min_over_time(upSPAN)"), "1");
        let scrapes: u64 = tell("count_over_time(upSPAN)").parse().expect("a number");
        assert!(scrapes > seconds / 2);
        assert_ne!(tell("increase(baton_packets_totalSPAN)"), "0");
        assert_ne!(tell("rate(baton_storage_write_seconds_countSPAN)"), "0");
        for query in [
            "max_over_time(scrape_duration_secondsSPAN)",
            "scrape_samples_scraped",
            "rate(process_cpu_seconds_totalSPAN)",
            "histogram_quantile(0.99, rate(baton_tick_duration_seconds_bucketSPAN))",
        ] {
            tell(query);
        }
    }
    drop(prometheus);
    session.destroy();
    scene.end((lttng, 0));
}

/// The first value that answers a query.
fn ask_prometheus(address: SocketAddr, query: &str) -> Result<String, String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_.".contains(it);
    let escaped: String = query
        .chars()
        .map(|it| match it {
            it if is_plain(it) => it.to_string(),
            it => format!("%{:02X}", u32::from(it)),
        })
        .collect();
    let answer = try_get(address, &format!("/api/v1/query?query={escaped}"));
    let answer = answer.map_err(|error| error.to_string())?;
    let json: serde_json::Value =
        serde_json::from_str(&answer).map_err(|error| error.to_string())?;
    let value = json["data"]["result"][0]["value"][1].as_str();
    let value = value.map(str::to_owned);
    value.ok_or(format!("{query}: {answer}"))
}

/// A relay that monitors may ask, and a producer.
struct Scene {
    // Before the turn: fields are dropped in this order.
    producer: Producer,
    relay: Relay,
    address: SocketAddr,
    _turn: turn::Turn,
}

impl Scene {
    /// None: the relay under test has no status port.
    fn start() -> Option<Self> {
        if skipped("it has no status port") {
            return None;
        }
        let turn = turn::take();
        let address = ports::local(ports::free_port());
        let relay = Relay::start_with(&["--status-port", &format!("tcp://{address}")]);
        Some(Self {
            producer: Producer::start(),
            relay,
            address,
            _turn: turn,
        })
    }

    fn session(&self, channel: &[&str], mode: Mode, buffers: Buffers) -> Session<'_> {
        let setup = Setup {
            channel,
            ..Setup::new(mode, buffers)
        };
        self.producer.session(&self.relay, "loud", setup)
    }

    /// The losses that `lttng stop` tells.
    fn stop(&self, what: &str) -> u64 {
        let told = self.try_stop(what);
        told.unwrap_or_else(|said| panic!("no \"{what}\" in:\n{said}"))
    }

    fn try_stop(&self, what: &str) -> Result<u64, String> {
        let mut stop = self.producer.client(&["stop", "loud"], "stop");
        stop.wait_for_success(PATIENCE);
        let said = stop.output() + &stop.errors();
        number_before(&said, what).ok_or(said)
    }

    /// Each event of so many floods is in the trace, or was discarded.
    fn check_sum(&self, floods: u64, discarded: u64) {
        let recorded = read_directory(&self.relay.trace_directory("loud")).len() as u64;
        let all = floods * u64::from(FLOOD.threads) * FLOOD.events_per_thread;
        assert_eq!(recorded + discarded, all);
    }

    /// Events and packets that the relay says are lost.
    fn lost(&self) -> (u64, u64) {
        lost(&get(self.address, "/metrics"))
    }

    /// The figures of the one session are those of the relay, and Prometheus' own checker
    /// finds nothing wrong.
    fn check_page(&self) {
        let page = get(self.address, "/metrics");
        let session = format!("{{host=\"{}\",session=\"loud\"}}", sandbox::host());
        for (of_session, of_relay) in [
            (
                "baton_session_events_discarded_total",
                "baton_events_discarded_total",
            ),
            ("baton_session_packets_total", "baton_packets_total"),
        ] {
            let of_session = value(&page, &format!("{of_session}{session}"));
            assert_eq!(of_session, value(&page, of_relay));
        }
        for series in ["process_open_fds", "process_resident_memory_bytes"] {
            assert!(value(&page, series) > 0, "{series}");
        }
        assert!(value(&page, "baton_tick_duration_seconds_count") > 0);
        check_by_promtool(&page);
        assert_eq!(get(self.address, "/readyz"), "ready\n");
    }

    /// The sum of what babeltrace2 warns of: without what is lost before the first packet of a
    /// stream ends, since it has nothing to compare that with.
    fn babeltrace_losses(&self) -> u64 {
        let mut command = Command::new("babeltrace2");
        command.env("LC_ALL", "C");
        command.arg(self.relay.trace_directory("loud"));
        let mut babeltrace = Process::spawn(&mut command, self.relay.home(), "losses");
        babeltrace.wait_for_success(PATIENCE);
        let warnings = babeltrace.errors();
        let losses = warnings.split("discarded ").skip(1);
        let losses = losses.filter_map(|it| it.split(' ').next()?.parse::<u64>().ok());
        losses.sum()
    }

    /// The session is over, and what was lost in it is counted still.
    fn end(self, told: (u64, u64)) {
        let page = retry(PATIENCE, || {
            let page = get(self.address, "/metrics");
            let states = ["recording", "ending", "kept"];
            let count = |state| value(&page, &format!("baton_sessions{{state=\"{state}\"}}"));
            let is_over = states.into_iter().map(count).sum::<u64>() == 0;
            is_over.then_some(page).ok_or("the session is not over")
        });
        assert_eq!(lost(&page), told);
        end([self.producer], self.relay);
    }
}

fn lost(page: &str) -> (u64, u64) {
    (
        value(page, "baton_events_discarded_total"),
        value(page, "baton_packets_lost_total{reason=\"overwritten\"}"),
    )
}

pub fn number_before(text: &str, what: &str) -> Option<u64> {
    let (before, _) = text.split_once(what)?;
    before.split_whitespace().last()?.parse().ok()
}

/// Asks as curl does, and gives the body.
pub fn get(address: SocketAddr, path: &str) -> String {
    try_get(address, path).expect("an answer")
}

pub fn try_get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    // Of this version an answer is not in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.contains(" 200 OK\r\n") {
        return Err(io::Error::other(answer));
    }
    Ok(body.to_owned())
}

pub fn value(page: &str, series: &str) -> u64 {
    let start = format!("{series} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{page}"));
    line.parse().expect("a number")
}

/// Prometheus' own checker finds nothing wrong with names, types and text.
fn check_by_promtool(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        return skip::say("in part: promtool is missing, of the package prometheus");
    };
    let mut input = promtool.stdin.take().expect("its input");
    input.write_all(page.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
