//! Measurements round by round, and their medians.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entities::{Operation, Witness};
use super::family::{Counts, Kind};
use super::systems::{Act, Tick};
use super::timing::{median, percentile};

/// Results of one population.
#[derive(Debug)]
pub struct Measures {
    /// Records alive at once, as was asked for.
    pub live: u64,
    pub rounds: usize,
    pub seed: u64,
    /// One for each shape, ours first.
    pub entities: Vec<EntityMeasures>,
    pub systems: SystemMeasures,
}

/// Results of one shape.
#[derive(Debug)]
pub struct EntityMeasures {
    pub shape: &'static str,
    /// Records that were alive at once.
    pub records: u64,
    /// Memory that came to the process while they were made.
    pub bytes: u64,
    /// Tells in which order families went.
    pub order: u64,
    /// Count of each operation in the whole run.
    done: [Counts; Operation::ALL.len()],
    rounds: Vec<Round>,
}

/// How much was done in a round, and how long it took.
type Round = BTreeMap<(usize, usize), (u64, Duration)>;

impl EntityMeasures {
    pub fn new(shape: &'static str) -> Self {
        Self {
            shape,
            records: 0,
            bytes: 0,
            order: 0,
            done: [Counts::default(); Operation::ALL.len()],
            rounds: Vec::new(),
        }
    }

    /// Counts what is not measured.
    pub fn count(&mut self, kind: Kind, operation: Operation, count: u64) {
        self.done[operation as usize][kind] += count;
    }

    /// Measures a round.
    pub fn round(&mut self, run: impl FnOnce(&mut Witness)) {
        let mut round = Round::new();
        run(&mut |kind, operation, count, took| {
            self.done[operation as usize][kind] += count;
            let (counted, taken) = round
                .entry((kind as usize, operation as usize))
                .or_default();
            *counted += count;
            *taken += took;
        });
        self.rounds.push(round);
    }

    pub fn done(&self, operation: Operation) -> &Counts {
        &self.done[operation as usize]
    }

    /// Nanoseconds for one, in the median round; none if it is never done.
    pub fn ns(&self, kind: Kind, operation: Operation) -> Option<f64> {
        let key = (kind as usize, operation as usize);
        let values = self.rounds.iter().filter_map(|round| round.get(&key));
        let mut values = values
            .map(|(count, took)| ns(*took) / *count as f64)
            .peekable();
        values.peek()?;
        Some(median(values))
    }

    /// Nanoseconds for the whole life of a record of these kinds.
    pub fn life_ns(&self, kinds: &[Kind]) -> f64 {
        median(self.rounds.iter().map(|round| {
            let (mut records, mut taken) = (0, Duration::ZERO);
            for ((kind, operation), (count, took)) in round {
                if !kinds.iter().any(|it| *it as usize == *kind)
                    || *operation == Operation::LookUp as usize
                {
                    continue;
                }
                taken += *took;
                if *operation == Operation::Create as usize {
                    records += count;
                }
            }
            ns(taken) / records as f64
        }))
    }

    /// Bytes a record; none where the size of a page says more than the records.
    pub fn bytes_per_record(&self) -> Option<f64> {
        (self.records >= RECORDS_FOR_BYTES).then(|| self.bytes as f64 / self.records as f64)
    }
}

/// Below, memory left over from something else is too much of what is seen.
const RECORDS_FOR_BYTES: u64 = 50_000;

/// Results of a whole relay.
#[derive(Debug, Default)]
pub struct SystemMeasures {
    /// Records that were alive at once.
    pub records: u64,
    pub created: Counts,
    pub reclaimed: Counts,
    /// Records that are there at the end.
    pub left: Counts,
    rounds: Vec<BTreeMap<usize, Said>>,
    passes: Vec<Pass>,
    steps: BTreeMap<&'static str, Duration>,
}

/// The messages of some families in a round, with their time.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    families: u64,
    /// All steps up to the reclamation pass.
    systems: Duration,
    reclaim: Duration,
}

/// A reclamation pass: how long it took, and how many it freed.
#[derive(Clone, Copy, Debug)]
struct Pass {
    took: Duration,
    freed: u64,
}

impl SystemMeasures {
    pub fn begin_round(&mut self) {
        self.rounds.push(BTreeMap::new());
    }

    /// Counts a tick that is not measured.
    pub fn count(&mut self, tick: &Tick) {
        self.created.add(&tick.act.made(), tick.families);
        self.reclaimed.add(&tick.act.freed(), tick.families);
    }

    pub fn add(&mut self, tick: &Tick) {
        self.count(tick);
        let reclaim = tick.step("reclaim");
        if let Some(round) = self.rounds.last_mut() {
            let said = round.entry(tick.act as usize).or_default();
            said.families += tick.families;
            said.systems += tick.work().saturating_sub(reclaim);
            said.reclaim += reclaim;
        }
        self.passes.push(Pass {
            took: reclaim,
            freed: tick.act.freed().total() * tick.families,
        });
        for (step, took) in &tick.steps {
            *self.steps.entry(step).or_default() += *took;
        }
    }

    /// Nanoseconds that the systems before the pass take for what one family says.
    pub fn systems_ns(&self, act: Act) -> f64 {
        self.median_ns(act, |said| said.systems)
    }

    /// Nanoseconds of the reclamation pass for the records that one family releases.
    pub fn reclaim_ns(&self, act: Act) -> f64 {
        self.median_ns(act, |said| said.reclaim)
    }

    fn median_ns(&self, act: Act, part: impl Fn(&Said) -> Duration) -> f64 {
        let said = self.rounds.iter().filter_map(|it| it.get(&(act as usize)));
        median(said.map(|said| ns(part(said)) / said.families as f64))
    }

    /// Share of a step in the time of all ticks; the first, in which the network in memory
    /// hands over what was said, is not counted.
    pub fn share(&self, step: &str) -> f64 {
        let all: Duration = self.counted_steps().map(|(_, took)| took).sum();
        let step = self.steps.get(step).copied().unwrap_or_default();
        step.as_secs_f64() / all.as_secs_f64()
    }

    pub fn counted_steps(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let steps = self.steps.iter().map(|(step, took)| (*step, *took));
        steps.filter(|(step, _)| *step != "poll")
    }

    /// Number of passes that freed something.
    pub fn freeing_passes(&self) -> usize {
        self.freeing().count()
    }

    /// A percentile of the nanoseconds of a pass that frees something.
    pub fn pass_ns(&self, percent: f64) -> f64 {
        percentile(self.freeing().map(|pass| ns(pass.took)), percent)
    }

    /// Records freed by a pass that frees any: median and maximum.
    pub fn freed_in_pass(&self, percent: f64) -> f64 {
        percentile(self.freeing().map(|pass| pass.freed as f64), percent)
    }

    /// Nanoseconds for a record that is freed, over all passes.
    pub fn freed_ns(&self) -> f64 {
        let took: Duration = self.freeing().map(|pass| pass.took).sum();
        let freed: u64 = self.freeing().map(|pass| pass.freed).sum();
        ns(took) / freed as f64
    }

    /// Nanoseconds of a pass that finds nothing to free.
    pub fn idle_pass_ns(&self) -> f64 {
        let idle = self.passes.iter().filter(|pass| pass.freed == 0);
        median(idle.map(|pass| ns(pass.took)))
    }

    fn freeing(&self) -> impl Iterator<Item = &Pass> {
        self.passes.iter().filter(|pass| pass.freed > 0)
    }
}

fn ns(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-6
    }

    #[test]
    fn a_life_is_all_operations_but_look_ups_for_each_record() {
        let mut measures = EntityMeasures::new("test");
        for factor in [1, 3, 2] {
            measures.round(|witness| {
                let mut add = |operation, count, ns| {
                    witness(Kind::Stream, operation, count, Duration::from_nanos(ns));
                };
                add(Operation::LookUp, 7, 1_000_000);
                add(Operation::Create, 10, 100 * factor);
                add(Operation::Link, 20, 200 * factor);
                add(Operation::Release, 10, 300 * factor);
                add(Operation::Reclaim, 10, 400 * factor);
            });
        }
        let link = measures.ns(Kind::Stream, Operation::Link);
        assert!(close(link.unwrap(), 20.0));
        assert!(measures.ns(Kind::Trace, Operation::Link).is_none());
        assert!(close(measures.life_ns(&Kind::ALL), 200.0));
        assert_eq!(measures.done(Operation::Link)[Kind::Stream], 60);
    }

    #[test]
    fn passes_that_free_nothing_are_apart() {
        let mut measures = SystemMeasures::default();
        measures.begin_round();
        let step = |name, us| (name, Duration::from_micros(us));
        for (act, reclaim_us) in [(Act::Attach, 1), (Act::Detach, 20), (Act::Detach, 40)] {
            measures.add(&Tick {
                act,
                families: 2,
                steps: vec![
                    step("poll", 500),
                    step("serve", 60),
                    step("reclaim", reclaim_us),
                ],
            });
        }
        assert_eq!(measures.freeing_passes(), 2);
        assert!(close(measures.pass_ns(100.0), 40_000.0));
        assert!(close(measures.idle_pass_ns(), 1000.0));
        assert!(close(measures.freed_ns(), 3000.0));
        assert!(close(measures.share("serve"), 180.0 / 241.0));
        assert!(close(measures.systems_ns(Act::Detach), 30_000.0));
        assert!(close(measures.reclaim_ns(Act::Detach), 15_000.0));
        assert_eq!(measures.created[Kind::ViewerStream], 10);
    }
}
