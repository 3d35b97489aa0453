//! Tests of the disk in memory.

use slotmap::SlotMap;

use super::*;
use crate::ports::StorageErrorKind;
use crate::requests::IndexEnd;

struct Test {
    handle: MemoryStorage,
    port: StoragePort,
    keys: SlotMap<FileKey, ()>,
}

impl Test {
    fn new() -> Self {
        let handle = MemoryStorage::new();
        Self {
            port: handle.port(),
            handle,
            keys: SlotMap::default(),
        }
    }

    fn create(&mut self, name: &str) -> FileKey {
        let key = self.keys.insert(());
        let lane = Lane::default();
        self.port.create_file(key, &path(name), lane).unwrap();
        key
    }

    fn content(&self, name: &str) -> Vec<u8> {
        self.handle.file(&path(name)).unwrap()
    }
}

fn path(name: &str) -> RelativePath {
    RelativePath::parse(name.as_bytes()).unwrap()
}

#[test]
fn writes_are_read_back() {
    let mut test = Test::new();
    let file = test.create("file");
    test.handle.try_write(file, 0, b"hello").unwrap();
    test.handle.try_write(file, 3, b"p!").unwrap();
    test.handle.try_write(file, 7, b"far").unwrap();
    assert_eq!(test.content("file"), b"help!\0\0far");
    let mut into = [0; 3];
    test.port.read(file, 7, &mut into).unwrap();
    assert_eq!(&into, b"far");
    assert!(test.port.read(file, 8, &mut into).is_err());
    assert!(test.port.read(file, u64::MAX, &mut into).is_err());
    test.handle.try_resize(file, 4).unwrap();
    test.handle.try_resize(file, 6).unwrap();
    assert_eq!(test.content("file"), b"help\0\0");
}

#[test]
fn directories_come_first() {
    let mut test = Test::new();
    let key = test.keys.insert(());
    let error = test
        .port
        .create_file(key, &path("a/b/c"), Lane(1))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot make file a/b/c: its directory does not exist"
    );
    test.port.create_directory(&path("a/b")).unwrap();
    test.port.create_directory(&path("a")).unwrap();
    test.create("a/b/c");
    assert!(test.port.create_directory(&path("a/b/c/d")).is_err());
    assert!(test.port.create_file(key, &path("a/b"), Lane(1)).is_err());
    let tree = test.handle.tree();
    let names: Vec<String> = tree.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "a/b", "a/b/c"]);
    assert_eq!(tree[&path("a/b")], None);
    assert_eq!(tree[&path("a/b/c")], Some(Vec::new()));
}

#[test]
fn a_removed_file_stays_with_its_readers() {
    let mut test = Test::new();
    let old = test.create("file");
    test.handle.try_write(old, 0, b"old").unwrap();
    let key = test.keys.insert(());
    assert!(test.port.create_file(key, &path("file"), Lane(1)).is_err());
    test.port.remove_file(&path("file")).unwrap();
    let new = test.create("file");
    test.handle.try_write(new, 0, b"n").unwrap();
    let mut into = [0; 3];
    test.port.read(old, 0, &mut into).unwrap();
    assert_eq!(&into, b"old");
    assert_eq!(test.content("file"), b"n");
    assert_eq!((test.handle.open_files(), test.handle.used_bytes()), (2, 4));
    test.port.close(old);
    test.port.close(old);
    assert!(test.port.read(old, 0, &mut into).is_err());
    assert_eq!((test.handle.open_files(), test.handle.used_bytes()), (1, 1));
    test.port.close(new);
    assert_eq!(test.content("file"), b"n");
}

#[test]
fn names_change_and_go() {
    let mut test = Test::new();
    test.port.create_directory(&path("a/b")).unwrap();
    test.port.create_directory(&path("ab")).unwrap();
    let file = test.create("a/b/file");
    test.handle.try_write(file, 0, b"x").unwrap();
    test.port.remove_directory(&path("a/b")).unwrap();
    assert!(test.port.rename(&path("a"), &path("a/b/c")).is_err());
    assert!(test.port.rename(&path("none"), &path("d")).is_err());
    assert!(test.port.rename(&path("a"), &path("none/a")).is_err());
    assert!(test.port.rename(&path("a"), &path("ab")).is_err());
    test.port.remove_directory(&path("ab")).unwrap();
    test.port.rename(&path("a"), &path("ab")).unwrap();
    assert!(!test.port.exists(&path("a")).unwrap());
    for (name, claimed) in [
        ("ab", false),
        ("ab/b/file", false),
        ("d/e", true),
        ("d", false),
    ] {
        assert_eq!(
            test.port.claim_directory(&path(name)),
            Ok(claimed),
            "{name}"
        );
    }
    test.port.remove_directory(&path("d/e")).unwrap();
    test.port.remove_directory(&path("d")).unwrap();
    for (name, has) in [("ab", true), ("ab/b", false), ("", false), ("none", false)] {
        let found = test.port.has_name(&path(name), |name| name == b"b");
        assert_eq!(found, Ok(has), "{name}");
    }
    assert_eq!(test.content("ab/b/file"), b"x");
    test.port.create_directory(&path("c")).unwrap();
    assert!(test.port.rename(&path("c"), &path("ab")).is_err());
    test.handle.try_write(file, 1, b"y").unwrap();
    test.port.rename(&path("ab/b/file"), &path("file")).unwrap();
    assert_eq!(test.content("file"), b"xy");
    test.port.remove_directory(&path("ab/b")).unwrap();
    test.port.remove_directory(&path("ab/b")).unwrap();
    test.port.remove_file(&path("file")).unwrap();
    test.port.remove_file(&path("file")).unwrap();
    assert!(test.port.remove_file(&path("c")).is_err());
    let mut into = [0; 2];
    test.port.read(file, 0, &mut into).unwrap();
    assert_eq!(&into, b"xy");
    let names: Vec<String> = test.handle.tree().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["ab", "c"]);
}

#[test]
fn the_nth_operation_fails_once() {
    let mut test = Test::new();
    let file = test.create("file");
    test.handle.try_write(file, 0, b"1").unwrap();
    test.handle.fail(Operation::Write, 2, "the disk is on fire");
    test.handle.try_write(file, 1, b"2").unwrap();
    let error = test.handle.try_write(file, 2, b"3").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write to file: the disk is on fire"
    );
    test.handle.try_write(file, 2, b"4").unwrap();
    assert_eq!(test.content("file"), b"124");
    assert_eq!(test.handle.count(Operation::Write), 4);
    assert_eq!(test.handle.count(Operation::Read), 0);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let mut test = Test::new();
    let file = test.create("file");
    test.handle.limit_bytes(Some(4));
    assert!(test.handle.try_write(file, 0, b"hello").is_err());
    assert_eq!(test.content("file"), b"hell");
    test.handle.try_write(file, 0, b"b").unwrap();
    assert!(test.handle.try_write(file, 3, b"ly").is_err());
    assert_eq!(test.content("file"), b"bell");
    assert!(test.handle.try_write(file, 9, b"!").is_err());
    assert!(test.handle.try_resize(file, 5).is_err());
    test.handle.try_resize(file, 1).unwrap();
    test.handle.try_write(file, 1, b"ad").unwrap();
    assert_eq!(test.content("file"), b"bad");
    test.handle.limit_bytes(None);
    test.handle.try_resize(file, 5).unwrap();
}

#[test]
fn failures_have_a_kind() {
    let mut test = Test::new();
    let kind = |outcome: Result<(), StorageError>| outcome.unwrap_err().kind;
    let (none, theirs) = (path("none"), path("theirs"));
    let mine = test.create("mine");
    test.create("theirs");
    assert_eq!(
        kind(test.port.rename(&none, &path("other"))),
        StorageErrorKind::Gone
    );
    assert_eq!(
        kind(test.port.rename(&path("mine"), &theirs)),
        StorageErrorKind::InTheWay
    );
    test.handle.limit_bytes(Some(1));
    assert_eq!(
        kind(test.handle.try_write(mine, 0, b"two")),
        StorageErrorKind::Full
    );
    test.handle.fail(Operation::Write, 1, "the disk is on fire");
    assert_eq!(
        kind(test.handle.try_write(mine, 0, b"1")),
        StorageErrorKind::Broken
    );
}

/// The files of a commit that have failed.
fn failed(test: &mut Test, ends: &[FileEnd]) -> Vec<(FileKey, String)> {
    let Outcome::Committed { failed } = test.port.commit(Lane::default(), ends) else {
        panic!("a commit has another outcome");
    };
    let reason = |(file, breakage): (FileKey, Breakage)| (file, breakage.error.reason);
    failed.into_iter().map(reason).collect()
}

#[test]
fn a_broken_file_takes_nothing_until_it_is_restored() {
    let mut test = Test::new();
    let (data, index, other) = (
        test.create("data"),
        test.create("index"),
        test.create("other"),
    );
    let end = |offset, bytes: &[u8]| FileEnd {
        data,
        index: Some(IndexEnd {
            file: index,
            offset,
            bytes: bytes.to_vec(),
        }),
    };
    test.port.write(data, 0, b"one");
    assert_eq!(failed(&mut test, &[end(0, b"1")]), []);
    test.handle.fail(Operation::Write, 1, "it was wished");
    test.port.write(data, 3, b"two");
    test.port.write(data, 6, b"three");
    test.port.copy(data, 0..3, other, 0);
    let told = failed(&mut test, &[end(1, b"2")]);
    assert_eq!(told, [(data, "it was wished".to_owned())]);
    assert_eq!(
        (test.content("data"), test.content("index")),
        (b"one".to_vec(), b"1".to_vec())
    );
    assert_eq!(test.content("other"), b"", "nothing is copied from it");
    test.port.restore(data, 3);
    test.port.write(data, 3, b"3");
    test.handle.fail(Operation::Write, 1, "the index");
    assert_eq!(
        failed(&mut test, &[end(1, b"3")]),
        [(data, "the index".to_owned())]
    );
    test.port.restore(data, 3);
    test.port.restore(index, 1);
    test.port.write(data, 3, b"4");
    assert_eq!(failed(&mut test, &[end(1, b"4")]), []);
    assert_eq!(
        (test.content("data"), test.content("index")),
        (b"one4".to_vec(), b"14".to_vec())
    );
}
