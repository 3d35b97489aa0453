//! Seeds for the fuzz targets, generated from recorded sessions (`tests/captures`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use baton_components::connection::Endpoint;
use baton_components::wire::producer::{self, Command, CommandKind, Header, Minors};
use baton_components::wire::viewer::{self, RequestKind};
use baton_systems::settings::Settings;
use flate2::read::GzDecoder;

use crate::crowd::Crowd;
use crate::input::{Input, NAMES};
use crate::{Target, journal as journals, relay as relays, trace as traces, wire as wires};

/// Seeds of a target: first recorded ones, then those that a fuzzer has found to matter.
pub fn of(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = (target.seeds)();
    seeds.extend(committed(target));
    seeds
}

/// The committed inputs of a target, from `fuzz/corpus`.
fn committed(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let Ok(entries) = fs::read_dir(directory.join(target.name)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// Of each layout, kind and minor that was recorded, the first payloads.
pub(crate) fn wire() -> Vec<Vec<u8>> {
    let mut found: BTreeMap<[u8; 4], Vec<u8>> = BTreeMap::new();
    for connection in recorded().iter().flat_map(|it| &it.connections) {
        match connection.endpoint {
            Endpoint::Control => commands(connection, &mut found),
            Endpoint::Live => requests(connection, &mut found),
            Endpoint::Data | Endpoint::Status => {}
        }
    }
    for (number, (name, bytes)) in files().into_iter().enumerate() {
        if name.extension().is_some_and(|it| it == "idx") {
            found.insert([wires::INDEX, number as u8, 0, 0], bytes);
        }
    }
    let seeds = found.into_iter().map(|(key, bytes)| {
        let bytes = &bytes[..bytes.len().min(SEED_BYTES_MAX)];
        match key[0] {
            wires::COMMAND => [&key[..], bytes].concat(),
            wires::INDEX => [&key[..1], bytes].concat(),
            _ => [&key[..3], bytes].concat(),
        }
    });
    seeds.collect()
}

fn commands(connection: &Connection, found: &mut BTreeMap<[u8; 4], Vec<u8>>) {
    let (mut minor, mut answered) = (0, 0);
    let mut rest = &connection.sent[..];
    while let Some((header, after)) = rest.split_first_chunk() {
        let header = Header::decode(header);
        let size = header.payload_size as usize;
        let (Some(kind), Some(payload)) =
            (CommandKind::from_number(header.command), after.get(..size))
        else {
            break;
        };
        rest = &after[size..];
        let number = position(&CommandKind::ALL, kind);
        let key = [wires::COMMAND, number, minor as u8, minor as u8];
        found.entry(key).or_insert_with(|| payload.to_vec());
        let replies = &connection.received[answered..];
        if let Ok(Some((_, used))) = producer::reply::decode(kind, minor, replies) {
            let key = [wires::ANSWER, number, minor as u8, 0];
            found.entry(key).or_insert_with(|| replies[..used].to_vec());
            answered += used;
        }
        if let Ok(Command::Version(version)) = producer::decode(kind, Minors::both(minor), payload)
        {
            minor = version.minor;
        }
    }
}

fn requests(connection: &Connection, found: &mut BTreeMap<[u8; 4], Vec<u8>>) {
    // All recorded viewers are of this minor or below, and lists are the only difference.
    let minor = 4;
    let mut answered = 0;
    let mut rest = &connection.sent[..];
    while let Some((header, after)) = rest.split_first_chunk() {
        let Some(kind) = RequestKind::from_number(viewer::Header::decode(header).command) else {
            break;
        };
        let Some(payload) = after.get(..kind.payload_size()) else {
            break;
        };
        rest = &after[payload.len()..];
        let number = position(&RequestKind::ALL, kind);
        let key = [wires::REQUEST, number, 0, 0];
        found.entry(key).or_insert_with(|| payload.to_vec());
        let replies = &connection.received[answered..];
        let Ok(Some((_, used))) = viewer::reply::decode(kind, minor, replies) else {
            break;
        };
        let key = [wires::REPLY, number, minor as u8, 0];
        found.entry(key).or_insert_with(|| replies[..used].to_vec());
        answered += used;
    }
}

fn position<T: Copy + PartialEq>(all: &[T], it: T) -> u8 {
    let found = all.iter().position(|other| *other == it);
    found.expect("law: a kind is among all") as u8
}

/// A relay that was played the short sessions, and its records alone.
pub(crate) fn journal() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for acts in relay() {
        let directory = tempfile::tempdir().expect("law: a directory can be made");
        let path = directory.path().join("journal");
        let mut crowd = Crowd::new(Settings::default(), Some(&path));
        relays::play(&mut crowd, &mut Input(&acts[1..]));
        drop(crowd);
        let bytes = read(&path);
        // The header of the file and that of its first block.
        let records = bytes.get(JOURNAL_HEADERS_BYTES..).unwrap_or(&[]);
        let records = &records[..records.len().min(SEED_BYTES_MAX)];
        seeds.push([&[journals::RECORDS], records].concat());
        if bytes.len() < SEED_BYTES_MAX {
            seeds.push([&[journals::FILE], &bytes[..]].concat());
        }
    }
    seeds
}

/// The metadata of each kind that was recorded, and small traces.
pub(crate) fn trace() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in recorded() {
        let files = &capture.files;
        for (path, metadata) in files {
            if path.file_name().is_none_or(|name| name != "metadata")
                || metadata.len() > SEED_BYTES_MAX
            {
                continue;
            }
            seeds.push([&[traces::METADATA], &metadata[..]].concat());
            let directory = path.parent().unwrap_or(path);
            let data = files.iter().find(|(path, bytes)| {
                path.parent() == Some(directory)
                    && path.file_name().is_some_and(|name| name != "metadata")
                    && !bytes.is_empty()
                    && bytes.len() <= SEED_BYTES_MAX
            });
            let Some((data_path, data)) = data else {
                continue;
            };
            let name = data_path.file_name().unwrap_or_default().to_string_lossy();
            let index = files.get(&directory.join(format!("index/{name}.idx")));
            let mut seed = vec![traces::TRACE];
            put_bytes(&mut seed, metadata);
            put_bytes(&mut seed, index.map_or(&[], |index| index));
            seed.extend_from_slice(data);
            seeds.push(seed);
        }
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

/// The begin of each recorded session as it was sent, and a short one in acts of the
/// target's own.
pub(crate) fn relay() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = recorded().iter().map(acts).collect();
    seeds.sort_by_key(Vec::len);
    // Later ones are like these.
    seeds.truncate(6);
    seeds.push(short_session(13));
    seeds.push(short_session(4));
    seeds
}

/// The input of a recorded session, up to a size.
fn acts(capture: &Capture) -> Vec<u8> {
    let mut acts = vec![0];
    let index = fs::read_to_string(capture.folder.join("index.tsv")).unwrap_or_default();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[connection, port, direction, _, offset, length] = &fields[..] else {
            continue;
        };
        let number = |text: &str| text.parse().unwrap_or(0_usize);
        let connection = number(connection);
        if direction == "open" {
            let port = Endpoint::ALL.iter().position(|it| it.name() == port);
            acts.extend([relays::CONNECT, port.unwrap_or(0) as u8]);
        } else if direction == "c2s" {
            let begin = number(offset);
            let bytes = &capture.connections[connection].sent[begin..begin + number(length)];
            if acts.len() + bytes.len() > SEED_BYTES_MAX {
                break;
            }
            if bytes.is_empty() {
                acts.extend([relays::FINISH, connection as u8]);
            } else {
                acts.extend([relays::WRITE, connection as u8]);
                put_bytes(&mut acts, bytes);
            }
            acts.push(relays::SETTLE);
        }
    }
    acts
}

/// A producer, a packet of each of two streams, and a viewer that reads it.
// Long because: it is what a producer says, in its order.
fn short_session(minor: u8) -> Vec<u8> {
    let [control, data, live] = [Endpoint::Control, Endpoint::Data, Endpoint::Live]
        .map(|endpoint| position(&Endpoint::ALL, endpoint));
    let command = |kind, fields: &[u8]| {
        let kind = position(&CommandKind::ALL, kind);
        [
            &[relays::COMMAND, 0, minor, kind],
            fields,
            &[relays::SETTLE],
        ]
        .concat()
    };
    let request = |kind, fields: &[u8]| {
        let kind = position(&RequestKind::ALL, kind);
        [&[relays::REQUEST, 2, kind], fields, &[relays::SETTLE]].concat()
    };
    let name = |name: &[u8]| {
        let known = NAMES.iter().position(|it| *it == name);
        0x80 + known.expect("law: the name is known") as u8
    };
    // Producers before 2.11 name whole paths, and know no chunks.
    let has_chunks = minor >= 11;
    let path: &[u8] = if has_chunks {
        b"ust/uid/0/64-bit"
    } else {
        b"vm/demo-20261122-064435/ust"
    };
    let (demo, host, path) = (name(b"demo"), name(b"vm"), name(path));
    let (channel, metadata, empty) = (name(b"ch_0"), name(b"metadata"), name(b""));
    let chunk = |kind, fields| {
        if has_chunks {
            command(kind, fields)
        } else {
            Vec::new()
        }
    };
    let index = |stream| {
        let fields = [stream, 0, 0xFA, 0xFA, 10, 20, 0, 0, 0, 0];
        command(CommandKind::SendIndex, &fields)
    };
    [
        vec![0, relays::CONNECT, control, relays::CONNECT, data],
        vec![relays::CONNECT, live],
        command(CommandKind::Version, &[0, minor]),
        command(
            CommandKind::CreateSession,
            &[4, demo, host, empty, 100, 1, 1, 1, 0],
        ),
        chunk(CommandKind::CreateTraceChunk, &[0, 1, 0]),
        command(CommandKind::AddStream, &[metadata, path, 0, 0, 1, 0]),
        command(CommandKind::AddStream, &[channel, path, 0xF9, 2, 1, 0]),
        command(CommandKind::StreamsSent, &[]),
        command(CommandKind::SendMetadata, &[1, 0, 3, b'a', b'b', b'c']),
        request(RequestKind::Connect, &[minor, 1]),
        request(RequestKind::CreateSession, &[]),
        request(RequestKind::ListSessions, &[]),
        request(RequestKind::Attach, &[1, 1]),
        request(RequestKind::Metadata, &[1]),
        request(RequestKind::NextIndex, &[2]),
        index(2),
        vec![relays::PACKET, 1, 2, 0, 125, 0, relays::SETTLE],
        request(RequestKind::NextIndex, &[2]),
        request(RequestKind::Packet, &[2, 0, 125]),
        chunk(CommandKind::CreateTraceChunk, &[1, 2, 0]),
        chunk(CommandKind::RotateStreams, &[1, 1, 2, 1, 1, 2, 1]),
        index(2),
        chunk(CommandKind::CloseTraceChunk, &[0, 3, 0]),
        command(CommandKind::CloseStream, &[2, 1]),
        vec![relays::PASS, 10],
        request(RequestKind::Detach, &[1]),
    ]
    .concat()
}

fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend((bytes.len() as u16).to_be_bytes());
    into.extend_from_slice(bytes);
}

struct Capture {
    folder: PathBuf,
    connections: Vec<Connection>,
    /// Of the session's tree.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

struct Connection {
    endpoint: Endpoint,
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// All recorded sessions, in the order of their names.
fn recorded() -> Vec<Capture> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    let mut folders: Vec<_> = fs::read_dir(captures)
        .expect("law: the captures are beside the sources")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().map(capture).collect()
}

fn capture(folder: PathBuf) -> Capture {
    let mut connections = Vec::new();
    while let Some(connection) = connection(&folder, connections.len()) {
        connections.push(connection);
    }
    let archive = File::open(folder.join("tree.tar.gz")).expect("law: a capture has a tree");
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries().into_iter().flatten().flatten() {
        let mut entry = entry;
        let path = entry.path().expect("law: an entry has a path").into_owned();
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            let read = entry.read_to_end(&mut bytes);
            read.expect("law: a file of the archive can be read");
            files.insert(path, bytes);
        }
    }
    Capture {
        folder,
        connections,
        files,
    }
}

fn connection(folder: &Path, number: usize) -> Option<Connection> {
    Endpoint::ALL.into_iter().find_map(|endpoint| {
        let bytes = |direction: &str| {
            let name = format!("conn-{number:02}-{}.{direction}.bin", endpoint.name());
            fs::read(folder.join(name)).ok()
        };
        Some(Connection {
            endpoint,
            sent: bytes("c2s")?,
            received: bytes("s2c")?,
        })
    })
}

/// The files of all trees.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let files = recorded().into_iter().flat_map(|capture| capture.files);
    files.collect()
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path);
    bytes.unwrap_or_else(|error| panic!("law: {} can be read: {error}", path.display()))
}

/// A fuzzer goes further with small inputs.
const SEED_BYTES_MAX: usize = 16 * 1024;

/// Size of the headers before the records of a journal of these seeds.
const JOURNAL_HEADERS_BYTES: usize = 16 + 28 + 8 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// An input that a relay refuses at once would show nothing of what comes later.
    #[test]
    fn the_short_session_is_recorded() {
        for minor in [13, 4] {
            let mut crowd = Crowd::new(Settings::default(), None);
            relays::play(&mut crowd, &mut Input(&short_session(minor)[1..]));
            let tree = crowd.stage.storage.tree();
            let sizes: Vec<_> = tree.values().flatten().map(Vec::len).collect();
            assert!(sizes.contains(&3), "{minor}: metadata: {tree:?}");
            assert!(sizes.contains(&125), "a packet: {tree:?}");
        }
    }
}
