//! `baton certificates`: a private CA, and certificates of it, for a trial.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::os::said;
use crate::os::tls::authority::{Authority, Holder, Issued};

/// The certificates to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub directory: PathBuf,
    /// Names and addresses by which the relay is reached; none: no certificate for a relay.
    pub relay: Vec<String>,
    /// A certificate for each.
    pub clients: Vec<String>,
    pub days: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make {}: {}", path.display(), said(reason))]
    File { path: PathBuf, reason: io::Error },
    #[error(
        "{} exists, and no key or certificate is overwritten: delete it for a new one, or leave \
         its name out to make only others",
        path.display()
    )]
    Exists { path: PathBuf },
    #[error("the CA's key {} cannot be used: {reason}", path.display())]
    Authority { path: PathBuf, reason: rcgen::Error },
    #[error("no certificate can be made for {name}: {reason}")]
    Certificate { name: String, reason: rcgen::Error },
    #[error("\"{0}\" cannot be the name of a file")]
    Name(String),
}

const AUTHORITY: &str = "ca";
const RELAY: &str = "relay";
/// For `--relay localhost` nobody has to be asked.
const LOCAL: [&str; 2] = ["localhost", "127.0.0.1"];
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// Makes what is planned, and returns the files. A directory with a CA keeps that.
pub fn run(plan: &Plan) -> Result<Vec<PathBuf>, Error> {
    let directory = &plan.directory;
    fs::create_dir_all(directory).map_err(|reason| Error::File {
        path: directory.clone(),
        reason,
    })?;
    let mut files = Vec::new();
    let authority = authority(directory, &mut files)?;
    if !plan.relay.is_empty() {
        let mut names = plan.relay.clone();
        names.extend(LOCAL.map(str::to_owned));
        names.dedup();
        let issued = issue(&authority, &names, Holder::Relay, plan.days)?;
        write_both(directory, RELAY, &issued, &mut files)?;
    }
    for client in &plan.clients {
        if client.contains('/') || client.starts_with('.') || client.is_empty() {
            return Err(Error::Name(client.clone()));
        }
        let name = std::slice::from_ref(client);
        let issued = issue(&authority, name, Holder::Client, plan.days)?;
        write_both(directory, client, &issued, &mut files)?;
    }
    Ok(files)
}

fn issue(
    authority: &Authority,
    names: &[String],
    holder: Holder,
    days: u32,
) -> Result<Issued, Error> {
    let issued = authority.issue(names, holder, days.into());
    issued.map_err(|reason| Error::Certificate {
        name: names.join(", "),
        reason,
    })
}

/// The CA of the directory, or a new one.
fn authority(directory: &Path, files: &mut Vec<PathBuf>) -> Result<Authority, Error> {
    let path = directory.join(format!("{AUTHORITY}.key"));
    match fs::read_to_string(&path) {
        Ok(key) => Authority::of(&key).map_err(|reason| Error::Authority { path, reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (authority, issued) =
                Authority::new().map_err(|reason| Error::Authority { path, reason })?;
            write_both(directory, AUTHORITY, &issued, files)?;
            Ok(authority)
        }
        Err(reason) => Err(Error::File { path, reason }),
    }
}

fn write_both(
    directory: &Path,
    name: &str,
    issued: &Issued,
    files: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    for (suffix, text, mode) in [
        ("key", &issued.key, KEY_MODE),
        ("pem", &issued.certificate, CERTIFICATE_MODE),
    ] {
        let path = directory.join(format!("{name}.{suffix}"));
        write_new(&path, text, mode).map_err(|reason| {
            let path = path.clone();
            match reason.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists { path },
                _ => Error::File { path, reason },
            }
        })?;
        files.push(path);
    }
    Ok(())
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())
}
