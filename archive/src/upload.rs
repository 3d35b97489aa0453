//! Uploads one object: the file or the small files that are in it, in parts where it is large.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::attempt::{NO_LINK, Part, Stored, Upload};
use crate::checksum::Checksum;
use crate::chunk::LocalFile;
use crate::frames::Packer;
use crate::manifest::{self, FRAME_MAX};
use crate::store::StoreError;
use crate::verify::{self, Verify};
use crate::{Error, keys, progress};

use crate::plan::Planned;
use crate::work::Work;

/// Uploads and verifies an object.
pub fn upload(work: &Work<'_>, at: usize) -> Result<Stored, Error> {
    let mut failed = 0;
    loop {
        let error = match attempt(work, at) {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        failed += 1;
        match error {
            // The server has forgotten an upload that was begun in another run, or what it
            // received is not there: all of it is sent again.
            Error::Store(StoreError::Missing { .. } | StoreError::Wrong { .. })
                if failed < ATTEMPTS =>
            {
                work.attempt().forget(at)?;
            }
            other => return Err(other),
        }
    }
}

const ATTEMPTS: u32 = 3;

fn attempt(work: &Work<'_>, at: usize) -> Result<Stored, Error> {
    let planned = &work.plan[at];
    let mut writer = Writer::new(work, at, planned)?;
    let mut files = Vec::new();
    for file in &planned.files {
        files.push(write_file(work, &work.files[*file], at, &mut writer)?);
    }
    let object = manifest::Object {
        name: planned.name.clone(),
        bytes: writer.finish()?,
    };
    let stored = Stored { object, files };
    let directory = &work.directory;
    verify::size(work.store, directory, &stored.object)?;
    if work.verify == Verify::Read {
        verify::content(work.store, directory, &stored)?;
    }
    Ok(stored)
}

fn write_file(
    work: &Work<'_>,
    file: &LocalFile,
    object: usize,
    writer: &mut Writer<'_>,
) -> Result<manifest::File, Error> {
    let path = work.chunk.file(&file.path);
    let fault = Error::file("cannot read", &path);
    let mut options = File::options();
    let mut source = options
        .read(true)
        .custom_flags(NO_LINK)
        .open(&path)
        .map_err(&fault)?;
    let is_data = file.is_data();
    let mut packets = is_data.then(|| work.traces.packets(work.chunk, file));
    let mut next = |at: u64| match &mut packets {
        Some(packets) => packets.frame(at, file.bytes),
        None => (file.bytes - at).min(FRAME_MAX),
    };
    let mut content = Vec::new();
    let offset = writer.begin_file();
    let mut at = 0;
    // An earlier run has stored so much of it: its packets are counted, and no byte is read again.
    while at < writer.done_before {
        at += next(at);
    }
    if at > writer.done_before {
        return Err(Error::Changed);
    }
    source.seek(SeekFrom::Start(at)).map_err(&fault)?;
    progress::add(at);
    // An empty data file is one frame without content, which is a file of zstd too.
    while at < file.bytes || (at == 0 && is_data && writer.frames.is_empty()) {
        let bytes = next(at);
        content.resize(bytes as usize, 0);
        source
            .read_exact(&mut content)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::Changed,
                _ => fault(error),
            })?;
        at += bytes;
        writer.add(&content, is_data)?;
        progress::add(bytes);
    }
    Ok(manifest::File {
        path: keys::encode_path(&file.path),
        object: u32::try_from(object).map_err(|_| Error::Changed)?,
        offset,
        stored_bytes: writer.position() - offset,
        bytes: file.bytes,
        sha256: std::mem::take(&mut writer.checksum).finish(),
        frames: std::mem::take(&mut writer.frames),
        stream: packets.and_then(crate::facts::PacketEnds::stream),
    })
}

/// Puts an object together.
struct Writer<'a> {
    work: &'a Work<'a>,
    object: usize,
    name: &'a str,
    key: String,
    packer: Packer,
    /// Limit of a part.
    part_bytes: usize,
    /// Parts that are stored.
    upload: Upload,
    /// Bytes of the file that an earlier run has stored.
    done_before: u64,
    /// Compressed bytes that are not stored yet, with their frames and size before compression.
    buffer: Vec<u8>,
    pending_frames: Vec<(u64, u64)>,
    pending_bytes: u64,
    /// Frames of the current file, and the checksum of its content.
    frames: Vec<(u64, u64)>,
    checksum: Checksum,
}

impl<'a> Writer<'a> {
    fn new(work: &'a Work<'a>, object: usize, planned: &'a Planned) -> Result<Self, Error> {
        let mut upload = work.attempt().upload(object);
        let mut checksum = Checksum::default();
        if upload.bytes > 0 {
            if let Some(resumed) = Checksum::resume(&upload.checksum) {
                checksum = resumed;
            } else {
                work.attempt().forget(object)?;
                upload = Upload::default();
            }
        }
        let packer = Packer::new().map_err(|error| Error::Other(error.to_string()))?;
        let part_bytes = (planned.bytes / PARTS_MAX).clamp(PART_BYTES, PART_BYTES_MAX);
        Ok(Self {
            work,
            object,
            name: &planned.name,
            key: work.directory.object(&planned.name),
            packer,
            part_bytes: part_bytes as usize,
            done_before: upload.bytes,
            upload,
            buffer: Vec::new(),
            pending_frames: Vec::new(),
            pending_bytes: 0,
            frames: Vec::new(),
            checksum,
        })
    }

    /// Returns where it begins in the object.
    fn begin_file(&mut self) -> u64 {
        // Only an object with one file comes in parts.
        self.frames = self.upload.frames.clone();
        if self.done_before > 0 {
            return 0;
        }
        self.position()
    }

    fn position(&self) -> u64 {
        self.upload.stored_bytes + self.buffer.len() as u64
    }

    fn add(&mut self, content: &[u8], is_data: bool) -> Result<(), Error> {
        self.checksum.update(content);
        if is_data {
            let packed = self.packer.pack(content, &mut self.buffer);
            let packed = packed.map_err(|error| Error::Other(error.to_string()))?;
            let frame = (content.len() as u64, packed);
            self.frames.push(frame);
            self.pending_frames.push(frame);
        } else {
            self.buffer.extend_from_slice(content);
        }
        self.pending_bytes += content.len() as u64;
        if self.buffer.len() >= self.part_bytes {
            self.store_part()?;
        }
        Ok(())
    }

    fn store_part(&mut self) -> Result<(), Error> {
        let store = self.work.store;
        if self.upload.id.is_empty() {
            self.upload.id = store.begin(&self.key)?;
        }
        let number = u16::try_from(self.upload.tags.len() + 1)
            .ok()
            .filter(|number| *number <= PARTS_LIMIT)
            .ok_or_else(|| Error::Other(format!("{} is too large for a store", self.name)))?;
        let tag = store.part(&self.key, &self.upload.id, number, &self.buffer)?;
        let part = Part {
            upload: self.upload.id.clone(),
            name: self.name.to_owned(),
            tag: tag.clone(),
            frames: std::mem::take(&mut self.pending_frames),
            bytes: std::mem::take(&mut self.pending_bytes),
            stored_bytes: self.buffer.len() as u64,
            checksum: self.checksum.state(),
        };
        self.upload.tags.push(tag);
        self.upload.stored_bytes += part.stored_bytes;
        self.buffer.clear();
        self.work.queue.moves();
        self.work.attempt().set_part(self.object, part)
    }

    /// Returns the size of the object.
    fn finish(mut self) -> Result<u64, Error> {
        let store = self.work.store;
        let bytes = self.position();
        if self.upload.id.is_empty() {
            store.put(&self.key, &self.buffer)?;
            return Ok(bytes);
        }
        if !self.buffer.is_empty() {
            self.store_part()?;
        }
        store.complete(&self.key, &self.upload.id, &self.upload.tags)?;
        Ok(bytes)
    }
}

/// Size of a part: S3 wants 5 MiB at least, and each worker has one in memory.
const PART_BYTES: u64 = 8 << 20;
const PART_BYTES_MAX: u64 = 32 << 20;
/// A large file gets larger parts from here on.
const PARTS_MAX: u64 = 9_000;
/// S3's own.
const PARTS_LIMIT: u16 = 10_000;
