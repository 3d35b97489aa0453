//! The census: which records there are, and who holds whom, for people.

mod described;

use std::collections::BTreeMap;

use baton_components::arena::Arena;
use baton_components::kinds::Id;
use bevy_ecs::system::Res;

use crate::entities::{Entities, Entity, Visit};

pub use described::Described;

/// All living records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(pub BTreeMap<Id, Entry>);

/// A record, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is, in a few words.
    pub label: String,
    /// What it is a part of.
    pub part_of: Option<Id>,
    /// Its owner is there.
    pub owned: bool,
    /// How many hold it by its own count, the owner included.
    pub holders: u32,
    /// Whom it holds; twice if twice.
    pub holds: Vec<Id>,
    /// Who holds it by their own word.
    pub held_by: Vec<Id>,
}

/// Looks at everything there is.
pub fn census(entities: Res<Entities>) -> Census {
    let mut census = Census::default();
    entities.walk(&mut census);
    let links: Vec<(Id, Id)> = census
        .0
        .iter()
        .flat_map(|(id, entry)| entry.holds.iter().map(|held| (*id, *held)))
        .collect();
    for (holder, held) in links {
        if let Some(entry) = census.0.get_mut(&held) {
            entry.held_by.push(holder);
        }
    }
    census
}

impl Visit for Census {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>) {
        for (key, record) in arena.iter() {
            let mut holds = Vec::new();
            record.holds(&mut |hold| holds.push(hold));
            let entry = Entry {
                label: record.label(),
                part_of: record.part_of(),
                owned: arena.is_owned(key),
                holders: arena.holders(key),
                holds,
                held_by: Vec::new(),
            };
            self.0.insert(key.into(), entry);
        }
    }
}
