//! The tick: everything that a relay does, once, in order.
//!
//! One thread, one world, one schedule. A tick begins by waiting for peers and ends
//! with nothing half done: every reply promised in it was given to the network after
//! what it promises was written, and every record that lost its last holder is gone.

use baton_components::directory::Directory;
use baton_components::time::Now;
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::{
    IntoScheduleConfigs, LogLevel, Schedule, ScheduleBuildSettings, SingleThreadedExecutor,
    SystemSet,
};
use bevy_ecs::system::{Res, ResMut};
use bevy_ecs::world::World;

use crate::agenda::Agenda;
use crate::audit::{self, Audit};
use crate::census::{self, Census};
use crate::entities::Entities;
use crate::facts::Facts;
use crate::peers::{accept, hang_up, timers, transmit};
use crate::ports::{ChancePort, ClockPort, NetworkPort, StoragePort};
use crate::record::{closing, commit, waiting_metadata};
use crate::settings::Settings;
use crate::{ingest, poll, reclaim, serve};

/// A relay: a world and the schedule that runs over it.
pub struct Relay {
    pub world: World,
    schedule: Schedule,
}

impl Relay {
    /// A relay with nothing in it. With `audited`, each tick ends with a recount of
    /// every hold, found in [`Audit`].
    pub fn new(
        network: NetworkPort,
        storage: StoragePort,
        clock: ClockPort,
        chance: ChancePort,
        settings: Settings,
        audited: bool,
    ) -> Self {
        let mut world = World::new();
        world.init_resource::<Entities>();
        world.init_resource::<Directory>();
        world.init_resource::<Agenda>();
        world.init_resource::<Audit>();
        world.init_resource::<Now>();
        world.init_resource::<Facts>();
        world.insert_resource(settings);
        world.insert_resource(network);
        world.insert_resource(storage);
        world.insert_resource(clock);
        world.insert_resource(chance);
        Self {
            world,
            schedule: schedule(audited),
        }
    }

    /// Waits for something to happen, and does all that follows from it.
    pub fn tick(&mut self) {
        self.schedule.run(&mut self.world);
    }

    /// Calls `done` with the name of each step of a tick when it is done, from now on:
    /// for whoever measures. A relay that is not watched pays nothing for it.
    pub fn watch(&mut self, done: impl FnMut(&'static str) + Send + Sync + 'static) {
        self.world.insert_resource(Watch(Box::new(done)));
        for (at, step) in STEPS.into_iter().enumerate() {
            let told = (move |mut watch: ResMut<Watch>| (watch.0)(step.0)).after(step);
            self.schedule.add_systems(match STEPS.get(at + 1) {
                Some(next) => told.before(*next),
                None => told,
            });
        }
    }

    /// Closes every connection, so that the next tick reclaims everything.
    pub fn hang_up_all(&mut self) {
        self.world
            .run_system_cached(hang_up::hang_up_all)
            .expect("law: the ports and arenas are in the world");
    }

    /// Every living record, and who holds it.
    pub fn census(&mut self) -> Census {
        self.world
            .run_system_cached(census::census)
            .expect("law: the arenas are in the world")
    }

    /// What the arenas hold, one line for each kind that is not empty.
    pub fn remains(&mut self) -> Vec<String> {
        self.world
            .run_system_cached(audit::remains)
            .expect("law: the arenas are in the world")
    }
}

/// Who is told of the steps of a tick.
#[derive(Resource)]
struct Watch(Box<dyn FnMut(&'static str) + Send + Sync>);

/// A step of the tick, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, SystemSet)]
struct Step(&'static str);

/// The steps of a tick, in their order.
const STEPS: [Step; 14] = [
    Step("poll"),
    Step("accept"),
    Step("retry"),
    Step("control"),
    Step("commit"),
    Step("reply"),
    Step("data"),
    Step("listen"),
    Step("let_go"),
    Step("serve"),
    Step("transmit"),
    Step("expire"),
    Step("hang_up"),
    Step("reclaim"),
];

/// Whether systems have anything to do. To ask is cheaper than to hand them all that they
/// work on; to ask for a few together is cheaper than for each.
fn there_is(work: fn(&Agenda) -> bool) -> impl FnMut(Res<Agenda>) -> bool {
    move |agenda| work(&agenda)
}

/// The order of a tick.
fn schedule(audited: bool) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.set_executor(SingleThreadedExecutor::new());
    // Systems act at once: no command waits for the end of the tick.
    schedule.set_apply_final_deferred(false);
    // Two systems that touch the same thing in no stated order are an error.
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..ScheduleBuildSettings::default()
    });
    schedule.add_systems(
        (
            // Wait for peers, and read the clock: once a tick.
            poll::poll.in_set(Step("poll")),
            accept::accept.in_set(Step("accept")),
            waiting_metadata::retry
                .in_set(Step("retry"))
                .run_if(there_is(|agenda| !agenda.waiting_metadata.is_empty())),
            // Control before data: producers wait for replies, which leave when what they
            // promise is done.
            (
                ingest::control.in_set(Step("control")),
                commit::commit.in_set(Step("commit")),
                transmit::transmit.in_set(Step("reply")),
            )
                .chain()
                .run_if(there_is(|agenda| {
                    !agenda.control.is_empty()
                        || agenda.commit_now
                        || agenda.commit_by.is_some()
                        || !agenda.writable.is_empty()
                })),
            ingest::data
                .in_set(Step("data"))
                .run_if(there_is(|agenda| !agenda.data.is_empty())),
            // Facts are heard, and forgotten.
            (
                serve::listen.in_set(Step("listen")),
                closing::let_go_of_closed.in_set(Step("let_go")),
            )
                .chain()
                .run_if(|facts: Res<Facts>| !facts.is_empty()),
            (
                serve::serve.in_set(Step("serve")),
                transmit::transmit.in_set(Step("transmit")),
            )
                .chain()
                .run_if(there_is(|agenda| {
                    !agenda.viewers.is_empty() || !agenda.writable.is_empty()
                })),
            // Who waited too long ends; connections that ended let go of what they hold.
            (
                timers::expire.in_set(Step("expire")),
                hang_up::hang_up.in_set(Step("hang_up")),
            )
                .chain()
                .run_if(|agenda: Res<Agenda>, now: Res<Now>| {
                    agenda.deadlines.are_due(now.monotonic) || !agenda.ending.is_empty()
                }),
            // What nobody holds any more is freed.
            reclaim::reclaim.in_set(Step("reclaim")),
        )
            .chain(),
    );
    if audited {
        schedule.add_systems(audit::audit.after(reclaim::reclaim));
    }
    schedule
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::memory::{MemoryChance, MemoryClock, MemoryNetwork, MemoryStorage};

    #[test]
    fn who_watches_is_told_of_every_step_in_the_order_of_the_tick() {
        let mut relay = Relay::new(
            MemoryNetwork::new().port(),
            MemoryStorage::new().port(),
            MemoryClock::new(0).port(),
            MemoryChance::default().port(),
            Settings::default(),
            false,
        );
        relay.tick();
        let systems = relay.schedule.systems_len();
        assert_eq!(systems, STEPS.len(), "a step has no name");
        let done = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&done);
        relay.watch(move |step| told.lock().unwrap().push(step));
        relay.tick();
        let expected = STEPS.map(|step| step.0);
        assert_eq!(*done.lock().unwrap(), expected);
    }
}
