//! Iterator over the packets of a stream, across its files.
//!
//! Only a batch of descriptions is in memory, and no file stays open, since a recording may
//! have thousands of streams and gigabytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use baton_components::wire::ctf_index::IndexRecord;
use baton_components::wire::producer::NONE;

use super::TraceError;
use super::index_file::{BATCH, IndexFile};
use super::layout::Layout;

/// A data file of which all packets are whole.
#[derive(Clone, Debug)]
pub struct DataFile {
    path: Arc<Path>,
    source: Source,
    /// Its first packet, which identifies the stream and the begin time.
    pub first: IndexRecord,
    pub packets: u64,
    pub bytes: u64,
}

/// Source of the descriptions of packets.
#[derive(Clone, Debug)]
enum Source {
    Index(PathBuf),
    Headers(Arc<Layout>),
}

/// A packet of a recording.
#[derive(Clone, Debug)]
pub struct Packet {
    pub description: IndexRecord,
    /// The file with the packet.
    pub path: Arc<Path>,
}

impl DataFile {
    /// Checks every packet of a file; none if it has no packet. Uses the index if it
    /// describes all packets, else the packets' own headers.
    pub fn examine(
        path: &Path,
        index: PathBuf,
        layout: Option<&Arc<Layout>>,
    ) -> Result<Option<Self>, TraceError> {
        let size = std::fs::metadata(path).map_err(TraceError::io(path))?.len();
        if size == 0 {
            return Ok(None);
        }
        let mut file = Self {
            path: path.into(),
            source: Source::Index(index),
            first: NO_PACKET,
            packets: 0,
            bytes: size,
        };
        match (file.survey(), layout) {
            (Ok(()), layout) if layout.is_none() || file.first.instance != NONE => {}
            (_, Some(layout)) => {
                file.source = Source::Headers(layout.clone());
                file.survey()?;
            }
            (Err(_), None) => {
                let reason = "its index does not describe all its packets, and their headers \
                              are not those of LTTng's tracers: the right index is needed";
                return Err(TraceError::new(path, reason));
            }
            (Ok(()), None) => unreachable!("law: without a layout the first arm is taken"),
        }
        Ok(Some(file))
    }

    /// Checks that the packets are contiguous and fill the file.
    fn survey(&mut self) -> Result<(), TraceError> {
        self.packets = 0;
        let (mut place, mut end) = (0, 0);
        loop {
            let batch = self.read(&mut place)?;
            let Some(first) = batch.first() else { break };
            if self.packets == 0 {
                self.first = *first;
            }
            for packet in batch {
                if packet.offset_bytes != end {
                    return Err(self.torn(end));
                }
                end = packet.offset_bytes + self.packet_size(&packet)?;
                self.packets += 1;
            }
        }
        if end == self.bytes {
            Ok(())
        } else {
            Err(self.torn(end))
        }
    }

    /// The next batch of descriptions at a position, which is advanced; empty at the end.
    fn read(&self, place: &mut u64) -> Result<Vec<IndexRecord>, TraceError> {
        match &self.source {
            Source::Index(index) => {
                let records = read_index(index, *place).map_err(TraceError::io(index))?;
                *place += records.len() as u64;
                Ok(records)
            }
            Source::Headers(layout) => self.read_headers(layout, place),
        }
    }

    fn read_headers(
        &self,
        layout: &Layout,
        place: &mut u64,
    ) -> Result<Vec<IndexRecord>, TraceError> {
        let file = File::open(&self.path).map_err(TraceError::io(&self.path))?;
        let mut records = Vec::new();
        let mut headers = Headers::new(&file, layout, self.bytes);
        headers.end = *place;
        while headers.end < self.bytes && (records.len() as u64) < BATCH {
            let found = headers.find().map_err(TraceError::io(&self.path))?;
            let record = match found {
                Found::Packet(record) => record,
                Found::Torn => return Err(self.torn(headers.end)),
                Found::NoPacket => {
                    let reason = format!("no packet begins at byte {}", headers.end);
                    return Err(TraceError::new(&self.path, reason));
                }
            };
            headers.end += self.packet_size(&record)?;
            records.push(record);
        }
        *place = headers.end;
        Ok(records)
    }

    /// Reads the bytes of a whole packet.
    fn packet_size(&self, packet: &IndexRecord) -> Result<u64, TraceError> {
        let at = packet.offset_bytes;
        let least = match &self.source {
            Source::Index(_) => 0,
            Source::Headers(layout) => layout.size() as u64,
        };
        let size = size_of(packet).filter(|size| least <= *size);
        let bytes = size.ok_or_else(|| {
            let reason = format!("the packet at byte {at} has an invalid size");
            TraceError::new(&self.path, reason)
        })?;
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(self.torn(at));
        }
        Ok(bytes)
    }

    fn torn(&self, at: u64) -> TraceError {
        let reason = format!("the packet at byte {at} is torn; baton repair cuts it off");
        TraceError::new(&self.path, reason)
    }
}

/// Finds the packets of a data file by their headers.
#[derive(Debug)]
pub struct Headers<'f> {
    file: &'f File,
    layout: &'f Layout,
    size: u64,
    /// End of the packets found so far.
    pub end: u64,
    header: Vec<u8>,
}

/// The content at an offset where a packet should begin.
enum Found {
    Packet(IndexRecord),
    /// Fewer bytes than a header.
    Torn,
    NoPacket,
}

impl<'f> Headers<'f> {
    /// Scans a file of that size.
    pub fn new(file: &'f File, layout: &'f Layout, size: u64) -> Self {
        Self {
            file,
            layout,
            size,
            end: 0,
            header: vec![0; layout.size()],
        }
    }

    /// The next whole packet; none if the next packet is torn, or at the end. A packet has its
    /// whole header: else it would be another one once the file is cut after it.
    pub fn next_whole(&mut self) -> io::Result<Option<IndexRecord>> {
        let Found::Packet(packet) = self.find()? else {
            return Ok(None);
        };
        let size = size_of(&packet).filter(|size| self.layout.size() as u64 <= *size);
        let end = size.and_then(|size| self.end.checked_add(size));
        let Some(end) = end.filter(|end| *end <= self.size) else {
            return Ok(None);
        };
        self.end = end;
        Ok(Some(packet))
    }

    /// Whether the rest may be the begin of a torn packet.
    pub fn may_be_torn(&mut self) -> io::Result<bool> {
        let left = (self.size - self.end).min(self.header.len() as u64) as usize;
        self.file
            .read_exact_at(&mut self.header[..left], self.end)?;
        Ok(self.layout.may_begin(&self.header[..left]))
    }

    fn find(&mut self) -> io::Result<Found> {
        match self.file.read_exact_at(&mut self.header, self.end) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Found::Torn),
            read => read?,
        }
        let packet = self.layout.describe(&self.header, self.end);
        Ok(packet.map_or(Found::NoPacket, Found::Packet))
    }
}

/// Size of a packet in bytes; none if it is not a valid size.
pub fn size_of(packet: &IndexRecord) -> Option<u64> {
    let bytes = packet.packet_size_bits / 8;
    (bytes > 0 && u32::try_from(bytes).is_ok()).then_some(bytes)
}

/// The packets of consecutive files. Snapshots may have the same packets: a packet with a
/// number that came before is skipped.
#[derive(Debug)]
pub struct Packets {
    files: vec::IntoIter<DataFile>,
    /// The current file, and the position in it.
    current: Option<(DataFile, u64)>,
    batch: VecDeque<IndexRecord>,
    /// Minimum number of the next packet.
    sequence: u64,
}

impl Packets {
    pub fn of(files: Vec<DataFile>) -> Self {
        Self {
            files: files.into_iter(),
            current: None,
            batch: VecDeque::new(),
            sequence: 0,
        }
    }

    /// The next packet; none after the last one.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, TraceError> {
        loop {
            if let Some((file, place)) = &mut self.current {
                if let Some(description) = self.batch.pop_front() {
                    if description.packet_sequence < self.sequence {
                        continue;
                    }
                    if description.packet_sequence != NONE {
                        self.sequence = description.packet_sequence + 1;
                    }
                    let path = file.path.clone();
                    return Ok(Some(Packet { description, path }));
                }
                self.batch = file.read(place)?.into();
                if !self.batch.is_empty() {
                    continue;
                }
            }
            let Some(file) = self.files.next() else {
                return Ok(None);
            };
            self.current = Some((file, 0));
        }
    }
}

fn read_index(path: &Path, first: u64) -> io::Result<Vec<IndexRecord>> {
    let file = File::open(path)?;
    let index = IndexFile::open(&file)?;
    index.map_or(Ok(Vec::new()), |index| index.read(first))
}

const NO_PACKET: IndexRecord = IndexRecord {
    offset_bytes: 0,
    packet_size_bits: 0,
    content_size_bits: 0,
    timestamp_begin: 0,
    timestamp_end: 0,
    events_discarded: 0,
    class: 0,
    instance: NONE,
    packet_sequence: NONE,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::description::Description;
    use crate::trace::testing::{PACKET_BYTES, data_file, trace};

    /// More than a batch.
    fn many() -> Vec<(u64, u64, u64)> {
        (0..150).map(|it| (it * 10, it * 10 + 9, it)).collect()
    }

    fn examine(directory: &Path, with_layout: bool) -> Result<Option<DataFile>, String> {
        let metadata = Description::read(&directory.join("metadata")).unwrap();
        let layout = metadata.layout.filter(|_| with_layout).map(Arc::new);
        let index = directory.join("index/ch_0.idx");
        DataFile::examine(&directory.join("ch_0"), index, layout.as_ref())
            .map_err(|error| error.to_string())
    }

    fn sequences(file: DataFile) -> Vec<u64> {
        let mut packets = Packets::of(vec![file]);
        std::iter::from_fn(|| packets.next_packet().unwrap())
            .map(|packet| packet.description.packet_sequence)
            .collect()
    }

    #[test]
    fn packets_are_found_by_index_and_by_their_headers() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        trace(directory, "u");
        for (indexed, with_layout) in [(true, true), (true, false), (false, true)] {
            let _ = std::fs::remove_dir_all(directory.join("index"));
            data_file(directory, "ch_0", 3, &many(), indexed);
            let file = examine(directory, with_layout).unwrap().unwrap();
            assert_eq!((file.packets, file.bytes), (150, 150 * PACKET_BYTES));
            assert_eq!((file.first.instance, file.first.timestamp_end), (3, 9));
            assert_eq!(matches!(file.source, Source::Index(_)), indexed);
            assert_eq!(sequences(file), (0..150).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_index_that_does_not_tell_all_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        trace(directory, "u");
        data_file(directory, "ch_0", 3, &many()[..4], true);
        data_file(directory, "ch_0", 3, &many(), false);
        let file = examine(directory, true).unwrap().unwrap();
        assert_eq!(sequences(file).len(), 150);
        let error = examine(directory, false).unwrap_err();
        assert!(error.contains("the right index is needed"), "{error}");
    }

    #[test]
    fn a_torn_packet_and_a_wrong_magic_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        trace(directory, "u");
        for indexed in [true, false] {
            data_file(directory, "ch_0", 3, &many(), indexed);
            let path = directory.join("ch_0");
            let whole = std::fs::read(&path).unwrap();
            for cut in [1, 60, 99] {
                std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
                let error = examine(directory, true).unwrap_err();
                assert!(
                    error.ends_with("the packet at byte 14900 is torn; baton repair cuts it off"),
                    "{error}"
                );
            }
            std::fs::write(&path, [&whole[..], &[7; 100]].concat()).unwrap();
            let error = examine(directory, true).unwrap_err();
            assert!(error.ends_with("no packet begins at byte 15000"), "{error}");
            std::fs::write(&path, "").unwrap();
            assert!(examine(directory, true).unwrap().is_none());
        }
    }

    #[test]
    fn a_packet_without_a_size_does_not_hold_up_the_search() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        trace(directory, "u");
        data_file(directory, "ch_0", 3, &many()[..1], false);
        let path = directory.join("ch_0");
        let mut bytes = std::fs::read(&path).unwrap();
        for size in [0, 7, u64::MAX] {
            bytes[40..48].copy_from_slice(&size.to_le_bytes());
            std::fs::write(&path, &bytes).unwrap();
            let error = examine(directory, true).unwrap_err();
            assert!(error.contains("the packet at byte 0 "), "{error}");
        }
    }
}
