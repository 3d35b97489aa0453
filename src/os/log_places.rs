//! Places for the log beside standard error: a file that can be opened anew, and syslog.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;

use super::{root, said, shown};

/// Where lines are written.
pub trait Target: Write {
    /// Opens it anew. An error is a line for the log.
    fn reopen(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A file for the lines. Another program may rename it, and have it opened anew.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the file, whose lines are kept.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: open_log(path)?,
        })
    }

    /// Whether [`LogFile::open`] can be expected to succeed. Makes nothing.
    pub fn check(path: &Path) -> io::Result<()> {
        match File::options().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                root::check_directory(path.parent().unwrap_or(path))
            }
            opened => opened.map(drop),
        }
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", shown(&self.path))
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(FILE_MODE);
    options.open(path)
}

impl Target for LogFile {
    fn reopen(&mut self) -> Result<(), String> {
        match open_log(&self.path) {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(error) => {
                let (path, reason) = (shown(&self.path), said(&error));
                Err(format!(
                    "baton: cannot open the log file {path} anew: {reason}; the log goes on in \
                     the old one\n"
                ))
            }
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The system's log (syslog(3)): one datagram a line.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Syslog {
    /// The socket of the system's log.
    pub const PATH: &str = "/dev/log";

    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            socket: connect(path)?,
        })
    }

    /// The log may have been started again since.
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if self.socket.send(line).is_ok() {
            return Ok(());
        }
        self.socket = connect(&self.path)?;
        self.socket.send(line).map(drop)
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

impl Target for Syslog {}

impl Write for Syslog {
    /// Sends the first line. It may begin with its level, as `<4>`.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut rest = lines.splitn(2, |byte| *byte == b'\n');
        let line = rest.next().unwrap_or_default();
        let (priority, text) = match line {
            [b'<', level @ b'0'..=b'7', b'>', text @ ..] => (level - b'0', text),
            text => (INFO, text),
        };
        let head = format!("<{}>baton[{}]: ", DAEMON + priority, process::id());
        self.send(&[head.as_bytes(), text].concat())?;
        Ok(lines.len().min(line.len() + 1))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The level of lines without one, and the facility of daemons (syslog(3)).
const INFO: u8 = 6;
const DAEMON: u8 = 3 << 3;

/// Of a log file: its names are those of hosts and sessions.
const FILE_MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_a_datagram_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receive = |socket: &UnixDatagram| {
            let mut bytes = [0; 100];
            let count = socket.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..count].to_vec()).unwrap()
        };
        let first = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path).unwrap();
        syslog.write_all(b"<4>careful\nbaton: as it is\n").unwrap();
        let own = process::id();
        assert_eq!(receive(&first), format!("<28>baton[{own}]: careful"));
        assert_eq!(
            receive(&first),
            format!("<30>baton[{own}]: baton: as it is")
        );

        // It goes, and comes again.
        drop(first);
        assert!(syslog.write_all(b"<3>lost\n").is_err());
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        syslog.write_all(b"<3>again\n").unwrap();
        assert_eq!(receive(&second), format!("<27>baton[{own}]: again"));
    }
}
