//! The files that are open, of which only so many have a descriptor.
//!
//! One more, and the one that was not used for longest gives its descriptor up; it is
//! opened again by its path when it is used. So paths are kept true when directories
//! are renamed, and a file that has no name any more keeps its descriptor.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::BuildHasher;
use std::io;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use slotmap::SecondaryMap;

use super::root::Root;

#[derive(Debug)]
pub struct OpenFiles {
    files: SecondaryMap<FileKey, Open>,
    /// Those that have a name, by their path.
    by_path: HashTable<FileKey>,
    /// Those that may give up their descriptor, in turn. One that was used since its
    /// last turn is passed over once. Closed files may be among them.
    turn: VecDeque<FileKey>,
    /// How many have a descriptor.
    open: usize,
    open_max: usize,
}

#[derive(Debug)]
struct Open {
    /// None: suspended.
    file: Option<File>,
    /// Where it is, or was when it still had a name.
    path: RelativePath,
    used: bool,
}

impl OpenFiles {
    pub fn new(open_max: usize) -> Self {
        Self {
            files: SecondaryMap::new(),
            by_path: HashTable::new(),
            turn: VecDeque::new(),
            open: 0,
            open_max,
        }
    }

    /// Where a file is, or was when it still had a name.
    pub fn path(&self, key: FileKey) -> &RelativePath {
        &self.files.get(key).expect(HELD).path
    }

    /// Makes a file there.
    pub fn create(&mut self, key: FileKey, path: &RelativePath, root: &mut Root) -> io::Result<()> {
        self.make_room();
        let file = root.create_file(path)?;
        if let Some(gone) = self.named(path) {
            // Somebody else took its name away.
            self.unname(gone);
        }
        self.files.insert(
            key,
            Open {
                file: Some(file),
                path: path.clone(),
                used: false,
            },
        );
        self.name(key);
        self.open += 1;
        if self.turn.len() > 2 * self.files.len() {
            self.turn.retain(|key| self.files.contains_key(*key));
        }
        self.turn.push_back(key);
        Ok(())
    }

    /// The file, with a descriptor.
    pub fn file(&mut self, key: FileKey, root: &mut Root) -> io::Result<&File> {
        if self.files.get(key).expect(HELD).file.is_none() {
            self.make_room();
            let open = self.files.get_mut(key).expect(HELD);
            open.file = Some(root.open_file(&open.path)?);
            self.open += 1;
            self.turn.push_back(key);
        }
        let open = self.files.get_mut(key).expect(HELD);
        open.used = true;
        Ok(open.file.as_ref().expect("law: it was opened just now"))
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn close(&mut self, key: FileKey) {
        if !self.files.contains_key(key) {
            return;
        }
        self.unname(key);
        let closed = self.files.remove(key);
        self.open -= usize::from(closed.is_some_and(|closed| closed.file.is_some()));
    }

    /// The file of this path is to lose its name: it can never be opened again.
    pub fn keep_nameless(&mut self, path: &RelativePath, root: &mut Root) -> io::Result<()> {
        if let Some(key) = self.named(path) {
            match self.file(key, root) {
                // Somebody else took its name away before.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => drop(opened?),
            }
            self.unname(key);
        }
        Ok(())
    }

    /// What was at `from`, or below, is at `to` now.
    pub fn renamed(&mut self, from: &RelativePath, to: &RelativePath) {
        let moved: Vec<_> = self
            .by_path
            .iter()
            .filter_map(|key| Some((*key, moved(self.path(*key), from, to)?)))
            .collect();
        for (key, path) in moved {
            self.unname(key);
            if let Some(other) = self.named(&path) {
                self.unname(other);
            }
            self.files.get_mut(key).expect(HELD).path = path;
            self.name(key);
        }
    }

    /// Whose name a path is.
    fn named(&self, path: &RelativePath) -> Option<FileKey> {
        let is_there = |key: &FileKey| self.path(*key) == path;
        self.by_path.find(hash(path), is_there).copied()
    }

    /// The file's path is its name, and that of no other.
    fn name(&mut self, key: FileKey) {
        let files = &self.files;
        let hash = |key: &FileKey| hash(&files.get(*key).expect(HELD).path);
        self.by_path.insert_unique(hash(&key), key, hash);
    }

    /// The file has no name any more.
    fn unname(&mut self, key: FileKey) {
        let hash = hash(self.path(key));
        if let Ok(entry) = self.by_path.find_entry(hash, |other| *other == key) {
            entry.remove();
        }
    }

    /// Suspends files until one more can be opened; fewer where all others are nameless.
    fn make_room(&mut self) {
        while self.open >= self.open_max {
            let Some(key) = self.turn.pop_front() else {
                return;
            };
            let Some(open) = self.files.get_mut(key) else {
                continue;
            };
            let is_it = |other: &FileKey| *other == key;
            if self.by_path.find(hash(&open.path), is_it).is_none() {
                // Nameless: it has no turn any more.
            } else if open.used {
                open.used = false;
                self.turn.push_back(key);
            } else {
                open.file = None;
                self.open -= 1;
            }
        }
    }
}

/// Where a path leads after a rename; none if it is not touched.
pub fn moved(path: &RelativePath, from: &RelativePath, to: &RelativePath) -> Option<RelativePath> {
    path.below(from).map(|rest| to.join(&rest))
}

fn hash(path: &RelativePath) -> u64 {
    FxBuildHasher.hash_one(path)
}

const HELD: &str = "law of holds: a file is used while somebody holds it";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use slotmap::SlotMap;

    use super::*;

    struct Test {
        directory: tempfile::TempDir,
        root: Root,
        files: OpenFiles,
        keys: SlotMap<FileKey, ()>,
    }

    impl Test {
        fn new(open_max: usize) -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self {
                root: Root::open(directory.path()).unwrap(),
                directory,
                files: OpenFiles::new(open_max),
                keys: SlotMap::default(),
            }
        }

        fn create(&mut self, path: &str) -> FileKey {
            let key = self.keys.insert(());
            self.files.create(key, &at(path), &mut self.root).unwrap();
            key
        }

        fn remove(&mut self, path: &str) {
            self.files.keep_nameless(&at(path), &mut self.root).unwrap();
            fs::remove_file(self.directory.path().join(path)).unwrap();
        }

        fn write(&mut self, key: FileKey, offset: u64, text: &str) {
            let file = self.files.file(key, &mut self.root).unwrap();
            file.write_all_at(text.as_bytes(), offset).unwrap();
        }

        fn has_descriptor(&self, key: FileKey) -> bool {
            self.files.files[key].file.is_some()
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.directory.path().join(path)).unwrap()
        }
    }

    fn at(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_used_keeps_its_descriptor() {
        let mut test = Test::new(3);
        let keys = ["a", "b", "c"].map(|path| test.create(path));
        test.write(keys[0], 0, "a");
        let more = test.create("d");
        let open = keys.map(|key| test.has_descriptor(key));
        assert_eq!(open, [true, false, true]);
        test.write(keys[1], 0, "b");
        assert_eq!(test.files.open, 3);
        for (at, key) in [keys[0], keys[1], keys[2], more].into_iter().enumerate() {
            test.write(key, 1, &at.to_string());
            assert_eq!(test.files.open, 3);
        }
        assert_eq!(test.text("a"), "a0");
        assert_eq!(test.text("b"), "b1");
    }

    #[test]
    fn suspended_files_are_found_where_they_were_moved() {
        let mut test = Test::new(1);
        fs::create_dir(test.directory.path().join("live")).unwrap();
        let moved = test.create("live/file");
        let other = test.create("live-not");
        assert!(!test.has_descriptor(moved));
        let (from, to) = (at("live"), at("archive"));
        test.root.rename(&from, &to).unwrap();
        test.files.renamed(&from, &to);
        test.write(moved, 0, "moved");
        test.write(other, 0, "other");
        assert_eq!(test.text("archive/file"), "moved");
        assert_eq!(test.text("live-not"), "other");
        assert_eq!(test.files.path(moved), &at("archive/file"));
    }

    #[test]
    fn nameless_files_are_never_suspended() {
        let mut test = Test::new(1);
        let old = test.create("file");
        test.write(old, 0, "old");
        test.create("other");
        assert!(!test.has_descriptor(old));
        test.remove("file");
        let new = test.create("file");
        test.write(new, 0, "new");
        for path in ["x", "y"] {
            test.create(path);
        }
        assert!(test.has_descriptor(old));
        assert!(!test.has_descriptor(new));
        let mut bytes = [0; 3];
        let file = test.files.file(old, &mut test.root).unwrap();
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"old");
        assert_eq!(test.text("file"), "new");
        // Closing the old one does not make the new one nameless.
        test.files.close(old);
        test.write(new, 0, "NEW");
        test.create("z");
        assert!(!test.has_descriptor(new));
    }

    #[test]
    fn a_file_that_somebody_else_removed_is_an_error_of_its_own() {
        let mut test = Test::new(1);
        let gone = test.create("gone");
        let there = test.create("there");
        fs::remove_file(test.directory.path().join("gone")).unwrap();
        assert!(test.files.file(gone, &mut test.root).is_err());
        test.write(there, 0, "there");
        test.create("gone");
        assert_eq!(test.files.open, 1);
    }

    #[test]
    fn closed_files_are_forgotten() {
        let mut test = Test::new(2);
        for turn in 0..1000 {
            let key = test.create(&format!("{turn}"));
            test.files.close(key);
        }
        assert_eq!(test.files.open, 0);
        assert!(test.files.turn.len() < 10);
        assert!(test.files.by_path.is_empty());
    }
}
