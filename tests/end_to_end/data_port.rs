//! Strangers on the data port, and producers that leave a packet behind.

use crate::application::Workload;
use crate::events::assert_complete;
use crate::lttng::{Buffers, Producer};
use crate::nonsense;
use crate::process::eventually;
use crate::raw_producer::RawProducer;
use crate::relay::{Relay, skipped};
use crate::turn;
use crate::viewer::{Viewer, read_directory};
use baton_components::wire::producer::data::HEADER_SIZE;
use baton_systems::client::packet;
use std::time::Duration;

/// How long the relay may take to write a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two thousand events, over some seconds.
const SLOW: Workload = Workload {
    threads: 2,
    events_per_thread: 1_000,
    sleep_us: 2_000,
    payload_length: 40,
};

/// More streams than a relay of one session has.
const GUESSES: u64 = 64;

#[test]
fn a_stranger_who_counts_handles_disturbs_nobody() {
    let _turn = turn::take();
    if skipped("a header and a close end the session that they name") {
        return;
    }
    let mut relay = Relay::start();
    let producer = Producer::start();
    let session = producer.live_session(&relay, "counted", Buffers::PerUser);
    let viewer = Viewer::attach(&relay, "counted");
    let application = producer.launch(SLOW);
    viewer.wait_for_events();
    let mut peers = Vec::new();
    for handle in 1..=GUESSES {
        let large = packet(handle, 0, &[0xEE; 4_096]);
        let small = packet(handle, 0, &[0xEE; 64]);
        for bytes in [&large[..HEADER_SIZE], &small] {
            peers.push(nonsense::say(relay.data_address(), bytes));
        }
    }
    let run = application.finish();
    session.destroy();

    assert_complete(&viewer.finish(), &[run]);
    assert_complete(&read_directory(&relay.trace_directory("counted")), &[run]);
    let log = relay.log();
    for peer in peers {
        // Another peer may have had its port before.
        let warnings = log
            .lines()
            .filter(|line| line.contains(" WARN data connection"));
        let lines = warnings.filter(|line| line.contains(&peer.to_string()));
        assert_eq!(lines.count(), 1, "lines about {peer} in\n{log}");
    }
    drop(producer);
    relay.terminate();
}

/// Within the time in which the packet might still come.
#[test]
fn a_relay_that_waits_for_a_packet_of_a_producer_that_left_can_be_stopped() {
    let _turn = turn::take();
    if skipped("it counts nothing at its end") {
        return;
    }
    let mut relay = Relay::start();
    let mut producer = RawProducer::connect(&relay, "left");
    producer.announce(4_096);
    drop(producer);
    eventually("the end of the producer", PATIENCE, || {
        relay.log().contains("the producer of session left@")
    });
    relay.terminate();
}
