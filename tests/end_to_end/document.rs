//! The session with TLS of docs/tls.md, by the six commands that are there. Three machines are one
//! here, so ports are added to them, and the relay is called localhost; nothing else is changed.

use crate::lttng::Producer;
use crate::ports::Ports;
use crate::process::{Process, eventually};
use crate::relay::skipped;
use crate::tunnel::is_listened_on;
use crate::{BRIEF, sandbox, turn};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The commands of the document's section, each with what it prints there.
fn blocks() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tls.md");
    let text = fs::read_to_string(path).expect("the document");
    let (_, section) = text
        .split_once("\n## A session with TLS\n")
        .expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let mut blocks: Vec<(String, String)> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the end of a block");
        for line in block.lines() {
            match (line.strip_prefix("$ "), blocks.last_mut()) {
                (Some(command), _) => blocks.push((command.to_owned(), String::new())),
                (None, Some((_, printed))) => {
                    printed.push_str(line);
                    printed.push('\n');
                }
                (None, None) => panic!("{line} is no command"),
            }
        }
    }
    blocks
}

/// A command of the document in a directory, with the parts that are other ones here, and more
/// arguments.
fn command(text: &str, changes: &[(&str, &str)], more: &[String], directory: &Path) -> Command {
    let mut text = text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "no {from} in {text}");
        text = text.replace(from, to);
    }
    let mut words = text.split_whitespace();
    let program = match words.next().expect("a program") {
        "baton" => env!("CARGO_BIN_EXE_baton"),
        other => other,
    };
    let mut command = Command::new(program);
    command.args(words).args(more).current_dir(directory);
    command.env("LTTNG_HOME", directory).env("LC_ALL", "C");
    command
}

/// A machine: a directory with the files of `certs` that it has.
fn machine(home: &Path, name: &str, files: &[&str]) {
    let directory = home.join(name);
    fs::create_dir(&directory).expect("a directory");
    for file in files {
        crate::tunnel::copy(&home.join("certs").join(file), &directory.join(file));
    }
}

fn options(ports: &[(&str, u16)]) -> Vec<String> {
    let option = |(name, port): &(&str, u16)| format!("--{name}-port={port}");
    ports.iter().map(option).collect()
}

#[test]
fn six_commands_of_the_document_are_a_session_with_tls() {
    let _turn = turn::take();
    if skipped("it has no TLS") {
        return;
    }
    let blocks = blocks();
    let [certificates, relay, tunnel, create, viewers, viewer] = &blocks[..] else {
        panic!("not six commands: {blocks:?}");
    };
    let Some(producer) = Producer::start_on("web-017") else {
        return;
    };
    let home = sandbox::home();
    let home = home.path();

    let mut made = command(
        &certificates.0,
        &[("relay.example", "localhost")],
        &[],
        home,
    );
    let made = made.output().expect("the program");
    assert_eq!(
        String::from_utf8_lossy(&made.stdout),
        certificates.1,
        "{made:?}"
    );

    let (far, near, seen) = (Ports::free(), Ports::free(), Ports::free());
    let [control, data, live] = [far.control, far.data, far.live].map(|it| format!("0.0.0.0:{it}"));
    let changes = [
        ("-C tls://0.0.0.0", format!("-C tls://{control}")),
        ("-D tls://0.0.0.0", format!("-D tls://{data}")),
        ("-L tls://0.0.0.0", format!("-L tls://{live}")),
    ];
    let changes: Vec<_> = changes.iter().map(|(from, to)| (*from, &**to)).collect();
    let more = ["--output=traces", "--status-port=off", "--min-free=0"].map(str::to_owned);
    let mut relay = Process::spawn(&mut command(&relay.0, &changes, &more, home), home, "relay");
    let Ports {
        control,
        data,
        live,
    } = far;
    eventually("the relay listens", PATIENCE, || is_listened_on(live));

    let server = format!("tls://localhost:{control}:{data}:{live}");
    let changes = [("tls://relay.example", &*server)];
    machine(home, "traced", &["web-017.pem", "web-017.key", "ca.pem"]);
    let more = options(&[("control", near.control), ("data", near.data)]);
    let mut tunnel = command(&tunnel.0, &changes, &more, &home.join("traced"));
    let mut tunnel = Process::spawn(&mut tunnel, home, "tunnel");
    eventually("the tunnel listens", PATIENCE, || is_listened_on(near.data));

    let url = format!("net://localhost:{}:{}", near.control, near.data);
    let create = create.0.replace("net://localhost", &url);
    let (program, words) = create.split_once(' ').expect("a command");
    assert_eq!(program, "lttng");
    let words: Vec<&str> = words.split(' ').collect();
    for words in [
        &words[..],
        &["enable-event", "--userspace", "--session=demo", "baton:*"],
        &["start", "demo"],
    ] {
        let outcome = producer.attempt(words);
        assert!(
            outcome.is_ok(),
            "{words:?}: {outcome:?}, {}",
            tunnel.errors()
        );
    }

    machine(home, "viewing", &["ada.pem", "ada.key", "ca.pem"]);
    let more = options(&[("live", seen.live)]);
    let mut viewers = command(&viewers.0, &changes, &more, &home.join("viewing"));
    let mut viewers = Process::spawn(&mut viewers, home, "viewers");
    eventually("the tunnel listens", PATIENCE, || is_listened_on(seen.live));
    let url = format!("net://localhost:{}/", seen.live);
    let mut viewer = command(&viewer.0, &[("net://localhost/", &url)], &[], home);
    let mut viewer = Process::spawn(&mut viewer, home, "viewer");
    // Before it has attached, a session that is over would be missed.
    eventually("the viewer", PATIENCE, || {
        relay.errors().contains("viewer attached")
    });

    producer.launch(BRIEF).finish();
    producer.attempt(&["destroy", "demo"]).expect("its end");
    viewer.wait_for_success(PATIENCE);
    let events = viewer.output().matches("baton:tick").count() as u64;
    let all = u64::from(BRIEF.threads) * BRIEF.events_per_thread;
    assert_eq!(events, all, "{}", viewer.errors());
    for process in [&mut viewers, &mut tunnel, &mut relay] {
        process.signal("TERM");
        process.wait(PATIENCE);
    }
}
