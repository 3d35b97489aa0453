//! Names: which open file has which path, as a tree of directories.
//!
//! So a directory is renamed at the cost of its own path, however many files are below it.

use std::hash::BuildHasher;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use slotmap::{SlotMap, new_key_type};

new_key_type! {
    /// A name in the tree: of a file, or of a directory that files are below.
    pub struct Place;
}

#[derive(Debug, Default)]
pub struct Names {
    nodes: SlotMap<Place, Node>,
    /// The nodes, by directory and name.
    entries: HashTable<Place>,
}

#[derive(Debug)]
struct Node {
    /// None: the output directory.
    directory: Option<Place>,
    name: RelativePath,
    file: Option<FileKey>,
    /// Number of names directly below it.
    below: u32,
    /// Another file or directory has its name: what is below it has no name any more.
    is_lost: bool,
}

impl Names {
    /// Gives a file the path, and takes it from a file that had it.
    pub fn insert(&mut self, path: &RelativePath, file: FileKey) -> Place {
        let directory = path.parent().and_then(|directory| self.make(&directory));
        let name = own_name(path);
        let stale = self.entry(directory, &name);
        // Listed first: a directory whose only name is lost would be removed.
        let place = self.add(directory, name);
        self.nodes[place].file = Some(file);
        if let Some(stale) = stale {
            self.lose(stale);
        }
        place
    }

    /// The file that has the path.
    pub fn file(&self, path: &RelativePath) -> Option<FileKey> {
        self.nodes[self.find(path)?].file
    }

    /// Whether it has a path still.
    pub fn has_path(&self, place: Place) -> bool {
        let mut at = Some(place);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if node.is_lost {
                return false;
            }
            at = node.directory;
        }
        true
    }

    /// Its path; none if the name is gone.
    pub fn path(&self, place: Place) -> Option<RelativePath> {
        let mut names = Vec::new();
        let mut at = Some(place);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if node.is_lost {
                return None;
            }
            names.push(node.name.as_bytes());
            at = node.directory;
        }
        names.reverse();
        RelativePath::parse(&names.join(&b'/')).ok()
    }

    /// Removes a file's name, and directories without any.
    pub fn remove(&mut self, place: Place) {
        if let Some(node) = self.nodes.get_mut(place) {
            node.file = None;
            self.prune(Some(place));
        }
    }

    /// Moves all that is at or below a path.
    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) {
        let Some(moved) = self.find(from).filter(|_| from != to) else {
            return;
        };
        self.unlist(moved);
        let before = self.nodes[moved].directory;
        let directory = to.parent().and_then(|directory| self.make(&directory));
        let name = own_name(to);
        let stale = self.entry(directory, &name);
        let node = &mut self.nodes[moved];
        node.directory = directory;
        node.name = name;
        self.list(moved);
        if let Some(stale) = stale {
            self.lose(stale);
        }
        self.leave(before);
    }

    /// The place of a directory, which is made if it has none; none is the output directory.
    fn make(&mut self, directory: &RelativePath) -> Option<Place> {
        let mut place = None;
        for name in directory.names() {
            let known = self.entry(place, &name);
            place = Some(known.unwrap_or_else(|| self.add(place, name)));
        }
        place
    }

    fn find(&self, path: &RelativePath) -> Option<Place> {
        let mut place = None;
        for name in path.names() {
            place = Some(self.entry(place, &name)?);
        }
        place
    }

    fn entry(&self, directory: Option<Place>, name: &RelativePath) -> Option<Place> {
        let is_it = |place: &Place| {
            let node = &self.nodes[*place];
            node.directory == directory && node.name == *name
        };
        self.entries.find(hash(directory, name), is_it).copied()
    }

    fn add(&mut self, directory: Option<Place>, name: RelativePath) -> Place {
        let place = self.nodes.insert(Node {
            directory,
            name,
            file: None,
            below: 0,
            is_lost: false,
        });
        self.list(place);
        place
    }

    /// It is found by its name from now on.
    fn list(&mut self, place: Place) {
        let nodes = &mut self.nodes;
        if let Some(directory) = nodes[place].directory {
            nodes[directory].below += 1;
        }
        let hash = |place: &Place| hash(nodes[*place].directory, &nodes[*place].name);
        self.entries.insert_unique(hash(&place), place, hash);
    }

    fn unlist(&mut self, place: Place) {
        let node = &self.nodes[place];
        let hash = hash(node.directory, &node.name);
        if let Ok(entry) = self.entries.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
    }

    /// Something else has that name now.
    fn lose(&mut self, place: Place) {
        self.unlist(place);
        let node = &mut self.nodes[place];
        node.is_lost = true;
        let directory = node.directory.take();
        self.leave(directory);
    }

    /// A name in that directory has gone.
    fn leave(&mut self, directory: Option<Place>) {
        if let Some(place) = directory {
            self.nodes[place].below -= 1;
        }
        self.prune(directory);
    }

    /// Removes a place at which there is nothing, and those above it that become so.
    fn prune(&mut self, place: Option<Place>) {
        let mut at = place;
        while let Some(place) = at {
            let node = &self.nodes[place];
            if node.file.is_some() || node.below > 0 {
                return;
            }
            if !node.is_lost {
                self.unlist(place);
            }
            at = self.nodes.remove(place).and_then(|node| node.directory);
            if let Some(directory) = at {
                self.nodes[directory].below -= 1;
            }
        }
    }
}

fn own_name(path: &RelativePath) -> RelativePath {
    path.names().last().unwrap_or_default()
}

fn hash(directory: Option<Place>, name: &RelativePath) -> u64 {
    FxBuildHasher.hash_one((directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn files_move_with_their_directories() {
        let mut keys = SlotMap::<FileKey, ()>::default();
        let mut names = Names::default();
        let files = ["a/b/one", "a/b/two", "a/three", "four"].map(|path| {
            let file = keys.insert(());
            (file, names.insert(&at(path), file))
        });
        let paths = |names: &Names| {
            files.map(|(file, place)| {
                let path = names.path(place);
                let found = path.as_ref().and_then(|path| names.file(path));
                assert!(found.is_none_or(|found| found == file));
                path.map_or("gone".to_owned(), |path| path.to_string())
            })
        };
        names.rename(&at("a/b"), &at("c/d"));
        assert_eq!(paths(&names), ["c/d/one", "c/d/two", "a/three", "four"]);
        names.rename(&at("nothing"), &at("x"));
        names.rename(&at("c"), &at("a/c"));
        let moved = ["a/c/d/one", "a/c/d/two", "a/three", "four"];
        assert_eq!(paths(&names), moved);
        assert_eq!(names.file(&at("a/b/one")), None);
        // Somebody removed `four`, and a directory gets its name.
        names.rename(&at("a/c/d"), &at("four"));
        assert_eq!(paths(&names), ["four/one", "four/two", "a/three", "gone"]);
        for (_, place) in files {
            names.remove(place);
        }
        assert!(names.nodes.is_empty() && names.entries.is_empty());
    }

    #[test]
    fn a_name_is_taken_over_that_is_the_only_one_of_its_directory() {
        let mut keys = SlotMap::<FileKey, ()>::default();
        let [first, second, third] = [(); 3].map(|()| keys.insert(()));
        let mut names = Names::default();
        let lost = names.insert(&at("x/t/c"), first);
        let also_lost = names.insert(&at("x/t/c"), second);
        let moved = names.insert(&at("y/c"), third);
        names.rename(&at("y/c"), &at("x/t/c"));
        assert_eq!(names.file(&at("x/t/c")), Some(third));
        for (place, has_path) in [(lost, false), (also_lost, false), (moved, true)] {
            assert_eq!(names.has_path(place), has_path);
            assert_eq!(names.path(place).is_some(), has_path);
            names.remove(place);
        }
        assert!(names.nodes.is_empty() && names.entries.is_empty());
    }
}
