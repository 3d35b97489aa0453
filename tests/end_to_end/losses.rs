//! Many kills of a relay at random moments, and many losses of power: files that are
//! shorter than they were, data and indexes each by themselves.
//!
//! A few of each by default. `BATON_TEST_KILLS` and `BATON_TEST_LOSSES` say how many, and
//! then the figures are printed.

use crate::application::Workload;
use crate::crash::{assert_nothing_to_repair, repair};
use crate::events::{self, Event, assert_complete, assert_prefix};
use crate::layout::{self, IndexFile};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::relay::{Relay, skipped};
use crate::viewer::{read_directory, read_what_can_be};
use crate::{BRIEF, turn};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io, thread};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

const KILLS: &str = "BATON_TEST_KILLS";
const LOSSES: &str = "BATON_TEST_LOSSES";

/// Always packets on their way.
const BURST: Workload = Workload {
    threads: 2,
    events_per_thread: 40_000,
    sleep_us: 0,
    payload_length: 100,
};

/// The longest time from the first packet of a burst to the kill.
const KILLED_WITHIN_MS: u64 = 300;

/// Large and small packets.
const CHANNELS: [&[&str]; 2] = [&[], &["--subbuf-size=256k", "--num-subbuf=4"]];

/// All readable events.
#[derive(Default)]
struct Figures {
    count: usize,
    before: usize,
    after: usize,
    /// How often something was unreadable before.
    refused: usize,
}

impl Figures {
    fn add(&mut self, before: &[Event], after: &[Event]) {
        self.count += 1;
        self.before += before.len();
        self.after += after.len();
        self.refused += usize::from(before.len() < after.len());
    }

    fn print(&self, what: &str) {
        let Self {
            count,
            before,
            after,
            refused,
        } = self;
        // Not `eprintln!`: the output of a case that passes is not shown.
        let _ = writeln!(
            io::stderr(),
            "{count} {what}: {before} events readable before repair, {after} after; \
             {refused} times more than before"
        );
    }
}

#[test]
fn repair_never_makes_less_readable() {
    let _turn = turn::take();
    if skipped("it repairs nothing") {
        return;
    }
    let (kills, losses) = (count(KILLS, 2), count(LOSSES, 6));
    let seed = fastrand::u64(..);
    // For the analysis of a failure.
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut of_kills, mut of_losses) = (Figures::default(), Figures::default());
    for kill in 0..kills {
        let trace = kill_once(&mut random, &mut of_kills);
        for _ in 0..losses * (kill + 1) / kills - losses * kill / kills {
            lose_power(trace.path(), &mut random, &mut of_losses);
        }
    }
    if env::var_os(KILLS).is_some() || env::var_os(LOSSES).is_some() {
        of_kills.print("kills");
        of_losses.print("losses of power");
    }
}

fn count(variable: &str, usual: usize) -> usize {
    let value = env::var(variable).ok();
    value.map_or(usual, |value| value.parse().expect("a number"))
}

/// Kills a relay at some moment of a burst, and repairs what it leaves. Gives a copy of
/// the session.
fn kill_once(random: &mut fastrand::Rng, figures: &mut Figures) -> TempDir {
    let mut relay = Relay::start();
    let producer = Producer::start();
    let mode = if random.bool() {
        Mode::Live
    } else {
        Mode::Recorded
    };
    let setup = Setup {
        channel: CHANNELS[random.usize(..CHANNELS.len())],
        ..Setup::new(mode, Buffers::PerUser)
    };
    let session = producer.session(&relay, "cut", setup);
    let directory = relay.trace_directory("cut");
    let early = producer.launch(BRIEF).finish();
    // Metadata of a session that is not live comes when it stops.
    session.stop();
    session.start();
    let written = layout::data_bytes(&directory);
    let burst = producer.launch(BURST);
    eventually("data", PATIENCE, || {
        layout::data_bytes(&directory) > written
    });
    thread::sleep(Duration::from_millis(random.u64(..KILLED_WITHIN_MS)));
    relay.kill();
    let cut = burst.run();
    drop((burst, producer));

    let before = read_what_can_be(&directory);
    repair(&relay.output()).expect("a repair");
    let after = read_directory(&directory);
    assert_keeps(&before, &after);
    assert_complete(&events::of(early, &after), &[early]);
    assert_prefix(&events::of(cut, &after), &[cut]);
    assert_nothing_to_repair(&relay.output());
    figures.add(&before, &after);
    let copy = tempfile::tempdir().expect("a directory");
    layout::copy(&directory, copy.path());
    copy
}

/// Cuts files of a copy back to what they once were, and repairs that.
fn lose_power(session: &Path, random: &mut fastrand::Rng, figures: &mut Figures) {
    let [lost, whole] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    layout::copy(session, lost.path());
    layout::copy(session, whole.path());
    let indexes = IndexFile::all(session);
    assert!(!indexes.is_empty(), "no index in {}", session.display());
    for index in &indexes {
        let what = random.u8(..4);
        if what & 1 != 0 {
            shorten(lost.path(), index.index(), random);
        }
        // The whole packets then, for readers without an index.
        let data = index.data();
        if what & 2 != 0 {
            let left = shorten(lost.path(), data, random);
            let ends = index.packet_ends().into_iter();
            let end = ends.take_while(|end| *end <= left).last();
            cut(whole.path(), data, end.unwrap_or(0));
        }
        fs::remove_file(whole.path().join(index.index())).expect("an index");
    }
    let before = read_what_can_be(lost.path());
    repair(lost.path()).expect("a repair");
    let after = read_directory(lost.path());
    assert_keeps(&before, &after);
    let expected = read_directory(whole.path());
    assert_eq!(identities(&after), identities(&expected), "whole packets");
    assert_nothing_to_repair(lost.path());
    figures.add(&before, &after);
}

/// Cuts a file somewhere; gives where.
fn shorten(directory: &Path, file: &Path, random: &mut fastrand::Rng) -> u64 {
    let size = fs::metadata(directory.join(file)).expect("a file").len();
    let left = random.u64(..=size);
    cut(directory, file, left);
    left
}

fn cut(directory: &Path, file: &Path, size: u64) {
    let file = fs::File::options().write(true).open(directory.join(file));
    file.expect("a file").set_len(size).expect("a cut");
}

fn assert_keeps(before: &[Event], after: &[Event]) {
    let [before, after] = [before, after].map(identities);
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{} events are lost", lost.len());
}

fn identities(events: &[Event]) -> BTreeSet<(u32, u32, u64)> {
    let events = events.iter();
    events.map(|it| (it.pid, it.thread, it.seq)).collect()
}
