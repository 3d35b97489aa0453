//! Peers that say nothing, or take nothing, for too long.

use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::limits::{HANDSHAKE_PATIENCE, REPLY_PATIENCE};
use baton_components::wire::viewer::Request;
use baton_systems::memory::Peer;

use crate::stage::{Producer, Stage, Viewer};

/// Lets time pass without any action of a peer.
fn wait(stage: &mut Stage, time: Duration) {
    stage.clock.advance(time);
    // The clock is read at the beginning of a tick, timers are looked at in it.
    stage.tick();
    stage.settle();
}

#[test]
fn a_peer_without_a_first_message_is_disconnected() {
    let mut stage = Stage::new();
    let silent = [Endpoint::Control, Endpoint::Live]
        .map(|endpoint| stage.network.connect(endpoint, "silent"));
    // Nobody speaks on a data connection before there is a packet.
    let data = stage.network.connect(Endpoint::Data, "patient");
    stage.settle();
    wait(&mut stage, HANDSHAKE_PATIENCE * 9 / 10);
    assert!(silent.iter().all(|peer| !peer.is_closed()));
    wait(&mut stage, HANDSHAKE_PATIENCE / 5);
    assert!(silent.iter().all(Peer::is_closed));
    assert!(!data.is_closed());
    data.finish();
    stage.assert_empty();
}

#[test]
fn a_peer_may_be_idle_for_ever_after_its_first_message() {
    let mut stage = Stage::new();
    let producer = Producer::with_session(&mut stage, 15);
    let viewer = Viewer::connect(&mut stage, 15);
    wait(&mut stage, Duration::from_secs(1_000_000));
    assert!(!producer.control.is_closed() && !viewer.peer.is_closed());
    viewer.leave(&mut stage);
    producer.leave(&mut stage);
    stage.assert_empty();
}

#[test]
fn a_peer_that_reads_no_replies_is_disconnected_in_the_end() {
    let mut stage = Stage::new();
    let viewer = Viewer::connect(&mut stage, 15);
    viewer.peer.block();
    assert_eq!(viewer.ask(&mut stage, Request::ListSessions), []);
    wait(&mut stage, REPLY_PATIENCE / 2);
    // A little is taken: its time begins anew.
    viewer.peer.accept_bytes(1);
    stage.settle();
    wait(&mut stage, REPLY_PATIENCE / 2 + Duration::from_secs(1));
    assert!(!viewer.peer.is_closed());
    wait(&mut stage, REPLY_PATIENCE);
    assert!(viewer.peer.is_closed());
    stage.assert_empty();
}
