//! A relay that is killed at whatever it does, and `baton repair` afterwards.

use crate::application::Workload;
use crate::events::{self, assert_complete, assert_prefix};
use crate::layout::{self, data_bytes};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::{Process, eventually};
use crate::raw_producer::RawProducer;
use crate::relay::{Relay, skipped};
use crate::viewer::{assert_unreadable, read_directory};
use crate::{BRIEF, UNHURRIED, sandbox, turn};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the relay may take to write something, and a repair for all.
const PATIENCE: Duration = Duration::from_secs(30);

/// As fast as it can: so there are always packets on their way to the relay.
const BURST: Workload = Workload {
    threads: 2,
    events_per_thread: 40_000,
    sleep_us: 0,
    payload_length: 400,
};

const KIB: u64 = 1_024;

/// Packets so large that they come in many pieces.
const LARGE: &[&str] = &["--subbuf-size=1M", "--num-subbuf=4"];

const WHY: &str = "it repairs nothing";

#[test]
fn a_relay_is_killed_at_the_first_events() {
    let _turn = turn::take();
    kill_at(Mode::Live, &[], 1);
}

#[test]
fn a_relay_is_killed_at_the_first_events_of_a_session_that_is_not_live() {
    let _turn = turn::take();
    kill_at(Mode::Recorded, &[], 1);
}

#[test]
fn a_relay_is_killed_in_a_burst_of_large_packets() {
    let _turn = turn::take();
    for bytes in [1, 3_000 * KIB, 7_500 * KIB] {
        kill_at(Mode::Live, LARGE, bytes);
    }
}

#[test]
fn a_relay_is_killed_in_a_burst_of_large_packets_that_is_not_live() {
    let _turn = turn::take();
    for bytes in [1, 3_000 * KIB, 7_500 * KIB] {
        kill_at(Mode::Recorded, LARGE, bytes);
    }
}

#[test]
fn a_relay_is_killed_in_a_burst_of_small_packets() {
    let _turn = turn::take();
    kill_at(Mode::Live, &[], 2_000 * KIB);
    kill_at(Mode::Recorded, &[], 2_000 * KIB);
}

#[test]
fn half_a_packet_is_cut_off() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    for (part, of) in [(1, 100), (1, 2), (99, 100)] {
        half_a_packet(part, of);
    }
}

#[test]
fn nothing_is_repaired_under_a_relay() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let mut relay = Relay::start();
    let mut producer = RawProducer::connect(&relay, "busy");
    let whole = producer.send_packet(0..100);
    let half = producer.send_part_of_packet(100..200, 1, 2);
    let directory = relay.trace_directory("busy");
    wait_for_data(&directory, whole + half);

    for below in [&relay.output(), &directory, &directory.join("ust")] {
        let refusal = repair(below).expect_err("a refusal to repair");
        assert!(refusal.contains("a relay is writing to"), "{refusal}");
    }
    assert_eq!(data_bytes(&directory), (whole + half) as u64, "bytes");

    drop(producer);
    relay.assert_idle();
    relay.terminate();
    assert_eq!(data_bytes(&directory), whole as u64, "bytes");
    assert_nothing_to_repair(&relay.output());
    let mut run = RawProducer::run();
    run.workload.events_per_thread = 100;
    assert_complete(&read_directory(&directory), &[run]);
}

/// The original and a session daemon that records here itself know no locks.
#[test]
fn repair_leaves_alone_what_anybody_records() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let (ours, original) = (Relay::start(), Relay::start_original());
    let here = sandbox::home();
    let (url, by_all) = (
        format!("file://{}", here.path().display()),
        " is writing to it",
    );
    for (url, output, writer) in [
        (ours.producer_url(), ours.output(), "a relay"),
        (original.producer_url(), original.output(), "lttng-relayd"),
        (url, here.path().to_owned(), "lttng-consumerd"),
    ] {
        let producer = Producer::start();
        let setup = Setup::new(Mode::Recorded, Buffers::PerUser);
        let session = producer.session_at(&url, "busy", setup);
        let early = producer.launch(BRIEF).finish();
        session.stop();
        session.start();
        let mut application = producer.launch(UNHURRIED);
        while application.is_running() {
            let refusal = repair(&output).expect_err("a refusal to repair");
            let told = refusal.contains(writer) && refusal.contains(by_all);
            assert!(told, "{writer}: {refusal}");
        }
        let late = application.finish();
        session.destroy();
        assert_complete(&read_directory(&output), &[early, late]);
        drop(producer);
        eventually("a trace that is let go of", PATIENCE, || {
            repair(&output).is_ok()
        });
        assert_complete(&read_directory(&output), &[early, late]);
    }
}

#[test]
fn one_of_two_relays_in_a_directory_is_killed() {
    let _turn = turn::take();
    if skipped(WHY) {
        return;
    }
    let mut lives = Relay::start();
    let mut dies = Relay::start_in(&lives.output(), &[]);
    let mut spared = RawProducer::connect(&lives, "spared");
    let mut cut = RawProducer::connect(&dies, "cut");
    let [of_spared, of_cut] = ["spared", "cut"].map(|session| lives.trace_directory(session));
    let whole = [&mut spared, &mut cut].map(|producer| producer.send_packet(0..100));
    let half = [&mut spared, &mut cut].map(|it| it.send_part_of_packet(100..200, 1, 2));
    wait_for_data(&of_spared, whole[0] + half[0]);
    wait_for_data(&of_cut, whole[1] + half[1]);
    // The index comes a moment after its packet.
    eventually("an index", PATIENCE, || {
        let files = layout::files(&of_cut);
        let index = files.iter().find(|file| file.ends_with("ticks_0.idx"));
        index.is_some_and(|file| length(file) == 16 + 72)
    });
    dies.kill();
    drop(cut);

    // Sessions that are over are repaired while a relay runs; current ones are not.
    let refusal = repair(&lives.output()).expect_err("a session that is left alone");
    assert!(refusal.contains("a relay is writing to it"), "{refusal}");
    assert!(refusal.contains("/spared-"), "{refusal}");
    assert!(!refusal.contains("/cut-"), "{refusal}");
    assert_eq!(data_bytes(&of_cut), whole[1] as u64, "bytes");
    assert_eq!(data_bytes(&of_spared), (whole[0] + half[0]) as u64, "bytes");
    let mut run = RawProducer::run();
    run.workload.events_per_thread = 100;
    assert_complete(&read_directory(&of_cut), &[run]);

    dies.restart();
    let warning = "another relay writes to";
    eventually("a warning", PATIENCE, || dies.log().contains(warning));
    dies.assert_idle();
    dies.terminate();
    drop(spared);
    lives.assert_idle();
    lives.terminate();
    assert_nothing_to_repair(&lives.output());
    assert_complete(&read_directory(&of_spared), &[run]);
}

/// A relay is killed when it has written one whole packet, and part of the next.
fn half_a_packet(part: usize, of: usize) {
    let mut relay = Relay::start();
    let mut producer = RawProducer::connect(&relay, "torn");
    let directory = relay.trace_directory("torn");
    let whole = producer.send_packet(0..100) + producer.send_packet(100..200);
    wait_for_data(&directory, whole);
    eventually("the index of two packets", PATIENCE, || {
        let files = layout::files(&directory);
        let index = files.iter().find(|file| file.ends_with("ticks_0.idx"));
        index.is_some_and(|file| length(file) == 16 + 2 * 72)
    });
    let torn = producer.send_part_of_packet(200..300, part, of);
    wait_for_data(&directory, whole + torn);
    relay.kill();
    drop(producer);

    assert_unreadable(&directory);
    assert_offers_repair(&mut relay);
    let said = repair(&relay.output()).expect("a repair");
    let cut = format!("ticks_0: cut from {} to {whole} bytes", whole + torn);
    assert!(said.contains(&cut), "{cut} is not in {said}");
    assert_nothing_to_repair(&relay.output());
    let mut run = RawProducer::run();
    run.workload.events_per_thread = 200;
    assert_complete(&read_directory(&directory), &[run]);
    assert_offers_no_repair(&mut relay);
}

/// Kills a relay when it has written so many bytes of a burst.
fn kill_at(mode: Mode, channel: &[&str], bytes: u64) {
    if skipped(WHY) {
        return;
    }
    let mut relay = Relay::start();
    let producer = Producer::start();
    let setup = Setup {
        channel,
        ..Setup::new(mode, Buffers::PerUser)
    };
    let session = producer.session(&relay, "cut", setup);
    let directory = relay.trace_directory("cut");
    let early = producer.launch(BRIEF).finish();
    // Metadata of a session that is not live comes when it stops.
    session.stop();
    session.start();
    let before = data_bytes(&directory);

    let burst = producer.launch(BURST);
    eventually("data", PATIENCE, || {
        data_bytes(&directory) >= before + bytes
    });
    relay.kill();
    let cut = burst.run();
    drop((burst, producer));

    assert_offers_repair(&mut relay);
    repair(&relay.output()).expect("a repair");
    assert_nothing_to_repair(&relay.output());
    let seen = read_directory(&directory);
    let (of_early, of_cut) = (events::of(early, &seen), events::of(cut, &seen));
    assert_complete(&of_early, &[early]);
    assert_prefix(&of_cut, &[cut]);
    let all = cut.workload.events_per_thread * u64::from(cut.workload.threads);
    assert!((of_cut.len() as u64) < all, "a burst that was over");
    assert_eq!(seen.len(), of_early.len() + of_cut.len(), "all events");
    assert_offers_no_repair(&mut relay);
}

/// The next relay says what can be done; it ends well.
fn assert_offers_repair(relay: &mut Relay) {
    relay.restart();
    let output = relay.output();
    let offer = format!("baton repair {}", output.display());
    // It listens before it says so.
    eventually("an offer to repair", PATIENCE, || {
        relay.log().contains(&offer)
    });
    relay.assert_idle();
    relay.terminate();
}

fn assert_offers_no_repair(relay: &mut Relay) {
    relay.restart();
    assert!(!relay.log().contains("baton repair"), "{}", relay.log());
    relay.assert_idle();
    relay.terminate();
}

pub fn assert_nothing_to_repair(directory: &Path) {
    let said = repair(directory).expect("a repair");
    assert_eq!(
        said,
        format!("{}: nothing to repair\n", directory.display())
    );
}

/// The output of `baton repair`; an error if it fails.
pub fn repair(directory: &Path) -> Result<String, String> {
    let home = sandbox::home();
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.arg("repair").arg(directory);
    let mut repair = Process::spawn(&mut command, home.path(), "repair");
    if repair.wait(PATIENCE).success() {
        Ok(repair.output())
    } else {
        Err(repair.errors())
    }
}

fn wait_for_data(directory: &Path, bytes: usize) {
    eventually("data", PATIENCE, || data_bytes(directory) == bytes as u64);
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}
