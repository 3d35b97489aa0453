//! `cargo bench -p baton-bench`: the rounds of `baton bench churn`, timed by divan.
//!
//! One iteration is one round: an eighth of the population is freed and created again.

use std::cell::RefCell;

use baton_bench::churn::Scene;
use baton_bench::churn::entities::{Arenas, Bevy, Locked, Population, Shape};
use divan::Bencher;

const SEED: u64 = 1;
const LIVE: [u64; 3] = [1_000, 100_000, 1_000_000];

fn main() {
    divan::main();
}

#[divan::bench(types = [Arenas, Locked, Bevy], args = LIVE, sample_count = 10, sample_size = 1)]
fn entities<S: Shape>(bencher: Bencher, live: u64) {
    let mut population = Population::<S>::new(SEED, false);
    population.fill(live, &mut |_, _, _, _| {});
    let population = RefCell::new(population);
    bencher
        .with_inputs(|| population.borrow_mut().round())
        .bench_local_refs(|steps| population.borrow_mut().run(steps, &mut |_, _, _, _| {}));
}

#[divan::bench(args = LIVE, sample_count = 10, sample_size = 1)]
fn systems(bencher: Bencher, live: u64) {
    let mut scene = Scene::new(SEED, false);
    scene
        .fill(live, &mut |_| {})
        .expect("a relay that takes what peers say");
    bencher.bench_local(|| scene.round(&mut |_| {}));
}
