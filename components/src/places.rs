//! Places: ownership of the directories of living sessions, and of everything below them.
//!
//! A place has one owner. Other sessions cannot have it, nor a directory below or above it.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::SNAPSHOT_PLACES;
use crate::path::RelativePath;
use crate::session::Origin;

/// The places of living sessions, and those of snapshots that are over.
#[derive(Debug, Default)]
pub struct Places {
    /// All places by path. Places of different owners are never nested, except that of a trace
    /// in a shared one.
    known: BTreeMap<RelativePath, Place>,
    /// The same, by their owners.
    owned: BTreeSet<(Owner, RelativePath)>,
    /// Where an owner's place is that asked for a path and got another.
    asked: BTreeMap<(Owner, RelativePath), RelativePath>,
    /// Places of snapshots whose sessions are over, oldest first. More snapshots of that
    /// session daemon may come.
    resting: BTreeMap<u64, RelativePath>,
    /// The number of the next of these.
    next_rest: u64,
}

#[derive(Debug)]
struct Place {
    owner: Owner,
    /// The path that was asked for.
    asked: RelativePath,
    /// Number of sessions that use it.
    sessions: u32,
    /// Its number among those that rest, if none uses it.
    rest: Option<u64>,
    /// The files of a completed chunk stay in it: the next chunk gets its own directory.
    is_settled: bool,
}

/// The owner of a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The sessions of one origin.
    Origin(Origin),
    /// The snapshot sessions of one session daemon: each snapshot has a directory of its
    /// own there.
    Snapshots {
        /// UUID of the session daemon, see [`Origin::daemon`].
        daemon: [u8; 16],
    },
    /// Sessions of producers before 2.11. Those of one name and host are treated as the
    /// consumers of one session, since the protocol has no origin there.
    Named(Box<Names>),
    /// One session of a producer before 2.11: a trace's directory.
    Session(u64),
}

/// Names of a session and of its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Names {
    /// Name of the session.
    pub name: Vec<u8>,
    /// Name of its host.
    pub host: Vec<u8>,
}

impl Places {
    /// The owner of exactly that directory; none if it is no place.
    pub fn owner(&self, path: &RelativePath) -> Option<&Owner> {
        self.known.get(path).map(|place| &place.owner)
    }

    /// The place of an owner that asked for that path.
    pub fn of(&self, owner: &Owner, asked: &RelativePath) -> Option<&RelativePath> {
        let own = self.known.get_key_value(asked);
        let own = own.filter(|(_, place)| place.owner == *owner && place.asked == *asked);
        let moved = || self.asked.get(&(owner.clone(), asked.clone()));
        own.map(|(path, _)| path).or_else(moved)
    }

    /// Whether there is a place below a directory.
    pub fn is_above_some(&self, directory: &RelativePath) -> bool {
        let next = self.known.range(first_below(directory)..).next();
        next.is_some_and(|(path, _)| path.is_at_or_below(directory))
    }

    /// Whether there is a place of that owner below a directory.
    pub fn has_below(&self, directory: &RelativePath, owner: &Owner) -> bool {
        let first = (owner.clone(), first_below(directory));
        let next = self.owned.range(first..).next();
        next.is_some_and(|(other, path)| other == owner && path.is_at_or_below(directory))
    }

    /// Notes that the files of a completed chunk stay there.
    pub fn settle(&mut self, path: &RelativePath) {
        if let Some(place) = self.known.get_mut(path) {
            place.is_settled = true;
        }
    }

    /// Whether the files of a chunk that is over stay in exactly that directory.
    pub fn is_settled(&self, path: &RelativePath) -> bool {
        self.known.get(path).is_some_and(|place| place.is_settled)
    }

    /// Adds a session of that owner, which asked for a path and got one.
    pub fn enter(&mut self, asked: &RelativePath, path: &RelativePath, owner: Owner) {
        let place = self.known.entry(path.clone()).or_insert_with(|| {
            self.owned.insert((owner.clone(), path.clone()));
            if asked != path {
                let was_asked = (owner.clone(), asked.clone());
                self.asked.insert(was_asked, path.clone());
            }
            Place {
                owner,
                asked: asked.clone(),
                sessions: 0,
                rest: None,
                is_settled: false,
            }
        });
        place.sessions += 1;
        if let Some(rest) = place.rest.take() {
            self.resting.remove(&rest);
        }
    }

    /// Removes a session that is over.
    pub fn leave(&mut self, path: &RelativePath) {
        let Some(place) = self.known.get_mut(path) else {
            return;
        };
        place.sessions -= 1;
        if place.sessions > 0 {
            return;
        }
        if !matches!(place.owner, Owner::Snapshots { .. }) {
            return self.forget(path);
        }
        place.rest = Some(self.next_rest);
        self.resting.insert(self.next_rest, path.clone());
        self.next_rest += 1;
        if self.resting.len() > SNAPSHOT_PLACES
            && let Some((_, oldest)) = self.resting.pop_first()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, path: &RelativePath) {
        let Some(Place { owner, asked, .. }) = self.known.remove(path) else {
            return;
        };
        let asked = (owner, asked);
        if self.asked.get(&asked) == Some(path) {
            self.asked.remove(&asked);
        }
        self.owned.remove(&(asked.0, path.clone()));
    }
}

/// The smallest name after a directory itself that may be below it.
fn first_below(directory: &RelativePath) -> RelativePath {
    directory.child([1]).expect("law: that is a name")
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
        places.enter(&path("a/b/c"), &path("a/b/c"), Owner::Session(1));
        places.enter(&path("a/b"), &path("a/b-2"), Owner::Session(2));
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
        assert!(places.has_below(&path("a"), &Owner::Session(1)));
        assert!(!places.has_below(&path("a/b"), &Owner::Session(2)));
        let second = places.of(&Owner::Session(2), &path("a/b"));
        assert_eq!(second, Some(&path("a/b-2")));
        assert_eq!(places.of(&Owner::Session(1), &path("a/b")), None);
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
            places.enter(&path, &path, owner.clone());
            places.leave(&path);
            // Used again, it is as new.
            let first = self::path("0");
            places.enter(&first, &first, owner.clone());
            places.leave(&first);
        }
        assert_eq!(places.owner(&path("0")), Some(&owner));
        assert_eq!(places.owner(&path("1")), None);
        assert_eq!(places.owner(&path("2")), Some(&owner));
    }
}
