//! Records in words, for those who look into a journal.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use baton_components::connection::Port;
use baton_components::shown::Shown;
use slotmap::KeyData;

use super::record::{Came, ConnectionId, Content, FileId, Left, Record};

impl Record<'_> {
    /// Whether it tells what came in; the others tell what the relay did.
    pub fn entered(&self) -> bool {
        matches!(
            self,
            Self::Poll
                | Self::Readable(_)
                | Self::Writable(_)
                | Self::Now { .. }
                | Self::Civil { .. }
                | Self::Accept { .. }
                | Self::Adopt(_)
                | Self::Receive { .. }
                | Self::Rest { .. }
                | Self::Take { .. }
                | Self::Draw(_)
        )
    }
}

impl Display for Record<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll => write!(to, "a tick begins"),
            Self::Readable(id) => write!(to, "{id} is readable"),
            Self::Writable(id) => write!(to, "{id} is writable"),
            Self::Now { monotonic_ns, .. } => {
                let passed = Duration::from_nanos(*monotonic_ns);
                write!(to, "the clock is read: {:.6} s", passed.as_secs_f64())
            }
            Self::Civil { unix_s, .. } => write!(to, "the calendar is asked about {unix_s} s"),
            Self::Draw(number) => write!(to, "{number} is drawn"),
            Self::Accept { port, peer } => {
                let port = Port::from(*port).name();
                write!(to, "{peer} connects to the {port} port")
            }
            Self::Adopt(id) => write!(to, "it is {id}"),
            Self::Receive {
                connection,
                outcome,
                count,
                ..
            } => write!(to, "{count} bytes come from {connection}{outcome}"),
            Self::Rest {
                connection,
                position,
                bytes,
            } => {
                let count = bytes.len();
                write!(
                    to,
                    "{count} of them, from byte {position} of {connection}, went to no file"
                )
            }
            Self::Send {
                connection,
                length,
                digest,
            } => write!(
                to,
                "{length} bytes are queued for {connection} ({digest:016x})"
            ),
            Self::Transmit {
                connection,
                outcome,
                unsent,
            } => write!(
                to,
                "queued bytes go to {connection}, {unsent} are left{outcome}"
            ),
            Self::Close(id) => write!(to, "{id} is closed"),
            Self::StopAccepting => write!(to, "nobody is accepted any more"),
            Self::HangUp => write!(to, "all connections are closed"),
            Self::End => write!(to, "the relay ends"),
            storage => {
                storage.fmt_storage(to)?;
                match storage.failure() {
                    None => Ok(()),
                    Some(failure) => write!(to, ", which fails: {}", failure.reason),
                }
            }
        }
    }
}

impl Record<'_> {
    fn fmt_storage(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDirectory { path, .. } => write!(to, "directory {} is made", text(path)),
            Self::Exists {
                path,
                answer: Ok(false),
            } => write!(to, "{} does not exist", text(path)),
            Self::Exists { path, .. } => write!(to, "{} exists", text(path)),
            Self::ClaimDirectory {
                path,
                answer: Ok(false),
            } => write!(to, "directory {} is taken", text(path)),
            Self::ClaimDirectory { path, .. } => {
                write!(to, "directory {} is made newly", text(path))
            }
            Self::HasName {
                path,
                answer: Ok(true),
            } => write!(to, "{} has a name that is looked for", text(path)),
            Self::HasName { path, .. } => {
                write!(to, "{} has no name that is looked for", text(path))
            }
            Self::Rename { from, to: name, .. } => {
                write!(to, "{} is renamed to {}", text(from), text(name))
            }
            Self::RemoveDirectory { path, .. } => {
                write!(to, "directory {} is removed", text(path))
            }
            Self::RemoveFile { path, .. } => write!(to, "{} is removed", text(path)),
            Self::CreateFile { file, path, .. } => write!(to, "{} is made, {file}", text(path)),
            Self::Write {
                file,
                offset,
                content,
                ..
            } => write!(to, "{content} are written to {file} at {offset}"),
            Self::Read {
                file,
                offset,
                length,
                ..
            } => write!(to, "{length} bytes are read from {file} at {offset}"),
            Self::SendFile {
                connection,
                file,
                offset,
                length,
                answer,
            } => {
                let taken = answer.as_ref().copied().unwrap_or(0);
                write!(
                    to,
                    "{taken} of {length} bytes at {offset} of {file} go to {connection}"
                )
            }
            Self::Take {
                connection,
                file,
                offset,
                length,
                bytes,
                ..
            } => write!(
                to,
                "{bytes} of {length} bytes go from {connection} to {file} at {offset}"
            ),
            Self::Resize { file, size, .. } => write!(to, "{file} gets a size of {size}"),
            Self::Saved {
                file,
                offset,
                bytes,
            } => write!(to, "{} bytes at {offset} of {file} are kept", bytes.len()),
            Self::CloseFile(id) => write!(to, "{id} is closed"),
            _ => Ok(()),
        }
    }
}

impl Display for ConnectionId {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "connection {:?}", KeyData::from_ffi(self.0))
    }
}

impl Display for FileId {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "file {:?}", KeyData::from_ffi(self.0))
    }
}

impl Display for Content {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { length, digest } => write!(to, "{length} bytes ({digest:016x})"),
            Self::Input {
                connection,
                position,
                length,
                edges,
            } => write!(
                to,
                "{length} bytes from byte {position} of {connection} ({edges:016x})"
            ),
        }
    }
}

impl Display for Came<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => Ok(()),
            Self::More => write!(to, ", and there are more"),
            Self::Ended => write!(to, ", which ends"),
            Self::Broken(reason) => write!(to, ", which breaks: {reason}"),
        }
    }
}

impl Display for Left<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All | Self::Partly => Ok(()),
            Self::Broken(reason) => write!(to, ", it breaks: {reason}"),
        }
    }
}

fn text(path: &[u8]) -> String {
    Shown(path).to_string()
}
