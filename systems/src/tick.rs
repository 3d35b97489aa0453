//! The tick: everything that a relay does, once, in order.
//!
//! One thread, one world, one schedule. A tick begins by waiting for peers and ends
//! with nothing half done: every reply promised in it was given to the network after
//! what it promises was written, and every record that lost its last holder is gone.

use baton_components::directory::Directory;
use baton_components::time::Now;
use bevy_ecs::schedule::{
    IntoScheduleConfigs, LogLevel, Schedule, ScheduleBuildSettings, SingleThreadedExecutor,
};
use bevy_ecs::world::World;

use crate::agenda::Agenda;
use crate::audit::{self, Audit};
use crate::entities::Entities;
use crate::ports::{ClockPort, NetworkPort, StoragePort};
use crate::settings::Settings;
use crate::{accept, commit, hang_up, ingest, poll, reclaim, serve, timers, transmit};

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
        settings: Settings,
        audited: bool,
    ) -> Self {
        let mut world = World::new();
        Entities::install(&mut world);
        world.init_resource::<Directory>();
        world.init_resource::<Agenda>();
        world.init_resource::<Audit>();
        world.init_resource::<Now>();
        world.insert_resource(settings);
        world.insert_resource(network);
        world.insert_resource(storage);
        world.insert_resource(clock);
        Self {
            world,
            schedule: schedule(audited),
        }
    }

    /// Waits for something to happen, and does all that follows from it.
    pub fn tick(&mut self) {
        self.schedule.run(&mut self.world);
    }

    /// Closes every connection, so that the next tick reclaims everything.
    pub fn hang_up_all(&mut self) {
        self.world
            .run_system_cached(hang_up::hang_up_all)
            .expect("law: the ports and arenas are in the world");
    }

    /// What the arenas hold, one line for each kind that is not empty.
    pub fn remains(&mut self) -> Vec<String> {
        self.world
            .run_system_cached(audit::remains)
            .expect("law: the arenas are in the world")
    }
}

/// The order of a tick.
fn schedule(audited: bool) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.set_executor(SingleThreadedExecutor::new());
    // Two systems that touch the same thing in no stated order are an error.
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..ScheduleBuildSettings::default()
    });
    schedule.add_systems(
        (
            // Wait for peers, and read the clock: once a tick.
            poll::poll,
            accept::accept,
            // Control before data: producers wait for replies, which leave when what they
            // promise is done.
            ingest::control,
            commit::commit,
            transmit::transmit,
            ingest::data,
            serve::serve,
            transmit::transmit,
            // Who waited too long ends; connections that ended let go of what they hold.
            timers::expire,
            hang_up::hang_up,
            // What nobody holds any more is freed.
            reclaim::reclaim,
        )
            .chain(),
    );
    if audited {
        schedule.add_systems(audit::audit.after(reclaim::reclaim));
    }
    schedule
}
