//! Interleavings: random scripts for producers, viewers and a failing disk, and what
//! must hold whatever they do.

mod cast;
mod filter;
mod model;
mod producer;
mod reader;
mod script;
mod viewer;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use cast::Cast;
use script::{Script, Theme, scripts};

/// Runs scripts on a theme, always the same ones.
fn check(theme: Theme, seed: u8, cases: u32, run: fn(&Script)) {
    let cases = std::env::var("BATON_INTERLEAVINGS").map_or(cases, |it| it.parse().unwrap());
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
            let steps: Vec<String> = script
                .steps
                .iter()
                .map(|step| format!("  {step:?}\n"))
                .collect();
            let Script {
                producers, viewers, ..
            } = script;
            panic!(
                "{reason}\nproducers {producers:#?}\n{viewers} viewers\n{}",
                steps.concat()
            );
        }
        Err(error) => panic!("{error}"),
    }
}

fn play(script: &Script) {
    let mut cast = Cast::new(script);
    for step in &script.steps {
        cast.perform(step);
    }
    cast.leave_all();
    cast.stage.assert_empty();
    for producer in &cast.producers {
        reader::assert_as_modelled(&cast, producer);
    }
}

#[test]
fn packets_stand_once_where_they_belong() {
    check(Theme::Producers, 1, 6000, play);
}

#[test]
fn viewers_see_what_was_recorded() {
    check(Theme::Viewers, 2, 2500, play);
}
