//! A recorded session, as `tests/captures/README.md` describes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use baton_components::connection::Endpoint;
use baton_components::path::RelativePath;
use flate2::read::GzDecoder;

/// Paths below the output directory: the bytes of files, nothing for directories.
pub type Tree = BTreeMap<RelativePath, Option<Vec<u8>>>;

pub struct Capture {
    pub name: &'static str,
    /// By their number.
    pub connections: Vec<Recorded>,
    /// The traffic on them, in that order.
    pub events: Vec<Event>,
    /// The files of the relay at the end.
    pub tree: Tree,
}

/// One connection of a capture.
pub struct Recorded {
    pub endpoint: Endpoint,
    /// To the relay.
    pub sent: Vec<u8>,
    /// From the relay.
    pub received: Vec<u8>,
}

pub struct Event {
    pub connection: usize,
    pub what: What,
}

pub enum What {
    Opened,
    /// These bytes of `sent`; none: the end.
    Sent(Range<usize>),
    /// The relay said something, or no more.
    Received,
}

impl Capture {
    pub fn read(name: &'static str) -> Self {
        let folder = captures().join(name);
        let index = fs::read_to_string(folder.join("index.tsv")).expect("index.tsv");
        let mut connections: Vec<Recorded> = Vec::new();
        let mut events = Vec::new();
        for line in index.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[number, kind, direction, _, offset, length] = &fields[..] else {
                panic!("{name}: index.tsv has the line {line:?}");
            };
            let connection = number.parse().expect("a connection's number");
            if direction == "open" {
                assert_eq!(
                    connection,
                    connections.len(),
                    "connections open in their order"
                );
                connections.push(Recorded::read(&folder, number, kind));
            }
            let offset: usize = offset.parse().expect("an offset");
            let length: usize = length.parse().expect("a length");
            let what = match direction {
                "open" => What::Opened,
                "c2s" => What::Sent(offset..offset + length),
                _ => What::Received,
            };
            events.push(Event { connection, what });
        }
        Self {
            name,
            connections,
            events,
            tree: read_tree(&folder.join("tree.tar.gz")),
        }
    }

    /// The directory of the session, the first of its host.
    pub fn session_directory(&self) -> &RelativePath {
        let is_session = |path: &&RelativePath| path.components().count() == 2;
        self.tree.keys().find(is_session).expect("a session")
    }
}

impl Recorded {
    fn read(folder: &Path, number: &str, kind: &str) -> Self {
        let bytes = |direction: &str| {
            let path = folder.join(format!("conn-{number}-{kind}.{direction}.bin"));
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let endpoint = Endpoint::ALL
            .into_iter()
            .find(|endpoint| endpoint.name() == kind);
        Self {
            endpoint: endpoint.expect("a port's name"),
            sent: bytes("c2s"),
            received: bytes("s2c"),
        }
    }
}

/// The folder of all captures.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn read_tree(path: &Path) -> Tree {
    let file = File::open(path).expect("tree.tar.gz");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut tree = Tree::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry of the archive");
        let name = entry.path().expect("a path").into_owned();
        let path = RelativePath::parse(name.as_os_str().as_bytes()).expect("a path below");
        if path.is_root() {
            continue;
        }
        let mut bytes = None;
        if entry.header().entry_type().is_file() {
            let bytes = bytes.insert(Vec::new());
            entry.read_to_end(bytes).expect("a file of the archive");
        }
        tree.insert(path, bytes);
    }
    tree
}
