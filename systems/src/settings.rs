//! What whoever runs the relay has chosen.

use std::time::Duration;

use baton_components::limits::LIVE_HOLD_BACK;
use bevy_ecs::resource::Resource;

#[derive(Clone, Debug, Resource)]
pub struct Settings {
    pub grouping: Grouping,
    /// Whether a producer may delete what it recorded (clear).
    pub clear_allowed: bool,
    pub serve: Served,
    pub hold_back: HoldBack,
}

/// Which sessions viewers may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Served {
    /// Live ones, while their producer is there.
    #[default]
    Live,
    /// Also those that are not live, and those that are over and still known.
    All,
}

/// How old packets and beacons are when viewers are told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoldBack {
    /// [`LIVE_HOLD_BACK`] in sessions with buffers per process, nothing in others.
    #[default]
    Auto,
    /// As old in all sessions.
    Fixed(Duration),
}

impl HoldBack {
    /// For a session that has a stream with a buffer for each process, or one without;
    /// none: as it was.
    pub fn of(self, is_per_process: bool) -> Option<Duration> {
        match self {
            HoldBack::Fixed(time) => Some(time),
            HoldBack::Auto => is_per_process.then_some(LIVE_HOLD_BACK),
        }
    }
}

/// What the directories of sessions are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// `HOST/SESSION-TIME`
    #[default]
    Host,
    /// `SESSION/HOST-TIME`
    Session,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grouping: Grouping::default(),
            clear_allowed: true,
            serve: Served::default(),
            hold_back: HoldBack::default(),
        }
    }
}
