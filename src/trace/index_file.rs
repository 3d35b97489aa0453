//! Index files of a trace: where the packets of a data file are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use baton_components::wire::ctf_index::{HEADER_SIZE, IndexRecord, Version};

/// An index file, to be read from anywhere.
#[derive(Debug)]
pub struct IndexFile<'f> {
    file: &'f File,
    version: Version,
    size: u64,
}

impl<'f> IndexFile<'f> {
    /// None if not even its header is whole.
    pub fn open(file: &'f File) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        if size < HEADER_SIZE as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, 0)?;
        let version = Version::from_header(&header)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(Self {
            file,
            version,
            size,
        }))
    }

    /// Where a record begins.
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

/// Records that are read at once.
pub const BATCH: u64 = 64;
