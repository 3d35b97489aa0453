//! `baton repair`: makes the traces that a crash left behind readable.
//!
//! A relay that is killed leaves a packet torn at the end of a file, and readers then
//! refuse the whole trace. A packet's index record is written after its bytes, so the
//! index tells where the last whole packet ends: data is cut back to there, an index
//! to its last whole record whose packet is there, metadata to its last whole packet.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::os::shown;
use crate::trace::index_file::IndexFile;
use crate::trace::metadata;

/// What was done to one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Repair {
    path: PathBuf,
    from_bytes: u64,
    to_bytes: u64,
}

/// What could not be read or mended.
#[derive(Debug, thiserror::Error)]
#[error("cannot repair {}: {reason}", shown(path))]
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
            shown(path)
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

fn whole_records(index_file: &File, data_size: u64) -> io::Result<End> {
    let Some(index) = IndexFile::open(index_file)? else {
        // Its first record was not written: no packet is whole.
        return Ok(End {
            index_bytes: 0,
            data_bytes: 0,
        });
    };
    let mut records = 0;
    let mut data_bytes = 0;
    'index: loop {
        let batch = index.read(records)?;
        if batch.is_empty() {
            break;
        }
        for packet in batch {
            let packet_end = packet
                .offset_bytes
                .saturating_add(packet.packet_size_bits / 8);
            if packet_end > data_size {
                break 'index;
            }
            records += 1;
            // Records stand in the order in which packets became complete, not always
            // in that of the file.
            data_bytes = data_bytes.max(packet_end);
        }
    }
    Ok(End {
        index_bytes: index.offset(records),
        data_bytes,
    })
}

/// Cuts metadata that comes in packets to whole packets, and metadata in records of
/// JSON to whole records. Plain text has no such ends: it stays.
fn repair_metadata(path: &Path) -> io::Result<Option<Repair>> {
    let file = open(path)?;
    let bytes = fs::read(path)?;
    cut(&file, path, metadata::whole_size(&bytes) as u64)
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

#[cfg(test)]
mod tests {
    use baton_components::wire::ctf_index::{IndexRecord, Version};

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
        packet[..4].copy_from_slice(&0x75D1_1D57_u32.to_le_bytes());
        packet[28..][..4].copy_from_slice(&(64_u32 * 8).to_le_bytes());
        fs::write(&path, [&packet[..], &packet[..], &packet[..30]].concat()).unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&path), 128);
        fs::write(&path, b"\x1e{\"a\":\n\"}\"}\n\x1e{\"b\":[\n").unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&path), 12);
        for whole in [
            &b"\x1e{\"a\":\n\"}\"}\n"[..],
            b"\x1e{\"a\":\n{}}",
            b"\x1e{}\n\x1e{\"b\":1}",
        ] {
            fs::write(&path, whole).unwrap();
            assert_eq!(repair(directory.path()).unwrap(), []);
        }
        fs::write(&path, b"\x1e{}\n\x1e").unwrap();
        repair(directory.path()).unwrap();
        assert_eq!(size(&path), 4);
        fs::write(&path, b"/* CTF 1.8 */ trace {").unwrap();
        assert_eq!(repair(directory.path()).unwrap(), []);
    }
}
