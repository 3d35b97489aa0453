//! Where the traces of a session go, as the user and the administrator want it.

use crate::application::Run;
use crate::events::assert_complete;
use crate::layout::{Current, assert_tidy, dated_directory, names, read_archives};
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::relay::{Relay, skipped};
use crate::viewer::read_directory;
use crate::{BRIEF, end, sandbox, turn};
use std::path::{Path, PathBuf};

const RECORDED: Setup<'static> = Setup::new(Mode::Recorded, Buffers::PerUser);

const IN_MY_BASE: Setup<'static> = Setup {
    base_path: "/my/base",
    ..RECORDED
};

#[test]
fn the_output_is_grouped_by_host() {
    let _turn = turn::take();
    two_sessions_have_their_places(Relay::start(), |output, session| {
        let here = output.join(sandbox::host());
        match session {
            "based" => here,
            _ => dated_directory(&here, session),
        }
    });
}

#[test]
fn the_output_is_grouped_by_session() {
    let _turn = turn::take();
    let relay = Relay::start_with(&["--group-output-by-session"]);
    two_sessions_have_their_places(relay, |output, session| {
        dated_directory(&output.join(session), &sandbox::host())
    });
}

/// A session with a base path, and one without, below where `place` says.
fn two_sessions_have_their_places(relay: Relay, place: impl Fn(&Path, &str) -> PathBuf) {
    let producer = Producer::start();

    let run = record(&producer, &relay, "plain", RECORDED);
    let in_base = record(&producer, &relay, "based", IN_MY_BASE);

    let output = relay.output();
    let (plain, based) = (
        place(&output, "plain"),
        place(&output, "based").join("my/base"),
    );
    assert_tidy(&plain, Current::First);
    assert_tidy(&based, Current::First);
    assert_complete(&read_directory(&plain), &[run]);
    assert_complete(&read_directory(&based), &[in_base]);
    end([producer], relay);
}

#[test]
fn a_base_path_can_be_rotated_and_cleared() {
    let _turn = turn::take();
    let relay = Relay::start();
    let producer = Producer::start();
    let session = producer.session(&relay, "based", IN_MY_BASE);
    let based = relay.output().join(sandbox::host()).join("my/base");

    let archived = producer.launch(BRIEF).finish();
    session.rotate();
    producer.launch(BRIEF).finish();
    session.clear();
    let after = producer.launch(BRIEF).finish();
    session.destroy();

    assert_tidy(&based, Current::Nothing);
    assert_complete(&read_archives(&based), &[archived, after]);
    end([producer], relay);
}

#[test]
fn two_sessions_share_a_base_path() {
    let _turn = turn::take();
    if skipped("both write to the same files") {
        return;
    }
    let relay = Relay::start();
    let (left, right) = (Producer::start(), Producer::start());
    let left_session = left.session(&relay, "left", IN_MY_BASE);
    let right_session = right.session(&relay, "right", IN_MY_BASE);

    let (one, other) = (left.launch(BRIEF), right.launch(BRIEF));
    let runs = [one.finish(), other.finish()];
    left_session.rotate();
    let (one, other) = (left.launch(BRIEF), right.launch(BRIEF));
    let later = [one.finish(), other.finish()];
    left_session.destroy();
    right_session.destroy();

    let directories = relay.output().join(sandbox::host()).join("my");
    assert_eq!(names(&directories), ["base", "base-2"]);
    assert_tidy(&directories.join("base"), Current::Nothing);
    assert_tidy(&directories.join("base-2"), Current::First);
    assert_complete(&read_directory(&relay.output()), &[runs, later].concat());
    end([left, right], relay);
}

#[test]
fn two_sessions_of_one_producer_share_a_base_path() {
    let _turn = turn::take();
    if skipped("both write to the same files") {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();
    let first = producer.session(&relay, "first", IN_MY_BASE);
    let early = producer.launch(BRIEF).finish();
    first.stop();
    let second = producer.session(&relay, "second", IN_MY_BASE);
    let late = producer.launch(BRIEF).finish();
    first.destroy();
    second.destroy();

    assert_complete(&read_directory(&relay.output()), &[early, late]);
    end([producer], relay);
}

#[test]
fn a_base_path_is_used_again() {
    let _turn = turn::take();
    if skipped("it overwrites the earlier trace") {
        return;
    }
    let relay = Relay::start();
    let producer = Producer::start();

    let early = record(&producer, &relay, "first", IN_MY_BASE);
    let based = relay.output().join(sandbox::host()).join("my/base");
    assert_complete(&read_directory(&based), &[early]);
    let late = record(&producer, &relay, "second", IN_MY_BASE);

    assert_complete(&read_directory(&based), &[early]);
    assert_complete(&read_directory(&relay.output()), &[early, late]);
    end([producer], relay);
}

/// A whole session, with one application in it.
fn record(producer: &Producer, relay: &Relay, name: &str, setup: Setup<'_>) -> Run {
    let session = producer.session(relay, name, setup);
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    run
}
