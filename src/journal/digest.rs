//! Digests: whether bytes are the same, or are those that are meant.

use twox_hash::XxHash3_64;

/// Digested bytes at both ends of content by reference, so that a replaced file is noticed.
const EDGE_BYTES: usize = 64;

/// The digest of bytes, to compare them.
pub fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// The digest of the first and last bytes: a cheap check for bytes by reference.
pub fn edges(bytes: &[u8]) -> u64 {
    if bytes.len() <= 2 * EDGE_BYTES {
        return digest(bytes);
    }
    let mut ends = [0; 2 * EDGE_BYTES];
    ends[..EDGE_BYTES].copy_from_slice(&bytes[..EDGE_BYTES]);
    ends[EDGE_BYTES..].copy_from_slice(&bytes[bytes.len() - EDGE_BYTES..]);
    digest(&ends)
}
