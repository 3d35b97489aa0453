//! What whoever runs the relay has chosen.

use bevy_ecs::resource::Resource;

#[derive(Clone, Debug, Resource)]
pub struct Settings {
    /// Whether a producer may delete what it recorded (clear).
    pub clear_allowed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clear_allowed: true,
        }
    }
}
