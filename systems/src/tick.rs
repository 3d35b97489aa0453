//! The tick: one turn of the event loop, which runs all systems in order.
//!
//! One thread, one world, one list of steps. A tick begins by waiting for peers and ends
//! with no work half done: every reply was given to the network after the writes that it
//! confirms, and every record that lost its last holder is freed.

use std::cell::OnceCell;
use std::time::Duration;

use baton_components::connection::Probe;
use baton_components::directory::Directory;
use baton_components::probes::Probes;
use baton_components::time::Now;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{BoxedSystem, IntoSystem, SystemParam, SystemState};
use bevy_ecs::world::World;

use crate::agenda::Agenda;
use crate::audit::{self, Audit};
use crate::census::{self, Census};
use crate::count;
use crate::durability::Durability;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::peers::{hang_up, timers, transmit};
use crate::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
use crate::record::{batch, closing, sweep, waiting_metadata, waits};
use crate::retain::Retention;
use crate::retain::reserve::{self, Reserve};
use crate::settings::Settings;
use crate::{durability, ingest, poll, probe, reclaim, retain, serve, status};

/// A relay: a world, and the steps that run over it.
pub struct Relay {
    world: World,
    steps: Vec<Step>,
    observer: Option<StepObserver>,
}

/// Called with the name of each step of a tick when it is done.
type StepObserver = Box<dyn FnMut(&'static str) + Send>;

impl Relay {
    /// An empty relay. With `audited`, each tick ends with the audit, whose result is in
    /// [`Audit`].
    pub fn new(
        network: NetworkPort,
        storage: StoragePort,
        clock: ClockPort,
        chance: ChancePort,
        settings: Settings,
        audited: bool,
    ) -> Self {
        let mut world = World::new();
        let mut entities = Entities {
            shares: settings.shares(),
            ..Entities::default()
        };
        let durability = Durability::new(settings.sync);
        entities.names.are_heard = settings.caps().are_set() || durability.hears_names();
        world.insert_resource(durability);
        world.insert_resource(entities);
        world.insert_resource(Retention::new(settings.caps()));
        let min_free = settings.min_free.bytes();
        world.insert_resource(Reserve::new(min_free, settings.when_full));
        world.init_resource::<Directory>();
        // Recordings of earlier relays are looked for at once.
        world.insert_resource(Agenda {
            is_retention_due: settings.caps().are_set(),
            probes: Probes::new(settings.probes_disk),
            ..Agenda::default()
        });
        world.init_resource::<Audit>();
        world.init_resource::<Now>();
        world.init_resource::<Facts>();
        world.insert_resource(settings);
        world.insert_resource(network);
        world.insert_resource(storage);
        world.insert_resource(clock);
        world.insert_resource(chance);
        let steps = steps(&mut world, audited);
        Self {
            world,
            steps,
            observer: None,
        }
    }

    /// Runs one tick: waits for an event, and handles it completely.
    pub fn tick(&mut self) {
        let mut steps = self.steps.iter_mut();
        loop {
            let work = Work::of(&self.world);
            let Some(step) = steps.find(|step| (step.is_due)(&work)) else {
                return;
            };
            step.system
                .run_without_applying_deferred((), &mut self.world)
                .expect("law: a system cannot fail, and what it takes is in the world");
            if let Some(observer) = &mut self.observer {
                observer(step.name);
            }
        }
    }

    /// For measurements: from now on, calls `done` with the name of each step that had work,
    /// when the step is done.
    pub fn watch(&mut self, done: impl FnMut(&'static str) + Send + 'static) {
        self.observer = Some(Box::new(done));
    }

    /// Read access to a resource of the world.
    pub fn read<R: Resource>(&self) -> &R {
        self.world.resource()
    }

    /// Whether connections are left that the next tick serves without waiting.
    pub fn goes_on(&self) -> bool {
        self.read::<Agenda>().goes_on()
    }

    /// Whether a connection is not read until the disk has what came before.
    pub fn waits_for_disk(&self) -> bool {
        let mut connections = self.read::<Entities>().connections.iter();
        connections.any(|(_, connection)| {
            connection.awaits_batch.is_some() || connection.probe == Probe::Awaited
        })
    }

    /// Whether all that is open can be closed: names are made then.
    pub fn can_hang_up(&self) -> bool {
        let now = self.read::<Now>().monotonic;
        self.read::<Agenda>().probes.are_fresh(now)
    }

    /// Requests that storage has not answered, one line for each record that waits.
    pub fn unanswered(&mut self) -> Vec<String> {
        self.world
            .run_system_cached(waits::unanswered)
            .expect("law: the agenda and the arenas are in the world")
    }

    /// Stops accepting connections.
    pub fn stop_accepting(&mut self) {
        self.world.resource_mut::<NetworkPort>().stop_accepting();
        self.world.resource_mut::<Entities>().totals.is_stopping = true;
    }

    /// Prepares the parameters of a system that is no step of the tick.
    #[doc(hidden)] // For tests and benchmarks, which change the world between ticks.
    pub fn prepare<P: SystemParam + 'static>(&mut self) -> SystemState<P> {
        SystemState::new(&mut self.world)
    }

    /// Borrows prepared parameters.
    #[doc(hidden)]
    pub fn lend<'a, P: SystemParam + 'static>(
        &'a mut self,
        state: &'a mut SystemState<P>,
    ) -> P::Item<'a, 'a> {
        let lent = state.get_mut(&mut self.world);
        lent.expect("law: what a system asks for is in the world")
    }

    /// Closes every connection, so that the next tick reclaims everything.
    pub fn hang_up_all(&mut self) {
        self.world
            .run_system_cached(hang_up::hang_up_all)
            .expect("law: the ports and arenas are in the world");
    }

    /// All living records, with their holders.
    pub fn census(&mut self) -> Census {
        self.world
            .run_system_cached(census::census)
            .expect("law: the arenas are in the world")
    }

    /// The records in the arenas, one line for each kind that is not empty.
    pub fn remains(&mut self) -> Vec<String> {
        self.world
            .run_system_cached(audit::remains)
            .expect("law: the arenas are in the world")
    }
}

/// A step of the tick. Its system acts at once: nothing is deferred to the end of the tick.
struct Step {
    name: &'static str,
    /// Whether there is work for the system. This check is cheaper than a run of a system
    /// that finds no work.
    is_due: fn(&Work) -> bool,
    system: BoxedSystem,
}

/// The input of the checks whether steps are due. Most need the agenda alone, so other
/// resources are looked up on demand, once for all checks until a step runs.
struct Work<'w> {
    agenda: &'w Agenda,
    world: &'w World,
    entities: OnceCell<&'w Entities>,
    facts: OnceCell<&'w Facts>,
    now: OnceCell<Duration>,
}

impl<'w> Work<'w> {
    fn of(world: &'w World) -> Self {
        Self {
            agenda: world.resource(),
            world,
            entities: OnceCell::new(),
            facts: OnceCell::new(),
            now: OnceCell::new(),
        }
    }

    fn entities(&self) -> &'w Entities {
        self.entities.get_or_init(|| self.world.resource())
    }

    fn facts(&self) -> &'w Facts {
        self.facts.get_or_init(|| self.world.resource())
    }

    fn now(&self) -> Duration {
        let now = || self.world.resource::<Now>().monotonic;
        *self.now.get_or_init(now)
    }
}

fn must_commit(work: &Work) -> bool {
    let gathering = &work.entities().gathering;
    let agenda = work.agenda;
    gathering.is_urgent()
        || agenda.commit_by.is_some_and(|by| by <= work.now())
        || (agenda.is_stopping && !gathering.is_empty())
}

fn has_facts(work: &Work) -> bool {
    !work.facts().is_empty()
}

fn has_facts_or_names(work: &Work) -> bool {
    has_facts(work) || !work.entities().names.facts.is_empty()
}

fn must_retain(work: &Work) -> bool {
    (has_facts_or_names(work) || work.agenda.is_retention_due)
        && work.world.resource::<Retention>().is_on()
}

fn must_note(work: &Work) -> bool {
    has_facts_or_names(work) && work.world.resource::<Durability>().hears(work.facts())
}

fn must_sync(work: &Work) -> bool {
    let durability = work.world.resource::<Durability>();
    durability.is_due(work.agenda, work.now())
}

fn must_watch_reserve(work: &Work) -> bool {
    let reserve = work.world.resource::<Reserve>();
    reserve.is_due(work.facts(), work.now())
}

fn may_be_probed(work: &Work) -> bool {
    work.agenda.probes.asked().is_some() && !work.agenda.answers.is_empty()
}

/// Something waits for a probe, or will when all is closed, since the relay is to stop.
fn must_probe(work: &Work) -> bool {
    let probes = &work.agenda.probes;
    let is_stale = || {
        let is_to_stop = work.entities().totals.is_stopping;
        is_to_stop && !work.agenda.is_stopping && !probes.are_fresh(work.now())
    };
    probes.asked().is_none() && (probes.is_wanted || is_stale())
}

fn must_sweep(work: &Work) -> bool {
    let sweeps = &work.agenda.sweeps;
    sweeps.are_left() && sweeps.budget > 0
}

fn must_reclaim(work: &Work) -> bool {
    let probes = &work.agenda.probes;
    work.entities().has_condemned()
        || (!probes.recordings.is_empty() && probes.are_fresh(work.now()))
}

/// The steps of a tick, in their order. A list rather than a `Schedule`: the order is
/// total, so there is nothing to solve, and the executor's own work was a large part of a
/// tick that answers one request (docs/performance.md).
// Long because: it is one list.
fn steps(world: &mut World, audited: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |name, is_due: fn(&Work) -> bool, mut system: BoxedSystem| {
        system.initialize(world);
        steps.push(Step {
            name,
            is_due,
            system,
        });
    };
    // Waits for peers, reads the clock (once a tick), and accepts connections.
    step("poll", |_| true, boxed(poll::poll));
    // Messages and ends that have waited for the disk to answer at all go on in this tick.
    step("probed", may_be_probed, boxed(probe::settle));
    // Chunks that have waited have their place before a command looks at it.
    step("reclaim", must_reclaim, boxed(reclaim::reclaim));
    step(
        "retry",
        |work| work.agenda.is_metadata_due,
        boxed(waiting_metadata::retry),
    );
    // Control before data: producers wait for replies, which leave after the work
    // that they confirm.
    step(
        "control",
        |work| !work.agenda.control.is_empty(),
        boxed(ingest::control),
    );
    step(
        "reply",
        |work| !work.agenda.replies.is_empty(),
        boxed(transmit::reply),
    );
    step(
        "data",
        |work| !work.agenda.data.is_empty() && work.agenda.reads_data(),
        boxed(ingest::data),
    );
    // Records whose requests are answered go on; connections that have waited, in the next
    // tick, when listeners have read what is confirmed.
    step(
        "answers",
        |work| !work.agenda.answers.is_empty(),
        boxed(waits::settle),
    );
    // Listeners read the facts, which are then dropped.
    step("count", has_facts, boxed(count::count));
    step("listen", has_facts, boxed(serve::listen));
    step("reserve", must_watch_reserve, boxed(reserve::watch));
    step("retain", must_retain, boxed(retain::retain));
    step("note", must_note, boxed(durability::note));
    step(
        "let_go",
        has_facts_or_names,
        boxed(closing::let_go_of_closed),
    );
    step(
        "serve",
        |work| !work.agenda.viewers.is_empty(),
        boxed(serve::serve),
    );
    step(
        "status",
        |work| !work.agenda.status.is_empty(),
        boxed(status::answer),
    );
    step(
        "transmit",
        |work| !work.agenda.writable.is_empty(),
        boxed(transmit::transmit),
    );
    // Timers; then connections that ended are closed and release their holds.
    step(
        "expire",
        |work| work.agenda.deadlines.are_due(work.now()),
        boxed(timers::expire),
    );
    step(
        "hang_up",
        |work| !work.agenda.ending.is_empty(),
        boxed(hang_up::hang_up),
    );
    // After the ends of this tick, which have their share of it.
    step("sweep", must_sweep, boxed(sweep::go_on));
    // Storage is to confirm what was written in this tick.
    step("commit", must_commit, boxed(batch::commit));
    // Records that nobody holds any more are freed.
    step("reclaim", must_reclaim, boxed(reclaim::reclaim));
    // Storage is asked whether names can be made, if something waits for that.
    step("probe", must_probe, boxed(probe::ask));
    // After the last writes of chunks that have ended.
    step("sync", must_sync, boxed(durability::sync));
    if audited {
        step("audit", |_| true, boxed(audit::audit));
    }
    steps
}

fn boxed<M>(system: impl IntoSystem<(), (), M>) -> BoxedSystem {
    Box::new(IntoSystem::into_system(system))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use baton_components::connection::Endpoint;

    use super::*;
    use crate::memory::{MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage};

    #[test]
    fn a_watch_is_told_of_the_steps_that_had_work() {
        let network = MemoryNetwork::new();
        let mut relay = Relay::new(
            network.port(),
            MemoryStorage::new().port(),
            MemoryClock::new(0).port(),
            MemoryChance::default().port(),
            Settings::default(),
            false,
        );
        let done = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&done);
        relay.watch(move |step| told.lock().unwrap().push(step));
        relay.tick();
        assert_eq!(*done.lock().unwrap(), ["poll"]);

        let peer = network.connect(Endpoint::Control, "peer");
        peer.reset("reset");
        relay.tick();
        relay.tick();
        assert_eq!(
            *done.lock().unwrap(),
            ["poll", "poll", "poll", "control", "hang_up", "reclaim"]
        );
    }
}
