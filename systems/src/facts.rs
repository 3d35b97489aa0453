//! Facts: what happened in this tick, for listeners.
//!
//! Recording pushes facts and knows no listener. A listener is a system whose parameters
//! name the fact. Each kind is a plain list, cleared when all listeners have heard it.
//! Timers and connections that end come after the listeners: their facts are heard in the
//! next tick, which follows at once.

use std::time::Duration;

use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut, SystemParam};
use bevy_ecs::world::World;

/// The facts of one kind, in the order in which they happened.
#[derive(Debug, Resource)]
pub struct Facts<T: Send + Sync + 'static>(pub Vec<T>);

impl<T: Send + Sync + 'static> Default for Facts<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Send + Sync + 'static> Facts<T> {
    pub fn push(&mut self, fact: T) {
        self.0.push(fact);
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

macro_rules! facts {
    ($($list:ident: $fact:ident,)*) => {
        /// Where recording and timers put their facts.
        #[derive(SystemParam)]
        pub struct Happened<'w> {
            $(pub $list: ResMut<'w, Facts<$fact>>,)*
        }

        /// Whether there are facts that nobody has heard.
        pub fn are_unheard($($list: Res<Facts<$fact>>),*) -> bool {
            $(!$list.0.is_empty())||*
        }

        /// All listeners have heard all facts.
        pub fn clear(mut happened: Happened) {
            $(happened.$list.0.clear();)*
        }

        /// Adds an empty list of each kind to a world.
        pub fn init(world: &mut World) {
            $(world.init_resource::<Facts<$fact>>();)*
        }

        impl Happened<'_> {
            pub fn is_empty(&self) -> bool {
                $(self.$list.0.is_empty())&&*
            }
        }
    };
}

facts! {
    published: StreamsPublished,
    packets: PacketComplete,
    beacons: BeaconMoved,
    closed: StreamClosed,
    gone: ProducerGone,
    due: QuestionDue,
}
