//! The open files, with a limited number of descriptors (second-chance eviction).
//!
//! At the limit, a file that was not used lately is suspended: its descriptor is closed,
//! and the file is opened again by its path when it is used. So paths are updated when
//! directories are renamed, and a file whose name was removed keeps its descriptor.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use baton_components::keys::FileKey;
use baton_components::path::RelativePath;
use baton_systems::requests::Lane;
use rustc_hash::FxHashMap;
use slotmap::SecondaryMap;

use super::files::failure;
use super::lanes::{Health, Target};
use super::names::{Names, Place};
use super::root::Root;

#[derive(Debug)]
pub struct OpenFiles {
    files: SecondaryMap<FileKey, Open>,
    /// The files that have a name.
    names: Names,
    /// Files that may be suspended, in turn. A file that was used since its last turn is
    /// skipped once. Closed files may be among them.
    turn: VecDeque<FileKey>,
    /// Number of files with a descriptor.
    open: usize,
    open_max: usize,
    /// The last paths of files without a name, for messages. Each keeps its descriptor until it
    /// is closed.
    nameless: FxHashMap<FileKey, RelativePath>,
}

#[derive(Debug)]
struct Open {
    file: Descriptor,
    lane: Lane,
    /// Made when something is written to it: most files are idle most of the time.
    health: Option<Arc<Health>>,
    /// None: its name was removed.
    place: Option<Place>,
    used: bool,
}

#[derive(Debug)]
pub enum Descriptor {
    /// It is opened when it is used.
    Suspended,
    /// No other thread has had it: most files of an idle session.
    Own(File),
    /// Another thread has something to write to it or to read from it, or had.
    Shared(Arc<File>),
}

impl Descriptor {
    fn file(&self) -> Option<&File> {
        match self {
            Self::Suspended => None,
            Self::Own(file) => Some(file),
            Self::Shared(file) => Some(file),
        }
    }

    /// For another thread.
    fn share(&mut self) -> Option<Arc<File>> {
        let file = match std::mem::replace(self, Self::Suspended) {
            Self::Suspended => return None,
            Self::Own(file) => Arc::new(file),
            Self::Shared(file) => file,
        };
        *self = Self::Shared(Arc::clone(&file));
        Some(file)
    }

    /// Another thread has something to write to it or to read from it.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Shared(file) if Arc::strong_count(file) > 1)
    }
}

impl OpenFiles {
    pub fn new(open_max: usize) -> Self {
        Self {
            files: SecondaryMap::new(),
            names: Names::default(),
            turn: VecDeque::new(),
            open: 0,
            open_max,
            nameless: FxHashMap::default(),
        }
    }

    /// The path of a file, or its last path if the name was removed.
    pub fn path(&self, key: FileKey) -> RelativePath {
        let path = match self.files.get(key).expect(HELD).place {
            Some(place) => self.names.path(place),
            None => self.nameless.get(&key).cloned(),
        };
        path.unwrap_or_default()
    }

    /// Creates a file at a path.
    pub fn create(
        &mut self,
        key: FileKey,
        path: &RelativePath,
        lane: Lane,
        root: &mut Root,
    ) -> io::Result<()> {
        self.make_room();
        let file = root.create_file(path)?;
        let place = self.names.insert(path, key);
        self.files.insert(
            key,
            Open {
                file: Descriptor::Own(file),
                lane,
                health: None,
                place: Some(place),
                used: false,
            },
        );
        self.open += 1;
        if self.turn.len() > 2 * self.files.len() {
            self.turn.retain(|key| self.files.contains_key(*key));
        }
        self.turn.push_back(key);
        Ok(())
    }

    /// The file, with a descriptor.
    pub fn file(&mut self, key: FileKey, root: &mut Root) -> io::Result<&File> {
        let descriptor = self.descriptor(key, root)?;
        Ok(descriptor.file().expect(OPENED))
    }

    fn descriptor(&mut self, key: FileKey, root: &mut Root) -> io::Result<&mut Descriptor> {
        if self.files.get(key).expect(HELD).file.file().is_none() {
            self.make_room();
            let file = root.open_file(&self.path(key))?;
            self.files.get_mut(key).expect(HELD).file = Descriptor::Own(file);
            self.open += 1;
            self.turn.push_back(key);
        }
        let open = self.files.get_mut(key).expect(HELD);
        open.used = true;
        Ok(&mut open.file)
    }

    /// The file, to be written to by another thread.
    pub fn target(&mut self, key: FileKey, root: &mut Root) -> Option<Target> {
        let health = self.health(key)?;
        let file = self.shared(key, root);
        let file = file.map_err(|reason| failure("open", &reason));
        Some(Target { file, health })
    }

    /// The file, with a descriptor that another thread can use too.
    pub fn shared(&mut self, key: FileKey, root: &mut Root) -> io::Result<Arc<File>> {
        let descriptor = self.descriptor(key, root);
        descriptor.map(|it| it.share().expect(OPENED))
    }

    /// Whether the file is broken.
    pub fn health(&mut self, key: FileKey) -> Option<Arc<Health>> {
        let health = &mut self.files.get_mut(key)?.health;
        Some(Arc::clone(health.get_or_insert_default()))
    }

    /// The lane of the file.
    pub fn lane(&self, key: FileKey) -> Lane {
        self.files.get(key).map_or_else(Lane::default, |it| it.lane)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Closes a file. Gives its descriptor if it has no name: with that goes what is in the file,
    /// which may wait for the disk.
    pub fn close(&mut self, key: FileKey) -> Option<Descriptor> {
        let closed = self.files.remove(key)?;
        self.open -= usize::from(closed.file.file().is_some());
        if let Some(place) = closed.place {
            self.names.remove(place);
            None
        } else {
            self.nameless.remove(&key);
            Some(closed.file)
        }
    }

    /// The name of the file at this path is about to be removed. The file cannot be opened
    /// again, so it gets its descriptor now. A quarter of all descriptors stays for files
    /// with a name, so that these can always be created and opened in turn.
    pub fn keep_nameless(&mut self, path: &RelativePath, root: &mut Root) -> io::Result<()> {
        if let Some(key) = self.names.file(path) {
            let count = self.nameless.len();
            if count >= self.open_max - self.open_max / 4 {
                return Err(io::Error::other(format!(
                    "{count} files without a name are open, as many as the descriptor pool allows"
                )));
            }
            match self.file(key, root) {
                // Another process removed its name before.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => drop(opened?),
            }
            let open = self.files.get_mut(key).expect(HELD);
            if let Some(place) = open.place.take() {
                self.names.remove(place);
                self.nameless.insert(key, path.clone());
            }
        }
        Ok(())
    }

    /// Updates the paths at or below `from` after a rename to `to`.
    pub fn renamed(&mut self, from: &RelativePath, to: &RelativePath) {
        self.names.rename(from, to);
    }

    /// Suspends files until one more can be opened; files without a name are not suspended, nor
    /// those that another thread has, whose descriptor would stay.
    fn make_room(&mut self) {
        for _ in 0..2 * self.turn.len() {
            if self.open < self.open_max {
                return;
            }
            let Some(key) = self.turn.pop_front() else {
                return;
            };
            let Some(open) = self.files.get_mut(key) else {
                continue;
            };
            if !open.place.is_some_and(|place| self.names.has_path(place)) {
                // It cannot be opened again, so it is not suspended.
            } else if open.used || open.file.is_busy() {
                open.used = false;
                self.turn.push_back(key);
            } else {
                open.file = Descriptor::Suspended;
                self.open -= 1;
            }
        }
    }
}

const OPENED: &str = "law: it was opened just now";
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
            let lane = Lane::default();
            self.files
                .create(key, &at(path), lane, &mut self.root)
                .unwrap();
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
            self.files.files[key].file.file().is_some()
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.directory.path().join(path)).unwrap()
        }
    }

    fn at(path: &str) -> RelativePath {
        RelativePath::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn a_used_file_keeps_its_descriptor() {
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
        assert_eq!(test.files.path(moved), at("archive/file"));
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
    fn files_with_a_name_have_descriptors_however_many_have_none() {
        let mut test = Test::new(8);
        let mut nameless = Vec::new();
        let refused = loop {
            let key = test.create("ring");
            if let Err(reason) = test.files.keep_nameless(&at("ring"), &mut test.root) {
                break reason;
            }
            fs::remove_file(test.directory.path().join("ring")).unwrap();
            nameless.push(key);
        };
        assert_eq!(nameless.len(), 6);
        let told = "6 files without a name are open, as many as the descriptor pool allows";
        assert_eq!(refused.to_string(), told);
        for turn in 0..20 {
            let other = test.create(&format!("other-{turn}"));
            test.write(other, 0, "other");
            assert!(test.files.open <= 8);
        }
        test.files.close(nameless[0]);
        test.remove("ring");
        for key in nameless.drain(1..) {
            test.files.close(key);
        }
        assert_eq!(test.files.nameless.len(), 1);
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
        let last = at("999");
        assert_eq!(test.files.names.file(&last), None);
    }
}
