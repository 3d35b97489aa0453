//! All arenas together, and the only code that counts holds.
//!
//! A record says what it holds ([`Holder::holds`]). Here those holds are taken when
//! it comes ([`Entities::insert`]), follow when its links change
//! ([`Entities::relink`]) and are released when it goes ([`Entities::release_all`]).

use baton_components::arena::Arena;
use baton_components::for_each_kind;
use baton_components::hold::Holder;
use baton_components::kinds::{EntityKey, Id, Kind};
use bevy_ecs::resource::Resource;

use crate::census::Described;

/// A kind of record, and where its arena is.
pub trait Entity: Holder + Send + Sync + Sized + 'static {
    type Key: EntityKey + Send + Sync;

    fn arena(entities: &mut Entities) -> &mut Arena<Self::Key, Self>;
}

impl Entities {
    /// Adds a record, owned, and takes what it holds.
    pub fn insert<E: Entity>(&mut self, record: E) -> E::Key {
        for hold in holds_of(&record) {
            self.hold(hold);
        }
        E::arena(self).insert(record)
    }

    /// Changes a living record, its links included: what it holds afterwards is
    /// held, what it held before is released. Does nothing on a stale key.
    pub fn relink<E: Entity>(&mut self, key: E::Key, change: impl FnOnce(&mut E)) {
        let Some(record) = E::arena(self).get_mut(key) else {
            return;
        };
        let before = holds_of(record);
        change(record);
        let after = holds_of(record);
        for hold in after {
            self.hold(hold);
        }
        for hold in before {
            self.release(hold);
        }
    }

    /// The owner of a record lets go; nothing the second time.
    pub fn disown<E: Entity>(&mut self, key: E::Key) {
        E::arena(self).disown(key);
    }

    /// Releases what a record that was taken out of its arena held.
    pub fn release_all(&mut self, record: &impl Holder) {
        for hold in holds_of(record) {
            self.release(hold);
        }
    }
}

macro_rules! arenas {
    ($($(#[$doc:meta])* $arena:ident: $module:ident::$record:ident, $key:ident, $name:literal, $plural:literal;)*) => {
        /// The arenas, in the order of reclamation: whatever a kind holds comes after it.
        /// One resource: most systems work on most of them.
        #[derive(Debug, Default, Resource)]
        pub struct Entities {
            $($(#[$doc])* pub $arena: Arena<baton_components::keys::$key, baton_components::$module::$record>,)*
        }

        impl Entities {
            fn hold(&mut self, held: Id) {
                match held.kind {
                    $(Kind::$record => self.$arena.hold(held.key.into()),)*
                }
            }

            fn release(&mut self, held: Id) {
                match held.kind {
                    $(Kind::$record => self.$arena.release(held.key.into()),)*
                }
            }

            /// Visits every arena.
            pub fn walk(&self, visit: &mut impl Visit) {
                $(visit.arena(&self.$arena);)*
            }
        }

        $(impl Entity for baton_components::$module::$record {
            type Key = baton_components::keys::$key;

            fn arena(entities: &mut Entities) -> &mut Arena<Self::Key, Self> {
                &mut entities.$arena
            }
        })*
    };
}

for_each_kind!(arenas);

/// Looks at the arenas, kind by kind.
pub trait Visit {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>);
}

/// A record's holds. Most records have one or two: these stay on the stack.
fn holds_of(record: &impl Holder) -> Holds {
    let mut holds = Holds::new();
    record.holds(&mut |hold| holds.push(hold));
    holds
}

type Holds = smallvec::SmallVec<[Id; 8]>;
