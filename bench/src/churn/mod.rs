//! Entity churn in process: the cost of creating and freeing sessions, streams and viewers.
//!
//! Two layers. `systems`: peers send messages to a whole relay, and its ticks are measured.
//! [`entities`]: the arenas alone, the original's shape and a bevy world do the same work
//! in alternating rounds. All times are CPU times of this thread.

mod bars;
mod census;
pub mod entities;
mod family;
mod measures;
mod nowhere;
mod report;
mod systems;
mod table;
mod timing;

use std::io;

pub use measures::Measures;
pub use report::Format;
pub use systems::Scene;

use entities::{Arenas, Bevy, Locked, Population, Shape};
use measures::{EntityMeasures, SystemMeasures};
use timing::resident_bytes;

/// The options of the benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Populations: how many records are alive at once.
    pub live: Vec<u64>,
    /// Number of rounds: a part of the population is replaced and measured in each.
    pub rounds: usize,
    /// Seed of the random numbers: the same seed gives the same work.
    pub seed: u64,
    pub format: Format,
    /// Recount every hold after each tick (slow).
    pub audited: bool,
}

/// Measures each population of a plan, and passes each result to `show`.
pub fn run(plan: &Plan, mut show: impl FnMut(&Measures) -> io::Result<()>) -> io::Result<()> {
    for live in &plan.live {
        let entities = run_entities(plan, *live)?;
        let systems = run_systems(plan, *live)?;
        show(&Measures {
            live: *live,
            rounds: plan.rounds,
            seed: plan.seed,
            entities,
            systems,
        })?;
    }
    Ok(())
}

fn run_entities(plan: &Plan, live: u64) -> io::Result<Vec<EntityMeasures>> {
    let (mut arenas, mut ours) = populate::<Arenas>(plan, live);
    let (mut locked, mut original) = populate::<Locked>(plan, live);
    let (mut world, mut of_bevy) = populate::<Bevy>(plan, live);
    for _ in 0..plan.rounds {
        replace(&mut arenas, &mut ours);
        replace(&mut locked, &mut original);
        replace(&mut world, &mut of_bevy);
    }
    end(arenas, &mut ours)?;
    end(locked, &mut original)?;
    end(world, &mut of_bevy)?;
    Ok(vec![ours, original, of_bevy])
}

fn populate<S: Shape>(plan: &Plan, live: u64) -> (Population<S>, EntityMeasures) {
    let before = resident_bytes();
    let mut population = Population::<S>::new(plan.seed, plan.audited);
    let mut measures = EntityMeasures::new(S::NAME);
    population.fill(live, &mut |kind, operation, count, _| {
        measures.count(kind, operation, count);
    });
    measures.records = population.shape.counts().total();
    measures.bytes = resident_bytes().saturating_sub(before);
    (population, measures)
}

fn replace<S: Shape>(population: &mut Population<S>, measures: &mut EntityMeasures) {
    let steps = population.round();
    measures.round(|witness| population.run(&steps, witness));
}

/// Frees all: the arenas must be empty, and the audit clean.
fn end<S: Shape>(mut population: Population<S>, measures: &mut EntityMeasures) -> io::Result<()> {
    let steps = population.drain();
    population.run(&steps, &mut |kind, operation, count, _| {
        measures.count(kind, operation, count);
    });
    measures.order = population.order();
    let left = population.shape.counts().total();
    let mut faults = population.shape.breaches();
    if left > 0 {
        faults.push(format!("{left} records are left"));
    }
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(io::Error::other(format!("{}: {fault}", S::NAME))),
    }
}

fn run_systems(plan: &Plan, live: u64) -> io::Result<SystemMeasures> {
    let mut scene = Scene::new(plan.seed, plan.audited);
    let mut measures = SystemMeasures::default();
    scene.fill(live, &mut |tick| measures.count(&tick))?;
    measures.records = scene.counts().total();
    for _ in 0..plan.rounds {
        measures.begin_round();
        scene.round(&mut |tick| measures.add(&tick))?;
    }
    scene.drain(&mut |tick| measures.count(&tick))?;
    measures.left = scene.counts();
    Ok(measures)
}
