//! `baton status` and `baton top`.

use serde_json::Value;

use crate::process::{eventually, retry};
use crate::producer::Producer;
use crate::relay::{BATON, PATIENCE, Place, printed};
use crate::skip;
use crate::terminal::Terminal;

/// A name that would colour, clear and turn a terminal.
const EVIL: &str = "a\u{1b}[31m\u{202e}<b>\u{9b}2J\"'";

fn lossy(place: &Place, host: &str) -> Producer {
    let mut producer = Producer::live(place, host, "loud");
    producer.discarded = 728_962;
    producer.send();
    retry(PATIENCE, || {
        let json = printed(&place.baton(&["status", &place.url(), "--format=json"]));
        let is_there = json.contains("\"events_discarded\":728962");
        is_there.then_some(()).ok_or(json)
    });
    producer
}

#[test]
fn status_is_one_screen() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let _producer = lossy(&place, "vm");
    let output = place.baton(&["status", &place.url()]);
    let text = printed(&output);
    assert!(output.status.success(), "{text}");
    for words in [
        &format!("at {}: ready, up ", place.url()),
        "\n1 session, 0 viewers\ndisk ",
        "lost: 728962 events discarded",
        "HOST         SESSION ",
        "\nvm           loud ",
        "--num-subbuf",
    ] {
        assert!(text.contains(words), "no \"{words}\" in:\n{text}");
    }
}

#[test]
fn status_shows_what_is_kept_and_when_it_is_synced() {
    let place = Place::new();
    let _relay = place.start(&["--max-size=100M", "--sync=5"]);
    let _producer = lossy(&place, "vm");
    retry(PATIENCE, || {
        let text = printed(&place.baton(&["status", &place.url()]));
        let has = |words: &str| text.contains(words);
        let is_shown = has("\nkept ") && has(" of 105 MB, nothing removed\n");
        let is_synced = has("\nsynced every 5 s, ") && !has(", 0 so far");
        (is_shown && is_synced).then_some(()).ok_or(text)
    });
}

#[test]
fn status_as_json_is_what_the_relay_says() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let _producer = lossy(&place, "vm");
    let output = place.baton(&["status", &place.url(), "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["sessions"][0]["name"], "loud");
}

#[test]
fn what_waits_for_the_archive_is_shown() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let archive = || {
        let json = printed(&place.baton(&["status", &place.url(), "--format=json"]));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        json["archive"].clone()
    };
    let screen = || printed(&place.baton(&["status", &place.url()]));
    assert_eq!(archive(), Value::Null);
    assert!(!screen().contains("archive: "), "{}", screen());
    // The relay looks at the note a little later.
    let shows = |line: &str| {
        eventually(line, PATIENCE, || {
            screen().contains(&format!("\narchive: {line}, 33 min ago\n"))
        });
    };
    place.note_archive(2000, 3, 1);
    shows("3 chunks to go (3.0 GB), 1 failed");
    assert_eq!(archive()["waiting_chunks"], 3);
    assert_eq!(archive()["waiting_bytes"], 3_000_000_000_u64);
    place.note_archive(2000, 0, 0);
    shows("nothing waits");
}

#[test]
fn no_relay_is_an_error_that_says_where() {
    let place = Place::new();
    for command in ["status", "top"] {
        let output = place.baton(&[command, &place.url()]);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!(
            "baton: no relay answers at {}: Connection refused;",
            place.url()
        );
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn the_relay_of_the_configuration_is_asked() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let directory = place.home().join(".lttng");
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = format!("[relayd]\nstatus-port=tcp://{}\n", place.status_address());
    std::fs::write(directory.join("lttng.conf"), file).expect("a file");
    let text = printed(&place.baton(&["status"]));
    assert!(text.contains(": ready, up"), "{text}");
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let _producer = lossy(&place, EVIL);
    for words in [
        &["status", &place.url()][..],
        &["top", "--once", &place.url()],
    ] {
        let text = printed(&place.baton(words));
        assert!(text.contains("loud"), "{text}");
        let is_plain = |it: char| it == '\n' || it.is_ascii_graphic() || it == ' ';
        assert!(text.chars().all(is_plain), "{text:?}");
    }
}

#[test]
fn top_sorts_filters_and_opens() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let _loud = lossy(&place, "vm");
    let mut quiet = Producer::live(&place, "vm", "quiet");
    quiet.send();
    let Some(terminal) = Terminal::start(&format!("{BATON} top {}", place.url())) else {
        return skip::say("since tmux is missing");
    };
    let screen = terminal.wait_for("quiet");
    let rows: Vec<_> = screen.lines().filter(|it| it.starts_with("vm ")).collect();
    assert_eq!(rows.len(), 2, "{screen}");
    assert!(
        rows[0].contains("loud") && rows[1].contains("quiet"),
        "{screen}"
    );
    assert!(rows[0].ends_with(" 728962"), "{screen}");
    // A rate: it has asked again.
    terminal.wait_for("B/s");
    terminal.press("f");
    eventually("the lossy session alone", PATIENCE, || {
        !terminal.screen().contains("quiet")
    });
    terminal.press("j");
    terminal.press("Enter");
    let screen = terminal.wait_for("read it with: babeltrace2");
    assert!(screen.contains("ch_0"), "{screen}");
    terminal.press("Escape");
    terminal.wait_for("HOST");
    terminal.press("q");
    let screen = terminal.wait_for("ended");
    assert!(!screen.contains("HOST"), "{screen}");
}

#[test]
fn top_needs_a_terminal() {
    let place = Place::new();
    let _relay = place.start(&[]);
    let output = place.baton(&["top", &place.url()]);
    assert!(!output.status.success());
    assert!(printed(&output).contains("is no terminal; try --once"));
}
