//! Target `trace`: metadata, indexes and packets of any content are read or refused, and
//! repair is idempotent.
//!
//! The first byte tells what follows: metadata alone, or the three files of a trace, the
//! first two with their lengths.

use std::fs;
use std::path::Path;

use baton::fuzzing::trace;
use tempfile::TempDir;

use crate::input::Input;

/// First byte of an input that is metadata alone.
pub const METADATA: u8 = 0;
/// First byte of an input that is a trace.
pub const TRACE: u8 = 1;

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    if input.byte() & 1 == METADATA {
        trace::read_metadata(input.0);
        return;
    }
    let directory = directory();
    let directory = directory.path();
    write(directory, "metadata", input.bytes());
    let index = input.bytes();
    if !index.is_empty() {
        write(directory, "index/ch_0.idx", index);
    }
    write(directory, "ch_0", input.0);
    let readable = trace::read(directory);
    let first = trace::repair(directory);
    let second = trace::repair(directory);
    assert_eq!(
        second.repairs, 0,
        "one repair leaves nothing to the next: {first:?}, {second:?}"
    );
    // With an index two ways lead to the packets, and a reader may take the other one.
    if let Some(packets) = readable.filter(|_| index.is_empty()) {
        assert_eq!(
            trace::read(directory),
            Some(packets),
            "a repair makes nothing less readable"
        );
    }
}

/// In memory, where the system has such a place.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    directory.expect("law: a directory can be made")
}

fn write(directory: &Path, name: &str, bytes: &[u8]) {
    let path = directory.join(name);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent).expect("law: a directory can be made");
    fs::write(path, bytes).expect("law: a file can be written");
}
