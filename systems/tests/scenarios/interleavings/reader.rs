//! The reader: what must stand on the disk, byte for byte, and what does.

use std::collections::BTreeMap;

use baton_components::wire::ctf_index::{IndexRecord, Version};
use baton_systems::memory::Operation;

use super::cast::Cast;
use super::model::{self, File, Location, Packet};
use super::producer::{Producer, channel, description, payload};
use crate::stage::CREATED_S;

/// Files by path, empty ones left out.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Everybody is gone: what is on the disk must be what one of a producer's models says.
pub fn assert_as_modelled(cast: &Cast, producer: &Producer) {
    let found = found(cast, producer);
    let expected: Vec<Tree> = producer
        .models
        .iter()
        .map(|model| expected(cast, producer, model))
        .collect();
    assert!(
        expected.contains(&found),
        "producer {}: the disk has\n{}and should have\n{}",
        producer.number,
        describe(&found),
        describe(&expected[0])
    );
}

/// In the directory of a session there are only the traces of its own producers.
pub fn assert_undisturbed(cast: &Cast, producer: &Producer) {
    let siblings = cast.producers.iter();
    let traces: Vec<String> = siblings
        .filter(|it| it.directory() == producer.directory())
        .map(|it| format!("/{}/", it.trace()))
        .collect();
    for (path, content) in cast.stage.storage.tree() {
        let path = path.to_string();
        if let Some(below) = below(producer, &path).filter(|_| content.is_some()) {
            let is_own = traces.iter().any(|trace| below.contains(trace));
            assert!(is_own, "producer {}: {path} is another's", producer.number);
        }
    }
}

/// Whether there is a file in the directory of the producer's session.
pub fn is_anything_left(cast: &Cast, producer: &Producer) -> bool {
    let tree = cast.stage.storage.tree();
    tree.into_iter()
        .any(|(path, content)| content.is_some() && below(producer, &path.to_string()).is_some())
}

/// The files of a producer's trace, in all chunks. Index files of no record say
/// nothing and are left out like empty data files.
fn found(cast: &Cast, producer: &Producer) -> Tree {
    let trace = format!("/{}/", producer.trace());
    let files = cast.stage.storage.tree().into_iter();
    files
        .filter_map(|(path, content)| Some((path.to_string(), content?)))
        .filter(|(path, _)| below(producer, path).is_some_and(|it| it.contains(&trace)))
        .filter(|(_, content)| !content.is_empty() && *content != Version::V1_1.header())
        .map(|(path, content)| (without_end(producer, path), content))
        .collect()
}

/// A path in the directory of the producer's session, from the `/` after that on.
fn below<'a>(producer: &Producer, path: &'a str) -> Option<&'a str> {
    let below = path.strip_prefix(producer.directory());
    below.filter(|below| below.starts_with('/'))
}

/// A chunk that is closed and stays where it is may be named with its end or without.
fn without_end(producer: &Producer, path: String) -> String {
    let session = producer.directory();
    let below = path[session.len() + 1..].split_once('/');
    let Some((chunk, rest)) = below else {
        return path;
    };
    match chunk.split('-').collect::<Vec<_>>()[..] {
        [begin, _, number] => format!("{session}/{begin}-{number}/{rest}"),
        _ => path,
    }
}

/// The disk failed: no file may end in the middle of a packet, and what an index says
/// must be so.
pub fn assert_whole(cast: &Cast, producer: &Producer) {
    // Bytes that the disk refused to cut off or to remove stay.
    let may_be_torn = cast.disk.was_bad_at(Operation::Resize);
    let may_be_left = cast.disk.was_bad_at(Operation::Remove);
    let found = found(cast, producer);
    for (path, bytes) in &found {
        if path.ends_with("/metadata") {
            let metadata = &producer.metadata;
            assert!(metadata.text.starts_with(bytes), "{path}: other metadata");
            let is_whole = metadata.ends.contains(&bytes.len());
            assert!(is_whole || may_be_torn, "{path}: torn metadata");
        } else if let Some(records) = records(path, bytes, may_be_torn) {
            let data = path.replace("/index/", "/").replace(".idx", "");
            let Some(bytes) = found.get(&data) else {
                assert!(may_be_left, "{path} has no data");
                continue;
            };
            let packets = packets(producer, &data, bytes, may_be_torn);
            for it in records {
                let number = it.timestamp_begin / 1000;
                let told = (it.offset_bytes, number, it.packet_size_bits / 8);
                let is_so = packets.contains(&told);
                assert!(is_so, "{path}: {told:?} is not in {packets:?}");
            }
        } else if path.contains("/index/") {
            assert!(may_be_left, "{path} is no index");
        } else {
            packets(producer, path, bytes, may_be_torn);
        }
    }
}

/// Offset, number and size of each packet in a data file.
fn packets(
    producer: &Producer,
    path: &str,
    bytes: &[u8],
    may_be_torn: bool,
) -> Vec<(u64, u64, u64)> {
    let mut found: Vec<(u64, u64, u64)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let mut all = producer.streams.iter().flat_map(|stream| {
            let packets = stream.packets.iter();
            packets.map(|packet| (packet, whole(stream.handle, *packet)))
        });
        let is_torn = all.clone().any(|(_, whole)| whole.starts_with(rest));
        let Some((packet, whole)) = all.find(|(_, whole)| rest.starts_with(whole)) else {
            assert!(
                is_torn && may_be_torn,
                "{path}: no packet at {at} of {}, after {found:?}",
                bytes.len()
            );
            break;
        };
        let is_later = found
            .last()
            .is_none_or(|(_, last, _)| *last < packet.number);
        assert!(is_later, "{path}: packet {} after {found:?}", packet.number);
        found.push((at as u64, packet.number, packet.total()));
        at += whole.len();
    }
    found
}

fn expected(cast: &Cast, producer: &Producer, model: &model::Session) -> Tree {
    let mut tree = Tree::new();
    for (number, stream) in model.streams.iter().enumerate() {
        let made = &producer.streams[number];
        // A file whose name is used again is gone: the last one of a name stands.
        let mut last: BTreeMap<(u64, u64), &File> = BTreeMap::new();
        for file in &stream.files {
            last.insert((file.chunk, file.number), file);
        }
        for file in last.into_values() {
            let Some(directory) = trace_directory(cast, producer, file.chunk) else {
                continue;
            };
            let mut name = channel(number);
            if made.limit.is_some() {
                name = format!("{name}_{}", file.number);
            }
            put(
                &mut tree,
                format!("{directory}/{name}"),
                data(made.handle, file),
            );
            let index = index(made.handle, file);
            put(&mut tree, format!("{directory}/index/{name}.idx"), index);
        }
    }
    for (chunk, bytes) in &producer.metadata.files {
        if let Some(directory) = trace_directory(cast, producer, *chunk) {
            put(&mut tree, format!("{directory}/metadata"), bytes.clone());
        }
    }
    tree
}

fn put(tree: &mut Tree, path: String, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        assert!(!tree.contains_key(&path), "{path} would be written over");
        tree.insert(path, bytes);
    }
}

fn data(handle: u64, file: &File) -> Vec<u8> {
    let packets = file.packets.iter();
    packets.flat_map(|packet| whole(handle, *packet)).collect()
}

/// A packet as it stands in its file.
pub fn whole(handle: u64, packet: Packet) -> Vec<u8> {
    let mut bytes = payload(handle, packet);
    bytes.resize(packet.total() as usize, 0);
    bytes
}

fn index(handle: u64, file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in &file.records {
        if bytes.is_empty() {
            bytes.extend(Version::V1_1.header());
        }
        record(handle, *packet, file.offset(packet.number)).encode(Version::V1_1, &mut bytes);
    }
    bytes
}

pub fn record(handle: u64, packet: Packet, offset_bytes: u64) -> IndexRecord {
    let description = description(handle, packet);
    IndexRecord {
        offset_bytes,
        packet_size_bits: description.packet_size_bits,
        content_size_bits: description.content_size_bits,
        timestamp_begin: description.timestamp_begin,
        timestamp_end: description.timestamp_end,
        events_discarded: description.events_discarded,
        class: description.class,
        instance: description.instance,
        packet_sequence: description.packet_sequence,
    }
}

/// Where a chunk has a producer's files; nowhere if it was deleted.
fn trace_directory(cast: &Cast, producer: &Producer, chunk: u64) -> Option<String> {
    let (session, trace) = (producer.directory(), producer.trace());
    if !producer.has_chunks() {
        return Some(format!("{session}/{trace}"));
    }
    let begin = stamp(cast, CREATED_S + chunk);
    let end = stamp(cast, CREATED_S + chunk + 60);
    match cast.origins[&producer.setup.origin].chunks.location(chunk) {
        Location::Session => Some(format!("{session}/{trace}")),
        Location::Named => Some(format!("{session}/{begin}-{chunk}/{trace}")),
        Location::Archived => Some(format!("{session}/archives/{begin}-{end}-{chunk}/{trace}")),
        Location::Deleted => None,
    }
}

fn stamp(cast: &Cast, unix_s: u64) -> String {
    let time = cast.stage.clock.port().civil(unix_s);
    time.unwrap().chunk_stamp()
}

fn describe(tree: &Tree) -> String {
    let record = |it: IndexRecord| {
        let number = it.timestamp_begin / 1000;
        let size = it.packet_size_bits / 8;
        format!(" [packet {number} at {}, {size} bytes]", it.offset_bytes)
    };
    let line = |(path, bytes): (&String, &Vec<u8>)| {
        let records = records(path, bytes, true).unwrap_or_default();
        let records: String = records.into_iter().map(record).collect();
        format!("  {path}: {} bytes{records}\n", bytes.len())
    };
    tree.iter().map(line).collect()
}

/// The records of an index file.
fn records(path: &str, bytes: &[u8], may_be_torn: bool) -> Option<Vec<IndexRecord>> {
    let bytes = bytes.strip_prefix(&Version::V1_1.header())?;
    let size = Version::V1_1.record_size();
    let records = bytes.chunks_exact(size);
    let is_whole = records.remainder().is_empty();
    assert!(is_whole || may_be_torn, "{path} ends with a torn record");
    Some(
        records
            .map(|it| IndexRecord::decode(Version::V1_1, it).unwrap())
            .collect(),
    )
}
