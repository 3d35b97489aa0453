//! Journals: what a relay recorded of itself is done again, to the same end.
//!
//! Every relay of these cases has a journal, and is replayed when it has ended. Here are
//! the cases of journals that are not whole, and of those that refer to trace files.

use crate::application::Workload;
use crate::layout;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::Process;
use crate::raw_producer::RawProducer;
use crate::relay::{Relay, skipped_without_journal};
use crate::viewer::Viewer;
use crate::{BRIEF, UNHURRIED, end, sandbox, turn};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a replay may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// As fast as it can.
const BURST: Workload = Workload {
    threads: 2,
    events_per_thread: 10_000,
    sleep_us: 0,
    payload_length: 400,
};

const REFERENCE: &[&str] = &["--journal-payload", "reference"];

/// A replay does the same as the relay: what it compares, and the files that it writes;
/// and another one does so again.
pub fn assert_replays(journal: &Path, recorded: &Path) {
    let files = || {
        let home = sandbox::home();
        let output = home.path().join("replayed");
        let said = replay(journal, &["--verify", "--audit", "--output", text(&output)]);
        assert!(said.contains("the whole journal"), "{said}");
        assert!(said.contains("verified: "), "{said}");
        assert!(said.contains("audit: clean"), "{said}");
        contents(&output)
    };
    let replayed = files();
    assert_eq!(
        replayed.keys().collect::<Vec<_>>(),
        files().keys().collect::<Vec<_>>()
    );
    assert!(
        replayed == files(),
        "two replays of {} differ",
        journal.display()
    );
    // Relays that were restarted, and tests, may have left more than that.
    for (name, content) in &replayed {
        let there = fs::read(recorded.join(name)).ok();
        assert!(
            there.as_ref() == Some(content),
            "{} was replayed to {} bytes, recorded were {:?}",
            name.display(),
            content.len(),
            there.map(|it| it.len())
        );
    }
}

#[test]
fn packets_are_replayed_from_the_trace_files() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let relay = Relay::start_with(REFERENCE);
    let producer = Producer::start();
    let session = producer.live_session(&relay, "elsewhere", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "elsewhere");
    let run = producer.launch(UNHURRIED).finish();
    session.destroy();
    crate::assert_complete(&viewer.finish(), &[run]);
    let (journal, output) = (relay.journal(), relay.output());
    let home = sandbox::home();
    let copy = home.path().join("journal");
    // The relay ends, and its directory with it, when it is dropped: at the end of all.
    let mut relay = relay;
    drop(producer);
    relay.assert_idle();
    relay.terminate();
    fs::copy(&journal, &copy).expect("a copy of the journal");
    let packets: u64 = contents(&output).values().map(|it| it.len() as u64).sum();
    let size = fs::metadata(&copy).expect("a journal").len();
    assert!(
        size < packets,
        "{size} bytes of journal for {packets} bytes of traces"
    );

    // Without the files it cannot be done, and the replay says why.
    fs::remove_dir_all(&output).expect("traces to remove");
    let refusal = refused_replay(&copy, &["--verify"]);
    assert!(refusal.contains("cannot be replayed"), "{refusal}");
    assert!(refusal.contains("No such file or directory"), "{refusal}");
    assert!(refusal.contains(text(&output)), "{refusal}");
}

#[test]
fn large_packets_are_replayed() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let mut relay = Relay::start_with(REFERENCE);
    let producer = Producer::start();
    let setup = Setup {
        channel: &["--subbuf-size=1M", "--num-subbuf=4"],
        ..Setup::new(Mode::Recorded, Buffers::PerUser)
    };
    let session = producer.session(&relay, "large", setup);
    producer.launch(BURST).finish();
    session.destroy();
    drop(producer);
    relay.assert_idle();
    relay.terminate();
}

#[test]
fn a_torn_packet_is_replayed_although_its_file_was_cut() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let mut relay = Relay::start_with(REFERENCE);
    let mut producer = RawProducer::connect(&relay, "torn");
    producer.send_packet(0..100);
    producer.send_part_of_packet(100..200, 1, 2);
    drop(producer);
    relay.assert_idle();
    relay.terminate();
}

#[test]
fn a_killed_relay_leaves_a_journal() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let mut relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "killed", Buffers::PerUser);
    let run = producer.launch(BRIEF).finish();
    let application = producer.launch(UNHURRIED);
    session.stop();
    // Records are on disk a second after they were made.
    std::thread::sleep(Duration::from_millis(1_500));
    relay.kill();
    drop((application, producer));

    let home = sandbox::home();
    let output = home.path().join("replayed");
    let options = ["--verify", "--audit", "--show", "--output", text(&output)];
    let said = replay(&relay.journal(), &options);
    assert!(said.contains("its relay did not end in order"), "{said}");
    assert!(said.contains("session 1v1: killed@"), "{said}");
    let directory = layout::dated_directory(&output.join(sandbox::host()), "killed");
    let seen = crate::read_directory(&directory);
    crate::assert_complete(&crate::events::of(run, &seen), &[run]);
}

#[test]
fn a_journal_that_is_not_whole_says_where() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let mut relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "spoilt", Buffers::PerUser);
    for _ in 0..3 {
        producer.launch(Workload::default()).finish();
    }
    session.destroy();
    drop(producer);
    relay.assert_idle();
    relay.terminate();
    let journal = fs::read(relay.journal()).expect("a journal");
    let home = sandbox::home();
    let path = home.path().join("spoilt");

    let all = ticks(&replay(&relay.journal(), &[]));
    fs::write(&path, &journal[..journal.len() / 2]).expect("half a journal");
    let said = replay(&path, &["--verify", "--audit"]);
    assert!(
        said.contains("the journal is truncated in block "),
        "{said}"
    );
    assert!((1..all).contains(&ticks(&said)), "{said}");

    let mut changed = journal.clone();
    changed[journal.len() / 2] ^= 1;
    fs::write(&path, &changed).expect("a damaged journal");
    let refusal = refused_replay(&path, &["--verify"]);
    assert!(refusal.contains("is valid up to tick "), "{refusal}");
    assert!(refusal.contains("is damaged"), "{refusal}");
}

#[test]
fn packets_are_found_where_a_rotation_took_them() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    let relay = Relay::start_with(REFERENCE);
    let producer = Producer::start();
    let session = producer.recorded_session(&relay, "turns", Buffers::PerUser);
    producer.launch(BRIEF).finish();
    session.rotate();
    let mut across = producer.launch(UNHURRIED);
    while across.is_running() {
        session.rotate();
    }
    across.finish();
    session.destroy();
    end([producer], relay);
}

#[test]
fn a_person_goes_through_a_journal_tick_by_tick() {
    let _turn = turn::take();
    if skipped_without_journal() {
        return;
    }
    // Its journal has those who looked whether it listens.
    let mut relay = Relay::start();
    relay.assert_idle();
    relay.terminate();
    let mut command = command(&relay.journal(), &["--step", "--from", "2"]);
    let step = |lines: &str, command: &mut Command| {
        let home = sandbox::home();
        let input = home.path().join("input");
        fs::write(&input, lines).expect("what a person types");
        let input = fs::File::open(input).expect("what a person types");
        let output = command.stdin(input).output().expect("a replay");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = step("\n\nq\n", &mut command);
    let shown: Vec<_> = said
        .lines()
        .filter_map(|line| line.split(" at ").next()?.strip_prefix("tick "))
        .collect();
    assert_eq!(shown, ["2", "3"], "{said}");
    assert_eq!(ticks(&said), 3);
    // Without input the replay runs the first tick only.
    assert_eq!(ticks(&step("", &mut command)), 1);
}

/// The ticks that a replay says it did.
fn ticks(said: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(" ticks replayed"));
    let number = line.and_then(|line| line.split(' ').next());
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number of ticks in:\n{said}"))
}

/// The output of a replay.
fn replay(journal: &Path, options: &[&str]) -> String {
    let home = sandbox::home();
    let mut replay = spawn(journal, options, home.path());
    replay.wait_for_success(PATIENCE);
    replay.output()
}

/// Why a replay does not come to its end.
fn refused_replay(journal: &Path, options: &[&str]) -> String {
    let home = sandbox::home();
    let mut replay = spawn(journal, options, home.path());
    let status = replay.wait(PATIENCE);
    assert_eq!(status.code(), Some(1), "{}", replay.output());
    replay.errors()
}

fn spawn(journal: &Path, options: &[&str], home: &Path) -> Process {
    Process::spawn(&mut command(journal, options), home, "replay")
}

fn command(journal: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.arg("replay").arg(journal).args(options);
    command
}

/// All files below a directory, by their names there.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = layout::files(directory).into_iter();
    files
        .map(|file| {
            let content = fs::read(&file).expect("a file");
            let name = file.strip_prefix(directory).expect("a file below it");
            (name.to_owned(), content)
        })
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
