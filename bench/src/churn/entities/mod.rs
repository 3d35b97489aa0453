//! Entities only: the same records, links, look-ups and releases in three shapes.
//!
//! - [`Arenas`]: ours. Records in arenas, holds counted, the relay's own reclamation pass.
//! - [`Locked`]: that of the original. Objects with a lock and an atomic count each, in
//!   concurrent hash tables.
//! - [`Bevy`]: the design of the arenas, with entities of bevy in their place.
//!
//! The benchmark owns each record until its turn, and kinds have their turns in the order
//! of reclamation, so each step frees records of one kind, whose cost is measured
//! separately. Each shape gets the same work in the same order, by random numbers with the
//! same seed.

mod arenas;
mod bevy;
mod locked;
mod records;

use std::hash::Hasher;
use std::time::Duration;

use rustc_hash::FxHasher;

pub use arenas::Arenas;
pub use bevy::Bevy;
pub use locked::Locked;

use super::family::{BY_BIRTH, Birth, Counts, FAMILY_SIZE, Kind, Member, births, in_family, links};
use super::timing::time;

/// A way to keep records that hold each other. Members that are named are there.
pub trait Shape {
    const NAME: &'static str;

    fn new(audited: bool) -> Self;

    /// Makes records, each with its owner and what it holds.
    fn create(&mut self, births: &[Birth]);

    /// Makes records hold others.
    fn link(&mut self, links: &[(Member, Member)]);

    /// Finds records by their numbers, and changes each.
    fn look_up(&mut self, members: &[Member]);

    /// Takes their owners from records.
    fn release(&mut self, members: &[Member]);

    /// Frees records without holders. Returns the time of that alone.
    fn reclaim(&mut self) -> Duration;

    /// Records that are there.
    fn counts(&self) -> Counts;

    /// Breaches, if the audit ran.
    fn breaches(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An operation on records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Link,
    LookUp,
    Release,
    Reclaim,
}

impl Operation {
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Link,
        Self::LookUp,
        Self::Release,
        Self::Reclaim,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Link => "link",
            Self::LookUp => "look_up",
            Self::Release => "release",
            Self::Reclaim => "reclaim",
        }
    }
}

/// One kind's part of a round, made beforehand so that nothing else is measured.
#[derive(Debug)]
pub struct KindWork {
    kind: Kind,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Create(Vec<Birth>),
    Link(Vec<(Member, Member)>),
    LookUp(Vec<Member>),
    Release(Vec<Member>),
    /// So many were released.
    Reclaim(usize),
}

/// Gets what each step of a round took: of which kind, what, how many, how long.
pub type Witness<'a> = dyn FnMut(Kind, Operation, u64, Duration) + 'a;

impl KindWork {
    fn operation(&self) -> (Operation, usize) {
        match &self.work {
            Work::Create(births) => (Operation::Create, births.len()),
            Work::Link(links) => (Operation::Link, links.len()),
            Work::LookUp(members) => (Operation::LookUp, members.len()),
            Work::Release(members) => (Operation::Release, members.len()),
            Work::Reclaim(count) => (Operation::Reclaim, *count),
        }
    }

    fn run<S: Shape>(&self, shape: &mut S) -> Duration {
        match &self.work {
            Work::Create(births) => time(|| shape.create(births)),
            Work::Link(links) => time(|| shape.link(links)),
            Work::LookUp(members) => time(|| shape.look_up(members)),
            Work::Release(members) => time(|| shape.release(members)),
            Work::Reclaim(_) => shape.reclaim(),
        }
    }
}

/// Families in one shape.
pub struct Population<S> {
    pub shape: S,
    living: Vec<u64>,
    next: u64,
    chance: fastrand::Rng,
    order: FxHasher,
}

impl<S: Shape> Population<S> {
    pub fn new(seed: u64, audited: bool) -> Self {
        Self {
            shape: S::new(audited),
            living: Vec::new(),
            next: 0,
            chance: fastrand::Rng::with_seed(seed),
            order: FxHasher::default(),
        }
    }

    /// The same for all whose families went in the same order.
    pub fn order(&self) -> u64 {
        self.order.finish()
    }

    /// Lives up to so many records, one family at least.
    pub fn fill(&mut self, live: u64, witness: &mut Witness) {
        for _ in 0..families(live) {
            let steps = self.bear(1);
            self.run(&steps, witness);
        }
    }

    /// Some families go, chosen by chance, and as many come. Before that, streams and
    /// sessions are looked up by chance. [`Population::run`] must follow.
    pub fn round(&mut self) -> Vec<KindWork> {
        let batch = batch(self.living.len());
        let mut steps = Vec::new();
        for kind in LOOKED_UP {
            let members = (0..batch as u64 * LOOK_UPS_PER_FAMILY).map(|_| {
                let family = self.living[self.chance.usize(..self.living.len())];
                Member::new(kind, family, self.chance.u64(..in_family(kind)))
            });
            let work = Work::LookUp(members.collect());
            steps.push(KindWork { kind, work });
        }
        steps.extend(self.bury(batch));
        steps.extend(self.bear(batch));
        steps
    }

    /// All families go. [`Population::run`] must follow.
    pub fn drain(&mut self) -> Vec<KindWork> {
        self.bury(self.living.len())
    }

    pub fn run(&mut self, steps: &[KindWork], witness: &mut Witness) {
        for step in steps {
            let took = step.run(&mut self.shape);
            let (operation, count) = step.operation();
            witness(step.kind, operation, count as u64, took);
        }
    }

    fn bear(&mut self, count: usize) -> Vec<KindWork> {
        let born: Vec<u64> = (self.next..).take(count).collect();
        self.next += count as u64;
        self.living.extend(&born);
        let creations = BY_BIRTH.into_iter().map(|kind| {
            let births = born.iter().flat_map(|family| births(kind, *family));
            let work = Work::Create(births.collect());
            KindWork { kind, work }
        });
        let links = Kind::ALL.into_iter().map(|kind| {
            let links = born.iter().flat_map(|family| links(kind, *family));
            let work = Work::Link(links.collect());
            KindWork { kind, work }
        });
        let has_some = |step: &KindWork| step.operation().1 > 0;
        creations.chain(links).filter(has_some).collect()
    }

    fn bury(&mut self, count: usize) -> Vec<KindWork> {
        let mut going: Vec<u64> = Vec::with_capacity(count);
        for _ in 0..count {
            let at = self.chance.usize(..self.living.len());
            let family = self.living.swap_remove(at);
            self.order.write_u64(family);
            going.push(family);
        }
        let releases = Kind::ALL.into_iter().flat_map(|kind| {
            let births = going.iter().flat_map(|family| births(kind, *family));
            let members: Vec<Member> = births.map(|birth| birth.member).collect();
            let reclaim = Work::Reclaim(members.len());
            [Work::Release(members), reclaim].map(|work| KindWork { kind, work })
        });
        releases.collect()
    }
}

/// Number of families for a number of records.
pub fn families(live: u64) -> u64 {
    ((live + FAMILY_SIZE / 2) / FAMILY_SIZE).max(1)
}

/// Number of families that a round replaces: an eighth, so that in a large population the
/// caches are exceeded between steps; and a minimum that can be measured in a small one.
fn batch(families: usize) -> usize {
    (families / 8).max(BATCH_MIN).min(families)
}

const BATCH_MIN: usize = 64;

/// The kinds that nearly every message names.
pub const LOOKED_UP: [Kind; 2] = [Kind::Stream, Kind::Session];
const LOOK_UPS_PER_FAMILY: u64 = 5;

#[cfg(test)]
mod tests;
