//! The note of an archiver in the output directory: what waits for the archive. The archiver
//! alone knows, and writes it; the relay reads it when a monitor asks, and looks at nothing else.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use baton_components::path::OWN_PREFIX;
use baton_systems::usage::Archive;
use rustix::fs::{Mode, OFlags};

/// Name of the note, after [`OWN_PREFIX`].
const NOTE: &str = "archiver";
/// A longer one is none.
const NOTE_BYTES_MAX: u64 = 4 << 10;

/// Writes the note, whole at every moment. Where the archiver may not add to the directory, it
/// writes over the one that is there; half of one is none for readers.
pub fn note(output: &Path, archive: &Archive) -> io::Result<()> {
    let text = serde_json::to_vec(archive)?;
    let path = output.join(format!("{OWN_PREFIX}{NOTE}"));
    // It is for those who may read the directory, as traces are.
    let file = tempfile::Builder::new()
        .prefix(OWN_PREFIX)
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(output);
    match file {
        Ok(mut file) => {
            file.write_all(&text)?;
            file.persist(path)?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut file = open(&path, OFlags::WRONLY | OFlags::TRUNC)?;
            file.write_all(&text)
        }
        Err(error) => Err(error),
    }
}

/// Neither a link nor a pipe that somebody has put there is followed or waited for.
fn open(path: &Path, flags: OFlags) -> io::Result<fs::File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The note; none if no archiver has written one that can be read.
pub fn read(output: &Path) -> Option<Archive> {
    let path = output.join(format!("{OWN_PREFIX}{NOTE}"));
    let file = open(&path, OFlags::RDONLY).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(NOTE_BYTES_MAX + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > NOTE_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nothing_else_is_one() {
        let output = tempfile::tempdir().unwrap();
        assert_eq!(read(output.path()), None);
        let archive = Archive {
            to: "s3://traces/lab".to_owned(),
            looked_s: 1_793_750_400,
            waiting_chunks: 3,
            waiting_bytes: 5 << 30,
            failing_chunks: 1,
        };
        note(output.path(), &Archive::default()).unwrap();
        note(output.path(), &archive).unwrap();
        assert_eq!(read(output.path()), Some(archive));
        let path = output.path().join(".baton-archiver");
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 1);
        for text in ["", "null", "{", "[1]"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read(output.path()), None, "{text}");
        }
        let long = format!("{{\"to\":\"{}\"}}", "x".repeat(NOTE_BYTES_MAX as usize));
        fs::write(&path, long).unwrap();
        assert_eq!(read(output.path()), None);
        // A pipe would be waited for.
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(read(output.path()), None);
        fs::remove_file(&path).unwrap();
        let other = output.path().join("other");
        fs::write(&other, "{}").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(read(output.path()), None);
    }
}
