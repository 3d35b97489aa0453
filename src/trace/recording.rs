//! A recorded session: the traces below a directory, their streams, and the files of each
//! stream in order.
//!
//! The chunks and snapshots of a session have slices of the same traces. This module joins
//! them: a trace is identified by its path below its chunk and its UUID, a stream by its
//! class and instance.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::NONE;

pub use super::packets::{Packet, Packets};

use super::TraceError;
use super::description::Clock;
use super::layout::Layout;
use super::packets::DataFile;
use super::slices::{Slice, find_slices, put_together};

/// A recorded session.
#[derive(Debug)]
pub struct Recording {
    pub host: String,
    pub session: String,
    pub format: TraceFormat,
    pub traces: Vec<Trace>,
}

#[derive(Debug)]
pub struct Trace {
    /// Its path in the session, as in ADD_STREAM.
    pub path: PathBuf,
    /// The file with all of its metadata.
    pub metadata: PathBuf,
    pub clock: Clock,
    pub streams: Vec<Stream>,
}

#[derive(Debug)]
pub struct Stream {
    pub channel: Vec<u8>,
    pub class: u64,
    /// In order of time.
    files: Vec<DataFile>,
}

impl Stream {
    pub fn packets(&self) -> Packets {
        Packets::of(self.files.clone())
    }
}

impl Recording {
    /// Reads a trace, a chunk, or a whole session, at or below a directory.
    pub fn find(directory: &Path) -> Result<Self, TraceError> {
        let fault = |reason: &str| TraceError::new(directory, reason);
        let absolute = directory
            .canonicalize()
            .map_err(TraceError::io(directory))?;
        let mut slices = Vec::new();
        find_slices(directory, &mut slices)?;
        if slices.is_empty() {
            return Err(fault("there is no trace in it"));
        }
        let described = slices.iter().map(|slice| &slice.description);
        let format = described.clone().next().map(|it| it.format);
        let format = format.unwrap_or_default();
        if described.clone().any(|it| it.format != format) {
            return Err(fault(
                "it has traces in CTF 1.8 and in CTF 2: a session has one format",
            ));
        }
        let mut described = described.map(|it| (it.host.clone(), it.session.clone()));
        let (host, session) = described.next().unwrap_or_default();
        let name = absolute.file_name().map(OsStr::to_string_lossy);
        let mut traces = Vec::new();
        for (path, slices) in put_together(slices, directory, &absolute) {
            traces.extend(Trace::join(path, &slices)?);
        }
        if traces.is_empty() {
            return Err(fault("there is no packet in it"));
        }
        Ok(Self {
            host: host.unwrap_or_else(|| "localhost".into()),
            session: session
                .or(name.map(Into::into))
                .unwrap_or_else(|| "replay".into()),
            format,
            traces,
        })
    }

    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }

    pub fn packets(&self) -> u64 {
        self.files().map(|file| file.packets).sum()
    }

    fn files(&self) -> impl Iterator<Item = &DataFile> {
        let streams = self.traces.iter().flat_map(|trace| &trace.streams);
        streams.flat_map(|stream| &stream.files)
    }
}

impl Trace {
    /// Joins the slices of a trace; none if they have no packet.
    fn join(path: PathBuf, slices: &[Slice]) -> Result<Option<Self>, TraceError> {
        // Each chunk has all metadata up to its own end; an interrupted chunk may have
        // none.
        let fullest = slices.iter().max_by_key(|slice| slice.metadata_bytes);
        let Some(fullest) = fullest else {
            return Ok(None);
        };
        let (clock, metadata) = (fullest.description.clock, fullest.metadata());
        let mut streams: BTreeMap<Identity, Vec<Named>> = BTreeMap::new();
        for slice in slices {
            let layout = slice.description.layout.clone();
            let layout = layout.filter(Layout::is_lttng).map(Arc::new);
            for name in &slice.files {
                let index = slice.index(name);
                let path = slice.directory.join(name);
                if let Some(file) = DataFile::examine(&path, index, layout.as_ref())? {
                    let named = (name.as_bytes().to_vec(), file);
                    let identity = Identity::of(&named);
                    streams.entry(identity).or_default().push(named);
                }
            }
        }
        let streams: Vec<_> = streams.into_values().map(Stream::join).collect();
        Ok((!streams.is_empty()).then_some(Self {
            path,
            metadata,
            clock,
            streams,
        }))
    }
}

/// A data file and its name.
type Named = (Vec<u8>, DataFile);

/// Identity of a stream: class and instance, or the name if the tracer (before 2.8) has no
/// instance numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity(u64, u64, Vec<u8>);

impl Identity {
    fn of((name, file): &Named) -> Self {
        let (class, instance) = (file.first.class, file.first.instance);
        let name = if instance == NONE {
            name.clone()
        } else {
            Vec::new()
        };
        Self(class, instance, name)
    }
}

impl Stream {
    fn join(mut named: Vec<Named>) -> Self {
        named.sort_by_key(|(_, file)| (file.first.timestamp_begin, file.first.packet_sequence));
        let (first, file) = &named[0];
        let class = file.first.class;
        let channel = if named.iter().all(|(name, _)| name == first) {
            first.clone()
        } else {
            // The names of a ring's files have numbers after the name of the stream.
            let end = first.iter().rposition(|byte| *byte == b'_');
            first[..end.unwrap_or(first.len())].to_vec()
        };
        Self {
            channel,
            class,
            files: named.into_iter().map(|(_, file)| file).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::{Made, data_file, trace};

    /// Its streams: path of the trace, name, ends of the packets.
    fn found(directory: &Path) -> Vec<(String, String, Vec<u64>)> {
        let recording = Recording::find(directory).unwrap();
        let mut found = Vec::new();
        for trace in &recording.traces {
            for stream in &trace.streams {
                let mut packets = stream.packets();
                let ends = std::iter::from_fn(|| packets.next_packet().unwrap());
                let ends = ends
                    .map(|packet| packet.description.timestamp_end)
                    .collect();
                let channel = String::from_utf8(stream.channel.clone()).unwrap();
                found.push((trace.path.display().to_string(), channel, ends));
            }
        }
        found
    }

    fn one(path: &str, channel: &str, ends: &[u64]) -> (String, String, Vec<u64>) {
        (path.into(), channel.into(), ends.to_vec())
    }

    const EARLY: [Made; 2] = [(0, 9, 0), (10, 19, 1)];
    const LATE: [Made; 2] = [(20, 29, 2), (30, 39, 3)];

    #[test]
    fn the_files_of_a_ring_are_one_stream() {
        let session = tempfile::tempdir().unwrap();
        let directory = session.path().join("ust/uid/0/64-bit");
        trace(&directory, "u");
        // The ring wrapped around: the first file has the last packets.
        data_file(&directory, "ch_0_1", 0, &EARLY, true);
        data_file(&directory, "ch_0_0", 0, &LATE, false);
        data_file(&directory, "ch_1_0", 1, &[], false);
        data_file(&directory, "ch_2_0", 2, &EARLY, true);
        let path = "ust/uid/0/64-bit";
        let expected = [
            one(path, "ch_0", &[9, 19, 29, 39]),
            one(path, "ch_2_0", &[9, 19]),
        ];
        assert_eq!(found(session.path()), expected);
    }

    #[test]
    fn chunks_are_put_together_in_the_order_of_time() {
        let session = tempfile::tempdir().unwrap();
        let current = "20261122T070020+0000-3/kernel";
        let archive = "archives/20261122T070017+0000-20261122T070018-0100-0/kernel";
        for (chunk, packets) in [(current, LATE), (archive, EARLY)] {
            let directory = session.path().join(chunk);
            trace(&directory, "u");
            data_file(&directory, "ch_0", 0, &packets, true);
        }
        let expected = [one("kernel", "ch_0", &[9, 19, 29, 39])];
        assert_eq!(found(session.path()), expected);
        let archives = session.path().join("archives");
        assert_eq!(found(&archives), [one("kernel", "ch_0", &[9, 19])]);
        let one_trace = session.path().join(archive);
        assert_eq!(found(&one_trace), [one("kernel", "ch_0", &[9, 19])]);
    }

    #[test]
    fn packets_of_two_snapshots_are_played_once() {
        let session = tempfile::tempdir().unwrap();
        for (snapshot, packets) in [
            ("snapshot-1-20261122-070017-0", &EARLY[..]),
            ("mine-20261122-070018-1", &[EARLY[1], LATE[0]]),
        ] {
            let directory = session.path().join(snapshot).join("ust/uid/0/64-bit");
            trace(&directory, "u");
            data_file(&directory, "ch_0", 0, packets, true);
        }
        let expected = [one("ust/uid/0/64-bit", "ch_0", &[9, 19, 29])];
        assert_eq!(found(session.path()), expected);
    }

    #[test]
    fn sessions_that_look_like_snapshots_stay_apart() {
        let host = tempfile::tempdir().unwrap();
        for name in [
            "demo-20261122-070017",
            "demo-20261122-070017-2",
            "demo-20261122-070017-3",
        ] {
            let directory = host.path().join(name).join("kernel");
            trace(&directory, name);
            data_file(&directory, "ch_0", 0, &EARLY, true);
        }
        let paths: Vec<_> = found(host.path())
            .into_iter()
            .map(|(path, ..)| path)
            .collect();
        let expected = [
            "demo-20261122-070017/kernel",
            "demo-20261122-070017-2/kernel",
            "demo-20261122-070017-3/kernel",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn where_no_packets_are_it_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let error = |path: &Path| Recording::find(path).unwrap_err().to_string();
        let fault = |reason: &str| format!("cannot read {}: {reason}", directory.path().display());
        assert_eq!(error(directory.path()), fault("there is no trace in it"));
        trace(directory.path(), "u");
        assert_eq!(error(directory.path()), fault("there is no packet in it"));
        let nowhere = directory.path().join("nowhere");
        let expected = format!(
            "cannot read {}: No such file or directory",
            nowhere.display()
        );
        assert_eq!(error(&nowhere), expected);
    }
}
