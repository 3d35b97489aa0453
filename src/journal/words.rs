//! Records as text, for `baton replay --print`.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use baton_components::connection::Endpoint;
use baton_components::shown::Shown;
use slotmap::KeyData;

use super::record::Record;
use super::values::{Came, ConnectionId, Content, FileId, Left};

impl Record<'_> {
    /// Whether the record is input; the others are output.
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
                | Self::Draw(_)
                | Self::Answer { .. }
                | Self::Surveyed { .. }
                | Self::Space { .. }
                | Self::Committed { .. }
                | Self::NotAtHand { .. }
        )
    }
}

impl Display for Record<'_> {
    // Long because: a sentence for each record.
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
            Self::Accept { endpoint, peer } => {
                let endpoint = Endpoint::from(*endpoint).name();
                write!(to, "{peer} connects to the {endpoint} port")
            }
            Self::Tls => write!(to, "it comes with TLS"),
            Self::Rights { hosts, sessions } => {
                let list = |names: &Option<Vec<String>>| {
                    let names = names.as_ref().map(|names| names.join(", "));
                    names.unwrap_or_else(|| "all".to_owned())
                };
                let (hosts, sessions) = (list(hosts), list(sessions));
                write!(to, "its rights are hosts: {hosts}; sessions: {sessions}")
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
    // Long because: a sentence for each record of storage.
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
            Self::Usage(_) => write!(to, "the usage of the process is read"),
            Self::Warnings(lines) => write!(to, "the last warnings are read, {}", lines.len()),
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
            Self::NotAtHand {
                file,
                offset,
                length,
            } => write!(to, "{length} bytes at {offset} of {file} are not in memory"),
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
            Self::Resize { file, size, .. } => write!(to, "{file} gets a size of {size}"),
            Self::Saved {
                file,
                offset,
                bytes,
            } => write!(to, "{} bytes at {offset} of {file} are kept", bytes.len()),
            Self::CloseFile(id) => write!(to, "{id} is closed"),
            Self::Copy {
                from,
                start,
                end,
                to: file,
                offset,
            } => write!(
                to,
                "bytes {start} to {end} of {from} are copied to {file} at {offset}"
            ),
            Self::Restore { file, size } => write!(to, "{file} is brought back to {size} bytes"),
            requests => requests.fmt_request(to),
        }
    }

    /// Requests to storage, and its answers.
    // Long because: a sentence for each record.
    #[expect(clippy::too_many_lines, reason = "a sentence for each record")]
    fn fmt_request(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove {
                ticket,
                within,
                files,
                directories,
            } => write!(
                to,
                "request {ticket}: {} files and {} directories are to be removed in {}",
                files.len(),
                directories.len(),
                text(within)
            ),
            Self::Append {
                ticket,
                path,
                bytes,
            } => {
                let count = bytes.len();
                let path = text(path);
                write!(
                    to,
                    "request {ticket}: {count} bytes are to be added to {path}"
                )
            }
            Self::Replace {
                ticket,
                path,
                bytes,
            } => {
                let count = bytes.len();
                let path = text(path);
                write!(to, "request {ticket}: {path} is to have {count} bytes")
            }
            Self::RemoveListed { ticket, list, .. } => {
                let list = text(list);
                write!(
                    to,
                    "request {ticket}: the chunk of list {list} is to be removed"
                )
            }
            Self::Survey { ticket, after, .. } => {
                let after = after.map_or_else(String::new, |after| format!(" after {after:016x}"));
                write!(
                    to,
                    "request {ticket}: closed chunks{after} are to be looked at"
                )
            }
            Self::Sync {
                ticket,
                within,
                files,
                directories,
            } => write!(
                to,
                "request {ticket}: {} files and {} directories are to be synced in {}",
                files.len(),
                directories.len(),
                text(within)
            ),
            Self::SyncChunk {
                ticket,
                directory,
                files,
                directories,
            } => write!(
                to,
                "request {ticket}: {files} files and {directories} directories of the chunk in {} \
                 are to be synced",
                text(directory)
            ),
            Self::Fetch {
                ticket,
                file,
                offset,
                length,
            } => write!(
                to,
                "request {ticket}: {length} bytes at {offset} of {file} are to be fetched"
            ),
            Self::Commit { ticket, ends, .. } => write!(
                to,
                "request {ticket}: {} files are to have what was written",
                ends.len()
            ),
            Self::Committed { ticket, failed } => {
                write!(to, "request {ticket} is done")?;
                for (file, _, failure) in failed {
                    write!(to, ", {file} fails: {}", failure.reason)?;
                }
                Ok(())
            }
            Self::Probe { ticket } => write!(to, "request {ticket}: the disk is probed"),
            Self::AskSpace { ticket } => {
                write!(to, "request {ticket}: free space is to be looked at")
            }
            Self::Space { ticket, free_bytes } => {
                write!(to, "request {ticket} is done: {free_bytes} bytes are free")
            }
            Self::Surveyed { ticket, found, .. } => {
                write!(to, "request {ticket} is done: {} chunks", found.len())
            }
            Self::Answer { ticket, .. } => write!(to, "request {ticket} is done"),
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
