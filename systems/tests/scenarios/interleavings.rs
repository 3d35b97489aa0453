//! Interleavings: random scripts for producers, viewers and a failing disk, and what
//! must hold whatever they do.
//!
//! `BATON_INTERLEAVINGS` in the environment says how many scripts each test plays, and
//! `BATON_INTERLEAVINGS_SEED` which.

mod cast;
mod disk;
mod filter;
mod model;
mod producer;
mod reader;
mod script;
mod stranger;
mod viewer;

use baton_components::limits::CHUNK_RETRY;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use cast::Cast;
use script::{Script, Theme, scripts};

/// Runs scripts on a theme, always the same ones.
fn check(theme: Theme, seed: u8, cases: u32, run: fn(&Script)) {
    let wished = |name: &str| std::env::var(name).ok().map(|it| it.parse().unwrap());
    let cases = wished("BATON_INTERLEAVINGS").unwrap_or(cases);
    let seed = wished("BATON_INTERLEAVINGS_SEED").map_or(seed, |it| seed.wrapping_add(it as u8));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&scripts(theme), |script| {
        run(&script);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, script)) => {
            let cues: Vec<String> = script
                .cues
                .iter()
                .map(|cue| format!("  {cue:?}\n"))
                .collect();
            let Script {
                producers,
                viewers,
                lateness,
                cold,
                probes,
                ..
            } = script;
            panic!(
                "{reason}\nproducers {producers:#?}\n{viewers} viewers\nanswers {lateness:?} polls late, \
                 cold {cold:?}, probes {probes}\n{}",
                cues.concat()
            );
        }
        Err(error) => panic!("{error}"),
    }
}

fn play(script: &Script) {
    let mut cast = Cast::new(script);
    for cue in &script.cues {
        cast.perform(cue);
    }
    cast.leave_all();
    cast.mend();
    cast.stage.pass(CHUNK_RETRY);
    cast.stage.assert_empty();
    for producer in &cast.producers {
        reader::assert_undisturbed(&cast, producer);
        if producer.is_suffering {
            reader::assert_whole(&cast, producer);
        } else {
            reader::assert_as_modelled(&cast, producer);
        }
    }
}

fn play_to_a_dead_disk(script: &Script) {
    let mut cast = Cast::new(&Script {
        probes: true,
        ..script.clone()
    });
    for cue in &script.cues {
        cast.perform(cue);
    }
    cast.leave_a_dead_disk();
    cast.stage.pass(CHUNK_RETRY);
    cast.stage.assert_empty();
}

#[test]
fn packets_stand_once_where_they_belong() {
    check(Theme::Producers, 1, 5500, play);
}

#[test]
fn viewers_see_what_was_recorded() {
    check(Theme::Viewers, 2, 2500, play);
}

#[test]
fn a_bad_disk_tears_nothing_and_troubles_nobody_else() {
    check(Theme::Faults, 3, 2000, play);
}

#[test]
fn no_name_is_made_while_the_disk_does_not_answer() {
    check(Theme::Viewers, 4, 1500, play_to_a_dead_disk);
}
