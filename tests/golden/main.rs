//! Recorded sessions played to a relay on ports in memory: its replies are the
//! recorded ones, its files have the recorded bytes, nothing is left when all have
//! gone, and the law of holds is kept at every tick. However bytes are cut, and
//! however far data lags behind control or runs ahead of it. Live viewers that follow
//! get every packet.
//!
//! One line a capture in the tables at the end.

mod backpressure;
mod capture;
mod conversation;
mod dice;
mod faults;
mod producers;
mod recorded_viewer;
mod schedule;
mod viewer;
mod watch;

use baton_components::connection::Endpoint;

use crate::capture::Capture;
use crate::conversation::{Expect, differences};
use crate::dice::Dice;
use crate::producers::{Cuts, Producers, relay_as_recorded, tree_differences};
use crate::schedule::{Lag, ScheduledAct, as_recorded, data_early, data_late};
use crate::watch::Laziness;

/// Plays the steps of a capture and compares everything.
fn replay(capture: &Capture, steps: &[ScheduledAct], cuts: Cuts, expect: Expect) {
    let mut stage = relay_as_recorded();
    let mut producers = Producers::new(capture, cuts);
    for step in steps {
        producers.play(&mut stage, step);
    }
    stage.assert_empty();
    let mut lines = tree_differences(&stage.storage.tree(), &capture.tree);
    for (number, ours) in producers.received() {
        let recorded = &capture.connections[number];
        if recorded.endpoint == Endpoint::Control {
            lines.extend(differences(recorded, &ours, expect));
        } else {
            assert_eq!(ours, b"", "a data connection has no replies");
        }
    }
    assert!(lines.is_empty(), "{}: {lines:#?}", capture.name);
}

fn plays_as_recorded(name: &'static str) {
    let capture = Capture::read(name);
    replay(&capture, &as_recorded(&capture), Cuts::None, Expect::Same);
}

fn plays_byte_by_byte(name: &'static str) {
    let capture = Capture::read(name);
    replay(
        &capture,
        &as_recorded(&capture),
        Cuts::EveryByte,
        Expect::Same,
    );
}

fn plays_in_random_pieces(name: &'static str) {
    let capture = Capture::read(name);
    for seed in [1, 20, 300] {
        let cuts = Cuts::Seeded(seed);
        replay(&capture, &as_recorded(&capture), cuts, Expect::Same);
    }
}

fn data_may_be_late(name: &'static str) {
    let capture = Capture::read(name);
    let mut dice = Dice::new(50);
    for lag in [Lag::Real, Lag::Endless] {
        // A little, and nearly always as much as can be.
        for (delay_max, cuts) in [(6, Cuts::Seeded(4)), (1000, Cuts::None)] {
            let steps = data_late(&capture, lag, delay_max, &mut dice);
            replay(&capture, &steps, cuts, Expect::PendingMayDiffer);
        }
    }
}

fn data_may_be_early(name: &'static str) {
    let capture = Capture::read(name);
    let steps = data_early(&capture);
    for cuts in [Cuts::None, Cuts::Seeded(8)] {
        replay(&capture, &steps, cuts, Expect::PendingMayDiffer);
    }
}

fn a_viewer_gets_everything(name: &'static str) {
    let capture = Capture::read(name);
    let steps = as_recorded(&capture);
    let wide = usize::MAX;
    watch::from_the_beginning(&capture, &steps, Cuts::None, wide, Laziness(0));
    watch::from_the_beginning(&capture, &steps, Cuts::None, 1000, Laziness(20));
}

fn a_viewer_gets_everything_out_of_order(name: &'static str) {
    let capture = Capture::read(name);
    for (seed, delay_max) in [(10, 6), (110, 1000)] {
        let steps = data_late(&capture, Lag::Real, delay_max, &mut Dice::new(seed));
        let cuts = Cuts::Seeded(seed);
        watch::from_the_beginning(&capture, &steps, cuts, 300, Laziness(3));
    }
    let steps = data_early(&capture);
    watch::from_the_beginning(&capture, &steps, Cuts::None, 5000, Laziness(3));
}

fn a_recorded_viewer_is_told_the_same(name: &'static str) {
    recorded_viewer::is_told_the_same(name);
}

fn a_viewer_gets_what_comes_after_it(name: &'static str) {
    let capture = Capture::read(name);
    watch::from_the_middle(&capture, &as_recorded(&capture));
}

/// One line a capture, with what can be asked of it:
/// - `live`: all. Viewers follow it to the end.
/// - `cleared`: all but viewers of our own. Their packets were deleted.
/// - `plain`: nothing of viewers. There was none.
/// - `ring`: neither viewers nor early data. Old files are overwritten, and data that
///   comes early overwrites files of which the descriptions have not come.
macro_rules! captures {
    ($($module:ident: $kind:ident $name:literal;)+) => {
        $(mod $module {
            captures! { @$kind $name }
        })+

        const CAPTURES: &[&str] = &[$($name),+];
    };
    (@live $name:literal) => {
        captures! { @cleared $name }
        captures! {
            @tests [
                a_viewer_gets_everything
                a_viewer_gets_everything_out_of_order
                a_viewer_gets_what_comes_after_it
            ] $name
        }
    };
    (@cleared $name:literal) => {
        captures! { @plain $name }
        captures! { @tests [a_recorded_viewer_is_told_the_same] $name }
    };
    (@plain $name:literal) => {
        captures! { @ring $name }
        captures! { @tests [data_may_be_early] $name }
    };
    (@ring $name:literal) => {
        captures! {
            @tests [
                plays_as_recorded
                plays_byte_by_byte
                plays_in_random_pieces
                data_may_be_late
            ] $name
        }
    };
    (@tests [$($test:ident)+] $name:literal) => {
        $(#[test]
        fn $test() {
            super::$test($name);
        })+
    };
}

captures! {
    v2_13_live_clear: cleared "2.13-live-clear";
    v2_13_live_pid: live "2.13-live-pid";
    v2_13_live_uid: live "2.13-live-uid";
    v2_13_regenerate: plain "2.13-regenerate";
    v2_13_snapshot: plain "2.13-snapshot";
    v2_13_stream: ring "2.13-stream";
    v2_17_ctf1_live_clear: cleared "2.17-ctf1-live-clear";
    v2_17_ctf1_live_pid: live "2.17-ctf1-live-pid";
    v2_17_ctf1_live_uid: live "2.17-ctf1-live-uid";
    v2_17_ctf1_regenerate: plain "2.17-ctf1-regenerate";
    v2_17_ctf1_snapshot: plain "2.17-ctf1-snapshot";
    v2_17_ctf1_stream: ring "2.17-ctf1-stream";
    v2_17_ctf2_live_clear: cleared "2.17-ctf2-live-clear";
    v2_17_ctf2_live_pid: live "2.17-ctf2-live-pid";
    v2_17_ctf2_live_uid: live "2.17-ctf2-live-uid";
    v2_17_ctf2_live_uid_late: live "2.17-ctf2-live-uid-late";
    v2_17_ctf2_regenerate: plain "2.17-ctf2-regenerate";
    v2_17_ctf2_snapshot: plain "2.17-ctf2-snapshot";
    v2_17_ctf2_stream: ring "2.17-ctf2-stream";
}

#[test]
fn the_table_has_every_capture() {
    let folders = std::fs::read_dir(capture::captures()).expect("the captures");
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, CAPTURES);
}
