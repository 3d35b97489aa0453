//! What whoever runs the relay has chosen.

use bevy_ecs::resource::Resource;

#[derive(Clone, Debug, Resource)]
pub struct Settings {
    pub grouping: Grouping,
    /// Whether a producer may delete what it recorded (clear).
    pub clear_allowed: bool,
    pub serve: Served,
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
        }
    }
}
