//! Slots: the bytes of each file are a range of one memory file.
//!
//! So there is one descriptor, however many files there are, and no disk. The memory file is sparse: a
//! slot takes the pages that were written to it, and gives them back when its file is gone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, MemfdFlags};

use crate::os::said;

/// The memory file.
#[derive(Debug)]
pub struct Memory {
    file: File,
    free: Mutex<Free>,
}

/// Slots without a file.
#[derive(Debug, Default)]
struct Free {
    used_before: Vec<u64>,
    /// This one and all after it.
    next: u64,
}

/// Maximum size of a file.
const SLOT_BYTES: u64 = 1 << 40;
/// How many fit into the offsets of a file.
const SLOTS: u64 = 1 << 22;

/// The bytes of a file. They are gone with it.
#[derive(Debug)]
pub struct Slot {
    memory: Arc<Memory>,
    number: u64,
    size: AtomicU64,
}

impl Memory {
    pub fn new() -> io::Result<Arc<Self>> {
        let file = File::from(rustix::fs::memfd_create("baton", MemfdFlags::CLOEXEC)?);
        // Bytes that were never written read as zeros.
        file.set_len(SLOTS * SLOT_BYTES)?;
        let free = Mutex::default();
        Ok(Arc::new(Self { file, free }))
    }

    /// A slot for another file.
    pub fn slot(self: &Arc<Self>) -> io::Result<Arc<Slot>> {
        let mut free = self.free();
        let next = (free.next < SLOTS).then_some(free.next);
        let reused = free.used_before.pop();
        let number = reused.or(next).ok_or(io::ErrorKind::StorageFull)?;
        free.next += u64::from(reused.is_none());
        Ok(Arc::new(Slot {
            memory: Arc::clone(self),
            number,
            size: AtomicU64::new(0),
        }))
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of allocated pages.
    #[cfg(test)]
    pub fn used_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map_or(0, |it| it.blocks() * 512)
    }
}

impl Slot {
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// The memory file, and the offset in it, for zero-copy to a part of this file.
    pub fn room(&self, offset: u64, length: u64) -> io::Result<(&File, u64)> {
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > SLOT_BYTES) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok((&self.memory.file, self.number * SLOT_BYTES + offset))
    }

    /// The same, for zero-copy from a part, all of which was written.
    pub fn content(&self, offset: u64, length: u64) -> io::Result<(&File, u64)> {
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > self.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.room(offset, length)
    }

    /// Bytes were written up to there.
    pub fn grow(&self, end: u64) {
        self.size.fetch_max(end, Ordering::AcqRel);
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (file, at) = self.room(offset, bytes.len() as u64)?;
        file.write_all_at(bytes, at)?;
        self.grow(offset + bytes.len() as u64);
        Ok(())
    }

    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let (file, at) = self.content(offset, into.len() as u64)?;
        file.read_exact_at(into, at)
    }

    /// Cuts the file, or adds zeros.
    pub fn resize(&self, size: u64) -> io::Result<()> {
        self.room(size, 0)?;
        let before = self.size.swap(size, Ordering::AcqRel);
        // A write that failed may have left bytes beyond the size.
        self.clear(before.min(size), before.max(size))
    }

    /// Makes a range zeros, which take no pages.
    fn clear(&self, from: u64, to: u64) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        let (file, at) = self.room(from, to - from)?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(file, flags, at, to - from)?)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Err(reason) = self.clear(0, SLOT_BYTES) {
            // It is used no more.
            let reason = said(&reason);
            return tracing::error!("memory of a file is not given back: {reason}");
        }
        self.memory.free().used_before.push(self.number);
    }
}
