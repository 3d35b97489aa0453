//! Facts of a chunk from its own metadata and indexes: traces, streams, times, losses.
//!
//! A chunk is archived whatever it has: of what cannot be read nothing is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use baton::trace::description::Description;
use baton::trace::layout::Layout;
use baton::trace::packets::{DataFile, Packets, size_of};
use baton_components::path::RelativePath;
use baton_components::wire::TraceFormat;
use baton_components::wire::producer::NONE;
use jiff::Timestamp;

use crate::chunk::{Chunk, LocalFile};
use crate::keys;
use crate::manifest::{Clock, FRAME_MAX, Head, SCHEMA, Stream, Trace};

/// The traces of a chunk by their directories below it.
#[derive(Debug, Default)]
pub struct Traces(BTreeMap<RelativePath, Known>);

#[derive(Debug)]
struct Known {
    description: Description,
    layout: Option<Arc<Layout>>,
}

impl Traces {
    pub fn of(chunk: &Chunk, files: &[LocalFile]) -> Self {
        let metadata = files.iter().filter(|it| it.path.name() == b"metadata");
        let traces = metadata.filter_map(|file| {
            let mut description = Description::read(&chunk.file(&file.path)).ok()?;
            let layout = description.layout.take().map(Arc::new);
            let known = Known {
                description,
                layout,
            };
            Some((file.path.parent()?, known))
        });
        Self(traces.collect())
    }

    /// The machine that was traced.
    pub fn host(&self) -> Option<String> {
        self.0.values().find_map(|it| it.description.host.clone())
    }

    pub fn described(&self) -> Vec<Trace> {
        let traces = self.0.iter().map(|(path, known)| {
            let description = &known.description;
            Trace {
                path: keys::encode_path(path),
                uuid: description.uuid.clone(),
                format: match description.format {
                    TraceFormat::Ctf1 => "CTF 1.8",
                    TraceFormat::Ctf2 => "CTF 2",
                }
                .to_owned(),
                clock: Clock {
                    frequency: description.clock.frequency,
                    offset_s: description.clock.offset_s,
                    offset_cycles: description.clock.offset_cycles,
                },
            }
        });
        traces.collect()
    }

    /// The packets of a data file; none if they cannot be read.
    pub fn packets(&self, chunk: &Chunk, file: &LocalFile) -> PacketEnds {
        let above = file.path.parent();
        let known = above.and_then(|above| self.0.get(&above));
        let packets = known.and_then(|known| {
            let path = chunk.file(&file.path);
            let data = DataFile::examine(&path, index_of(chunk, file), known.layout.as_ref());
            let data = data.ok().flatten().filter(|it| it.bytes == file.bytes)?;
            Some((Packets::of(vec![data]), known.description.clock))
        });
        let (packets, clock) = packets.unzip();
        PacketEnds {
            packets,
            clock: clock.unwrap_or_default(),
            next: None,
            first: None,
            last: None,
            count: 0,
        }
    }
}

fn index_of(chunk: &Chunk, file: &LocalFile) -> PathBuf {
    let mut path = chunk.file(&file.path);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".idx");
    path.pop();
    path.join("index").join(name)
}

type Record = baton_components::wire::ctf_index::IndexRecord;

/// Where the packets of a data file end, one after another; and what was seen of them.
#[derive(Debug)]
pub struct PacketEnds {
    packets: Option<Packets>,
    clock: baton::trace::description::Clock,
    next: Option<u64>,
    first: Option<Record>,
    last: Option<Record>,
    count: u64,
}

impl PacketEnds {
    /// Size of the frame that begins at an offset of a file: as many whole packets as fit into
    /// [`FRAME_MAX`], or a part of one.
    pub fn frame(&mut self, at: u64, size: u64) -> u64 {
        let mut end = None;
        while let Some(next) = self.peek().filter(|next| *next <= at + FRAME_MAX) {
            end = Some(next).filter(|next| *next > at).or(end);
            self.next = None;
        }
        let end = end.or(self.next).unwrap_or(size).min(size);
        (end - at).min(FRAME_MAX)
    }

    fn peek(&mut self) -> Option<u64> {
        if self.next.is_none() {
            let packets = self.packets.as_mut()?;
            let Ok(Some(packet)) = packets.next_packet() else {
                self.packets = None;
                return None;
            };
            let packet = packet.description;
            self.first.get_or_insert(packet);
            self.last = Some(packet);
            self.count += 1;
            self.next = packet.offset_bytes.checked_add(size_of(&packet)?);
        }
        self.next
    }

    /// Times and counts of the stream; none if it has no packets that can be read.
    pub fn stream(mut self) -> Option<Stream> {
        // The bytes after the last frame, if there are any.
        while self.peek().is_some() {
            self.next = None;
        }
        let (first, last) = (self.first?, self.last?);
        let moment = |cycles| Timestamp::from_nanosecond(self.clock.time_ns(cycles)).ok();
        let missing = match (first.packet_sequence, last.packet_sequence) {
            (NONE, _) | (_, NONE) => 0,
            (first, last) => (last.saturating_sub(first))
                .saturating_add(1)
                .saturating_sub(self.count),
        };
        // The counter goes on through all files of a stream.
        let before = match first.packet_sequence {
            0 => 0,
            _ => first.events_discarded,
        };
        Some(Stream {
            class: first.class,
            instance: Some(first.instance).filter(|instance| *instance != NONE),
            packets: self.count,
            begin: moment(first.timestamp_begin)?,
            end: moment(last.timestamp_end)?,
            discarded: last.events_discarded.saturating_sub(before),
            lost: missing,
        })
    }
}

/// The manifest of a chunk on disk, without keys and stored sizes.
pub fn head(chunk: &Chunk, files: &[LocalFile], traces: &Traces, streams: &[Stream]) -> Head {
    let modified = || {
        let times = files.iter().map(|file| file.modified_ns);
        times.filter_map(|time| Timestamp::from_nanosecond(time).ok())
    };
    let begin = streams.iter().map(|it| it.begin).min();
    let end = streams.iter().map(|it| it.end).max();
    Head {
        schema: SCHEMA,
        id: String::new(),
        relay: machine(),
        host: traces.host().unwrap_or_else(|| chunk.top()),
        session: chunk.names().0,
        path: keys::encode_path(&chunk.path),
        chunk: chunk.number(),
        format: traces.described().into_iter().next().map(|it| it.format),
        begin: begin.or(modified().min()).unwrap_or_default(),
        end: end.or(modified().max()).unwrap_or_default(),
        files: files.len() as u64,
        bytes: files.iter().map(|it| it.bytes).sum(),
        stored_bytes: 0,
        packets: streams.iter().map(|it| it.packets).sum(),
        discarded: streams.iter().map(|it| it.discarded).sum(),
        lost: streams.iter().map(|it| it.lost).sum(),
        directory: String::new(),
    }
}

/// The name of this machine.
fn machine() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}
