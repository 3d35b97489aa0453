//! Tests of files in memory.

use std::net::{TcpListener, TcpStream};

use baton_systems::requests::Outcome;
use mio::{Poll, Token, Waker};
use slotmap::SlotMap;

use super::*;

struct Test {
    storage: FilesInMemory,
    sockets: Sockets,
    poll: Poll,
    keys: SlotMap<FileKey, ()>,
}

fn at(path: &str) -> RelativePath {
    RelativePath::parse(path.as_bytes()).unwrap()
}

impl Test {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let (sockets, workers) = (Sockets::default(), Workers::new(Arc::new(waker)));
        let storage = FilesInMemory::new(sockets.clone(), Counters::default(), workers);
        Self {
            storage: storage.unwrap(),
            sockets,
            poll,
            keys: SlotMap::default(),
        }
    }

    fn create(&mut self, path: &str) -> FileKey {
        let key = self.keys.insert(());
        let above = at(path).parent().unwrap();
        self.storage.create_directory(&above).unwrap();
        self.storage
            .create_file(key, &at(path), Lane::default())
            .unwrap();
        key
    }

    fn text(&mut self, key: FileKey, size: usize) -> String {
        let mut bytes = vec![0; size];
        self.storage.read(key, 0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn names(&mut self, path: &str) -> Vec<String> {
        let mut files = self.storage.files().unwrap();
        let names = files.names(&at(path)).unwrap();
        let names = names.into_iter().map(String::from_utf8);
        names.map(Result::unwrap).collect()
    }

    fn used(&self) -> u64 {
        self.storage.memory.used_bytes()
    }

    /// Waits until a request is done.
    fn ask(&mut self, request: Request) -> Outcome {
        self.storage.ask(Ticket(1), request);
        let (mut events, mut answers) = (mio::Events::with_capacity(1), Vec::new());
        while answers.is_empty() {
            self.poll.poll(&mut events, None).unwrap();
            self.storage.answers(&mut answers);
        }
        answers.remove(0).outcome.unwrap()
    }
}

#[test]
fn files_have_their_bytes_and_nothing_of_others() {
    let mut test = Test::new();
    let (one, other) = (test.create("h/s/one"), test.create("h/s/other"));
    test.storage.write(one, 0, b"a packet");
    test.storage.write(other, 6, b"packet");
    assert_eq!(test.text(one, 8), "a packet");
    assert_eq!(test.text(other, 12), "\0\0\0\0\0\0packet");
    test.storage.resize(one, 3);
    test.storage.resize(one, 5);
    assert_eq!(test.text(one, 5), "a p\0\0");
    let error = test.storage.read(one, 0, &mut [0; 6]).unwrap_err();
    assert_eq!(error.path, "memory:/h/s/one");
    test.storage.write(one, 1 << 50, b"far");
    let error = test.storage.breakage(one).unwrap();
    assert_eq!(error.error.kind, StorageErrorKind::Full);
}

#[test]
fn names_are_free_or_taken() {
    let mut test = Test::new();
    test.create("h/s/one");
    let again = test.keys.insert(());
    let error = test
        .storage
        .create_file(again, &at("h/s/one"), Lane::default())
        .unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::InTheWay);
    let error = test
        .storage
        .create_file(again, &at("h/t/one"), Lane::default())
        .unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Gone);
    assert!(!test.storage.claim_directory(&at("h/s")).unwrap());
    assert!(test.storage.claim_directory(&at("h/t/u")).unwrap());
    let is_sought = |name: &[u8]| name == b"u";
    assert!(test.storage.has_name(&at("h/t"), is_sought).unwrap());
    assert!(!test.storage.has_name(&at("h/none"), is_sought).unwrap());

    assert!(test.storage.rename(&at("h/s"), &at("h/t")).is_err());
    assert!(test.storage.rename(&at("h"), &at("h/t/h")).is_err());
    assert!(test.storage.rename(&at("h/s"), &at("none/s")).is_err());
    test.storage.rename(&at("h/s"), &at("h/t/s")).unwrap();
    assert_eq!(test.names("h/t"), ["s", "u"]);
    assert_eq!(test.names("h/t/s"), ["one"]);
    test.storage.remove_directory(&at("h/t/s")).unwrap();
    assert!(test.storage.exists(&at("h/t/s/one")).unwrap());
    test.storage.remove_file(&at("h/t/s/one")).unwrap();
    test.storage.remove_directory(&at("h/t/s")).unwrap();
    assert!(!test.storage.exists(&at("h/t/s")).unwrap());
    // A missing name is no error.
    test.storage.remove_file(&at("h/t/s/one")).unwrap();
    test.storage.remove_directory(&at("h/t/s")).unwrap();
}

#[test]
fn memory_is_given_back_with_the_last_who_has_a_file() {
    let mut test = Test::new();
    for _ in 0..3 {
        let key = test.create("ring");
        test.storage.write(key, 0, &vec![1; 1 << 20]);
        assert!(test.used() >= 1 << 20);
        test.storage.resize(key, 5000);
        assert!(test.used() <= 2 * 4096);
        test.storage.remove_file(&at("ring")).unwrap();
        assert_eq!(test.text(key, 1), "\u{1}");
        test.storage.close(key);
        assert_eq!(test.used(), 0);
    }
    // One that is closed stays until its name is removed, by another thread too.
    let key = test.create("closed");
    test.storage.write(key, 0, b"bytes");
    test.storage.close(key);
    assert!(test.used() > 0);
    let remove = Request::Remove {
        within: RelativePath::root(),
        files: vec![at("closed")],
        directories: Vec::new(),
    };
    assert_eq!(test.ask(remove), Outcome::Done);
    assert_eq!(test.used(), 0);
}

#[test]
fn bytes_of_sockets_go_to_files_and_back_without_a_copy() {
    let mut test = Test::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    let connection = SlotMap::<ConnectionKey, ()>::default().insert(());
    let near = mio::net::TcpStream::from_std(near);
    test.sockets.insert(connection, near);

    let (first, key) = (test.create("first"), test.create("second"));
    test.storage.write(first, 0, b"of another file");
    test.storage.write(key, 0, b"head ");
    std::io::Write::write_all(&mut far, b"a packet and more").unwrap();
    let mut taken = 0;
    while taken < 8 {
        taken += test.storage.to_file(connection, key, 5 + taken, 8 - taken);
    }
    assert_eq!(test.text(key, 13), "head a packet");
    let sent = test.storage.to_peer(connection, key, 5, 8).unwrap();
    assert_eq!(sent, Some(8));
    let mut bytes = [0; 8];
    std::io::Read::read_exact(&mut far, &mut bytes).unwrap();
    assert_eq!(&bytes, b"a packet");
    // Beyond the end are no bytes, though there is memory.
    assert!(test.storage.to_peer(connection, key, 5, 9).is_err());
}

#[test]
fn lists_are_appended_to_and_read() {
    let mut test = Test::new();
    let path = RelativePath::own("chunks/1");
    for bytes in [b"one".to_vec(), b", two".to_vec()] {
        let path = path.clone();
        assert_eq!(test.ask(Request::Append { path, bytes }), Outcome::Done);
    }
    let mut files = test.storage.files().unwrap();
    assert_eq!(files.contents(&path).unwrap(), b"one, two");
    assert_eq!(files.measure(&path).unwrap().unwrap().bytes, 4096);
    drop(files);
    test.storage.begin_recording(&at("h/s"));
    let mut files = test.storage.files().unwrap();
    assert!(files.is_recorded(&at("h/s/archives/1")) && !files.is_recorded(&at("h")));
}
