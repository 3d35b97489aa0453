//! Copying of a range from one file to another.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use baton_components::limits::COPY_SLICE_BYTES;
use rustix::io::Errno;

/// Copies a range within the kernel, which shares the blocks where the file system can, or
/// through a buffer where there is no such way.
pub fn copy(from: &File, range: Range<u64>, to: &File, offset: u64) -> io::Result<()> {
    let (mut at, mut to_at) = (range.start, offset);
    while at < range.end {
        let length = (range.end - at).min(COPY_SLICE_BYTES) as usize;
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), length) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let mut slice = vec![0; length];
                from.read_exact_at(&mut slice, at)?;
                to.write_all_at(&slice, to_at)?;
                at += length as u64;
                to_at += length as u64;
            }
            Err(reason) => return Err(reason.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_copied_to_its_offset_or_missing() {
        let bytes: Vec<u8> = (0..3 * COPY_SLICE_BYTES)
            .map(|at| (at >> 9) as u8)
            .collect();
        let from = tempfile::tempfile().unwrap();
        from.write_all_at(&bytes, 0).unwrap();
        let range = 7..bytes.len() as u64 - 1;
        let to = tempfile::tempfile().unwrap();
        copy(&from, range.clone(), &to, 5).unwrap();
        let mut copied = vec![0; (range.end - range.start) as usize];
        to.read_exact_at(&mut copied, 5).unwrap();
        assert_eq!(copied, bytes[range.start as usize..range.end as usize]);
        assert_eq!(to.metadata().unwrap().len(), 5 + copied.len() as u64);
        let end = bytes.len() as u64;
        let missing = copy(&from, end - 1..end + 1, &to, 0).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::UnexpectedEof);
    }
}
