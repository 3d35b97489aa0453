//! Whole systems: peers send messages to a relay, and its ticks are measured.
//!
//! The relay runs the daemon's steps, on a network in memory and a null disk. A batch of
//! families sends the same message, and its tick is measured step by step. Encoding, the
//! peers' side of the network and the reading of replies are outside of ticks. After each
//! tick the arenas must have the expected number of records.

mod act;
mod peers;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_systems::audit::Audit;
use baton_systems::memory::{MemoryChance, MemoryClock, MemoryNetwork};
use baton_systems::ports::StoragePort;
use baton_systems::settings::Settings;
use baton_systems::tick::Relay;

pub use act::Act;
use peers::Peers;

use super::census;
use super::entities::families;
use super::family::Counts;
use super::nowhere::Nowhere;
use super::timing::{between, cpu_time};

/// A relay with its peers.
pub struct Scene {
    relay: Relay,
    network: MemoryNetwork,
    clock: MemoryClock,
    steps: Arc<Mutex<Vec<(&'static str, Duration)>>>,
    living: Vec<Peers>,
    /// Records that ought to be there.
    expected: Counts,
    next: u64,
    chance: fastrand::Rng,
}

/// One tick: what was said in it, by how many families, and its steps.
#[derive(Debug)]
pub struct Tick {
    pub act: Act,
    pub families: u64,
    pub steps: Vec<(&'static str, Duration)>,
}

impl Tick {
    pub fn step(&self, name: &str) -> Duration {
        let step = self.steps.iter().find(|(step, _)| *step == name);
        step.map_or(Duration::ZERO, |(_, took)| *took)
    }

    /// All steps but the first, in which the network in memory hands over what was said.
    pub fn work(&self) -> Duration {
        let steps = self.steps.iter().filter(|(step, _)| *step != "poll");
        steps.map(|(_, took)| *took).sum()
    }
}

/// Receives the measures of every tick.
pub type Witness<'a> = dyn FnMut(Tick) + 'a;

impl Scene {
    pub fn new(seed: u64, audited: bool) -> Self {
        let network = MemoryNetwork::new();
        let clock = MemoryClock::new(0);
        let mut relay = Relay::new(
            network.port(),
            StoragePort::new(Box::new(Nowhere::default())),
            clock.port(),
            MemoryChance::default().port(),
            Settings::default(),
            audited,
        );
        let steps = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&steps);
        let mut before = Duration::ZERO;
        relay.watch(move |step| {
            let took = between(before, cpu_time());
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((step, took));
            before = cpu_time();
        });
        Self {
            relay,
            network,
            clock,
            steps,
            living: Vec::new(),
            expected: Counts::default(),
            next: 0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Creates families up to a number of records, at least one family.
    pub fn fill(&mut self, live: u64, witness: &mut Witness) -> io::Result<()> {
        let mut missing = families(live) as usize;
        while missing > 0 {
            let batch = missing.min(BATCH_MAX);
            self.come(batch, witness)?;
            missing -= batch;
        }
        Ok(())
    }

    /// Some families go, chosen by chance, and as many come: an eighth of them, and of a
    /// small population as many as there are.
    pub fn round(&mut self, witness: &mut Witness) -> io::Result<()> {
        let living = self.living.len();
        let mut left = (living / 8).max(ROUND_MIN).min(living);
        let mut at_once = false;
        while left > 0 {
            let batch = left.min(BATCH_MAX).min(living.div_ceil(2));
            self.go(batch, at_once, witness)?;
            self.come(batch, witness)?;
            at_once = !at_once;
            left -= batch;
        }
        Ok(())
    }

    /// All families go.
    pub fn drain(&mut self, witness: &mut Witness) -> io::Result<()> {
        while !self.living.is_empty() {
            self.go(self.living.len().min(BATCH_MAX), false, witness)?;
        }
        let remains = self.relay.remains();
        if remains.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(remains.join(", ")))
        }
    }

    /// Records that are there.
    pub fn counts(&self) -> Counts {
        census::counts(self.relay.read())
    }

    fn come(&mut self, count: usize, witness: &mut Witness) -> io::Result<()> {
        let numbers = self.next..self.next + count as u64;
        self.next = numbers.end;
        let mut coming: Vec<Peers> = numbers
            .map(|number| Peers::connect(&self.network, number))
            .collect();
        for act in Act::COMING {
            self.act(act, &mut coming, witness)?;
        }
        self.living.append(&mut coming);
        Ok(())
    }

    fn go(&mut self, count: usize, at_once: bool, witness: &mut Witness) -> io::Result<()> {
        let mut going = Vec::with_capacity(count);
        for _ in 0..count {
            let at = self.chance.usize(..self.living.len());
            going.push(self.living.swap_remove(at));
        }
        let acts: &[Act] = if at_once {
            &Act::GOING_AT_ONCE
        } else {
            &Act::GOING
        };
        for act in acts {
            self.act(*act, &mut going, witness)?;
        }
        Ok(())
    }

    /// Sends a message of each of these families, and ticks.
    fn act(&mut self, act: Act, peers: &mut [Peers], witness: &mut Witness) -> io::Result<()> {
        for peers in peers.iter_mut() {
            peers.say(act);
        }
        // Time passes, so that timers come and go.
        self.clock.advance(TICK);
        self.relay.tick();
        // The work of a tick is bounded: what is left is done in the next ones.
        while !self.network.is_idle() {
            self.relay.tick();
        }
        if act == Act::LeaveAll {
            // Streams that close with their connections are freed in the next tick, after
            // the listeners have read the fact.
            self.relay.tick();
        }
        for peers in peers.iter_mut() {
            peers.hear(act)?;
        }
        let families = peers.len() as u64;
        self.expected.add(&act.made(), families);
        let mut gone = Counts::default();
        gone.add(&act.freed(), families);
        self.expected = self.expected.without(&gone);
        self.check(act)?;
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        witness(Tick {
            act,
            families,
            steps: std::mem::take(&mut steps),
        });
        Ok(())
    }

    fn check(&self, act: Act) -> io::Result<()> {
        let breaches = &self.relay.read::<Audit>().breaches;
        if let Some(breach) = breaches.first() {
            return Err(io::Error::other(format!("{}: {breach}", act.name())));
        }
        let counts = self.counts();
        if counts == self.expected {
            return Ok(());
        }
        let expected = &self.expected;
        Err(io::Error::other(format!(
            "{}: {counts:?} are there, {expected:?} were expected",
            act.name()
        )))
    }
}

/// Families that speak in one tick: as many as have their connections accepted in one.
const BATCH_MAX: usize = 16;
/// Families that are replaced in a round at least, if there are as many.
const ROUND_MIN: usize = 64;
/// Time from one tick to the next.
const TICK: Duration = Duration::from_millis(10);
