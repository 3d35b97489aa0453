//! The file format of journals: a header, and blocks with checksums.
//!
//! A block holds whole ticks. Blocks after a truncated or damaged one are not read, since a
//! replay needs everything before. Length fields are not trusted: buffers grow as data is
//! read.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use baton_systems::settings::Settings;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::digest::digest;

/// The first bytes of a journal.
const MAGIC: [u8; 8] = *b"BATONJNL";
/// Version of the format. Other versions are refused.
pub const VERSION: u32 = 4;
/// Maximum size of a header; one with the longest path is far below that.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Size of a block's header: length, first tick, checksum of the body; checksum of these.
const BLOCK_HEADER_BYTES: usize = 32;

/// The header of a journal: the settings of the relay. It is written as JSON: a setting
/// that comes later makes no new format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of Baton that recorded.
    pub program: String,
    /// Its output directory: an absolute path in bytes.
    pub output: Vec<u8>,
    pub started_unix_s: u64,
    pub payload: Payload,
    /// The relay was called `lttng-relayd`.
    pub lttng_relayd: bool,
    pub settings: Settings,
}

impl Header {
    pub fn output(&self) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        std::ffi::OsString::from_vec(self.output.clone()).into()
    }
}

/// The place of the bytes of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// In the journal.
    #[default]
    Copy,
    /// In the files that the relay wrote, for pieces above a minimum size.
    Reference,
}

/// A block: whole ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Ordinal, from 0.
    pub number: u64,
    /// Offset in the journal, in bytes.
    pub offset: u64,
    pub first_tick: u64,
    /// Records, one after another.
    pub records: Vec<u8>,
}

/// The reason why there is no further block.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", crate::os::said(.0))]
    Io(#[from] io::Error),
    #[error("it is not a journal of a relay")]
    NoJournal,
    #[error(
        "its format is version {0}, and this program reads version {VERSION}: replay it with \
         the version of Baton that recorded it"
    )]
    Version(u32),
    #[error("its header is damaged")]
    Header,
    #[error(
        "its header is not known to this program: {0}; replay it with the version of baton that recorded it"
    )]
    Unknown(serde_json::Error),
    #[error("block {block} at byte {offset} is damaged")]
    Damaged { block: u64, offset: u64 },
    #[error("it is truncated in block {block} at byte {offset}")]
    Cut { block: u64, offset: u64 },
}

/// Writes a journal block by block.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    blocks: u64,
}

impl<W: Write> Writer<W> {
    pub fn new(mut output: W, header: &Header) -> io::Result<Self> {
        let body = serde_json::to_vec(header)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        bytes.extend(digest(&bytes).to_le_bytes());
        output.write_all(&bytes)?;
        Ok(Self { output, blocks: 0 })
    }

    /// Appends a block.
    pub fn write(&mut self, first_tick: u64, records: &[u8]) -> io::Result<()> {
        let mut header = [0; BLOCK_HEADER_BYTES];
        header[..8].copy_from_slice(&(records.len() as u64).to_le_bytes());
        header[8..16].copy_from_slice(&first_tick.to_le_bytes());
        header[16..24].copy_from_slice(&digest(records).to_le_bytes());
        let seal = seal(self.blocks, &header[..24]);
        header[24..].copy_from_slice(&seal.to_le_bytes());
        self.blocks += 1;
        self.output.write_all(&header)?;
        self.output.write_all(records)
    }
}

/// Reads a journal block by block.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    /// Offset of the next block.
    offset: u64,
    blocks: u64,
}

impl<R: Read> Reader<R> {
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut start = [0; 16];
        if read(&mut input, &mut start)? < start.len() || start[..8] != MAGIC {
            return Err(ReadError::NoJournal);
        }
        let version = word(&start[8..12]);
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        let length = word(&start[12..16]);
        if length > HEADER_BYTES_MAX {
            return Err(ReadError::Header);
        }
        let mut rest = vec![0; length as usize + 8];
        if read(&mut input, &mut rest)? < rest.len() {
            return Err(ReadError::Header);
        }
        let (body, checksum) = rest.split_at(length as usize);
        if digest(&[&start, body].concat()) != long(checksum) {
            return Err(ReadError::Header);
        }
        let header = serde_json::from_slice(body).map_err(ReadError::Unknown)?;
        Ok(Self {
            input,
            header,
            offset: (start.len() + rest.len()) as u64,
            blocks: 0,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next block; none at the end of the journal. After an error there is none.
    pub fn next(&mut self) -> Result<Option<Block>, ReadError> {
        let (block, offset) = (self.blocks, self.offset);
        let mut header = [0; BLOCK_HEADER_BYTES];
        match read(&mut self.input, &mut header)? {
            0 => return Ok(None),
            BLOCK_HEADER_BYTES => {}
            _ => return Err(ReadError::Cut { block, offset }),
        }
        if seal(block, &header[..24]) != long(&header[24..]) {
            return Err(ReadError::Damaged { block, offset });
        }
        let length = long(&header[..8]);
        let mut records = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut records)?;
        if (read as u64) < length {
            return Err(ReadError::Cut { block, offset });
        }
        if digest(&records) != long(&header[16..24]) {
            return Err(ReadError::Damaged { block, offset });
        }
        self.blocks += 1;
        self.offset += BLOCK_HEADER_BYTES as u64 + length;
        Ok(Some(Block {
            number: block,
            offset,
            first_tick: long(&header[8..16]),
            records,
        }))
    }
}

/// Checksum of a block's header, seeded with its number, so that a block in another's place
/// has a wrong one.
fn seal(block: u64, header: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(block, header)
}

/// Fills the buffer, or reads up to the end of the file. Returns the number of bytes.
fn read(input: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match input.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn long(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
