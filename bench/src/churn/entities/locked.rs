//! The original's shape: each object has a lock and an atomic reference count, in one
//! concurrent hash table a kind.
//!
//! An access finds an object by its number, takes a reference, locks it, changes it,
//! unlocks it, and drops the reference. An object is removed from the table when its owner
//! drops it, and freed, with its references to others, when the last reference is dropped.
//!
//! Its counts cannot be audited. Since one thread runs here, no lock is contended and no
//! cache line moves between processors.

use std::cell::RefCell;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_components::path::RelativePath;
use dashmap::DashMap;
use rustc_hash::FxHasher;

use super::super::family::is_listed;
use super::records::{Record, for_kind, missing, trace_path};
use super::{Birth, Counts, Kind, Member, Shape};

type Table = DashMap<u64, Reference, BuildHasherDefault<FxHasher>>;
type Reference = Arc<dyn Object>;

pub struct Locked {
    tables: [Table; Kind::ALL.len()],
    /// Traces by their session's number and their path.
    traces: DashMap<(u64, RelativePath), Reference, BuildHasherDefault<FxHasher>>,
}

/// An object of any kind.
trait Object: Send + Sync {
    fn kind(&self) -> Kind;
    /// Takes a reference for good.
    fn hold(&self, member: Member, held: Reference);
    fn touch(&self);
    /// Lists or counts a holder, or strikes it off.
    fn list(&self, holder: Kind, comes: bool);
}

struct Guarded<R: Record> {
    kind: Kind,
    inner: Mutex<Inner<R>>,
}

struct Inner<R> {
    record: R,
    /// None has more than three.
    holds: [Option<Reference>; 3],
}

thread_local! {
    /// Objects of this thread that are not freed.
    static LIVING: RefCell<Counts> = RefCell::default();
}

impl<R: Record> Guarded<R> {
    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Record> Object for Guarded<R> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hold(&self, member: Member, held: Reference) {
        list(self.kind, &held, true);
        let mut inner = self.lock();
        inner.record.note(member);
        if let Some(place) = inner.holds.iter_mut().find(|place| place.is_none()) {
            *place = Some(held);
        }
    }

    fn touch(&self) {
        self.lock().record.touch();
    }

    fn list(&self, holder: Kind, comes: bool) {
        let mut inner = self.lock();
        match (&inner.holds, comes) {
            // A trace stands for its session.
            ([Some(session), ..], _) if self.kind == Kind::Trace => session.list(holder, comes),
            (_, true) => inner.record.enlist(holder),
            (_, false) => inner.record.strike(holder),
        }
    }
}

impl<R: Record> Drop for Guarded<R> {
    fn drop(&mut self) {
        LIVING.with_borrow_mut(|living| living[self.kind] -= 1);
        // It is not shared yet, so it needs no lock.
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        for held in inner.holds.iter().flatten() {
            list(self.kind, held, false);
        }
    }
}

fn list(holder: Kind, held: &Reference, comes: bool) {
    if is_listed(holder, held.kind()) {
        held.list(holder, comes);
    }
}

impl Locked {
    fn table(&self, kind: Kind) -> &Table {
        &self.tables[kind as usize]
    }

    fn find(&self, member: Member) -> Reference {
        let found = self.table(member.kind).get(&member.id);
        found.map_or_else(|| missing(member), |object| Arc::clone(&object))
    }
}

fn object<R: Record>(member: Member, holds: [Option<Reference>; 3]) -> Reference {
    LIVING.with_borrow_mut(|living| living[member.kind] += 1);
    let kind = member.kind;
    for held in holds.iter().flatten() {
        list(kind, held, true);
    }
    let record = R::numbered(member.id);
    let inner = Mutex::new(Inner { record, holds });
    Arc::new(Guarded { kind, inner })
}

impl Shape for Locked {
    const NAME: &'static str = "locked";

    fn new(_: bool) -> Self {
        Self {
            tables: Default::default(),
            traces: DashMap::default(),
        }
    }

    fn create(&mut self, births: &[Birth]) {
        for Birth { member, holds } in births {
            let [first, second] = holds.map(|held| held.map(|held| self.find(held)));
            let holds = [first, second, None];
            let object = for_kind!(member.kind, R => object::<R>(*member, holds));
            if member.kind == Kind::Trace {
                self.traces
                    .insert((member.id, trace_path()), Arc::clone(&object));
            }
            self.table(member.kind).insert(member.id, object);
        }
    }

    fn link(&mut self, links: &[(Member, Member)]) {
        for (holder, held) in links {
            self.find(*holder).hold(*held, self.find(*held));
        }
    }

    fn look_up(&mut self, members: &[Member]) {
        for member in members {
            self.find(*member).touch();
        }
    }

    fn release(&mut self, members: &[Member]) {
        for member in members {
            if member.kind == Kind::Trace {
                self.traces.remove(&(member.id, trace_path()));
            }
            if self.table(member.kind).remove(&member.id).is_none() {
                missing(*member);
            }
        }
    }

    /// Objects are freed when their last reference is dropped.
    fn reclaim(&mut self) -> Duration {
        Duration::ZERO
    }

    fn counts(&self) -> Counts {
        LIVING.with_borrow(|living| *living)
    }
}
