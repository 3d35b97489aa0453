//! What one session recorded: the traces below a directory, their streams, and the
//! order of the files of each stream.
//!
//! The chunks and snapshots of a session hold slices of the same traces. Here they are
//! put together again: a trace is known by its path below its chunk and its UUID, a
//! stream by its class and instance, whatever files its packets went to.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_components::wire::TraceFormat;
use baton_components::wire::producer::NONE;

pub use super::packets::{Packet, Packets};

use super::TraceError;
use super::metadata::{Clock, Description};
use super::packets::DataFile;

/// A session as it was recorded.
#[derive(Debug)]
pub struct Recording {
    pub host: String,
    pub session: String,
    pub format: TraceFormat,
    pub traces: Vec<Trace>,
}

#[derive(Debug)]
pub struct Trace {
    /// Where it is in its session, as a consumer daemon names it.
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
    /// In the order of time.
    files: Vec<DataFile>,
}

impl Stream {
    pub fn packets(&self) -> Packets {
        Packets::of(self.files.clone())
    }
}

impl Recording {
    /// Reads what is at or below a directory: a trace, a chunk, or all of a session.
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
    /// Puts the slices of a trace together; none if they have no packet.
    fn join(path: PathBuf, slices: &[Slice]) -> Result<Option<Self>, TraceError> {
        // Each chunk has all metadata up to its own end. One that was cut short may
        // have none.
        let fullest = slices.iter().max_by_key(|slice| slice.metadata_bytes);
        let Some(fullest) = fullest else {
            return Ok(None);
        };
        let (clock, metadata) = (fullest.description.clock, fullest.metadata());
        let mut streams: BTreeMap<Identity, Vec<Named>> = BTreeMap::new();
        for slice in slices {
            let layout = slice.description.layout.clone().map(Arc::new);
            for name in &slice.files {
                let index = slice.directory.join("index").join(with_idx(name));
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

/// What the files of one stream have in common: class and instance, or where old
/// tracers number no instances, the name.
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
            // The files of a ring have numbers after the name of the stream.
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

/// A directory with metadata and data files: a trace, or what a chunk has of it.
#[derive(Debug)]
struct Slice {
    directory: PathBuf,
    description: Description,
    metadata_bytes: u64,
    /// Names of the data files.
    files: Vec<OsString>,
}

impl Slice {
    fn below(&self, directory: &Path) -> &Path {
        let below = self.directory.strip_prefix(directory);
        below.unwrap_or(&self.directory)
    }

    fn metadata(&self) -> PathBuf {
        self.directory.join(METADATA)
    }
}

/// Goes through directories in the order of their names. Symbolic links are not
/// followed.
fn find_slices(directory: &Path, found: &mut Vec<Slice>) -> Result<(), TraceError> {
    let fault = TraceError::io(directory);
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory).map_err(&fault)? {
        let entry = entry.map_err(&fault)?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(&fault)?;
        // What is hidden is none of a trace's, but for chunks in the middle of a
        // rotation.
        let is_hidden = name.as_bytes().starts_with(b".");
        if kind.is_dir() && (!is_hidden || is_hidden_chunk(&name)) {
            directories.push(name);
        } else if kind.is_file() && !is_hidden {
            files.push(name);
        }
    }
    files.sort();
    directories.sort();
    let others = files.len();
    files.retain(|name| name != METADATA);
    let path = directory.join(METADATA);
    let metadata_bytes = fs::metadata(&path).map_or(0, |it| it.len());
    // Without metadata nobody can read the packets.
    if files.len() < others && metadata_bytes > 0 {
        found.push(Slice {
            description: Description::read(&path)?,
            directory: directory.to_owned(),
            metadata_bytes,
            files,
        });
        // The rest is its index.
        return Ok(());
    }
    for name in directories {
        find_slices(&directory.join(name), found)?;
    }
    Ok(())
}

/// Slices of the same trace, by its path in the session.
fn put_together(
    slices: Vec<Slice>,
    directory: &Path,
    absolute: &Path,
) -> BTreeMap<PathBuf, Vec<Slice>> {
    let mut traces: BTreeMap<PathBuf, Vec<Slice>> = BTreeMap::new();
    for slice in slices {
        let path = trace_path(absolute, slice.below(directory), |name| !is_chunk(name));
        traces.entry(path).or_default().push(slice);
    }
    let (mut whole, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        traces.into_iter().partition(|(_, slices)| {
            let first = slices.first().and_then(|it| it.description.uuid.as_ref());
            slices
                .iter()
                .all(|it| it.description.uuid.as_ref() == first)
        });
    // What looked like chunks were sessions.
    for slice in others.into_values().flatten() {
        let path = trace_path(absolute, slice.below(directory), |_| true);
        whole.entry(path).or_default().push(slice);
    }
    whole
}

/// The path of a trace in its session: `below` a directory, of the names that belong to
/// it. A directory within a session adds what leads to it.
fn trace_path(directory: &Path, below: &Path, belongs: fn(&OsStr) -> bool) -> PathBuf {
    let names: Vec<&OsStr> = directory.iter().collect();
    let domain = names
        .iter()
        .rposition(|name| DOMAINS.iter().any(|domain| name == domain));
    let leading = domain.map_or(&[][..], |at| &names[at..]);
    let below = below.iter().filter(|name| belongs(name));
    let path: PathBuf = leading.iter().copied().chain(below).collect();
    if path.as_os_str().is_empty() {
        // A trace that somebody copied: it needs some path.
        PathBuf::from(names.last().copied().unwrap_or(OsStr::new("trace")))
    } else {
        path
    }
}

/// Whether a directory is named as those of chunks and snapshots are: `BEGIN-NUMBER`,
/// `BEGIN-END-NUMBER`, `NAME-DATE-TIME-NUMBER`, one that gathers them, or one that is
/// there while a session rotates.
fn is_chunk(name: &OsStr) -> bool {
    const MOMENT: &str = "00000000T000000+0000-";
    const DATE: &str = "-00000000-000000-";
    if is_hidden_chunk(name) || name == "archives" {
        return true;
    }
    let Some((begin, number)) = name.to_str().and_then(|name| name.rsplit_once('-')) else {
        return false;
    };
    let begin = format!("{begin}-");
    let is_snapshot = begin
        .len()
        .checked_sub(DATE.len())
        .and_then(|at| begin.get(at..))
        .is_some_and(|end| has_shape(end, DATE));
    number.bytes().all(|it| it.is_ascii_digit())
        && (is_snapshot || has_shape(&begin, MOMENT) || has_shape(&begin, &MOMENT.repeat(2)))
}

fn is_hidden_chunk(name: &OsStr) -> bool {
    name == ".tmp_old_chunk" || name == ".tmp_new_chunk"
}

/// Whether `text` is `shape`, with any digit for each zero and either sign.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        b'+' => matches!(found, b'+' | b'-'),
        _ => found == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn with_idx(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push(".idx");
    name
}

const METADATA: &str = "metadata";
/// Where the path of a trace begins.
const DOMAINS: [&str; 2] = ["ust", "kernel"];

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
                let ends = std::iter::from_fn(|| packets.next().unwrap());
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
        // The ring came round: the first file has the last packets.
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
    fn what_two_snapshots_have_is_played_once() {
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

    #[test]
    fn chunks_are_known_by_their_names() {
        for name in [
            "archives",
            ".tmp_old_chunk",
            "20261122T070020+0000-3",
            "20261122T070017+0000-20261122T070018-0100-12",
            "snapshot-1-20261122-070017-0",
        ] {
            assert!(is_chunk(OsStr::new(name)), "{name}");
        }
        for name in [
            "kernel",
            "20261122-070020",
            "demo-20261122-070017",
            "app-88-20261122-070017",
        ] {
            assert!(!is_chunk(OsStr::new(name)), "{name}");
        }
    }
}
