//! Hold-back: viewers get packets and beacons only when streams with earlier events have had
//! time to appear.

use std::time::Duration;

use baton_components::limits::{LIVE_HOLD_BACK, NEW_STREAMS_PATIENCE, QUESTION_PATIENCE};
use baton_components::wire::producer::Command;
use baton_systems::settings::{HoldBack, Settings};

use crate::stage::{Producer, Stage, Viewer};
use crate::viewer_words::{
    ATTACH, ATTACH_LAST, DATA, GET_METADATA, NEW_STREAMS, NEXT_INDEX, Scene, tell_all,
};

/// Time after which held-back data is visible in any case.
const OLD: Duration = LIVE_HOLD_BACK.saturating_add(Duration::from_millis(40));
/// Much less than the hold-back, and more than what scenarios let pass unnoticed.
const WHILE: Duration = Duration::from_millis(200);

/// A viewer of an application that has buffers of its own.
fn watched() -> Scene {
    watched_with(HoldBack::Auto, "ust/pid/1")
}

fn watched_with(hold_back: HoldBack, path: &str) -> Scene {
    let mut stage = Stage::with(Settings {
        hold_back,
        ..Settings::default()
    });
    let producer = Producer::with_session(&mut stage, 15);
    let viewer = Viewer::connect(&mut stage, 15);
    let mut scene = Scene {
        stage,
        producer,
        viewer,
    };
    scene.producer.add_trace(&mut scene.stage, path);
    scene.send_metadata(b"meta");
    assert_eq!(scene.hear(ATTACH), "OK [1, 2]");
    assert_eq!(scene.hear(GET_METADATA), "OK meta");
    scene
}

#[test]
fn packets_are_told_when_they_are_old() {
    let mut scene = watched();
    scene.send(0);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.pass(WHILE);
    scene.send(1);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.pass(OLD.saturating_sub(WHILE));
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.stage.pass(WHILE);
    assert_eq!(scene.indexes(2), "OK 1 at 64, RETRY");
    scene.end();
}

#[test]
fn beacons_are_told_when_they_are_old_and_packets_after_them() {
    let mut scene = watched();
    scene.send_beacon(50);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.pass(WHILE);
    scene.send(0);
    scene.stage.pass(WHILE);
    scene.send_beacon(2000);
    scene.stage.pass(OLD.saturating_sub(2 * WHILE));
    assert_eq!(scene.indexes(2), "INACTIVE 50, INACTIVE 50");
    scene.stage.pass(WHILE);
    assert_eq!(scene.indexes(2), "OK 0 at 0, RETRY");
    scene.stage.pass(WHILE);
    assert_eq!(scene.indexes(1), "INACTIVE 2000");
    scene.end();
}

#[test]
fn the_hold_back_is_an_option_of_the_relay() {
    let fixed = |time| HoldBack::Fixed(time);
    for (hold_back, path, told) in [
        (HoldBack::Auto, "ust/uid/0", "OK 0 at 0"),
        (HoldBack::Auto, "ust/pid/1", "RETRY"),
        (HoldBack::Auto, "host/session/ust/pid/1", "RETRY"),
        (fixed(Duration::ZERO), "ust/pid/1", "OK 0 at 0"),
        (fixed(WHILE), "ust/uid/0", "RETRY"),
    ] {
        let mut scene = watched_with(hold_back, path);
        scene.send(0);
        assert_eq!(scene.indexes(1), told, "{hold_back:?} of {path}");
        scene.end();
    }
}

#[test]
fn a_stream_that_appears_meanwhile_comes_first() {
    let mut scene = watched();
    scene.send(1);
    scene.send_beacon(5000);
    scene.stage.pass(WHILE);
    let (metadata, late) = scene.producer.add_trace(&mut scene.stage, "ust/pid/2");
    scene
        .producer
        .send_metadata(&mut scene.stage, metadata, b"late");
    scene.producer.send_whole_packet(&mut scene.stage, late, 0);
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    scene.stage.pass(OLD);
    // With a packet it asks before it reads that; with a time it would go on.
    let told = scene.indexes(2);
    assert_eq!(told, "OK 1 at 0 NEW_STREAM, RETRY NEW_STREAM");
    let streams = scene.hear(NEW_STREAMS);
    assert_eq!(streams, format!("OK [{metadata}, {late}]"));
    assert_eq!(
        scene.viewer.index(&mut scene.stage, late),
        "OK 0 at 0 NEW_METADATA"
    );
    assert_eq!(scene.indexes(1), "INACTIVE 5000");
    scene.end();
}

#[test]
fn a_viewer_that_never_asks_for_streams_gets_beacons_in_the_end() {
    let mut scene = watched();
    scene.send_beacon(50);
    scene.producer.add_trace(&mut scene.stage, "ust/pid/2");
    scene.stage.pass(OLD);
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    scene.stage.pass(NEW_STREAMS_PATIENCE);
    assert_eq!(scene.indexes(1), "INACTIVE 50 NEW_STREAM");
    // Each time anew.
    assert_eq!(scene.hear(NEW_STREAMS), "OK [3, 4]");
    assert_eq!(scene.indexes(1), "INACTIVE 50");
    scene.producer.add_trace(&mut scene.stage, "ust/pid/3");
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    scene.end();
}

#[test]
fn streams_that_nobody_can_be_told_of_hold_up_nobody() {
    let mut scene = watched();
    scene.send_beacon(50);
    // One that is never published, and one without metadata.
    scene
        .producer
        .add_stream(&mut scene.stage, "ust/pid/2", "chan_0");
    scene.command(&Command::StreamsSent);
    scene
        .producer
        .add_stream(&mut scene.stage, "ust/pid/3", "chan_0");
    scene.stage.pass(OLD);
    assert_eq!(scene.indexes(1), "RETRY NEW_STREAM");
    assert_eq!(scene.hear(NEW_STREAMS), "OK []");
    assert_eq!(scene.indexes(1), "INACTIVE 50");
    scene.end();
}

#[test]
fn packets_of_an_application_that_ended_are_held_back_too() {
    let mut scene = watched();
    scene.send(0);
    scene.close_streams(1);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.pass(OLD);
    assert_eq!(scene.indexes(2), "OK 0 at 0, HUP");
    scene.end();
}

#[test]
fn when_the_session_ends_all_is_told_at_once() {
    let mut scene = watched();
    scene.send(0);
    scene.send(1);
    assert_eq!(scene.indexes(1), "RETRY");
    scene.close_streams(2);
    scene.producer_leaves();
    assert_eq!(scene.indexes(3), "OK 0 at 0, OK 1 at 64, HUP");
    scene.end();
}

/// Ticks that find something to do, and no time passes.
fn run(scene: &mut Scene) {
    for _ in 0..5 {
        scene.stage.tick();
    }
}

/// A question that is kept while a packet is held back, for which it is too early by
/// `left`; and the time that has to pass.
fn kept_before(left: Duration) -> Scene {
    let mut scene = watched();
    scene.send(0);
    scene.stage.pass(LIVE_HOLD_BACK.saturating_sub(left));
    assert_eq!(scene.indexes(1), "RETRY");
    scene.stage.clock.advance(Duration::from_millis(10));
    scene.viewer.write_all(&[NEXT_INDEX]);
    run(&mut scene);
    assert_eq!(scene.viewer.peer.take_received(), [0; 0]);
    scene
}

#[test]
fn a_question_is_answered_when_its_packet_is_old() {
    let mut scene = kept_before(Duration::from_millis(80));
    let mut passed = Duration::ZERO;
    let told = loop {
        passed += Duration::from_millis(1);
        scene.stage.clock.advance(Duration::from_millis(1));
        run(&mut scene);
        let received = scene.viewer.peer.take_received();
        if !received.is_empty() {
            break tell_all(&[NEXT_INDEX], 15, &received);
        }
    };
    assert_eq!(told, "OK 0 at 0");
    assert!(passed < QUESTION_PATIENCE, "{passed:?}");
    scene.end();
}

#[test]
fn a_question_is_answered_when_the_session_ends() {
    let mut scene = kept_before(WHILE);
    scene.producer.control.finish();
    run(&mut scene);
    let received = scene.viewer.peer.take_received();
    let told = tell_all(&[NEXT_INDEX], 15, &received);
    assert_eq!(told, "OK 0 at 0");
    scene.end();
}

#[test]
fn a_viewer_that_comes_later_begins_after_what_is_held_back() {
    let mut scene = watched();
    scene.send(0);
    let other = scene.another();
    let attached = other.hear(&mut scene.stage, ATTACH_LAST);
    assert_eq!(attached, "OK [1, 2]");
    scene.send(1);
    scene.stage.pass(OLD);
    assert_eq!(
        other.index(&mut scene.stage, DATA),
        "OK 1 at 64 NEW_METADATA"
    );
    other.leave(&mut scene.stage);
    scene.end();
}
