//! The sessions that can be served, and the streams of one.

use std::collections::BTreeMap;
use std::ops::Range;

use baton_components::path::RelativePath;
use baton_components::shown::Shown;

use crate::chunk::{Chunk, LocalFile};
use crate::facts::{PacketEnds, Traces};
use crate::find;
use crate::keys::{self, Directory};
use crate::list::{self, Filter, Source};
use crate::manifest::{self, Head, MANIFEST_MAX, Manifest};
use crate::{Error, say};

use super::content::{Content, Reader};

pub struct Library {
    pub sessions: Vec<Session>,
}

/// The chunks of a session, in the order of time.
pub struct Session {
    pub host: String,
    pub name: String,
    pub is_ctf_2: bool,
    chunks: Vec<Place>,
}

enum Place {
    Store(Box<Head>),
    Directory(Chunk),
}

/// A trace, in all chunks of its session.
pub struct Trace {
    /// Its path below the chunks.
    pub path: Vec<u8>,
    uuid: Option<String>,
    /// That of the last chunk: metadata only grows.
    pub metadata: File,
    pub streams: Vec<Stream>,
}

/// A stream, in all its files.
pub struct Stream {
    key: Key,
    pub name: Vec<u8>,
    pub parts: Vec<Part>,
}

/// The key of a stream: its files have it in common.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// Ids of the class, and of the stream in it.
    Instance(u64, u64),
    /// Packets without such an id: each file is a stream.
    Name(Vec<u8>),
}

/// A data file, with its index.
pub struct Part {
    pub data: File,
    pub index: File,
    /// Where it begins for viewers: the files of a stream are one.
    pub begin: u64,
}

pub struct File {
    pub content: Content,
    pub bytes: u64,
    stream: Option<manifest::Stream>,
}

impl Library {
    /// The sessions of an archive or a directory; false if something could not be read.
    pub fn find(source: &Source, reader: &Reader, filter: &Filter) -> Result<(Self, bool), Error> {
        let (places, is_whole) = match (source, &reader.store) {
            (Source::Store(_), Some(store)) => {
                let (heads, is_whole) = list::heads(store, filter)?;
                let places = heads
                    .into_iter()
                    .map(|head| (head.clone(), Place::Store(head.into())));
                (places.collect::<Vec<_>>(), is_whole)
            }
            (Source::Directory(directory), _) => {
                let found = find::find(directory)?;
                let mut is_whole = found.failures.is_empty();
                let mut places = Vec::new();
                for chunk in found.chunks {
                    match list::head(&chunk) {
                        Ok(head) if filter.takes(&head) => {
                            places.push((head, Place::Directory(chunk)));
                        }
                        Ok(_) => {}
                        Err(_) => is_whole = false,
                    }
                }
                places.sort_by_key(|(head, _)| head.begin);
                (places, is_whole)
            }
            (Source::Store(_), None) => unreachable!("law: a reader of a store has it"),
        };
        let mut sessions: BTreeMap<(String, String), Session> = BTreeMap::new();
        for (head, place) in places {
            let of = (head.host.clone(), head.session.clone());
            let session = sessions.entry(of).or_insert_with(|| Session {
                host: head.host.clone(),
                name: head.session.clone(),
                is_ctf_2: false,
                chunks: Vec::new(),
            });
            session.is_ctf_2 |= head.format.as_deref() == Some("CTF 2");
            session.chunks.push(place);
        }
        let sessions = sessions.into_values().collect();
        Ok((Self { sessions }, is_whole))
    }
}

impl Session {
    /// All traces, each in all chunks.
    pub fn traces(&self, reader: &Reader) -> Result<Vec<Trace>, Error> {
        let (mut traces, mut left) = (Vec::new(), 0);
        for place in &self.chunks {
            let (files, described) = match place {
                Place::Store(head) => stored_files(head, reader)?,
                Place::Directory(chunk) => local_files(chunk, &chunk.files()?),
            };
            left += add_chunk(&mut traces, files, &described);
        }
        if left > 0 {
            let name = Shown(self.name.as_bytes());
            say(format_args!(
                "baton serve: {name}: {left} files have no index, as those of snapshots, and are \
                 not served; baton fetch brings them"
            ));
        }
        Ok(traces)
    }
}

type Files = BTreeMap<RelativePath, File>;

fn stored_files(head: &Head, reader: &Reader) -> Result<(Files, Vec<manifest::Trace>), Error> {
    let distrust = |reason: String| Error::Manifest {
        key: head.directory.clone(),
        reason,
    };
    let (Some(store), Some(directory)) = (&reader.store, Directory::parse(&head.directory)) else {
        return Err(distrust("it has no such place".to_owned()));
    };
    let bytes = store.read_whole(&directory.manifest(), MANIFEST_MAX)?;
    let bytes = bytes.ok_or_else(|| distrust("it is not there".to_owned()))?;
    let manifest = Manifest::read(&bytes).map_err(distrust)?;
    let mut files = Files::new();
    for file in manifest.files {
        let path = keys::decode_path(&file.path).map_err(distrust)?;
        let object = manifest.objects.get(file.object as usize);
        let object = object.ok_or_else(|| distrust("an object is missing".to_owned()))?;
        let (key, offset) = (directory.object(&object.name), file.offset);
        let content = if file.frames.is_empty() {
            Content::Plain { key, offset }
        } else {
            let frames = file.frames;
            Content::Packed {
                key,
                offset,
                frames,
            }
        };
        let (bytes, stream) = (file.bytes, file.stream);
        files.insert(
            path,
            File {
                content,
                bytes,
                stream,
            },
        );
    }
    Ok((files, manifest.traces))
}

fn local_files(chunk: &Chunk, files: &[LocalFile]) -> (Files, Vec<manifest::Trace>) {
    let traces = Traces::of(chunk, files);
    let found = files.iter().map(|file| {
        let packets = file.is_data().then(|| traces.packets(chunk, file));
        let it = File {
            content: Content::File(chunk.file(&file.path)),
            bytes: file.bytes,
            stream: packets.and_then(PacketEnds::stream),
        };
        (file.path.clone(), it)
    });
    (found.collect(), traces.described())
}

/// Adds the traces of a chunk, which is later than all before. A file without an index cannot be
/// served: returns how many files.
fn add_chunk(traces: &mut Vec<Trace>, mut files: Files, described: &[manifest::Trace]) -> usize {
    let is_metadata = |path: &&RelativePath| path.name() == b"metadata";
    let places = files.keys().filter(is_metadata);
    let places: Vec<_> = places.filter_map(RelativePath::parent).collect();
    for place in places {
        let metadata = place.child(b"metadata").ok();
        let Some(metadata) = metadata.and_then(|path| files.remove(&path)) else {
            continue;
        };
        let text = keys::encode_path(&place);
        let uuid = described.iter().find(|it| it.path == text);
        let uuid = uuid.and_then(|it| it.uuid.clone());
        let path = place.as_bytes().to_vec();
        let known = traces
            .iter()
            .position(|it| it.path == path && it.uuid == uuid);
        let at = known.unwrap_or(traces.len());
        match traces.get_mut(at) {
            Some(trace) => trace.metadata = metadata,
            None => traces.push(Trace {
                path,
                uuid,
                metadata,
                streams: Vec::new(),
            }),
        }
        for (name, part) in parts(&place, &mut files) {
            traces[at].add(name, part);
        }
    }
    files.len()
}

/// The data files of a trace with their indexes, in the order of time.
fn parts(place: &RelativePath, files: &mut Files) -> Vec<(Vec<u8>, Part)> {
    let is_here = |path: &&RelativePath| path.parent().as_ref() == Some(place);
    let here: Vec<_> = files.keys().filter(is_here).cloned().collect();
    let found = here.into_iter().filter_map(|path| {
        let name = path.name().to_vec();
        let index = [b"index/", &name[..], b".idx"].concat();
        let index = place.join(&RelativePath::parse(&index).ok()?);
        let (index, data) = (files.remove(&index)?, files.remove(&path)?);
        let begin = 0;
        Some((name, Part { data, index, begin }))
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(_, part)| part.data.stream.as_ref().map(|it| it.begin));
    found
}

impl Trace {
    fn add(&mut self, name: Vec<u8>, mut part: Part) {
        let ids = part.data.stream.as_ref();
        let ids = ids.and_then(|it| Some((it.class, it.instance?)));
        let key = match ids {
            Some((class, instance)) => Key::Instance(class, instance),
            None => Key::Name(name.clone()),
        };
        if let Some(stream) = self.streams.iter_mut().find(|it| it.key == key) {
            let last = stream.parts.last();
            part.begin = last.map_or(0, |last| last.begin + last.data.bytes);
            stream.parts.push(part);
        } else {
            let parts = vec![part];
            self.streams.push(Stream { key, name, parts });
        }
    }
}

impl Stream {
    /// The part with these bytes, and where they are in it.
    pub fn find(&self, range: &Range<u64>) -> Option<(&Part, Range<u64>)> {
        let is_in =
            |part: &&Part| part.begin <= range.start && range.end - part.begin <= part.data.bytes;
        let part = self.parts.iter().find(is_in)?;
        Some((part, range.start - part.begin..range.end - part.begin))
    }
}
