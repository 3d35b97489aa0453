//! Refusals by a relay: no command of the user hangs, each prints an error, and the next
//! session records.

use crate::application::Workload;
use crate::events::assert_complete;
use crate::full_disk::SmallDisk;
use crate::go_between::{GoBetween, Spoil};
use crate::layout::names;
use crate::lttng::{Buffers, Mode, Producer, Setup};
use crate::process::eventually;
use crate::relay::{Relay, is_original, skipped};
use crate::viewer::read_directory;
use crate::{BRIEF, UNHURRIED, end, sandbox, turn};
use baton_components::wire::producer::CommandKind;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

const HANGS: &str = "the consumer daemon waits for ever where it refuses a session";

/// The message of a refusal to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Something,
    /// Nothing that they asked for failed.
    Nothing,
}

fn a_command_is_refused(spoil: Spoil, told: Told, mode: Mode) {
    let _turn = turn::take();
    if spoil.kind() == CommandKind::CreateSession && skipped(HANGS) {
        return;
    }
    let relay = Relay::start();
    let go_between = GoBetween::start(&relay, spoil);
    let producer = Producer::start();

    let clears = matches!(mode, Mode::Live) || spoil.kind() != CommandKind::CloseTraceChunk;
    let failed = try_session(&producer, &go_between.producer_url(), mode, clears);

    assert!(go_between.spoilt() > 0, "nothing was spoilt: {failed:#?}");
    let warned = relay.log().contains("WARN control connection");
    assert!(
        warned || is_original(),
        "nothing was refused:\n{}",
        relay.log()
    );
    let something = if failed.is_empty() {
        Told::Nothing
    } else {
        Told::Something
    };
    assert_eq!(something, told, "{failed:#?}");
    assert_records(&producer, &relay, "next");
    end([producer], relay);
}

macro_rules! refused {
    ($($name:ident: $spoil:expr, $told:ident, $mode:ident;)*) => {$(
        #[test]
        fn $name() {
            a_command_is_refused($spoil, Told::$told, Mode::$mode);
        }
    )*};
}

refused! {
    a_version_is_refused: Spoil::FirstNumber(CommandKind::Version), Something, Recorded;
    a_configuration_is_refused: Spoil::FirstNumber(CommandKind::GetConfiguration), Something, Recorded;
    a_malformed_session_is_refused: Spoil::FirstNumber(CommandKind::CreateSession), Something, Recorded;
    a_stream_is_refused: Spoil::StreamPath, Something, Recorded;
    a_malformed_stream_is_refused: Spoil::FirstNumber(CommandKind::AddStream), Something, Recorded;
    metadata_is_refused: Spoil::FirstNumber(CommandKind::SendMetadata), Something, Recorded;
    an_index_is_refused: Spoil::FirstNumber(CommandKind::SendIndex), Something, Recorded;
    a_reset_of_metadata_is_refused: Spoil::FirstNumber(CommandKind::ResetMetadata), Something, Recorded;
    a_rotation_is_refused: Spoil::FirstNumber(CommandKind::RotateStreams), Something, Recorded;
    a_chunk_is_refused: Spoil::FirstNumber(CommandKind::CreateTraceChunk), Something, Recorded;
    the_end_of_a_chunk_is_refused: Spoil::FirstNumber(CommandKind::CloseTraceChunk), Something, Recorded;
    a_question_about_data_is_refused: Spoil::FirstNumber(CommandKind::DataPending), Something, Recorded;
    the_end_of_a_stream_is_refused: Spoil::FirstNumber(CommandKind::CloseStream), Nothing, Recorded;
    a_live_stream_is_refused: Spoil::StreamPath, Something, Live;
    a_live_index_is_refused: Spoil::FirstNumber(CommandKind::SendIndex), Something, Live;
    the_end_of_a_live_chunk_is_refused:
        Spoil::FirstNumber(CommandKind::CloseTraceChunk), Something, Live;
}

/// None where that is skipped.
fn on_a_small_disk() -> Option<(SmallDisk, Relay, Producer)> {
    if skipped(HANGS) {
        return None;
    }
    let disk = SmallDisk::mount()?;
    let relay = Relay::start_in(&disk.path().join("traces"), &["--min-free", "0"]);
    Some((disk, relay, Producer::start()))
}

#[test]
fn a_session_on_a_disk_that_cannot_be_written_is_refused() {
    let _turn = turn::take();
    let Some((disk, relay, producer)) = on_a_small_disk() else {
        return;
    };
    disk.remount("ro");

    let failed = try_session(&producer, &relay.producer_url(), Mode::Recorded, true);
    assert!(!failed.is_empty(), "nobody was told");

    disk.remount("rw");
    assert_records(&producer, &relay, "next");
    end([producer], relay);
}

/// Each snapshot is a session of its own to the relay.
#[test]
fn a_snapshot_to_a_disk_that_cannot_be_written_is_refused() {
    let _turn = turn::take();
    let Some((disk, relay, producer)) = on_a_small_disk() else {
        return;
    };
    let session = producer.session(
        &relay,
        "snaps",
        Setup::new(Mode::Snapshot, Buffers::PerUser),
    );
    // It fits in the ring buffer of one processor.
    let small = Workload {
        events_per_thread: 100,
        ..BRIEF
    };
    let run = producer.launch(small).finish();

    disk.remount("ro");
    let record = ["snapshot", "record", "--session=snaps"];
    let told = producer.attempt(&record);
    assert!(told.is_err(), "nobody was told");

    disk.remount("rw");
    session.record_snapshot(&[]);
    session.destroy();
    assert_records(&producer, &relay, "next");
    // The client does not wait until the relay has received a snapshot.
    drop(producer);
    relay.assert_idle();
    assert_complete(&read_directory(&relay.trace_directory("snaps")), &[run]);
    end([], relay);
}

#[test]
fn a_session_of_a_host_with_a_hidden_name_is_refused() {
    let _turn = turn::take();
    if skipped(HANGS) {
        return;
    }
    let Some(producer) = Producer::start_on(".hidden") else {
        return;
    };
    let relay = Relay::start();
    let failed = try_session(&producer, &relay.producer_url(), Mode::Recorded, true);
    assert!(!failed.is_empty(), "nobody was told");
    drop(producer);
    let producer = Producer::start();
    assert_records(&producer, &relay, "next");
    end([producer], relay);
}

/// A file system has no names of more than 255 bytes, and the time of its creation is a
/// part of that of a session's directory.
#[test]
fn sessions_with_long_names_are_recorded() {
    let _turn = turn::take();
    if skipped(HANGS) {
        return;
    }
    for grouping in ["--group-output-by-host", "--group-output-by-session"] {
        let relay = Relay::start_with(&[grouping]);
        let producer = Producer::start();
        let mut runs = Vec::new();
        for name in ["n".repeat(240), "n".repeat(254), "n".repeat(253) + "m"] {
            let session = producer.recorded_session(&relay, &name, Buffers::PerUser);
            runs.push(producer.launch(BRIEF).finish());
            session.destroy();
        }
        let mut directory = relay.output();
        if grouping.ends_with("host") {
            directory = directory.join(sandbox::host());
        }
        let mut names = names(&directory);
        names.retain(|name| name.starts_with('n'));
        assert_eq!(names.len(), 3, "{names:#?}");
        assert_complete(&read_directory(&relay.output()), &runs);
        end([producer], relay);
    }
}

/// The commands of a user on a session, as far as they go. Gives those that failed.
///
/// A clear that finds its connection closed, by the refusal of what a rotation ended with, has
/// no chunk; the session daemon never answers its client then (see
/// [`a_clear_whose_chunk_is_refused_leaves_the_next_session_alone`]). So `clears` tells
/// whether there is one.
fn try_session(producer: &Producer, url: &str, mode: Mode, clears: bool) -> Vec<String> {
    const NAME: &str = "refused";
    let url = format!("--set-url={url}");
    let live: &[&str] = if matches!(mode, Mode::Live) {
        &["--live=100000"]
    } else {
        &[]
    };
    let session = format!("--session={NAME}");
    let enable = ["enable-channel", "--userspace", &session, "ticks"];
    let size = ["--subbuf-size=16k", "--num-subbuf=4"];
    let event = ["enable-event", "--userspace", &session, "--channel=ticks"];
    let mut failed = Vec::new();
    let mut attempt = |words: &[&str]| {
        if let Err(said) = producer.attempt(words) {
            failed.push(format!("lttng {}: {said}", words.join(" ")));
        }
    };
    attempt(&[&["create", NAME, &url], live].concat());
    attempt(&[&enable[..], &size].concat());
    attempt(&[&event[..], &["baton:*"]].concat());
    attempt(&["start", NAME]);
    let application = producer.launch(UNHURRIED);
    // There is metadata to be sent again once the session daemon knows the application.
    eventually("an application", PATIENCE, || {
        let known = producer.attempt(&["list", "--userspace"]);
        known.is_ok_and(|known| known.contains("baton:tick"))
    });
    if !matches!(mode, Mode::Live) {
        attempt(&["regenerate", "metadata", &session]);
    }
    application.finish();
    attempt(&["list"]);
    if !matches!(mode, Mode::Live) {
        attempt(&["rotate", NAME]);
    }
    if clears {
        attempt(&["clear", NAME]);
    }
    attempt(&["stop", NAME]);
    attempt(&["destroy", NAME]);
    failed
}

/// The session daemon forgets the client of such a command, and nothing else.
#[test]
fn a_clear_whose_chunk_is_refused_leaves_the_next_session_alone() {
    let _turn = turn::take();
    let relay = Relay::start();
    let spoil = Spoil::FirstNumber(CommandKind::CreateTraceChunk);
    let producer = Producer::start();
    let go_between = GoBetween::start(&relay, spoil);
    let url = format!("--set-url={}", go_between.producer_url());
    let attempt = |words: &[&str]| producer.attempt(words).expect("a command that is done");
    attempt(&["create", "refused", &url, "--live=100000"]);
    attempt(&["enable-event", "--userspace", "baton:*"]);
    attempt(&["start"]);
    producer.launch(BRIEF).finish();

    let client = producer.client(&["clear", "refused"], "clear");
    eventually("a refusal", PATIENCE, || go_between.spoilt() > 1);
    drop(client);
    attempt(&["list"]);
    assert_records(&producer, &relay, "next");
    end([producer], relay);
}

/// A session is recorded, whatever was before.
pub fn assert_records(producer: &Producer, relay: &Relay, name: &str) {
    let session = producer.recorded_session(relay, name, Buffers::PerUser);
    let run = producer.launch(BRIEF).finish();
    session.destroy();
    assert_complete(&read_directory(&relay.trace_directory(name)), &[run]);
}
