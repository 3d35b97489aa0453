//! Facts: what happened in this tick, for listeners.
//!
//! Recording pushes facts and knows no listener. A listener is a system that reads the
//! lists that it wants to hear of. Facts are forgotten when all listeners have heard them.
//! Timers and connections that end come after the listeners: their facts are heard in the
//! next tick, which follows at once.

use std::time::Duration;

use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey};
use bevy_ecs::resource::Resource;

/// A list for each kind of fact, each in the order in which they happened. One resource:
/// six of their own cost the systems of each packet more than half a microsecond.
#[derive(Debug, Default, Resource)]
pub struct Facts {
    pub published: Vec<StreamsPublished>,
    pub packets: Vec<PacketComplete>,
    pub beacons: Vec<BeaconMoved>,
    pub closed: Vec<StreamClosed>,
    pub gone: Vec<ProducerGone>,
    pub due: Vec<QuestionDue>,
}

impl Facts {
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
            && self.packets.is_empty()
            && self.beacons.is_empty()
            && self.closed.is_empty()
            && self.gone.is_empty()
            && self.due.is_empty()
    }

    /// All listeners have heard them.
    pub fn clear(&mut self) {
        self.published.clear();
        self.packets.clear();
        self.beacons.clear();
        self.closed.clear();
        self.gone.clear();
        self.due.clear();
    }
}

/// A producer has published streams of its session, together.
#[derive(Debug)]
pub struct StreamsPublished {
    pub session: SessionKey,
    pub streams: Vec<StreamKey>,
}

/// A packet of that stream has both halves: its record may be read.
#[derive(Clone, Copy, Debug)]
pub struct PacketComplete(pub StreamKey);

/// That stream has no event before a later time than was known.
#[derive(Clone, Copy, Debug)]
pub struct BeaconMoved(pub StreamKey);

/// Nothing is added to that stream any more. It is there until listeners have heard.
#[derive(Clone, Copy, Debug)]
pub struct StreamClosed(pub StreamKey);

/// The control connection of that session has ended: no stream is added any more.
#[derive(Clone, Copy, Debug)]
pub struct ProducerGone(pub SessionKey);

/// A viewer's timer has run out, which was due then (monotonic).
#[derive(Clone, Copy, Debug)]
pub struct QuestionDue {
    pub viewer: ViewerSessionKey,
    pub due: Duration,
}
