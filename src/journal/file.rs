//! The file of a journal. An earlier journal is renamed and kept: it may explain why this
//! relay had to start.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

/// Mode of the file, as of trace files, since it has the same data.
const FILE_MODE: u32 = 0o660;

/// Creates the file. Returns the new name of an earlier journal.
pub fn create(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    let mut earlier = None;
    loop {
        match options().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok((made?, earlier)),
        }
        if !holds_something(path)? {
            return Ok((options().create(true).open(path)?, earlier));
        }
        earlier = Some(set_aside(path)?);
    }
}

/// Checks whether a journal can be created at `path`, without creating it.
pub fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(it) if it.is_dir() => Err(Errno::ISDIR.into()),
        Ok(it) if it.file_type().is_fifo() => refuse_pipe(&it),
        Ok(it) if !it.is_file() || it.len() == 0 => Ok(rustix::fs::accessat(
            CWD,
            path,
            Access::WRITE_OK,
            AtFlags::EACCESS,
        )?),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // A file without a name (`O_TMPFILE`) is enough for the check.
        _ => tempfile::tempfile_in(path.parent().unwrap_or(Path::new("."))).map(drop),
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.write(true).mode(FILE_MODE);
    options
}

/// Whether it is a regular file that is not empty; pipes and devices are not.
fn holds_something(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        // A dangling link.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => {
            let there = there?;
            refuse_pipe(&there)?;
            Ok(there.is_file() && there.len() > 0)
        }
    }
}

/// Refuses a pipe: its open waits for a reader, and a slow reader would block the relay.
fn refuse_pipe(there: &Metadata) -> io::Result<()> {
    if there.file_type().is_fifo() {
        Err(io::Error::other("it is a pipe; name a file"))
    } else {
        Ok(())
    }
}

/// Renames a file to its own name with the first free number.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let to = PathBuf::from(name);
        match rustix::fs::renameat_with(CWD, path, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(to),
            // Some file systems do not support this.
            Err(Errno::INVAL | Errno::NOSYS) if !to.try_exists()? => {
                fs::rename(path, &to)?;
                return Ok(to);
            }
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::os::said;

    #[test]
    fn an_earlier_journal_gets_another_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let named = |number: u32| directory.path().join(format!("journal.{number}"));
        for (text, expected) in [
            ("first", None),
            ("second", Some(named(1))),
            // An empty file is reused.
            ("", Some(named(3))),
            ("third", None),
        ] {
            let (mut file, earlier) = create(&path).unwrap();
            assert_eq!(earlier, expected);
            file.write_all(text.as_bytes()).unwrap();
            if text == "first" {
                fs::write(named(2), "of somebody else").unwrap();
            }
        }
        for (path, text) in [
            (path, "third"),
            (named(1), "first"),
            (named(2), "of somebody else"),
            (named(3), "second"),
        ] {
            assert_eq!(fs::read_to_string(path).unwrap(), text);
        }
    }

    #[test]
    fn a_device_or_a_dangling_link_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("target"), &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            check(path).unwrap();
            assert_eq!(create(path).unwrap().1, None);
        }
        assert!(directory.path().join("target").exists());
    }

    #[test]
    fn a_pipe_without_a_reader_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for refused in [check(&path), create(&path).map(drop)] {
            let error = refused.unwrap_err();
            assert_eq!(said(&error), "it is a pipe; name a file");
        }
    }

    #[test]
    fn a_check_finds_what_making_it_would_find_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "earlier").unwrap();
        fs::create_dir(directory.path().join("directory")).unwrap();
        for name in ["file", "new"] {
            check(&directory.path().join(name)).unwrap();
        }
        for name in ["directory", "nowhere/new", "file/new", &"n".repeat(300)] {
            let path = directory.path().join(name);
            let [checked, made] = [check(&path), create(&path).map(drop)];
            let [checked, made] = [checked, made].map(|it| said(&it.unwrap_err()));
            assert_eq!(checked, made, "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
