//! A loss of power: what a file system may keep of what was not synced.
//!
//! Bytes and names are independent, and so are names of different directories:
//!
//! - Of a file that has changed since it was synced, each sector has the bytes that were synced,
//!   or those that were written last; beyond the synced size, or where the file was cut, also
//!   zeros. Its size is any that it had since, or the next multiple of a block.
//! - Of the changes of names since their directory was synced any may be there, in their order if
//!   they are of the same name. A rename is there as a whole or not at all. A sync of a directory
//!   brings the changes that it needs.
//! - A name may be there without the bytes of its file, and bytes without a name are lost.

use std::collections::{BTreeMap, BTreeSet};

use baton_components::path::{OWN_PREFIX, RelativePath};

/// A change of the disk, or a sync.
#[derive(Clone, Debug)]
pub enum Event {
    MakeDirectory(RelativePath),
    MakeFile(RelativePath, u64),
    Rename(RelativePath, RelativePath),
    Remove(RelativePath),
    /// Bytes of an inode from an offset.
    Write(u64, u64, Vec<u8>),
    Resize(u64, u64),
    Sync(u64),
    SyncNames(RelativePath),
}

/// Draws a number below another.
pub type Draw<'a> = &'a mut dyn FnMut(u64) -> u64;

/// All names that are left, with the bytes of files.
pub type Tree = BTreeMap<RelativePath, Option<Vec<u8>>>;

/// The names and bytes that are left after these events.
pub fn loss(events: &[Event], draw: Draw<'_>) -> Tree {
    let mut model = Model::default();
    for event in events {
        model.apply(event);
    }
    let directories = model.draw_names(draw);
    let files = model.files.iter();
    let files = files.map(|(inode, file)| (*inode, file.draw(draw)));
    let files: BTreeMap<u64, Vec<u8>> = files.collect();
    let mut tree = Tree::new();
    let mut rest = vec![(RelativePath::root(), ROOT)];
    while let Some((path, directory)) = rest.pop() {
        let end = (directory + 1, Vec::new());
        for ((_, name), node) in directories.range((directory, Vec::new())..end) {
            let Some(node) = *node else {
                continue;
            };
            let own = name.strip_prefix(OWN_PREFIX.as_bytes());
            let at = match own.map(str::from_utf8) {
                Some(Ok(rest)) => path.join(&RelativePath::own(rest)),
                _ => path.child(name).expect("law: the name of a path is one"),
            };
            match node {
                Node::Directory(below) => {
                    tree.insert(at.clone(), None);
                    rest.push((at, below));
                }
                Node::File(inode) => {
                    tree.insert(at, files.get(&inode).cloned());
                }
            }
        }
    }
    tree
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory(u64),
    File(u64),
}

/// A name in a directory.
type Name = (u64, Vec<u8>);

const ROOT: u64 = 0;

/// A change of one name, or of two.
#[derive(Debug)]
struct Change {
    names: Vec<(Name, Option<Node>)>,
    is_durable: bool,
}

#[derive(Debug, Default)]
struct Model {
    names: BTreeMap<RelativePath, Node>,
    last_directory: u64,
    changes: Vec<Change>,
    files: BTreeMap<u64, File>,
}

impl Model {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::MakeDirectory(path) => {
                self.last_directory += 1;
                let node = Node::Directory(self.last_directory);
                self.change(vec![(self.name(path), Some(node))]);
                self.names.insert(path.clone(), node);
            }
            Event::MakeFile(path, inode) => {
                let node = Node::File(*inode);
                self.change(vec![(self.name(path), Some(node))]);
                self.names.insert(path.clone(), node);
                self.files.insert(*inode, File::default());
            }
            Event::Rename(from, to) => {
                let node = self.names[from];
                self.change(vec![(self.name(from), None), (self.name(to), Some(node))]);
                let moved: Vec<_> = self
                    .names
                    .range(from.clone()..)
                    .filter(|(path, _)| path.is_at_or_below(from))
                    .map(|(path, node)| (path.clone(), *node))
                    .collect();
                for (path, node) in moved {
                    self.names.remove(&path);
                    let below = path.below(from);
                    let below = below.expect("law: it is at or below it");
                    self.names.insert(to.join(&below), node);
                }
            }
            Event::Remove(path) => {
                self.change(vec![(self.name(path), None)]);
                self.names.remove(path);
            }
            Event::Write(inode, offset, bytes) => self.file(*inode).write(*offset, bytes),
            Event::Resize(inode, size) => self.file(*inode).resize(*size),
            Event::Sync(inode) => self.file(*inode).sync(),
            Event::SyncNames(path) => {
                let directory = self.directory(path);
                self.sync_names(directory);
            }
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        self.files.entry(inode).or_default()
    }

    fn directory(&self, path: &RelativePath) -> u64 {
        match self.names.get(path) {
            Some(Node::Directory(number)) => *number,
            _ => ROOT,
        }
    }

    fn name(&self, path: &RelativePath) -> Name {
        let above = path.parent().unwrap_or_default();
        (self.directory(&above), path.name().to_vec())
    }

    fn change(&mut self, names: Vec<(Name, Option<Node>)>) {
        self.changes.push(Change {
            names,
            is_durable: false,
        });
    }

    fn sync_names(&mut self, directory: u64) {
        let mut needed: BTreeSet<Name> = BTreeSet::new();
        for change in self.changes.iter_mut().rev() {
            let is_it = |(name, _): &(Name, _)| name.0 == directory || needed.contains(name);
            if change.names.iter().any(is_it) {
                change.is_durable = true;
                needed.extend(change.names.iter().map(|(name, _)| name.clone()));
            }
        }
    }

    /// Names that are left, by their directories.
    fn draw_names(&self, draw: Draw<'_>) -> BTreeMap<Name, Option<Node>> {
        // All, none, or any of those that were not synced.
        let share = draw(3);
        let mut kept: Vec<bool> = self
            .changes
            .iter()
            .map(|change| change.is_durable || share == 2 || (share == 1 && draw(2) == 0))
            .collect();
        let mut needed: BTreeSet<&Name> = BTreeSet::new();
        for (change, is_kept) in self.changes.iter().zip(&mut kept).rev() {
            *is_kept |= change.names.iter().any(|(name, _)| needed.contains(name));
            if *is_kept {
                needed.extend(change.names.iter().map(|(name, _)| name));
            }
        }
        let mut left = BTreeMap::new();
        let changes = self.changes.iter().zip(kept);
        for (change, _) in changes.filter(|(_, is_kept)| *is_kept) {
            left.extend(change.names.iter().cloned());
        }
        left
    }
}

/// The bytes of a file.
#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    written: Vec<u8>,
    /// Sizes since the last sync.
    least: usize,
    most: usize,
    is_dirty: bool,
}

const SECTOR: usize = 512;
const BLOCK: usize = 4096;

impl File {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let (offset, end) = (offset as usize, offset as usize + bytes.len());
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
        self.note();
    }

    fn resize(&mut self, size: u64) {
        self.written.resize(size as usize, 0);
        self.note();
    }

    fn note(&mut self) {
        self.is_dirty = true;
        self.least = self.least.min(self.written.len());
        self.most = self.most.max(self.written.len());
    }

    fn sync(&mut self) {
        self.synced.clone_from(&self.written);
        self.least = self.synced.len();
        self.most = self.synced.len();
        self.is_dirty = false;
    }

    fn draw(&self, draw: Draw<'_>) -> Vec<u8> {
        if !self.is_dirty {
            return self.synced.clone();
        }
        let size = match draw(4) {
            0 => self.written.len(),
            1 => self.least,
            2 => self.most.next_multiple_of(BLOCK),
            _ => self.least + draw((self.most - self.least) as u64 + 1) as usize,
        };
        let mut bytes = vec![0; size];
        // A cut takes blocks from where the file was shortest.
        let firm = self.synced.len().min(self.least);
        // All old, all new, or any of them.
        let share = draw(3);
        for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            let at = at * SECTOR;
            let is_new = share == 2 || (share == 1 && draw(2) == 0);
            let from = if is_new { &self.written } else { &self.synced };
            if !is_new && at >= firm && draw(2) == 0 {
                continue;
            }
            let from = from.get(at..).unwrap_or_default();
            let count = from.len().min(sector.len());
            sector[..count].copy_from_slice(&from[..count]);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> RelativePath {
        RelativePath::parse(name.as_bytes()).unwrap()
    }

    /// All that may be left, of many draws.
    fn losses(events: &[Event]) -> BTreeSet<Vec<String>> {
        let mut state = 7_u64;
        let mut draw = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let shown = |tree: Tree| {
            let line = |(path, bytes): (RelativePath, Option<Vec<u8>>)| match bytes {
                Some(bytes) => format!("{path}={}", String::from_utf8_lossy(&bytes)),
                None => format!("{path}/"),
            };
            tree.into_iter().map(line).collect()
        };
        (0..500).map(|_| shown(loss(events, &mut draw))).collect()
    }

    #[test]
    fn synced_bytes_and_names_stay_and_others_may() {
        let mut events = vec![
            Event::MakeDirectory(path("d")),
            Event::MakeFile(path("d/f"), 1),
            Event::Write(1, 0, b"ab".to_vec()),
        ];
        let all = losses(&events);
        assert!(all.contains(&vec![]) && all.contains(&vec!["d/".to_owned()]));
        assert!(all.iter().any(|tree| tree.contains(&"d/f=ab".to_owned())));
        assert!(all.iter().any(|tree| tree.contains(&"d/f=".to_owned())));
        assert!(all.iter().any(|tree| tree.contains(&"d/f=\0\0".to_owned())));
        events.push(Event::Sync(1));
        events.push(Event::SyncNames(path("d")));
        // Its directory has no name yet.
        assert!(losses(&events).contains(&vec![]));
        events.push(Event::SyncNames(path("")));
        let whole = vec!["d/".to_owned(), "d/f=ab".to_owned()];
        assert_eq!(losses(&events), BTreeSet::from([whole]));
    }

    #[test]
    fn a_rename_is_whole_and_in_order() {
        let events = [
            Event::MakeDirectory(path("a")),
            Event::MakeDirectory(path("b")),
            Event::MakeFile(path("a/f"), 1),
            Event::SyncNames(path("")),
            Event::SyncNames(path("a")),
            Event::Rename(path("a/f"), path("b/g")),
            Event::MakeFile(path("a/f"), 2),
        ];
        for tree in losses(&events) {
            let has = |line: &str| tree.iter().any(|it| it == line);
            assert!(has("a/f=") || has("b/g="), "{tree:?}");
        }
    }
}
