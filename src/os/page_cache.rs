//! The page cache: whether it has a part of a file, so that a read does not wait for the disk.
//!
//! A read with `RWF_NOWAIT` fails where it would wait. Some file systems do not know the flag (NFS,
//! FUSE, overlayfs): of their files nothing is said to be cached, and so other threads read them.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use baton_components::connection::Extent;
use rustix::io::{Errno, ReadWriteFlags};

/// Distance of the bytes that are looked at in a long part. The kernel reads ahead further.
const STRIDE_BYTES: u64 = 64 * 1024;
/// Bytes that are fetched at once.
const SLICE_BYTES: u64 = 64 * 1024;

/// `f_type` of file systems that have their files in the page cache only (`statfs(2)`).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// Whether the file system of this file is in the page cache, all of it.
pub fn is_all(file: impl AsFd) -> bool {
    let kind = rustix::fs::fstatfs(file).map(|it| it.f_type.cast_unsigned() & 0xffff_ffff);
    matches!(kind, Ok(TMPFS | RAMFS))
}

/// Whether a part of a file is in it, as far as some of its bytes show.
pub fn has(file: &File, extent: Extent) -> bool {
    let end = extent.offset + extent.size;
    let strides = (extent.offset..end).step_by(STRIDE_BYTES as usize);
    let mut looked_at = strides.chain(end.checked_sub(1));
    // The read itself says what is wrong with it.
    looked_at.all(|at| read_some(file, at, &mut [0]) != Err(Errno::AGAIN))
}

/// Reads exactly `into` if all of it is there; false: it is not.
pub fn read(file: &File, offset: u64, into: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < into.len() {
        match read_some(file, offset + done as u64, &mut into[done..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => done += count,
            Err(Errno::AGAIN) => return Ok(false),
            Err(reason) => return Err(reason.into()),
        }
    }
    Ok(true)
}

/// Reads what is there at once. [`Errno::AGAIN`]: it is not known to be there.
fn read_some(file: &File, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let mut into = [IoSliceMut::new(into)];
    loop {
        match rustix::io::preadv2(file, &mut into, offset, ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            // It does not know the flag.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Err(Errno::AGAIN),
            read => return read,
        }
    }
}

/// Brings a part of a file into it, as far as the file goes. Waits for the disk.
pub fn fetch(file: &File, extent: Extent) -> io::Result<()> {
    let mut buffer = vec![0; extent.size.min(SLICE_BYTES) as usize];
    let end = extent.offset + extent.size;
    let mut at = extent.offset;
    while at < end {
        let slice = (end - at).min(SLICE_BYTES) as usize;
        match file.read_at(&mut buffer[..slice], at) {
            Ok(0) => break,
            Ok(count) => at += count as u64,
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return Err(reason),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use baton_components::keys::FileKey;
    use rustix::fs::Advice;

    use super::*;

    fn extent(offset: u64, size: u64) -> Extent {
        let file = FileKey::default();
        Extent { file, offset, size }
    }

    /// Has the system drop what it has of a file. False, with a line: this is not seen here.
    fn evict(file: &File) -> bool {
        if !has(file, extent(0, 1)) {
            eprintln!("not tested, since the file system does not know RWF_NOWAIT");
            return false;
        }
        // Pages that are in use at this moment stay.
        for _ in 0..100 {
            file.sync_all().unwrap();
            rustix::fs::fadvise(file, 0, None, Advice::DontNeed).unwrap();
            if !has(file, extent(0, 1)) {
                return true;
            }
        }
        eprintln!("not tested, since the file system drops nothing");
        false
    }

    #[test]
    fn what_the_system_has_dropped_is_there_when_it_was_fetched() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at / 7 % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        if !evict(&file) {
            return;
        }
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!has(&file, extent(0, 300_000)));
        fetch(&file, extent(0, 300_000)).unwrap();
        assert!(has(&file, extent(0, 300_000)));
        let mut read_bytes = vec![0; 300_000];
        assert!(read(&file, 0, &mut read_bytes).unwrap());
        assert!(read_bytes == bytes);
    }

    #[test]
    fn a_part_beyond_the_end_is_an_error_of_the_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        fetch(&file, extent(2, 64 * 1024)).unwrap();
        // Where nothing is said to be there, it is read by another thread.
        if has(&file, extent(0, 5)) {
            assert!(has(&file, extent(0, 64 * 1024)));
            let failed = read(&file, 2, &mut [0; 10]).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_file_system_in_memory_has_all() {
        let directory = File::open("/dev/shm");
        let is_known = directory.map(|directory| is_all(&directory));
        assert!(is_known.unwrap_or(true));
        assert!(!is_all(File::open("/proc").unwrap()));
    }
}
