//! Reads a file of a chunk back from a store.

use crate::Error;
use crate::checksum::Checksum;
use crate::frames::Unpacker;
use crate::keys::Directory;
use crate::manifest::{FRAME_MAX, File, Object, STORED_FRAME_MAX};
use crate::store::Store;

/// Gives the content of a file to `sink`, piece by piece. It is right only if this succeeds: the
/// checksum comes last.
pub fn read_file(
    store: &Store,
    directory: &Directory,
    object: &Object,
    file: &File,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let key = directory.object(&object.name);
    let wrong = |reason: &str| Error::from(store.place().wrong(&key, reason.to_owned()));
    let mut unpacker = Unpacker::new().map_err(|_| wrong("zstd cannot be used"))?;
    let mut checksum = Checksum::default();
    let mut at = file.offset;
    for piece in pieces(file) {
        let stored = store.read(&key, at..at + piece.stored_bytes)?;
        at += piece.stored_bytes;
        if piece.frames.is_empty() {
            checksum.update(&stored);
            sink(&stored)?;
        }
        let mut rest = &stored[..];
        for (bytes, stored_bytes) in piece.frames {
            let frame = rest.split_off(..*stored_bytes as usize);
            let frame = frame.ok_or_else(|| wrong("a frame is cut"))?;
            let content = unpacker.unpack(frame, *bytes);
            let content = content.map_err(|_| wrong("a frame is damaged"))?;
            checksum.update(content);
            sink(content)?;
        }
    }
    if checksum.finish() != file.sha256 {
        return Err(wrong("its bytes are not those of the manifest (SHA-256)"));
    }
    Ok(())
}

/// Bytes that are read with one request.
struct Piece<'f> {
    /// None: stored as it is.
    frames: &'f [(u64, u64)],
    stored_bytes: u64,
}

fn pieces(file: &File) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    if file.frames.is_empty() {
        let mut left = file.stored_bytes;
        while left > 0 {
            let stored_bytes = left.min(FRAME_MAX);
            left -= stored_bytes;
            pieces.push(Piece {
                frames: &[],
                stored_bytes,
            });
        }
    }
    let mut rest = &file.frames[..];
    while !rest.is_empty() {
        let (mut count, mut stored_bytes) = (0, 0);
        for (_, next) in rest {
            if count > 0 && stored_bytes + next > STORED_FRAME_MAX {
                break;
            }
            count += 1;
            stored_bytes += next;
        }
        let (frames, others) = rest.split_at(count);
        rest = others;
        pieces.push(Piece {
            frames,
            stored_bytes,
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_frames_of_a_bounded_size() {
        let file = |stored_bytes, frames: Vec<(u64, u64)>| File {
            path: "x".to_owned(),
            object: 0,
            offset: 0,
            stored_bytes,
            bytes: 0,
            sha256: String::new(),
            frames,
            stream: None,
        };
        let sizes = |file: &File| {
            let pieces = pieces(file);
            pieces.iter().map(|it| it.stored_bytes).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&file(0, Vec::new())), [0_u64; 0]);
        assert_eq!(sizes(&file(FRAME_MAX + 1, Vec::new())), [FRAME_MAX, 1]);
        let frames = vec![(9, 3 << 20), (9, 1 << 20), (9, 1 << 20), (9, FRAME_MAX)];
        assert_eq!(sizes(&file(0, frames)), [4 << 20, 1 << 20, FRAME_MAX]);
    }
}
