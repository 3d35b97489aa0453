//! Scenarios: producers and viewers of our own, a relay on ports in memory.
//!
//! Each message is sent and answered by itself, so every step's reply, records and
//! files can be looked at. The audit recounts every hold at the end of each tick, and
//! each scenario ends with nothing left.
#![allow(clippy::unwrap_used)]

mod bounds;
mod cold_reads;
mod costs;
mod defects;
mod durability;
mod fairness;
mod hold_back;
mod interleavings;
mod kept_sessions;
mod log;
mod losses;
mod patience;
mod probes;
mod producer_scenarios;
mod producer_table;
mod questions;
mod retention;
mod slices;
mod slow_disk;
mod stage;
mod status;
mod stranger;
mod strays;
mod teams;
mod told;
mod viewer_company;
mod viewer_endings;
mod viewer_flow;
mod viewer_lifetimes;
mod viewer_preconditions;
mod viewer_scenarios;
mod viewer_table;
mod viewer_traps;
mod viewer_words;

use stage::{DIRECTORY, Producer, Stage, Viewer};

#[test]
fn a_session_from_beginning_to_end() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let (metadata, data) = producer.add_trace(&mut stage, "ust/uid/0/64-bit");
    producer.send_metadata(&mut stage, metadata, b"metadata");
    producer.send_whole_packet(&mut stage, data, 0);
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.leave(&mut stage);
    producer.close_stream(&mut stage, data, Some(0));
    producer.close_stream(&mut stage, metadata, None);
    producer.leave(&mut stage);
    stage.assert_empty();
    let path = format!("{DIRECTORY}/ust/uid/0/64-bit");
    assert_eq!(stage.file(&format!("{path}/metadata")), b"metadata");
    assert_eq!(
        stage.file(&format!("{path}/chan_0")),
        stage::payload(data, 0)
    );
}
