//! All arenas together, and the only code that changes reference counts.
//!
//! A record declares its holds ([`Holder::holds`]). They are counted here, when the record is
//! added ([`Entities::insert`]), when its links change ([`Entities::relink`],
//! [`Entities::link`], [`Entities::unlink`]) and when it is freed ([`Entities::release_all`]).
//! A hold ([`Held`]) cannot be made elsewhere.
//!
//! [`Held`]: baton_components::hold::Held

use baton_components::arena::Arena;
use baton_components::for_each_kind;
use baton_components::hold::{self, Held, Holder, Holds, Links};
use baton_components::kinds::{EntityKey, Id, Kind};
use baton_components::shares::Shares;
use baton_components::totals::Totals;
use bevy_ecs::resource::Resource;

use crate::described::Described;
use crate::facts::NameFacts;
use crate::gathering::Gathering;

/// A kind of record, with its arena.
pub trait Entity: Holder + Send + Sync + Sized + 'static {
    type Key: EntityKey + Send + Sync;

    fn arena(entities: &mut Entities) -> &mut Arena<Self::Key, Self>;
}

impl Entities {
    /// Adds a record, with an owner, and counts its holds.
    pub fn insert<E: Entity>(&mut self, make: impl FnOnce(&Links) -> E) -> E::Key {
        self.changes += 1;
        let (record, holds) = hold::build(make);
        for hold in holds.iter() {
            self.hold(hold);
        }
        E::arena(self).insert(record)
    }

    /// Changes a living record, including its links: added holds are counted, and removed
    /// ones released. Does nothing if the record is gone.
    pub fn relink<E: Entity>(&mut self, key: E::Key, change: impl FnOnce(&mut E, &Links)) {
        let Some(record) = E::arena(self).get_mut(key) else {
            return;
        };
        let moved = hold::relink(record, change);
        for hold in moved.come() {
            self.hold(hold);
        }
        for hold in moved.gone() {
            self.release(hold);
        }
    }

    /// Adds one link to a living record. A record of many links, as a stream has to its
    /// files, is not looked through for it, as [`Entities::relink`] does.
    pub fn link<E: Entity, K: Copy + Into<Id>>(
        &mut self,
        key: E::Key,
        target: K,
        put: impl FnOnce(&mut E, Held<K>),
    ) {
        if let Some(record) = E::arena(self).get_mut(key) {
            hold::link(record, target, put);
            self.hold(target.into());
        }
    }

    /// Takes links out of a living record, which are released.
    pub fn unlink<E: Entity, K, L>(&mut self, key: E::Key, take: impl FnOnce(&mut E) -> L)
    where
        K: Copy + Into<Id>,
        L: IntoIterator<Item = Held<K>>,
    {
        let taken = E::arena(self).get_mut(key).map(take);
        for link in taken.into_iter().flatten() {
            self.release((&link).into());
        }
    }

    /// Removes the owner of a record; does nothing the second time.
    pub fn disown<E: Entity>(&mut self, key: E::Key) {
        self.changes += 1;
        E::arena(self).disown(key);
    }

    /// Releases all holds of a record that was removed from its arena.
    pub fn release_all(&mut self, record: impl Holder) {
        for hold in Holds::of(&record).iter() {
            self.release(hold);
        }
    }
}

macro_rules! arenas {
    ($($(#[$doc:meta])* $arena:ident: $module:ident::$record:ident, $key:ident, $name:literal, $plural:literal;)*) => {
        /// The arenas, in the order of reclamation: whatever a kind holds comes after it.
        /// One resource, since a hold may be of any kind, so a change of links counts in
        /// several arenas; and each resource costs each system a fetch in each tick.
        #[derive(Debug, Default, Resource)]
        pub struct Entities {
            $($(#[$doc])* pub $arena: Arena<baton_components::keys::$key, baton_components::$module::$record>,)*
            /// Number of records that were made, and of those whose owner let go, so far.
            pub changes: u64,
            /// Quotas: the number and memory of the records, for each address and in total.
            pub shares: Shares,
            /// Counts for monitors.
            pub totals: Totals,
            /// Batches that gather.
            pub gathering: Gathering,
            /// Bytes that were written for all sessions and are not confirmed.
            pub unconfirmed_bytes: u64,
            /// Changes of names on disk, for listeners.
            pub names: NameFacts,
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

            /// Whether there is anything to reclaim.
            pub fn has_condemned(&self) -> bool {
                false $(|| self.$arena.has_condemned())*
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

/// A visitor of the arenas, kind by kind.
pub trait Visit {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>);
}
