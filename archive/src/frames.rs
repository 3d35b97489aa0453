//! Frames of zstd: a data file is compressed in pieces that can be read alone, and all together
//! are an ordinary `.zst` file.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::manifest::{FRAME_MAX, STORED_FRAME_MAX};

/// zstd's own default.
const LEVEL: i32 = 3;

pub struct Packer(Compressor<'static>);

impl Packer {
    pub fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    /// Appends a frame with this content to `out`; returns its size.
    pub fn pack(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<u64> {
        let frame = self.0.compress(content)?;
        out.extend_from_slice(&frame);
        Ok(frame.len() as u64)
    }
}

pub struct Unpacker {
    decompressor: Decompressor<'static>,
    content: Vec<u8>,
}

impl Unpacker {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            decompressor: Decompressor::new()?,
            content: Vec::new(),
        })
    }

    /// The content of a frame; an error unless it is of exactly this size. No more memory is
    /// taken than that, whatever the frame says.
    pub fn unpack(&mut self, frame: &[u8], bytes: u64) -> io::Result<&[u8]> {
        if bytes > FRAME_MAX || frame.len() as u64 > STORED_FRAME_MAX {
            return Err(io::Error::other("a frame is too large"));
        }
        self.content.clear();
        // The buffer's capacity is what decompression is limited to.
        self.content.reserve_exact(FRAME_MAX as usize);
        let found = self
            .decompressor
            .decompress_to_buffer(frame, &mut self.content)?;
        if found as u64 != bytes {
            return Err(io::Error::other("a frame has another size than it should"));
        }
        Ok(&self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_together_are_an_ordinary_file() {
        let mut packer = Packer::new().unwrap();
        let mut file = Vec::new();
        let first = packer.pack(b"packets of a stream ", &mut file).unwrap();
        let second = packer.pack(b"and more", &mut file).unwrap();
        assert_eq!(first + second, file.len() as u64);
        assert_eq!(
            zstd::decode_all(&file[..]).unwrap(),
            b"packets of a stream and more"
        );
        let mut unpacker = Unpacker::new().unwrap();
        let content = unpacker.unpack(&file[first as usize..], 8).unwrap();
        assert_eq!(content, b"and more");
    }

    #[test]
    fn a_frame_that_is_larger_than_it_says_is_refused() {
        let bomb = zstd::encode_all(&vec![0; 1 << 30][..], 3).unwrap();
        let mut unpacker = Unpacker::new().unwrap();
        for bytes in [0, 8, FRAME_MAX, FRAME_MAX + 1, u64::MAX] {
            assert!(unpacker.unpack(&bomb, bytes).is_err(), "{bytes}");
        }
        assert!(unpacker.content.capacity() as u64 <= FRAME_MAX);
        assert!(unpacker.unpack(b"no frame", 8).is_err());
    }
}
