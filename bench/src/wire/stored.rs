//! Checks the files of a relay, since throughput counts only without losses.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::producer::CHANNEL;

/// Waits until the files below a directory have this number of bytes of packets: those of a
/// closed session may be written a little later.
pub fn await_packets(directory: &Path, expected: u64) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let stored = packet_bytes(directory)?;
        if stored == expected {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let reason = format!("{stored} of {expected} bytes of packets are on disk");
            return Err(io::Error::other(reason));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn packet_bytes(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += packet_bytes(&entry.path())?;
        } else {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(CHANNEL) && !name.ends_with(".idx") {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let index = directory.path().join("session/trace/index");
        let trace = index.parent().unwrap();
        fs::create_dir_all(&index).unwrap();
        for (path, bytes) in [
            (trace.join("load_0"), 10),
            (trace.join("load_1_0"), 7),
            (trace.join("metadata"), 100),
            (index.join("load_0.idx"), 1000),
        ] {
            fs::write(path, vec![0; bytes]).unwrap();
        }
        assert_eq!(packet_bytes(directory.path()).unwrap(), 17);
        await_packets(directory.path(), 17).unwrap();
        let error = await_packets(directory.path(), 18).unwrap_err();
        assert_eq!(error.to_string(), "17 of 18 bytes of packets are on disk");
    }
}
