//! Long polling: a viewer that pauses after RETRY and asks again is answered when a packet
//! comes.

use std::time::Duration;

use baton_components::limits::{QUESTION_PATIENCE, QUESTION_PAUSE_MIN, QUESTION_PAUSES};
use baton_components::wire::producer::Command;
use baton_components::wire::viewer::{Header, Request};
use baton_systems::agenda::Agenda;
use baton_systems::client;
use baton_systems::deadlines::Timer;

use crate::stage::{self, Viewer};
use crate::viewer_words::{ATTACH, DATA, GET_METADATA, NEXT_INDEX, Scene, tell_all};

const PAUSE: Duration = Duration::from_millis(1);
const KEPT: &str = "";

/// Ticks that find something to do, and no time passes.
fn run(scene: &mut Scene) {
    for _ in 0..5 {
        scene.stage.tick();
    }
}

fn pause(scene: &mut Scene, time: Duration) {
    scene.stage.clock.advance(time);
    run(scene);
}

/// The replies so far to the questions.
fn heard(scene: &Scene, requests: &[Request]) -> String {
    match scene.viewer.peer.take_received() {
        bytes if bytes.is_empty() => KEPT.to_owned(),
        bytes => tell_all(requests, 15, &bytes),
    }
}

/// Asks, and gives what is answered before any time has passed.
fn ask(scene: &mut Scene, requests: &[Request]) -> String {
    scene.viewer.write_all(requests);
    run(scene);
    heard(scene, requests)
}

/// A viewer that got RETRY, has paused, and has asked again.
fn kept() -> Scene {
    let mut scene = Scene::watched(0);
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
    pause(&mut scene, PAUSE);
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
    scene
}

fn produce(scene: &mut Scene, command: &Command) {
    scene.producer.control.write(&client::command(15, command));
}

fn send(scene: &mut Scene, sequence: u64) {
    scene
        .producer
        .data
        .write(&stage::packet_bytes(DATA, sequence));
    produce(scene, &Command::SendIndex(stage::index(DATA, sequence)));
}

#[test]
fn a_packet_answers_in_the_tick_in_which_it_is_confirmed() {
    let mut scene = kept();
    produce(&mut scene, &Command::SendIndex(stage::index(DATA, 0)));
    run(&mut scene);
    assert_eq!(heard(&scene, &[NEXT_INDEX]), KEPT, "its bytes are missing");
    scene.producer.data.write(&stage::packet_bytes(DATA, 0));
    scene.stage.tick();
    assert_eq!(
        heard(&scene, &[NEXT_INDEX]),
        KEPT,
        "storage has not answered"
    );
    scene.stage.tick();
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "OK 0 at 0");
    scene.end();
}

#[test]
fn a_beacon_answers_too() {
    let mut scene = kept();
    produce(&mut scene, &stage::beacon(DATA, 700));
    scene.stage.tick();
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "INACTIVE 700");
    scene.end();
}

#[test]
fn it_waits_some_times_its_own_pause() {
    let mut scene = kept();
    let nearly = (PAUSE * QUESTION_PAUSES).saturating_sub(Duration::from_micros(1));
    pause(&mut scene, nearly);
    assert_eq!(heard(&scene, &[NEXT_INDEX]), KEPT);
    pause(&mut scene, Duration::from_micros(1));
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "RETRY");
    pause(&mut scene, PAUSE);
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
    scene.end();
}

#[test]
fn a_long_pause_makes_no_long_wait() {
    let mut scene = Scene::watched(0);
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
    pause(&mut scene, Duration::from_mins(1));
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
    pause(&mut scene, QUESTION_PATIENCE);
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "RETRY");
    scene.end();
}

#[test]
fn a_viewer_that_does_not_pause_is_answered_at_once() {
    let mut scene = Scene::watched(0);
    for _ in 0..100 {
        assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
        pause(
            &mut scene,
            QUESTION_PAUSE_MIN.saturating_sub(Duration::from_micros(1)),
        );
    }
    scene.end();
}

#[test]
fn a_viewer_with_another_request_in_between_is_answered_at_once() {
    let mut scene = Scene::watched(0);
    let other = scene.producer.add_stream(&mut scene.stage, "ust", "chan_1");
    scene.command(&Command::StreamsSent);
    let session = crate::viewer_words::SESSION;
    assert_eq!(
        scene.hear(Request::NewStreams { session }),
        format!("OK [{other}]")
    );
    for _ in 0..3 {
        for stream in [DATA, other] {
            pause(&mut scene, PAUSE);
            let question = Request::NextIndex { stream };
            assert_eq!(ask(&mut scene, &[question]), "RETRY");
        }
    }
    let requests = [NEXT_INDEX, GET_METADATA];
    for _ in 0..3 {
        pause(&mut scene, PAUSE);
        assert_eq!(ask(&mut scene, &requests), "RETRY, NO_NEW");
    }
    scene.end();
}

#[test]
fn a_viewer_that_sends_more_requests_is_answered() {
    let mut scene = kept();
    scene.viewer.write_all(&[GET_METADATA]);
    scene.stage.tick();
    let asked = [NEXT_INDEX, GET_METADATA];
    assert_eq!(heard(&scene, &asked), "RETRY, NO_NEW");
    scene.end();
}

#[test]
fn new_metadata_is_told_when_the_time_is_over() {
    let mut scene = kept();
    let (stage, producer) = (&mut scene.stage, &scene.producer);
    producer.send_metadata(stage, crate::viewer_words::METADATA, b" more");
    scene.stage.settle();
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "RETRY NEW_METADATA");
    scene.end();
}

#[test]
fn a_stream_that_ends_answers_when_the_time_is_over() {
    let mut scene = kept();
    scene.producer.close_stream(&mut scene.stage, DATA, None);
    scene.stage.settle();
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "HUP");
    scene.end();
}

#[test]
fn a_viewer_that_disconnects_with_a_question_leaves_nothing() {
    let mut scene = kept();
    scene.viewer.peer.finish();
    run(&mut scene);
    // It may still listen.
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "RETRY");
    assert!(scene.viewer.peer.is_closed());
    send(&mut scene, 0);
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}

#[test]
fn a_packet_of_another_stream_answers_nothing() {
    let mut scene = Scene::new();
    for channel in ["metadata", "chan_0", "chan_1"] {
        scene.producer.add_stream(&mut scene.stage, "ust", channel);
    }
    scene.command(&Command::StreamsSent);
    let other = DATA + 1;
    assert_eq!(scene.hear(ATTACH), format!("OK [1, {DATA}, {other}]"));
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
    pause(&mut scene, PAUSE);
    assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
    scene.producer.data.write(&stage::packet_bytes(other, 0));
    produce(&mut scene, &Command::SendIndex(stage::index(other, 0)));
    run(&mut scene);
    assert_eq!(heard(&scene, &[NEXT_INDEX]), KEPT);
    send(&mut scene, 0);
    run(&mut scene);
    assert_eq!(heard(&scene, &[NEXT_INDEX]), "OK 0 at 0");
    scene.end();
}

#[test]
fn a_packet_answers_everybody_who_waits_for_it() {
    let mut scene = Scene::watched(0);
    let other = Viewer::connect(&mut scene.stage, 15);
    assert_eq!(other.hear(&mut scene.stage, ATTACH), "OK [1, 2]");
    assert_eq!(other.hear(&mut scene.stage, GET_METADATA), "OK meta");
    for _ in 0..2 {
        other.write_all(&[NEXT_INDEX]);
        scene.viewer.write_all(&[NEXT_INDEX]);
        pause(&mut scene, PAUSE);
    }
    for viewer in [&scene.viewer, &other] {
        let told = tell_all(&[NEXT_INDEX], 15, &viewer.peer.take_received());
        assert_eq!(told, "RETRY");
    }
    send(&mut scene, 0);
    run(&mut scene);
    for viewer in [&scene.viewer, &other] {
        let told = tell_all(&[NEXT_INDEX], 15, &viewer.peer.take_received());
        assert_eq!(told, "OK 0 at 0");
    }
    other.leave(&mut scene.stage);
    scene.end();
}

#[test]
fn a_viewer_has_one_timer_for_many_questions() {
    let mut scene = Scene::watched(0);
    for sequence in 0..100 {
        assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
        pause(&mut scene, PAUSE);
        assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
        send(&mut scene, sequence);
        run(&mut scene);
        let packet = format!("OK {sequence} at {}", sequence * stage::PACKET_BYTES as u64);
        assert_eq!(heard(&scene, &[NEXT_INDEX]), packet);
        let agenda = scene.stage.relay.read::<Agenda>();
        let timers = agenda.deadlines.iter();
        let of_questions = timers.filter(|timer| matches!(timer, Timer::Question(_)));
        assert_eq!(of_questions.count(), 1);
    }
    scene.end();
}

#[test]
fn timers_of_shorter_questions_do_not_pile_up() {
    let mut scene = Scene::watched(0);
    for sequence in 0..300 {
        assert_eq!(ask(&mut scene, &[NEXT_INDEX]), "RETRY");
        pause(&mut scene, PAUSE * [10, 1, 7][sequence % 3]);
        assert_eq!(ask(&mut scene, &[NEXT_INDEX]), KEPT);
        pause(&mut scene, PAUSE * 3);
        send(&mut scene, sequence as u64);
        run(&mut scene);
        assert_ne!(heard(&scene, &[NEXT_INDEX]), KEPT);
        let agenda = scene.stage.relay.read::<Agenda>();
        let timers = agenda.deadlines.iter();
        let of_questions = timers.filter(|timer| matches!(timer, Timer::Question(_)));
        // As many as are set in the time of the longest.
        assert!(of_questions.count() <= 10);
    }
    scene.end();
}

#[test]
fn a_packet_and_a_bad_request_in_one_tick_are_answered_once() {
    let mut scene = kept();
    send(&mut scene, 0);
    send(&mut scene, 1);
    // Storage answers in the next one.
    scene.stage.tick();
    let mut unknown = Vec::new();
    let header = Header {
        payload_size: 0,
        command: 99,
    };
    header.encode(&mut unknown);
    scene.viewer.peer.write(&unknown);
    run(&mut scene);
    let received = scene.viewer.peer.take_received();
    let (index, refusal) = received.split_at(64);
    assert_eq!(tell_all(&[NEXT_INDEX], 15, index), "OK 0 at 0");
    assert_eq!(refusal, [0, 0, 0, 11]);
    assert!(scene.viewer.peer.is_closed());
    scene.producer.leave(&mut scene.stage);
    scene.stage.assert_empty();
}
