//! Ways to miss events: each has a line in the log of the relay, which says what to do, and is
//! seen in its status.

use crate::events::assert_complete;
use crate::full_disk::SmallDisk;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::nonsense;
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::viewer::{Viewer, read_directory};
use crate::{BRIEF, end, ports, status, turn};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use std::{fs, io, thread};

/// How long the relay may take to answer with a line.
const PATIENCE: Duration = Duration::from_secs(30);

const SAYS_NOTHING: &str = "its log has no line about it";

/// A relay that monitors may ask, and where they do.
fn watched() -> (Relay, SocketAddr) {
    let address = ports::local(ports::free_port());
    let url = format!("tcp://{address}");
    (Relay::start_with(&["--status-port", &url]), address)
}

fn status(relay: SocketAddr) -> Value {
    serde_json::from_str(&status::get(relay, "/status")).expect("JSON")
}

/// A session in a status; null if it is not there.
fn session<'a>(status: &'a Value, name: &str) -> &'a Value {
    let mut sessions = status["sessions"].as_array().expect("a list").iter();
    sessions
        .find(|it| it["name"] == name)
        .unwrap_or(&Value::Null)
}

/// The status has a line of the log, too.
fn assert_warns(relay: SocketAddr, told: &str) {
    let (_, told) = told.split_once("WARN ").expect("a warning");
    // With the fields that follow the message, in whatever form.
    let told = told.split(" peer=").next().unwrap_or_default();
    eventually(told, PATIENCE, || {
        let status = status(relay);
        let mut warnings = status["warnings"].as_array().expect("a list").iter();
        warnings.any(|it| it["text"].as_str().is_some_and(|it| it.contains(told)))
    });
}

/// A firewall or a proxy takes all packets, and no relay gets them.
#[test]
fn a_data_port_that_swallows_packets_is_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (mut relay, address) = watched();
    let producer = Producer::start();
    let port = swallow();
    let url = format!("net://127.0.0.1:{}:{port}", relay.ports().control);
    let setup = Setup::new(Mode::Live, Buffers::PerUser);
    producer.session_at(&url, "swallowed", setup);
    producer.launch(BRIEF).finish();
    let told = relay.wait_for_line(&["WARN session swallowed@"]);
    let port = format!("to port {}", relay.ports().data);
    for part in ["from 127.0.0.1", &port, "firewall, or a wrong --data-url?"] {
        assert!(told.contains(part), "{told}");
    }
    assert_warns(address, &told);
    let status = status(address);
    let session = session(&status, "swallowed");
    assert_eq!(session["state"], "recording", "{session}");
    assert_eq!(session["data_connections"], 0, "{session}");
    assert_eq!(session["packets"], 0, "{session}");
    assert_ne!(session["open_streams"], 0, "{session}");
    // The session daemon would wait for its packets.
    drop(producer);
    relay.wait_for_line(&["session swallowed@", "is over"]);
    relay.terminate();
}

#[test]
fn a_session_that_is_not_live_is_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (relay, address) = watched();
    let producer = Producer::start();
    let recorded = producer.recorded_session(&relay, "recorded", Buffers::PerUser);
    let viewer = Viewer::open(&relay, "recorded");
    let told = relay.wait_for_line(&["viewer is refused session recorded@"]);
    assert!(told.contains("lttng create --live"), "{told}");
    assert_warns(address, &told);
    let status = status(address);
    let session = session(&status, "recorded");
    let why = session["unreadable"].as_str().expect("a reason");
    assert!(why.starts_with("it is not live"), "{why}");
    assert_eq!(session["url"], Value::Null);
    drop(viewer);
    recorded.destroy();
    end([producer], relay);
}

#[test]
fn a_session_whose_name_is_mistyped_is_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (relay, address) = watched();
    let producer = Producer::start();
    let right = producer.live_session(&relay, "right", Buffers::PerUser);
    let viewer = Viewer::open(&relay, "rigth");
    relay.wait_for_line(&["viewer left without a session: there are right@"]);
    // The URL that the viewer's user should have typed.
    let status = status(address);
    let url = session(&status, "right")["url"].as_str().expect("a URL");
    assert!(url.ends_with("/right"), "{url}");
    drop(viewer);
    right.destroy();
    end([producer], relay);
}

/// Consumer daemons do not connect again: a new relay sees nothing of their sessions.
#[test]
fn sessions_that_a_restart_cuts_off_are_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (mut relay, address) = watched();
    let producer = Producer::start();
    let setup = Setup {
        // An application would wait for ever for room in the ring buffer.
        channel: &["--blocking-timeout=0"],
        ..Setup::new(Mode::Live, Buffers::PerUser)
    };
    producer.session(&relay, "cut", setup);
    relay.terminate();
    let told = relay.wait_for_line(&["WARN session cut@", "is cut off, since the relay stops"]);
    assert!(told.contains("lttng destroy, then lttng create"), "{told}");
    let _ = fs::remove_file(relay.journal());
    relay.restart();
    producer.launch(BRIEF).finish();
    let log = relay.log();
    assert!(!log.contains("cut@"), "{log}");
    assert_eq!(status(address)["sessions"], serde_json::json!([]));

    // The line's advice.
    let destroyed = producer.attempt(&["destroy", "cut"]);
    let listed = producer.attempt(&["list"]).expect("a list");
    assert!(!listed.contains("cut"), "{destroyed:?}, and {listed}");
    let session = producer.live_session(&relay, "anew", Buffers::PerUser);
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&read_directory(&relay.trace_directory("anew")), &[run]);

    producer.live_session(&relay, "killed", Buffers::PerUser);
    relay.kill();
    let _ = fs::remove_file(relay.journal());
    relay.restart();
    for told in [
        "WARN an earlier relay was killed here",
        "WARN the producers of its sessions do not connect again",
    ] {
        assert_warns(address, &relay.wait_for_line(&[told]));
    }
    end([producer], relay);
}

/// Takes connections and all that comes on them. Gives its port.
fn swallow() -> u16 {
    let listener = TcpListener::bind(ports::local(0)).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut peer, &mut io::sink()));
        }
    });
    port
}

/// A session is recorded meanwhile, and misses nothing.
#[test]
fn peers_at_the_wrong_port_are_told_where_to_go() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (relay, address) = watched();
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "right", Buffers::PerUser);
    let application = producer.launch(BRIEF);
    let ports = relay.ports();
    let viewers = format!("net://HOST:{}", ports.live);
    let producers = format!("net://HOST:{}:{}", ports.control, ports.data);

    for (port, name) in [(ports.control, "control"), (ports.data, "data")] {
        let lost = Viewer::open_url(&format!("net://127.0.0.1:{port}/host/vm/right"));
        let warning = format!("WARN {name} connection");
        let told = relay.wait_for_line(&[&warning, "a viewer came", &viewers]);
        assert_warns(address, &told);
        let page = status::get(address, "/metrics");
        let closed = format!("baton_connections_closed_total{{port=\"{name}\",how=\"fault\"}}");
        assert_ne!(status::value(&page, &closed), 0);
        drop(lost);
    }
    for (control, data, name) in [
        (ports.live, ports.data, "live"),
        (ports.data, ports.control, "data"),
    ] {
        let url = format!("--set-url=net://127.0.0.1:{control}:{data}");
        let stray = Producer::start();
        let _ = stray.attempt(&["create", "stray", &url]);
        let _ = stray.attempt(&["enable-event", "--userspace", "baton:*"]);
        let _ = stray.attempt(&["start"]);
        let name = format!("WARN {name} connection");
        relay.wait_for_line(&[&name, "a producer's commands came", &producers]);
    }
    for port in [
        relay.control_address(),
        relay.data_address(),
        relay.live_address(),
    ] {
        let peer = nonsense::say(port, b"GET / HTTP/1.0\r\n\r\n").to_string();
        let told = relay.wait_for_line(&["an HTTP request came", &peer]);
        let page = format!("it goes to port {}", address.port());
        assert!(told.contains(&page), "{told}");
    }
    let run = application.finish();
    session.destroy();
    assert_complete(&read_directory(&relay.trace_directory("right")), &[run]);
    end([producer], relay);
}

/// Packets come, and there is no room for them.
#[test]
fn a_full_disk_is_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let address = ports::local(ports::free_port());
    let url = format!("tcp://{address}");
    let output = disk.path().join("traces");
    // With a reserve its line could come first.
    let relay = Relay::start_in(&output, &["--status-port", &url, "--min-free", "0"]);
    let producer = Producer::start();
    let cramped = producer.live_session(&relay, "cramped", Buffers::PerUser);
    producer.launch(BRIEF).finish();
    // With its metadata on the disk, packets are what is lost.
    cramped.stop();
    let ballast = disk.fill();
    cramped.start();
    producer.launch(BRIEF).finish();
    cramped.stop();
    let told = relay.wait_for_line(&["ERROR stream ", " of cramped@"]);
    for part in ["packets are being lost", "No space left on device"] {
        assert!(told.contains(part), "{told}");
    }
    let page = status::get(address, "/metrics");
    let lost = status::value(&page, "baton_packets_lost_total{reason=\"disk_full\"}");
    assert_ne!(lost, 0);
    assert_eq!(status::value(&page, "baton_storage_writable"), 0);
    let ready = status::try_get(address, "/readyz").unwrap_err().to_string();
    assert!(
        ready.contains(" 503 ") && ready.contains("storage: "),
        "{ready}"
    );
    let status = status(address);
    let of_session = &session(&status, "cramped")["packets_lost"]["disk_full"];
    assert_eq!(of_session, &Value::from(lost));
    fs::remove_file(ballast).expect("the ballast");
    cramped.destroy();
    end([producer], relay);
}

/// The ring buffers are too small for the load.
#[test]
fn events_that_the_tracer_discards_are_told() {
    let _turn = turn::take();
    if skipped(SAYS_NOTHING) {
        return;
    }
    let (relay, address) = watched();
    let producer = Producer::start();
    let setup = Setup {
        channel: &status::SMALL,
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let loud = producer.session(&relay, "loud", setup);
    producer.launch(status::FLOOD).finish();
    loud.stop();
    let status = status(address);
    let discarded = &session(&status, "loud")["events_discarded"];
    assert_ne!(discarded, &Value::from(0));
    let advice = status["advice"]["events_discarded"].as_str();
    assert!(advice.is_some_and(|it| it.contains("--num-subbuf")));
    loud.destroy();
    let told = relay.wait_for_line(&["session loud@", " is over: "]);
    let words = format!("the tracer discarded {discarded} events (channel ticks)");
    assert!(told.contains(&words), "{told}");
    end([producer], relay);
}
