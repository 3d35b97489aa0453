//! Each finding of `baton doctor`, by a relay in that state.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

use crate::ports::local;
use crate::process::Process;
use crate::producer::Producer;
use crate::relay::{BATON, PATIENCE, Place, printed};
use crate::skip;

/// A doctor's findings: name, and all its text. The space of the machine's own disk is left
/// out.
struct Diagnosis {
    findings: Vec<(String, String)>,
    is_well: bool,
}

impl Diagnosis {
    fn of(place: &Place, more: &[&str]) -> Self {
        let options = place.options();
        let mut words = vec!["doctor", "--format=json"];
        words.extend(options.iter().map(String::as_str));
        words.extend(more);
        let output = place.baton(&words);
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", printed(&output)));
        assert_eq!(json["schema"], 1);
        let findings = json["findings"].as_array().expect("a list");
        let is_note = |it: &Value| it["is_note"] == true;
        assert_eq!(output.status.success(), findings.iter().all(is_note));
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                for part in ["what", "why", "advice"] {
                    let text = finding[part].as_str().expect("a text");
                    assert!(!text.is_empty(), "{finding}");
                }
                let name = finding["name"].as_str().expect("a name");
                (name.to_owned(), finding.to_string())
            })
            .filter(|(name, _)| name != "space")
            .collect();
        Self {
            findings,
            is_well: output.status.success(),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.findings
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Asserts that there is this finding, with these words.
    fn assert_has(&self, name: &str, words: &[&str]) {
        let found = self.findings.iter().find(|(it, _)| it == name);
        let (_, text) = found.unwrap_or_else(|| panic!("no {name} in {:?}", self.findings));
        for word in words {
            assert!(text.contains(word), "no \"{word}\" in {text}");
        }
    }
}

#[test]
fn a_relay_that_is_well_has_no_finding() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let mut producer = Producer::live(&place, "vm", "demo");
    producer.send();
    assert_eq!(Diagnosis::of(&place, &[]).names(), [""; 0]);
}

#[test]
fn an_archiver_that_stands_still_or_fails_is_a_finding() {
    let place = Place::new();
    let _relay = place.start(&[]);
    for (age_s, waiting, failing) in [(0, 0, 0), (30, 3, 0), (9_000, 0, 0)] {
        place.note_archive(age_s, waiting, failing);
        assert_eq!(Diagnosis::of(&place, &[]).names(), [""; 0]);
    }
    place.note_archive(9_000, 1, 0);
    let words = ["1 chunk (1.0 GB)", "no sign for 2 h", "journalctl"];
    Diagnosis::of(&place, &[]).assert_has("archive", &words);
    place.note_archive(30, 3, 2);
    Diagnosis::of(&place, &[]).assert_has("archive", &["3 chunks", "2 chunks failed"]);
}

#[test]
fn no_relay_is_a_finding_of_each_port() {
    let place = Place::new();
    let diagnosis = Diagnosis::of(&place, &[]);
    let expected = [
        "no-listener",
        "no-listener",
        "no-listener",
        "no-status-port",
    ];
    assert_eq!(diagnosis.names(), expected);
    assert!(!diagnosis.is_well);
    let options = place.options();
    let words: Vec<_> = std::iter::once("doctor")
        .chain(options.iter().map(String::as_str))
        .collect();
    let text = printed(&place.baton(&words));
    let line = format!(
        "WRONG: no process listens on port {} (control)\n  why: ",
        place.ports.control
    );
    assert!(text.contains(&line), "{text}");
}

#[test]
fn the_original_is_known() {
    let place = Place::new();
    let mut command = place.command("lttng-relayd");
    command.args(
        place
            .options()
            .iter()
            .filter(|it| !it.starts_with("--status")),
    );
    if Command::new("lttng-relayd")
        .arg("--version")
        .output()
        .is_err()
    {
        return skip::say("since lttng-relayd is missing");
    }
    let original = place.run(&mut command);
    let pid = original.pid().to_string();
    Diagnosis::of(&place, &[]).assert_has("original", &["lttng-relayd", &pid]);
}

#[test]
fn a_port_of_another_program_is_a_finding() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("an address").port();
    let option = format!("--data-port=tcp://127.0.0.1:{port}");
    let own = std::process::id().to_string();
    Diagnosis::of(&place, &[&option]).assert_has("several-listeners", &["data", &own]);
}

#[test]
fn a_status_port_that_is_no_relay_is_a_finding() {
    let place = Place::new();
    let _relay = place.start(&["--status-port=off"]);
    let other = TcpListener::bind(place.status_address()).expect("a port");
    thread::spawn(move || {
        for peer in other.incoming() {
            let mut peer = peer.expect("a peer");
            let _ = peer.read(&mut [0; 1000]);
            let _ = peer.write_all(b"220 mail\r\n\r\n");
        }
    });
    Diagnosis::of(&place, &[]).assert_has("no-answer", &["220 mail"]);
}

#[test]
fn options_that_are_wrong_are_findings() {
    let place = Place::new();
    Diagnosis::of(&place, &["--fd-pool-size=5"]).assert_has("options", &["at least 100"]);
    Diagnosis::of(&place, &["--output=/etc/passwd"]).assert_has("options", &["/etc/passwd"]);
    let port = place.ports.control.to_string();
    for endpoint in ["data", "status"] {
        let same = format!("--{endpoint}-port=tcp://{}", local(place.ports.control));
        Diagnosis::of(&place, &[&same]).assert_has("options", &[&port, endpoint]);
    }
}

#[test]
fn a_relay_that_was_killed_is_a_finding() {
    let place = Place::new();
    let mut relay = place.start(&[]);
    let mut producer = Producer::live(&place, "vm", "demo");
    producer.send_until(|| fs::read_dir(&place.output).expect("a directory").count() > 1);
    relay.signal("KILL");
    relay.wait(PATIENCE);
    let output = place.output.to_str().expect("text");
    Diagnosis::of(&place, &[]).assert_has("killed", &["baton repair", output]);
}

#[test]
fn a_second_relay_in_the_directory_is_a_finding() {
    let (place, other) = (Place::new(), Place::new());
    let _relay = place.start(&[]);
    let output = format!("--output={}", place.output.display());
    let second = other.start(&[&output]);
    let pid = second.pid().to_string();
    Diagnosis::of(&place, &[]).assert_has("second-relay", &[&pid]);
}

#[test]
fn losses_name_their_channel_and_what_to_do() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let mut producer = Producer::live(&place, "vm", "demo");
    producer.discarded = 728_962;
    producer.send();
    Diagnosis::of(&place, &[]).assert_has(
        "loss",
        &[
            "demo@vm",
            "728962 events discarded",
            "channel ch",
            "--num-subbuf",
        ],
    );
}

#[test]
fn a_session_that_no_viewer_can_attach_is_a_note() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let mut producer = Producer::not_live(&place, "vm", "demo");
    producer.send();
    let diagnosis = Diagnosis::of(&place, &[]);
    diagnosis.assert_has("no-viewer", &["demo@vm", "not live", "--live"]);
    assert_eq!(diagnosis.names(), ["no-viewer"]);
}

#[test]
fn a_data_port_that_is_blocked_is_a_finding() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let mut producer = Producer::live(&place, "vm7", "demo");
    producer.announce();
    let port = format!("nc -vz RELAY {};", place.ports.data);
    Diagnosis::of(&place, &[]).assert_has("data-port", &["demo@vm7", "blocked between vm7", &port]);
}

#[test]
fn clocks_that_differ_are_findings() {
    let place = Place::new();
    let _relay = place.start(&[]);
    for (ahead_s, words) in [
        (1_000, ["fast", "ahead of ours"]),
        (-9_000, ["slow", "behind ours"]),
    ] {
        let mut producer = Producer::live(&place, words[0], "demo");
        producer.ahead_s = ahead_s;
        // The index record is written some milliseconds after its packet.
        let mut times = 0;
        producer.send_until(|| {
            times += 1;
            times > 5
        });
        let diagnosis = Diagnosis::of(&place, &[]);
        diagnosis.assert_has("clock", &words);
        drop(producer);
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_relay_short_of_descriptors_is_a_finding() {
    let place = Place::new();
    let mut command = place.command("sh");
    command.args(["-c", "ulimit -n 110; exec \"$@\"", "sh", BATON, "relay"]);
    let _relay = place.run(command.args(place.options()));
    let _producers: Vec<_> = (0..12)
        .map(|number| {
            let mut producer = Producer::live(&place, "vm", &format!("demo{number}"));
            producer.send();
            producer
        })
        .collect();
    Diagnosis::of(&place, &[]).assert_has("descriptors", &["LimitNOFILE"]);
}

#[test]
fn a_full_disk_is_a_finding() {
    let place = Place::new();
    let Some(_relay) = on_a_small_disk(&place, "--min-free=0") else {
        return skip::say("since only root may mount a disk");
    };
    let text = diagnosis(&place);
    assert!(
        text.contains("WRONG: the disk of the output directory is soon full"),
        "{text}"
    );
    let mut producer = Producer::live(&place, "vm", "demo");
    for _ in 0..300 {
        producer.send();
    }
    let text = diagnosis(&place);
    assert!(
        text.contains("WRONG: what producers send now is not recorded"),
        "{text}"
    );
    assert!(text.contains("packets lost (disk full)"), "{text}");
}

#[test]
fn a_disk_with_less_than_its_reserve_is_a_finding() {
    let place = Place::new();
    let Some(_relay) = on_a_small_disk(&place, "--min-free=auto") else {
        return skip::say("since only root may mount a disk");
    };
    let text = diagnosis(&place);
    assert!(
        text.contains("WRONG: what producers send now is not recorded"),
        "{text}"
    );
    assert!(text.contains("less than --min-free is left"), "{text}");
}

fn diagnosis(place: &Place) -> String {
    let options = place.options();
    let words: Vec<_> = std::iter::once("doctor")
        .chain(options.iter().map(String::as_str))
        .collect();
    printed(&place.baton(&words))
}

/// A relay whose disk of a mebibyte has few bytes left.
fn on_a_small_disk(place: &Place, reserve: &str) -> Option<Process> {
    const SCRIPT: &str = "mount -t tmpfs -o size=1m none \"$1\" && \
                          head -c 1000000 /dev/zero >\"$1/fill\" && shift && exec \"$@\"";
    let can_mount = Command::new("unshare").args(["-m", "true"]).status();
    if !can_mount.is_ok_and(|it| it.success()) {
        return None;
    }
    let mut command = place.command("unshare");
    command
        .args(["-m", "sh", "-c", SCRIPT, "sh"])
        .arg(&place.output);
    Some(
        place.run(
            command
                .args([BATON, "relay", reserve])
                .args(place.options()),
        ),
    )
}
