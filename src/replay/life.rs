//! Prints the life of one record: made, held, released, freed (`--watch`).

use std::fmt::Write as _;

use baton_components::kinds::Id;
use baton_systems::census::{Census, Entry};

#[derive(Clone, Copy, Debug)]
pub struct Life {
    id: Id,
    /// It was there after some tick.
    is_seen: bool,
}

impl Life {
    pub fn new(id: Id) -> Self {
        Self { id, is_seen: false }
    }

    /// The record, if it was never there.
    pub fn never_seen(self) -> Option<Id> {
        (!self.is_seen).then_some(self.id)
    }

    /// The changes of the record between two ticks, as lines.
    pub fn compare(&mut self, tick: u64, before: &Census, now: &Census) -> String {
        let id = self.id;
        self.is_seen |= now.0.contains_key(&id);
        let mut text = String::new();
        let mut say = |what: String| {
            let _ = writeln!(text, "tick {tick}: {id} {what}");
        };
        match (before.0.get(&id), now.0.get(&id)) {
            (None, None) => {}
            (None, Some(entry)) => {
                say(format!("is made: {}", entry.label));
                changes(&Entry::default(), entry, &mut say);
            }
            (Some(old), Some(new)) => changes(old, new, &mut say),
            (Some(old), None) => {
                changes(old, &Entry::default(), &mut say);
                say("is freed".to_owned());
            }
        }
        text
    }
}

fn changes(old: &Entry, new: &Entry, say: &mut impl FnMut(String)) {
    match (old.owned, new.owned) {
        (false, true) => say("is owned".to_owned()),
        (true, false) => say("is disowned".to_owned()),
        _ => {}
    }
    for id in without(&new.held_by, &old.held_by) {
        say(format!("is held by {id}"));
    }
    for id in without(&old.held_by, &new.held_by) {
        say(format!("is released by {id}"));
    }
    for id in without(&new.holds, &old.holds) {
        say(format!("holds {id}"));
    }
    for id in without(&old.holds, &new.holds) {
        say(format!("lets go of {id}"));
    }
}

/// The difference of two lists, as multisets.
pub fn without(one: &[Id], other: &[Id]) -> Vec<Id> {
    let mut left = one.to_vec();
    for id in other {
        if let Some(at) = left.iter().position(|it| it == id) {
            left.remove(at);
        }
    }
    left
}
