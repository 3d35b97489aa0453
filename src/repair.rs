//! `baton repair`: makes the traces that a crash left behind readable.
//!
//! A relay that is killed leaves a packet torn at the end of a file, and readers then
//! refuse the whole trace. A packet's index record is written after its bytes, so the
//! index tells where the last whole packet ends: data is cut back to there, an index
//! to its last whole record whose packet is there, metadata to its last whole packet.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use baton_components::wire::ctf_index::{HEADER_SIZE, IndexRecord, Version};

/// What was done to one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Repair {
    path: PathBuf,
    from_bytes: u64,
    to_bytes: u64,
}

/// What could not be read or mended.
#[derive(Debug, thiserror::Error)]
#[error("cannot repair {}: {reason}", path.display())]
pub struct RepairError {
    path: PathBuf,
    reason: io::Error,
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            from_bytes,
            to_bytes,
        } = self;
        write!(
            formatter,
            "{}: cut from {from_bytes} to {to_bytes} bytes",
            path.display()
        )
    }
}

/// Repairs every trace at or below `directory`; gives what was done, in the order of
/// the paths. Symbolic links are not followed.
pub fn repair(directory: &Path) -> Result<Vec<Repair>, RepairError> {
    let mut repairs = Vec::new();
    repair_below(directory, &mut repairs)?;
    Ok(repairs)
}

fn repair_below(directory: &Path, repairs: &mut Vec<Repair>) -> Result<(), RepairError> {
    let at = |reason| RepairError {
        path: directory.to_owned(),
        reason,
    };
    let mut entries: Vec<_> = fs::read_dir(directory)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(at)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(at)?;
        if kind.is_dir() {
            repair_below(&path, repairs)?;
        } else if kind.is_file() {
            let repaired = if path.extension().is_some_and(|extension| extension == "idx") {
                repair_stream(&path)
            } else if path.file_name().is_some_and(|name| name == "metadata") {
                repair_metadata(&path).map(Vec::from_iter)
            } else {
                Ok(Vec::new())
            };
            repairs.extend(repaired.map_err(|reason| RepairError { path, reason })?);
        }
    }
    Ok(())
}

/// Makes a data file end with the last packet of its index, and the index with the
/// last packet of the file.
fn repair_stream(index_path: &Path) -> io::Result<Vec<Repair>> {
    let (Some(directory), Some(name)) = (index_path.parent(), index_path.file_stem()) else {
        return Ok(Vec::new());
    };
    let Some(data_path) = directory.parent().map(|above| above.join(name)) else {
        return Ok(Vec::new());
    };
    let index_file = open(index_path)?;
    let data_file = match open(&data_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let data_size = data_file.metadata()?.len();
    let end = whole_records(&index_file, data_size)?;
    let repairs = [
        cut(&index_file, index_path, end.index_bytes)?,
        cut(&data_file, &data_path, end.data_bytes.min(data_size))?,
    ];
    Ok(repairs.into_iter().flatten().collect())
}

/// Where an index and its data file end together.
struct End {
    index_bytes: u64,
    data_bytes: u64,
}

fn whole_records(index: &File, data_size: u64) -> io::Result<End> {
    let size = index.metadata()?.len();
    let mut header = [0; HEADER_SIZE];
    if size < HEADER_SIZE as u64 {
        // Its first record was not written: no packet is whole.
        return Ok(End {
            index_bytes: 0,
            data_bytes: 0,
        });
    }
    index.read_exact_at(&mut header, 0)?;
    let version = Version::from_header(&header)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let record_size = version.record_size();
    let mut record = vec![0; record_size];
    let mut end = End {
        index_bytes: HEADER_SIZE as u64,
        data_bytes: 0,
    };
    while end.index_bytes + record_size as u64 <= size {
        index.read_exact_at(&mut record, end.index_bytes)?;
        let Ok(packet) = IndexRecord::decode(version, &record) else {
            break;
        };
        let packet_end = packet
            .offset_bytes
            .saturating_add(packet.packet_size_bits / 8);
        if packet_end > data_size {
            break;
        }
        end.index_bytes += record_size as u64;
        // Records stand in the order in which packets became complete, not always in
        // that of the file.
        end.data_bytes = end.data_bytes.max(packet_end);
    }
    Ok(end)
}

/// Cuts metadata that comes in packets to whole packets, and metadata in records of
/// JSON to whole records. Plain text has no such ends: it stays.
fn repair_metadata(path: &Path) -> io::Result<Option<Repair>> {
    let file = open(path)?;
    let bytes = fs::read(path)?;
    let whole = match bytes.first_chunk::<4>() {
        Some(magic) if u32::from_le_bytes(*magic) == METADATA_MAGIC => {
            whole_packets(&bytes, u32::from_le_bytes)
        }
        Some(magic) if u32::from_be_bytes(*magic) == METADATA_MAGIC => {
            whole_packets(&bytes, u32::from_be_bytes)
        }
        Some([JSON_RECORD, ..]) => whole_json_records(&bytes),
        _ => bytes.len(),
    };
    cut(&file, path, whole as u64)
}

/// Bytes of the whole packets at the beginning of packetized metadata. `number` reads
/// its byte order.
fn whole_packets(bytes: &[u8], number: fn([u8; 4]) -> u32) -> usize {
    let mut end = 0;
    while let Some(header) = bytes
        .get(end..)
        .and_then(<[u8]>::first_chunk::<METADATA_HEADER>)
    {
        let size = header
            .get(PACKET_SIZE_BITS..)
            .and_then(<[u8]>::first_chunk::<4>);
        let size = size.map_or(0, |bits| number(*bits) as usize / 8);
        if size < METADATA_HEADER || bytes.len() - end < size {
            break;
        }
        end += size;
    }
    end
}

/// Bytes of the whole records at the beginning of a JSON text sequence.
fn whole_json_records(bytes: &[u8]) -> usize {
    let last = bytes
        .iter()
        .rposition(|byte| *byte == JSON_RECORD)
        .unwrap_or(0);
    let mut depth = 0_i64;
    let mut in_string = false;
    let mut escaped = false;
    for byte in &bytes[last..] {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    let is_whole = depth == 0 && !in_string && bytes.ends_with(b"\n");
    if is_whole { bytes.len() } else { last }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn cut(file: &File, path: &Path, to_bytes: u64) -> io::Result<Option<Repair>> {
    let from_bytes = file.metadata()?.len();
    if from_bytes <= to_bytes {
        return Ok(None);
    }
    file.set_len(to_bytes)?;
    Ok(Some(Repair {
        path: path.to_owned(),
        from_bytes,
        to_bytes,
    }))
}

/// First four bytes of a packet of CTF 1.8 metadata.
const METADATA_MAGIC: u32 = 0x75D1_1D57;
/// Magic, UUID, checksum, content size, packet size, three schemes, two versions.
const METADATA_HEADER: usize = 37;
/// Where the size of a metadata packet stands in its header, in bits.
const PACKET_SIZE_BITS: usize = 28;
/// First byte of each record of a JSON text sequence (CTF 2 metadata).
const JSON_RECORD: u8 = 0x1E;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset_bytes: u64, size_bytes: u64) -> IndexRecord {
        IndexRecord {
            offset_bytes,
            packet_size_bits: size_bytes * 8,
            content_size_bits: size_bytes * 8,
            timestamp_begin: 0,
            timestamp_end: 0,
            events_discarded: 0,
            class: 0,
            instance: 0,
            packet_sequence: 0,
        }
    }

    /// A stream of packets of 100 bytes, with `torn` bytes more in the data file and
    /// in the index.
    fn stream(packets: u64, torn_data: usize, torn_index: usize) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("index")).unwrap();
        let mut index = Version::V1_1.header().to_vec();
        for packet in 0..packets {
            record(packet * 100, 100).encode(Version::V1_1, &mut index);
        }
        index.extend(vec![7; torn_index]);
        fs::write(directory.path().join("index/chan_0.idx"), index).unwrap();
        let data = vec![1; packets as usize * 100 + torn_data];
        let path = directory.path().join("chan_0");
        fs::write(&path, data).unwrap();
        (directory, path)
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).unwrap().len()
    }

    #[test]
    fn torn_tails_are_cut_once() {
        let (directory, data) = stream(3, 40, 50);
        let repairs = repair(directory.path()).unwrap();
        assert_eq!(repairs.len(), 2, "{repairs:?}");
        assert_eq!(size(&data), 300);
        assert_eq!(
            size(&directory.path().join("index/chan_0.idx")),
            16 + 3 * 72
        );
        assert_eq!(repair(directory.path()).unwrap(), []);
    }

    #[test]
    fn records_without_their_packets_are_cut() {
        let (directory, data) = stream(3, 0, 0);
        OpenOptions::new()
            .write(true)
            .open(&data)
            .unwrap()
            .set_len(250)
            .unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&data), 200);
        assert_eq!(
            size(&directory.path().join("index/chan_0.idx")),
            16 + 2 * 72
        );
    }

    #[test]
    fn a_whole_trace_is_left_alone() {
        let (directory, _) = stream(3, 0, 0);
        assert_eq!(repair(directory.path()).unwrap(), []);
    }

    #[test]
    fn metadata_is_cut_to_whole_packets_and_records() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metadata");
        let mut packet = [0; 64];
        packet[..4].copy_from_slice(&METADATA_MAGIC.to_le_bytes());
        packet[PACKET_SIZE_BITS..][..4].copy_from_slice(&(64_u32 * 8).to_le_bytes());
        fs::write(&path, [&packet[..], &packet[..], &packet[..30]].concat()).unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&path), 128);
        fs::write(&path, b"\x1e{\"a\":\n\"}\"}\n\x1e{\"b\":[\n").unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&path), 12);
        assert_eq!(repair(directory.path()).unwrap(), []);
        fs::write(&path, b"/* CTF 1.8 */ trace {").unwrap();
        assert_eq!(repair(directory.path()).unwrap(), []);
    }
}
