//! Places: the directories that living sessions made, and what is below them.
//!
//! A place belongs to one owner. Another session gets neither it, nor a directory below
//! it, nor one above it.

use std::collections::{BTreeMap, VecDeque};

use crate::limits::SNAPSHOT_PLACES;
use crate::path::RelativePath;
use crate::session::Origin;

#[derive(Debug, Default)]
pub struct Places {
    /// No two of different owners lie in each other, but a trace's in a shared one.
    known: BTreeMap<RelativePath, Place>,
    /// Places of snapshots whose sessions are over, oldest first. More snapshots of that
    /// session daemon may come.
    resting: VecDeque<RelativePath>,
}

#[derive(Debug)]
struct Place {
    owner: Owner,
    /// How many sessions use it.
    sessions: u32,
    /// A chunk that is over stays in it: the next one gets a directory of its own.
    is_settled: bool,
}

/// Whose a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The sessions of one origin.
    Origin(Origin),
    /// The snapshot sessions of one session daemon: each snapshot has a directory of its
    /// own there.
    Snapshots { daemon: [u8; 16] },
    /// Sessions of producers before 2.11. Those of one name and host are taken for the
    /// consumers of one session: their producers say no more.
    Named { name: Vec<u8>, host: Vec<u8> },
    /// One session of a producer before 2.11: a trace's directory.
    Session(u64),
}

impl Places {
    pub fn owner(&self, path: &RelativePath) -> Option<&Owner> {
        self.known.get(path).map(|place| &place.owner)
    }

    /// Whether there is a place below a directory.
    pub fn is_above_some(&self, directory: &RelativePath) -> bool {
        self.below(directory).next().is_some()
    }

    /// Whether there is a place of that owner below a directory.
    pub fn has_below(&self, directory: &RelativePath, owner: &Owner) -> bool {
        self.below(directory).any(|place| place.owner == *owner)
    }

    fn below(&self, directory: &RelativePath) -> impl Iterator<Item = &Place> {
        // No name comes before this one.
        let first = directory.child([1]).expect("law: that is a name");
        let rest = self.known.range(first..);
        rest.take_while(move |(path, _)| path.is_at_or_below(directory))
            .map(|(_, place)| place)
    }

    /// A chunk that is over stays there.
    pub fn settle(&mut self, path: &RelativePath) {
        if let Some(place) = self.known.get_mut(path) {
            place.is_settled = true;
        }
    }

    pub fn is_settled(&self, path: &RelativePath) -> bool {
        self.known.get(path).is_some_and(|place| place.is_settled)
    }

    /// One more session of that owner writes there.
    pub fn enter(&mut self, path: &RelativePath, owner: Owner) {
        let place = self.known.entry(path.clone()).or_insert(Place {
            owner,
            sessions: 0,
            is_settled: false,
        });
        place.sessions += 1;
        self.resting.retain(|resting| resting != path);
    }

    /// A session that wrote there is over.
    pub fn leave(&mut self, path: &RelativePath) {
        let Some(place) = self.known.get_mut(path) else {
            return;
        };
        place.sessions -= 1;
        if place.sessions > 0 {
            return;
        }
        if !matches!(place.owner, Owner::Snapshots { .. }) {
            self.known.remove(path);
            return;
        }
        self.resting.push_back(path.clone());
        if self.resting.len() > SNAPSHOT_PLACES
            && let Some(oldest) = self.resting.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_place_is_found_from_above_it() {
        let mut places = Places::default();
        places.enter(&path("a/b/c"), Owner::Session(1));
        places.enter(&path("a/b-2"), Owner::Session(2));
        for (directory, found) in [
            ("", true),
            ("a", true),
            ("a/b", true),
            ("a/b/c", false),
            ("a/b-2", false),
            ("a/", true),
            ("b", false),
        ] {
            assert_eq!(places.is_above_some(&path(directory)), found, "{directory}");
        }
        places.leave(&path("a/b/c"));
        assert!(!places.is_above_some(&path("a/b")));
        assert!(places.is_above_some(&path("a")));
    }

    #[test]
    fn places_of_snapshots_are_known_for_a_while() {
        let mut places = Places::default();
        let owner = Owner::Snapshots { daemon: [7; 16] };
        for number in 0..=SNAPSHOT_PLACES {
            let path = path(&number.to_string());
            places.enter(&path, owner.clone());
            places.leave(&path);
            // Used again, it is as new.
            let first = self::path("0");
            places.enter(&first, owner.clone());
            places.leave(&first);
        }
        assert_eq!(places.owner(&path("0")), Some(&owner));
        assert_eq!(places.owner(&path("1")), None);
        assert_eq!(places.owner(&path("2")), Some(&owner));
    }
}
