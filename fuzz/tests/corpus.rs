//! Runs every target on its seeds and the committed inputs, and on truncations and bit
//! flips of them.

use std::path::Path;
use std::{fs, panic};

use baton_fuzz::{TARGETS, Target, seeds};

/// Variations of a target: a few seconds of them.
const MANY: usize = 1500;
/// Of a target that needs files or a whole relay.
const SOME: usize = 150;

#[test]
fn wire_bears_the_corpus() {
    bears("wire", MANY);
}

#[test]
fn journal_bears_the_corpus() {
    bears("journal", MANY);
}

#[test]
fn trace_bears_the_corpus() {
    bears("trace", SOME);
}

#[test]
fn relay_bears_the_corpus() {
    bears("relay", SOME);
}

#[test]
fn status_bears_the_corpus() {
    bears("status", MANY);
}

#[test]
fn tls_bears_the_corpus() {
    bears("tls", SOME);
}

fn bears(name: &str, variations: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds::of(target);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    run(target, b"");
    for seed in &seeds {
        run(target, seed);
    }
    let mut dice = Dice(1);
    for number in 0..variations {
        let mut input = seeds[number % seeds.len()].clone();
        match dice.up_to(3) {
            0 => input.truncate(dice.up_to(input.len() + 1)),
            1 => flip(&mut input, &mut dice, 1),
            _ => flip(&mut input, &mut dice, 20),
        }
        run(target, &input);
    }
}

/// Keeps the input that fails.
fn run(target: &Target, input: &[u8]) {
    if let Err(reason) = panic::catch_unwind(|| (target.run)(input)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(target.name);
        fs::write(&path, input).unwrap();
        eprintln!("the input is in {}", path.display());
        panic::resume_unwind(reason);
    }
}

fn flip(input: &mut [u8], dice: &mut Dice, count: usize) {
    for _ in 0..count.min(input.len()) {
        let at = dice.up_to(input.len());
        input[at] ^= 1 << dice.up_to(8);
    }
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
