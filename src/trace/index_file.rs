//! Reader of CTF index files: offsets and descriptions of the packets of a data file.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use baton_components::wire::ctf_index::{HEADER_SIZE, IndexRecord, Version};

/// An index file with random access.
#[derive(Debug)]
pub struct IndexFile<'f> {
    file: &'f File,
    version: Version,
    size: u64,
}

impl<'f> IndexFile<'f> {
    /// None if it has no header of an index file.
    pub fn open(file: &'f File) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        if size < HEADER_SIZE as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, 0)?;
        let version = Version::from_header(&header).ok();
        Ok(version.map(|version| Self {
            file,
            version,
            size,
        }))
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Offset of a record.
    pub fn offset(&self, record: u64) -> u64 {
        HEADER_SIZE as u64 + record * self.version.record_size() as u64
    }

    /// Whole records, beginning with this one; fewer than [`BATCH`] at the end.
    pub fn read(&self, first: u64) -> io::Result<Vec<IndexRecord>> {
        let record_size = self.version.record_size();
        let left = self.size.saturating_sub(self.offset(first)) / record_size as u64;
        let mut bytes = vec![0; left.min(BATCH) as usize * record_size];
        self.file.read_exact_at(&mut bytes, self.offset(first))?;
        let decode = |record| {
            IndexRecord::decode(self.version, record)
                .expect("law: a record is read from as many bytes as it has")
        };
        Ok(bytes.chunks_exact(record_size).map(decode).collect())
    }
}

/// The records of an index, one after another.
#[derive(Debug)]
pub struct Records<'f> {
    /// None: it has no records.
    index: Option<IndexFile<'f>>,
    batch: VecDeque<IndexRecord>,
    read: u64,
}

impl<'f> Records<'f> {
    pub fn of(index: Option<IndexFile<'f>>) -> Self {
        Self {
            index,
            batch: VecDeque::new(),
            read: 0,
        }
    }

    /// The next whole record; none at the end.
    pub fn next_record(&mut self) -> io::Result<Option<IndexRecord>> {
        if self.batch.is_empty()
            && let Some(index) = &self.index
        {
            self.batch = index.read(self.read)?.into();
            self.read += self.batch.len() as u64;
        }
        Ok(self.batch.pop_front())
    }
}

/// Records per read.
pub const BATCH: u64 = 64;
