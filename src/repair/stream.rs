//! Repair of a data file and its index: both end with the same whole packet.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use baton_components::wire::ctf_index::{HEADER_SIZE, Version};

use super::{Change, Obstacle, Walk, begin_of, open};
use crate::trace::index_file::{IndexFile, Records};
use crate::trace::layout::Layout;
use crate::trace::packets::{Headers, size_of};

/// Where the indexes of a trace are.
pub fn index_directory(trace: &Path) -> PathBuf {
    trace.join("index")
}

/// Path of the index of a data file.
pub fn index_path(data: &Path) -> PathBuf {
    let mut name = data.file_name().map(OsString::from).unwrap_or_default();
    name.push(".idx");
    index_directory(data.parent().unwrap_or(Path::new(""))).join(name)
}

/// Opens an index; none if it does not exist, or is a link.
fn open_index(path: &Path) -> Result<Option<File>, Obstacle> {
    if path.parent().is_some_and(Path::is_symlink) {
        return Ok(None);
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(found) if !found.is_file() => Err(Obstacle::NoFile),
        found => Ok(Some(found.and_then(|_| open(path))?)),
    }
}

/// The damage of a data file and its index.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    packets: u64,
    /// Size of the whole packets, in bytes.
    data: u64,
    index: Index,
}

/// The action on an index.
#[derive(Debug, PartialEq, Eq)]
enum Index {
    /// Keep: it describes exactly the whole packets; or there is none.
    Fits,
    CutTo(u64),
    Anew(Version),
    SetAside,
}

impl Walk<'_> {
    /// Truncates a data file after its last whole packet, and makes its index describe all
    /// packets.
    pub fn repair_stream(&mut self, path: &Path, layout: Option<&Layout>) -> Result<(), Obstacle> {
        let data = open(path)?;
        let size = data.metadata()?.len();
        let index_path = index_path(path);
        // Readers find packets without an index.
        let index = open_index(&index_path).unwrap_or_else(|reason| {
            self.failed(&index_path, reason);
            None
        });
        let ends = match layout {
            Some(layout) => ends_by_headers(&data, size, index.as_ref(), layout)?,
            None => ends_by_index(size, index.as_ref())?,
        };
        // Order: the tail of the data file is saved, the index changes, the data file is
        // truncated. Readers work without an index, but not with a torn packet.
        let applies = !self.plan.dry_run;
        if applies && ends.data < size {
            self.keeper.keep(path, &data, ends.data)?;
        }
        let from = index
            .as_ref()
            .map_or(Ok(0), |it| it.metadata().map(|it| it.len()))?;
        match ends.index {
            Index::Fits => {}
            Index::CutTo(to) => {
                if applies {
                    self.keeper.cut(&index_path, to)?;
                }
                self.done(&index_path, Change::Cut { from, to });
            }
            Index::SetAside => {
                if applies {
                    self.keeper.set_aside(&index_path)?;
                }
                self.done(&index_path, Change::SetAside);
            }
            Index::Anew(version) => {
                if applies && let Some(layout) = layout {
                    self.keeper.replace(&index_path, |file| {
                        write_index(file, version, &mut Headers::new(&data, layout, size))
                    })?;
                }
                let packets = ends.packets;
                self.done(&index_path, Change::Written { packets });
            }
        }
        if ends.data < size {
            if applies {
                keep_cut(path, ends.data)?;
            }
            let (from, to) = (size, ends.data);
            self.done(path, Change::Cut { from, to });
        }
        Ok(())
    }
}

/// Scans the packets by their headers, and compares the index with them.
fn ends_by_headers(
    data: &File,
    size: u64,
    index: Option<&File>,
    layout: &Layout,
) -> Result<Ends, Obstacle> {
    let mut headers = Headers::new(data, layout, size);
    let fit = index.map_or(Ok(None), IndexFile::open)?;
    let version = fit.as_ref().map(IndexFile::version);
    let mut records = Records::of(fit);
    let (mut packets, mut told) = (0, 0);
    while let Some(packet) = headers.next_whole()? {
        if told == packets
            && let Some(record) = records.next_record()?
        {
            let place = (packet.offset_bytes, packet.packet_size_bits);
            told += u64::from(place == (record.offset_bytes, record.packet_size_bits));
        }
        packets += 1;
    }
    // A loss of power may leave zeros in the place of packets that were not synced.
    let is_lost = || Ok::<_, io::Error>(begin_of(data)?.iter().all(|byte| *byte == 0));
    if packets == 0 && size > 0 && index.is_none() && !headers.may_be_torn()? && !is_lost()? {
        return Err(Obstacle::NoData);
    }
    let index = match (index, version) {
        (None, _) => Index::Fits,
        (Some(index), Some(version)) if told == packets => cut_to(
            index,
            HEADER_SIZE as u64 + told * version.record_size() as u64,
        )?,
        (Some(index), None) if packets == 0 => cut_to(index, 0)?,
        (Some(_), version) if layout.is_lttng() => {
            let usual = if layout.has_numbers() {
                Version::V1_1
            } else {
                Version::V1_0
            };
            Index::Anew(version.unwrap_or(usual))
        }
        (Some(_), _) => Index::SetAside,
    };
    Ok(Ends {
        packets,
        data: headers.end,
        index,
    })
}

/// Packets without readable headers are found by the index. A torn packet of the index ends
/// the file. A file with bytes that the index does not describe is refused, since they may
/// be a whole packet.
fn ends_by_index(size: u64, index: Option<&File>) -> Result<Ends, Obstacle> {
    let fit = index.map_or(Ok(None), IndexFile::open)?;
    let (Some(file), Some(index)) = (index, fit) else {
        return Err(Obstacle::NoHeaders);
    };
    let record_size = index.version().record_size() as u64;
    let mut records = Records::of(Some(index));
    let (mut packets, mut end) = (0, 0);
    let mut is_torn = false;
    while let Some(record) = records.next_record()? {
        let after = size_of(&record).and_then(|bytes| bytes.checked_add(end));
        if record.offset_bytes != end {
            break;
        }
        match after {
            Some(after) if after <= size => end = after,
            after => {
                is_torn = after.is_some();
                break;
            }
        }
        packets += 1;
    }
    if end < size && !is_torn {
        return Err(Obstacle::NoHeaders);
    }
    Ok(Ends {
        packets,
        data: end,
        index: cut_to(file, HEADER_SIZE as u64 + packets * record_size)?,
    })
}

fn cut_to(index: &File, size: u64) -> io::Result<Index> {
    Ok(if index.metadata()?.len() > size {
        Index::CutTo(size)
    } else {
        Index::Fits
    })
}

fn keep_cut(path: &Path, size: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(size)?;
    file.sync_all()
}

fn write_index(file: &File, version: Version, headers: &mut Headers<'_>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    writer.write_all(&version.header())?;
    let mut bytes = Vec::new();
    while let Some(packet) = headers.next_whole()? {
        bytes.clear();
        packet.encode(version, &mut bytes);
        writer.write_all(&bytes)?;
    }
    writer.flush()
}
