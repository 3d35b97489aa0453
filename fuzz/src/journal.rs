//! Journals: no file harms who reads it, and what is read is written as it was read.
//!
//! The first byte tells what the others are: a file, or the records of a block. A file
//! with a wrong checksum says little, so the latter get the right one.

use baton::fuzzing::journal;

use crate::input::Input;

/// First byte of an input that is a file.
pub const FILE: u8 = 0;
/// First byte of an input that is records.
pub const RECORDS: u8 = 1;

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    if input.byte() & 1 == FILE {
        journal::read(input.0);
    } else {
        journal::read_records(input.0);
    }
}
