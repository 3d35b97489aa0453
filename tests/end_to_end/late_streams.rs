//! Streams that appear when others are read already: applications that come and go, with
//! buffers of their own. The streams of one appear up to 400 ms after its first event, and
//! a viewer that has seen a later time by then cannot go on.
//!
//! `BATON_LATE_STREAMS` in the environment says how many times each case is run, and then
//! the figures are printed.

use crate::application::Run;
use crate::events::{Event, assert_ascending, assert_complete};
use crate::lttng::{Buffers, Producer};
use crate::relay::{Relay, skipped};
use crate::strict_viewer::StrictViewer;
use crate::viewer::{Viewer, read_directory};
use crate::{come_and_go, end, turn};
use std::io::Write as _;
use std::{env, io, thread};

const RUNS: &str = "BATON_LATE_STREAMS";
const SESSION: &str = "crowd";

#[test]
fn a_strict_viewer_reads_applications_that_come_and_go() {
    let _turn = turn::take_alone();
    if skipped("viewers are told of times before streams that begin before them") {
        return;
    }
    let runs = runs(2);
    for run in 0..=runs {
        // The last with an option that a replay of its journal must have too.
        let options: &[&str] = if run < runs {
            &[]
        } else {
            &["--live-hold-back=750"]
        };
        let (seen, all) = read_live(Relay::start_with(options), |relay| {
            let viewer = StrictViewer::attach(relay, SESSION);
            let reading = thread::spawn(move || viewer.read_to_end());
            move || reading.join().expect("a viewer that has read")
        });
        let seen = seen.unwrap_or_else(|late| panic!("in run {run}: {late}"));
        assert_complete(&seen, &all);
    }
}

/// How the relays do beside each other, by the viewer that there is: 2.0.4 takes no notice
/// of streams that are new while those it knows are idle, and gives up on one that begins
/// before the time that it has reached. No relay can promise it every event, so what is asked
/// of all is that it ends, that what it reads is right, and that nothing is lost on disk.
#[test]
fn babeltrace_reads_what_it_can_of_applications_that_come_and_go() {
    let _turn = turn::take_alone();
    if skipped("it is one of those that are compared here") {
        return;
    }
    for name in ["held back", "not held back", "the original"] {
        let mut figures = Figures::default();
        for _ in 0..runs(1) {
            let relay = match name {
                "held back" => Relay::start_with(&["--live-hold-back=auto"]),
                "not held back" => Relay::start_with(&["--live-hold-back=0"]),
                _ => Relay::start_original(),
            };
            let (seen, all) = read_live(relay, |relay| {
                let viewer = Viewer::attach(relay, SESSION);
                move || viewer.read_what_it_can()
            });
            assert_ascending(&seen, &all);
            figures.add(&seen, &all);
        }
        if env::var_os(RUNS).is_some() {
            figures.print(name);
        }
    }
}

/// Totals of a viewer over several runs.
#[derive(Default)]
struct Figures {
    runs: u32,
    /// Those of which it has read every event.
    whole: u32,
    seen: usize,
    all: usize,
}

impl Figures {
    fn add(&mut self, seen: &[Event], runs: &[Run]) {
        let count = |run: &Run| run.workload.events_per_thread * u64::from(run.workload.threads);
        let all = runs.iter().map(count).sum::<u64>() as usize;
        self.runs += 1;
        self.whole += u32::from(seen.len() == all);
        self.seen += seen.len();
        self.all += all;
    }

    fn print(&self, relay: &str) {
        let Self {
            runs,
            whole,
            seen,
            all,
        } = self;
        // Not `eprintln!`: the output of a case that passes is not shown.
        let _ = writeln!(
            io::stderr(),
            "{relay}: every event in {whole} of {runs} runs; {seen} of {all} events in all"
        );
    }
}

/// A viewer reads applications that come and go: gives what it has read, and what there
/// was, of which all is on disk.
fn read_live<V, S>(relay: Relay, attach: impl FnOnce(&Relay) -> V) -> (S, Vec<Run>)
where
    V: FnOnce() -> S,
{
    let producer = Producer::start();
    let session = producer.live_session(&relay, SESSION, Buffers::PerProcess);
    let viewer = attach(&relay);
    let runs = come_and_go(&producer, 24, 4);
    session.destroy();
    let seen = viewer();
    assert_complete(&read_directory(&relay.trace_directory(SESSION)), &runs);
    end([producer], relay);
    (seen, runs)
}

fn runs(usual: u32) -> u32 {
    let runs = env::var(RUNS).map(|text| text.parse());
    runs.map_or(usual, |runs| runs.expect("a number of runs"))
}
