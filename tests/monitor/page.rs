//! The page at `/`, in a browser.
//!
//! `BATON_TEST_PICTURES=DIR` writes the pictures that docs/ has there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::process::{Process, eventually};
use crate::producer::Producer;
use crate::relay::{BATON, PATIENCE, Place, printed};
use crate::skip;

/// Names that want to be markup, to end an attribute, to turn text, to rule a terminal.
const EVIL: [(&str, &str); 3] = [
    (
        "<img src=x onerror=\"document.title='owned'\">",
        "'\"><svg onload=\"document.title='owned'\">",
    ),
    ("a\u{202e}b\u{2066}", "\u{1b}[31m\u{9b}2J"),
    ("</td><script>", "{{7*7}}${alert(1)}"),
];

/// A relay, and a browser for its page.
struct Page {
    _relay: Process,
    browser: Browser,
    place: Place,
}

impl Page {
    /// None where there is no browser.
    fn start() -> Option<Self> {
        let place = Place::new();
        let Some(browser) = Browser::start(place.home()) else {
            skip::say("since chromedriver is missing, of the package chromium-driver");
            return None;
        };
        Some(Self {
            _relay: place.start(&[]),
            browser,
            place,
        })
    }

    /// As [`Self::start`], with the page in the browser.
    fn open() -> Option<Self> {
        let page = Self::start()?;
        page.browser.open(&page.place.url());
        page.browser.wait_for_text("#ready", "ready, up");
        Some(page)
    }

    /// Number of sessions in its table.
    fn rows(&self) -> Value {
        self.browser
            .run("return document.querySelectorAll('#rows tr').length")
    }
}

#[test]
fn sessions_appear_losses_are_red_and_a_click_shows_more() {
    let Some(page) = Page::open() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    assert!(browser.run("return !document.getElementById('none').hidden") == json!(true));
    let mut quiet = Producer::live(place, "vm", "quiet");
    quiet.send();
    browser.wait_for_text("#rows tr td:nth-child(2)", "quiet");
    let mut loud = Producer::live(place, "vm", "loud");
    loud.discarded = 728_962;
    loud.send();
    // Sorted by name.
    browser.wait_for_text("#rows tr:first-child td:nth-child(2)", "loud");
    browser.wait_for_text("#rows tr:first-child td:nth-child(6)", "728962");
    assert_eq!(browser.text("#lost"), "728962");
    let color = |selector: &str| {
        browser.run(&format!(
            "return getComputedStyle(document.querySelector('{selector}')).color"
        ))
    };
    let red = color("#lost");
    assert_eq!(red, "rgb(192, 28, 40)");
    assert_eq!(color("#rows tr:first-child td:nth-child(6)"), red);
    assert_ne!(color("#rows tr:nth-child(2) td:nth-child(6)"), red);
    browser.wait_for_text("#advice", "--num-subbuf");
    browser.wait_for_text("#in", "B/s");

    browser.click("#only-lost");
    assert_eq!(page.rows(), 1);
    browser.click("#only-lost");
    browser.click("#rows tr:first-child td:nth-child(2) button");
    browser.wait_for_text("#d-name", "loud on vm");
    browser.wait_for_text("#d-losses", "728962 events discarded, of channel ch: ");
    browser.wait_for_text("#d-streams", "ch0");
    browser.click("#d-close");
    eventually("the details to close", PATIENCE, || {
        browser.run("return document.getElementById('detail').hidden") == json!(true)
    });
    drop(quiet);
    eventually("the session to go", PATIENCE, || page.rows() == 1);
}

#[test]
fn what_waits_for_the_archive_is_on_the_page() {
    let Some(page) = Page::open() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    let is_hidden = || browser.run("return document.getElementById('archive').hidden");
    assert_eq!(is_hidden(), json!(true));
    place.note_archive(0, 3, 0);
    browser.wait_for_text("#waiting", "3 chunks to go, 3.0 GB");
    assert_eq!(is_hidden(), json!(false));
    place.note_archive(2000, 1, 1);
    browser.wait_for_text("#waiting", "1 chunk to go");
    browser.wait_for_text("#looked", "1 failed, 33 min ago");
    assert_eq!(
        browser.run("return document.getElementById('waiting').className"),
        json!("bad")
    );
}

#[test]
fn names_from_the_network_do_nothing_to_a_browser() {
    let Some(page) = Page::start() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    let _producers = EVIL.map(|(host, name)| {
        let host = host.replace('/', "");
        let mut producer = Producer::live(place, &host, name);
        producer.discarded = 1;
        producer.send();
        producer
    });
    browser.open(&place.url());
    eventually("all sessions", PATIENCE, || page.rows() == EVIL.len());
    for row in 1..=EVIL.len() {
        let selector = format!("#rows tr:nth-child({row}) td:nth-child(2) button");
        browser.click(&selector);
        let name = browser.text(&selector);
        browser.wait_for_text("#d-name", &name);
        browser.wait_for_text("#d-streams", "ch");
    }
    assert_eq!(browser.run("return document.title"), "Baton");
    let strange =
        "return document.querySelectorAll('img, script:not([src]), svg:not([role])').length";
    assert_eq!(browser.run(strange), 0);
    let text = browser.run("return document.body.textContent");
    let text = text.as_str().expect("a text");
    for words in [
        EVIL[0].0,
        EVIL[0].1,
        r"a\u{202e}b\u{2066}",
        r"\u{1b}[31m\u{9b}2J",
        EVIL[2].1,
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{1b}', '\u{9b}']));
    // Characters that a terminal may take as keys are not copied.
    let disabled =
        "return [...document.querySelectorAll('#rows .copy')].filter((it) => it.disabled).length";
    assert_eq!(browser.run(disabled), 1);
}

#[test]
fn the_command_that_is_copied_has_one_meaning() {
    const NAME: &str = "a b'; touch owned; '$(touch owned)`touch owned`\"\\";
    let Some(page) = Page::start() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    let _producer = Producer::live(place, "vm", NAME);
    browser.open(&place.url());
    browser.wait_for_text("#rows .copy", "copy command");
    browser.click("#rows .copy");
    browser.wait_for_text("#rows .copy", "copied");
    let command = browser.clipboard();
    // In place of the real one, which the end-to-end tests run.
    let stub = place.home().join("babeltrace2");
    fs::write(&stub, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("a file");
    Command::new("chmod")
        .arg("+x")
        .arg(&stub)
        .status()
        .expect("chmod");
    let path = format!(
        "{}:{}",
        place.home().display(),
        env::var("PATH").expect("a path")
    );
    let mut shell = Command::new("sh");
    let shell = shell
        .args(["-c", &command])
        .env("PATH", path)
        .current_dir(place.home());
    let live = place.ports.live;
    let expected = format!("--input-format=lttng-live\nnet://127.0.0.1:{live}/host/vm/{NAME}\n");
    assert_eq!(printed(&shell.output().expect("a shell")), expected);
    assert!(!place.home().join("owned").exists());
}

#[test]
fn a_hidden_page_asks_nothing() {
    let Some(page) = Page::open() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    let hide = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});
             document.dispatchEvent(new Event('visibilitychange'))"
        ))
    };
    let accepted = || -> u64 {
        let json = printed(&place.baton(&["status", &place.url(), "--format=json"]));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let ports = json["ports"].as_array().expect("a list");
        let status = ports
            .iter()
            .find(|it| it["port"] == "status")
            .expect("the port");
        status["accepted"].as_u64().expect("a number")
    };
    hide(true);
    // The question that was on its way; a page that goes on would ask twice and more.
    thread::sleep(Duration::from_secs(3));
    let before = accepted();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(accepted(), before + 1);
    hide(false);
    let before = accepted();
    let mut own = 1;
    eventually("another question of the page", PATIENCE, || {
        let is_more = accepted() > before + own;
        own += 1;
        is_more
    });
}

#[test]
fn the_page_fits_wide_and_narrow_windows_light_and_dark() {
    let Some(page) = Page::start() else {
        return;
    };
    let Page { browser, place, .. } = &page;
    let mut producers =
        ["render", "planner", "camera-front"].map(|name| Producer::live(place, "robot-7", name));
    browser.resize(1280, 720);
    browser.open(&place.url());
    let pictures = env::var_os("BATON_TEST_PICTURES");
    // For a picture the lines of in and out are long.
    let rounds = if pictures.is_some() { 130 } else { 10 };
    let mut top = None;
    for round in 0..rounds {
        if round + 8 == rounds {
            producers[1].discarded = 728_962;
        }
        if round + 5 == rounds
            && let Some(directory) = &pictures
        {
            let text = fs::File::create(Path::new(directory).join("top.txt"));
            let mut command = place.command(BATON);
            command
                .args(["top", "--once", &place.url()])
                .stdout(text.expect("a file"));
            top = Some(command.spawn().expect("the program"));
        }
        for (times, producer) in producers.iter_mut().enumerate() {
            for _ in 0..(times + 1) * 4 * (2 + round / 8 % 5) {
                producer.send();
            }
        }
        thread::sleep(Duration::from_millis(400));
    }
    if let Some(mut top) = top {
        top.wait().expect("its end");
    }
    browser.wait_for_text("#rows", "planner");
    browser.wait_for_text("#lost", "728962");
    let background = || browser.run("return getComputedStyle(document.body).backgroundColor");
    let theme = |theme: &str| {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        browser.chromium("Emulation.setEmulatedMedia", &json!({"features": features}));
    };
    for (width, height, scheme, color) in [
        (1280, 560, "light", "rgb(255, 255, 255)"),
        (400, 760, "dark", "rgb(20, 23, 27)"),
    ] {
        browser.resize(width, height);
        theme(scheme);
        eventually("the colours", PATIENCE, || background() == json!(color));
        let overflow = "return document.documentElement.scrollWidth - innerWidth";
        assert_eq!(browser.run(overflow), 0, "{width}");
        let picture = browser.picture();
        assert!(picture.starts_with(b"\x89PNG"));
        if let Some(directory) = &pictures {
            let path = Path::new(directory).join(format!("page-{width}.png"));
            fs::write(path, picture).expect("a picture");
        }
    }
}
