//! Streams that appear when others are read already: applications that come and go, with
//! buffers of their own. The streams of one appear up to 400 ms after its first event, and
//! a viewer that has been told of a later time by then cannot go on.
//!
//! `BATON_LATE_STREAMS` in the environment says how many times each case is run.

use crate::events::{Event, assert_complete};
use crate::lttng::{Buffers, Producer};
use crate::relay::{Relay, skipped};
use crate::strict_viewer::StrictViewer;
use crate::{come_and_go, end, turn};
use std::{env, thread};

const SESSION: &str = "crowd";

#[test]
fn a_strict_viewer_reads_applications_that_come_and_go() {
    let _turn = turn::take_alone();
    if skipped("viewers are told of times before streams that begin before them") {
        return;
    }
    let runs = runs();
    for run in 0..=runs {
        // The last with an option that a replay of its journal must have too.
        let options: &[&str] = if run < runs {
            &[]
        } else {
            &["--live-hold-back=750"]
        };
        let seen = read_live(options, |relay| {
            let viewer = StrictViewer::attach(relay, SESSION);
            let reading = thread::spawn(move || viewer.read_to_end());
            move || reading.join().expect("a viewer that has read")
        });
        seen.unwrap_or_else(|late| panic!("in run {run}: {late}"));
    }
}

/// Reads applications that come and go, all that they do, with a relay of these options.
fn read_live<V>(options: &[&str], attach: impl FnOnce(&Relay) -> V) -> Result<(), String>
where
    V: FnOnce() -> Result<Vec<Event>, String>,
{
    let relay = Relay::start_with(options);
    let producer = Producer::start();
    let session = producer.live_session(&relay, SESSION, Buffers::PerProcess);
    let viewer = attach(&relay);
    let runs = come_and_go(&producer, 24, 4);
    session.destroy();
    let seen = viewer();
    end([producer], relay);
    assert_complete(&seen?, &runs);
    Ok(())
}

fn runs() -> u32 {
    let runs = env::var("BATON_LATE_STREAMS").map(|text| text.parse());
    runs.map_or(2, |runs| runs.expect("a number of runs"))
}
