//! The census: a list of all records with their holders, for people.

use std::collections::BTreeMap;

use baton_components::arena::Arena;
use baton_components::kinds::Id;
use bevy_ecs::system::Res;

use crate::described::Described;
use crate::entities::{Entities, Entity, Visit};

/// All living records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(pub BTreeMap<Id, Entry>);

/// A record, described for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// A short description.
    pub label: String,
    /// The record that it is a part of.
    pub part_of: Option<Id>,
    /// It has an owner.
    pub owned: bool,
    /// Its reference count, the owner included.
    pub holders: u32,
    /// The records that it holds, with repetitions.
    pub holds: Vec<Id>,
    /// The records that declare a hold on it.
    pub held_by: Vec<Id>,
}

/// Lists all living records.
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
