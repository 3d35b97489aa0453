//! The page of a relay while a real session is recorded: it appears, a click opens it, the command
//! that is copied reads it, and what the tracer discards is red.

use crate::browser::Browser;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::{Process, eventually};
use crate::relay::{Relay, skipped};
use crate::{BRIEF, end, ports, sandbox, skip, status, turn};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);

/// The findings of `baton doctor`, but for the space of this machine's own disk.
fn findings(relay: &Relay, status: SocketAddr) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env("LTTNG_HOME", relay.home());
    command.args(["doctor", "--format=json"]);
    command.arg(format!("--status-port=tcp://{status}"));
    command.arg(format!("--control-port=tcp://{}", relay.control_address()));
    command.arg(format!("--data-port=tcp://{}", relay.data_address()));
    command.arg(format!("--live-port=tcp://{}", relay.live_address()));
    command.arg("--output").arg(relay.output());
    let output = command.output().expect("the program");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = json["findings"].as_array().expect("a list").iter();
    let findings = findings.filter(|finding| finding["name"] != "space");
    findings.map(ToString::to_string).collect()
}

/// A relay whose page is open in a browser; none where browsers are missing.
fn watched_relay(home: &Path) -> Option<(Relay, SocketAddr, Browser)> {
    let browser = Browser::start(home)?;
    let address = ports::local(ports::free_port());
    let relay = Relay::start_with(&["--status-port", &format!("tcp://{address}")]);
    browser.open(&format!("http://{address}"));
    Some((relay, address, browser))
}

#[test]
fn the_command_that_the_page_copies_reads_the_session() {
    let _turn = turn::take();
    if skipped("it has no page") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let Some((relay, address, browser)) = watched_relay(home.path()) else {
        return skip::say("since chromedriver is missing, of the package chromium-driver");
    };
    browser.wait_for_text("#ready", "ready, up");
    let producer = Producer::start();
    let session = producer.session(&relay, "seen", Setup::new(Mode::Live, Buffers::PerUser));
    producer.launch(BRIEF).finish();
    browser.wait_for_text("#rows td:nth-child(2)", "seen");
    browser.wait_for_text("#rows td:nth-child(1)", &sandbox::host());
    browser.click("#rows td:nth-child(2) button");
    browser.wait_for_text("#d-name", "seen on ");
    browser.wait_for_text("#d-streams", "ticks");
    browser.click("#rows .copy");
    browser.wait_for_text("#rows .copy", "copied");
    let copied = browser.clipboard();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {copied}")]);
    let mut viewer = Process::spawn(&mut command, home.path(), "viewer");
    // A viewer that attaches is told what comes after; the browser may have taken longer than any
    // application that began before it.
    relay.wait_for_line(&["viewer attached", "seen"]);
    producer.launch(BRIEF).finish();
    eventually("events", PATIENCE, || {
        viewer.output().contains("baton:tick")
    });
    browser.wait_for_text("#viewers", "1");
    browser.wait_for_text("#d-viewers", "127.0.0.1");
    assert_eq!(findings(&relay, address), [""; 0]);
    session.destroy();
    viewer.wait_for_success(PATIENCE);
    end([producer], relay);
}

#[test]
fn losses_of_a_real_tracer_turn_red() {
    let _turn = turn::take();
    if skipped("it has no page") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let Some((relay, _, browser)) = watched_relay(home.path()) else {
        return skip::say("since chromedriver is missing, of the package chromium-driver");
    };
    let producer = Producer::start();
    let setup = Setup {
        channel: &status::SMALL,
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let session = producer.session(&relay, "loud", setup);
    let color = |selector: &str| {
        let script = format!("return getComputedStyle(document.querySelector('{selector}')).color");
        browser.run(&script)
    };
    let cell = "#rows tr:first-child td:nth-child(6)";
    browser.wait_for_text(cell, "0");
    let before = [color(cell), color("#lost")];
    producer.launch(status::FLOOD).finish();
    let mut stop = producer.client(&["stop", "loud"], "stop");
    stop.wait_for_success(PATIENCE);
    let said = stop.output() + &stop.errors();
    let discarded = status::number_before(&said, "events were discarded");
    let discarded = discarded.expect("a loss").to_string();
    browser.wait_for_text(cell, &discarded);
    browser.wait_for_text("#lost", &discarded);
    for (selector, before) in [cell, "#lost"].into_iter().zip(before) {
        assert_eq!(color(selector), "rgb(192, 28, 40)", "{selector}");
        assert_ne!(color(selector), before, "{selector}");
    }
    browser.wait_for_text("#advice", "--num-subbuf");
    session.destroy();
    end([producer], relay);
}
