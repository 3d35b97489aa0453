//! Target `journal`: reading never panics, and a record that was read has the same bytes
//! when it is written again.
//!
//! The first byte selects the kind of input: a file, or the records of a block, which get a
//! correct checksum, since most files fail at the checksum.

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
