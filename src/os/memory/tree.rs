//! The names of files in memory: a tree of directories.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use baton_components::path::RelativePath;

use super::slots::Slot;

#[derive(Debug, Default)]
pub struct Tree {
    root: Directory,
    /// Directories in which sessions are recorded, with the number of sessions.
    recorded: BTreeMap<RelativePath, u32>,
}

/// A directory, by the names in it.
pub type Directory = BTreeMap<Vec<u8>, Node>;

#[derive(Debug)]
pub enum Node {
    Directory(Directory),
    File(Arc<Slot>),
}

impl Tree {
    /// The directory at a path.
    pub fn directory(&self, path: &RelativePath) -> io::Result<&Directory> {
        let mut names = path.components();
        names.try_fold(&self.root, |above, name| match above.get(name) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        })
    }

    fn directory_mut(&mut self, path: &RelativePath) -> io::Result<&mut Directory> {
        let mut names = path.components();
        names.try_fold(&mut self.root, |above, name| match above.get_mut(name) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Makes a directory and those above it that are missing. False: it was there.
    pub fn make_directory(&mut self, path: &RelativePath) -> io::Result<bool> {
        let mut is_new = false;
        let mut above = &mut self.root;
        for name in path.components() {
            let there = above.entry(name.to_vec());
            let node = there.or_insert_with(|| {
                is_new = true;
                Node::Directory(Directory::new())
            });
            above = match node {
                Node::Directory(directory) => directory,
                Node::File(_) => return Err(ErrorKind::NotADirectory.into()),
            };
        }
        Ok(is_new)
    }

    pub fn find(&self, path: &RelativePath) -> Option<&Node> {
        let above = self.directory(&path.parent()?).ok()?;
        above.get(path.name())
    }

    /// The file at a path.
    pub fn file(&self, path: &RelativePath) -> io::Result<&Arc<Slot>> {
        match self.find(path) {
            Some(Node::File(slot)) => Ok(slot),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Gives a file or a directory a name, which must be free.
    pub fn add(&mut self, path: &RelativePath, node: Node) -> io::Result<()> {
        let above = path.parent().ok_or(ErrorKind::IsADirectory)?;
        let above = self.directory_mut(&above)?;
        if above.contains_key(path.name()) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        above.insert(path.name().to_vec(), node);
        Ok(())
    }

    /// Renames without replacing.
    pub fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        if self.find(to).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if to.is_at_or_below(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        // Before the old name goes.
        self.directory(&to.parent().unwrap_or_default())?;
        let above = self.directory_mut(&from.parent().ok_or(ErrorKind::IsADirectory)?)?;
        let node = above.remove(from.name()).ok_or(ErrorKind::NotFound)?;
        self.add(to, node)
    }

    /// Takes the name of a file, if it is there. The file goes with the last who has it.
    pub fn remove_file(&mut self, path: &RelativePath) -> io::Result<Option<Arc<Slot>>> {
        match self.find(path) {
            None => Ok(None),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(slot)) => {
                let slot = Arc::clone(slot);
                self.take(path);
                Ok(Some(slot))
            }
        }
    }

    /// Removes a directory if it is there and empty.
    pub fn remove_directory(&mut self, path: &RelativePath) -> io::Result<()> {
        match self.find(path) {
            Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            Some(Node::Directory(directory)) if directory.is_empty() => self.take(path),
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, path: &RelativePath) {
        let above = path.parent().unwrap_or_default();
        if let Ok(above) = self.directory_mut(&above) {
            above.remove(path.name());
        }
    }

    pub fn begin_recording(&mut self, directory: &RelativePath) {
        *self.recorded.entry(directory.clone()).or_default() += 1;
    }

    pub fn end_recording(&mut self, directory: &RelativePath) {
        if let Some(sessions) = self.recorded.get_mut(directory) {
            *sessions -= 1;
            if *sessions == 0 {
                self.recorded.remove(directory);
            }
        }
    }

    /// Whether a session is recorded in a directory, or in one that it is in.
    pub fn is_recorded(&self, directory: &RelativePath) -> bool {
        let above = std::iter::successors(Some(directory.clone()), RelativePath::parent);
        above.into_iter().any(|it| self.recorded.contains_key(&it))
    }
}
