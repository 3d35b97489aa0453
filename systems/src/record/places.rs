//! Places: which directory a session gets, and how it becomes its own.
//!
//! Nothing is written, removed or renamed that the session did not make itself. That
//! begins here: a directory of a session is made newly, and does not lie in another's.
//! Directories on the way to it, such as those of a host, are nobody's.

use baton_components::chunk;
use baton_components::directory::Directory;
use baton_components::path::{NAME_BYTES_MAX, RelativePath, shortened};
use baton_components::places::Owner;
use baton_components::session::Session;

use crate::ports::{StorageError, StoragePort};

/// Takes a directory for a session, and makes it if its owner has not done so yet. Where
/// something is in the way that name gets the first number that is free.
pub fn occupy(
    directory: &mut Directory,
    storage: &mut StoragePort,
    wanted: &RelativePath,
    owner: Owner,
) -> Result<RelativePath, StorageError> {
    let mut path = RelativePath::root();
    let mut names = wanted.components().peekable();
    while let Some(name) = names.next() {
        let is_last = names.peek().is_none();
        path = first_number(&path, name, |path| match directory.places.owner(path) {
            Some(known) if is_last && *known == owner => {
                storage.create_directory(path).map(|()| true)
            }
            Some(_) => Ok(false),
            // Its owner's own place may look like a recording from above.
            None if !is_last => {
                Ok(!is_recording(storage, path)? || directory.places.has_below(path, &owner))
            }
            None if directory.places.is_above_some(path) => Ok(false),
            None => storage.claim_directory(path),
        })?;
    }
    if path != *wanted {
        tracing::warn!("{wanted} is another session's: writing to {path} instead");
    }
    directory.places.enter(&path, owner);
    storage.begin_recording(&path);
    Ok(path)
}

/// Takes a directory for a trace of a producer before 2.11, which names the whole path:
/// `HOST/SESSION-TIME/ust/…`. What stands before `ust` or `kernel` is shared by sessions
/// of the same name and host that live at the same time.
pub fn occupy_trace(
    directory: &mut Directory,
    storage: &mut StoragePort,
    session: &mut Session,
    trace: &RelativePath,
) -> Result<(), StorageError> {
    let home = home(trace);
    let mut path = RelativePath::root();
    let mut names = trace.components().peekable();
    while let Some(name) = names.next() {
        path = numbered(&path, name, 1);
        let own = Owner::Session(session.id);
        let namesakes = Owner::Named {
            name: session.name.clone(),
            host: session.host.clone(),
        };
        let is_home = home.as_ref() == Some(&path);
        let is_place = is_home || names.peek().is_none();
        let is_free = match directory.places.owner(&path) {
            Some(owner) => *owner == own || (is_home && *owner == namesakes),
            None if !is_place => !is_recording(storage, &path)?,
            None => !directory.places.is_above_some(&path) && storage.claim_directory(&path)?,
        };
        if !is_free {
            return Err(foreign(&path));
        }
        if is_place && session.places.insert(path.clone()) {
            let owner = if is_home { namesakes } else { own };
            directory.places.enter(&path, owner);
            storage.begin_recording(&path);
        }
    }
    Ok(())
}

/// The directory of the session of which that is a trace; none if the path does not tell.
fn home(trace: &RelativePath) -> Option<RelativePath> {
    let domain = trace
        .components()
        .skip(1)
        .position(|name| DOMAINS.contains(&name))?;
    let names = trace.components().take(domain + 1);
    Some(names.fold(RelativePath::root(), |path, name| numbered(&path, name, 1)))
}

/// Makes a directory where the session has to have it.
pub fn make_own(storage: &mut StoragePort, path: &RelativePath) -> Result<(), StorageError> {
    if storage.claim_directory(path)? {
        Ok(())
    } else {
        Err(foreign(path))
    }
}

fn foreign(path: &RelativePath) -> StorageError {
    StorageError {
        action: "make directory",
        path: path.to_string(),
        reason: "it is another's, and nothing is added to it".to_owned(),
    }
}

/// Makes a directory of a session's in another of its own: of that name, or with the
/// first number that is free.
pub fn claim(
    storage: &mut StoragePort,
    directory: &RelativePath,
    name: &[u8],
) -> Result<RelativePath, StorageError> {
    first_number(directory, name, |path| storage.claim_directory(path))
}

/// `directory/name`, or `directory/name-2` and so on if that is taken.
pub fn free_name(
    storage: &mut StoragePort,
    directory: &RelativePath,
    name: &[u8],
) -> Result<RelativePath, StorageError> {
    first_number(directory, name, |path| Ok(!storage.exists(path)?))
}

fn first_number(
    directory: &RelativePath,
    name: &[u8],
    mut is_free: impl FnMut(&RelativePath) -> Result<bool, StorageError>,
) -> Result<RelativePath, StorageError> {
    let mut number = 1;
    loop {
        let path = numbered(directory, name, number);
        if is_free(&path)? {
            return Ok(path);
        }
        number += 1;
    }
}

fn numbered(directory: &RelativePath, name: &[u8], number: u32) -> RelativePath {
    let path = match number {
        1 => directory.child(name),
        number => {
            let number = format!("-{number}");
            let name = shortened(name, NAME_BYTES_MAX - number.len());
            directory.child([&name, number.as_bytes()].concat())
        }
    };
    path.expect("law: the names of paths, and of chunks, were checked or made here")
}

/// Whether somebody recorded in that directory, perhaps in another life of the relay:
/// it is that of a trace, of a session, or of its archives. A host's directory, or that of
/// a session's name, may have very many names; neither chunks are in it, nor is it listed.
fn is_recording(storage: &mut StoragePort, directory: &RelativePath) -> Result<bool, StorageError> {
    let below = |name: &[u8]| numbered(directory, name, 1);
    let is_session = directory.components().nth(1).is_some();
    Ok(storage.exists(&below(METADATA))?
        || (is_session && storage.has_name(directory, is_of_chunks)?)
        || storage.has_name(&below(USER_SPACE), is_of_user_space)?
        || storage.exists(&below(KERNEL).join(&numbered(&RelativePath::root(), METADATA, 1)))?
        || storage.has_name(&below(ARCHIVES), is_of_chunks)?)
}

fn is_of_chunks(name: &[u8]) -> bool {
    chunk::is_name(name) || name.starts_with(TEMPORARY)
}

fn is_of_user_space(name: &[u8]) -> bool {
    matches!(name, METADATA | b"uid" | b"pid")
}

/// Directory of a session's closed chunks.
pub const ARCHIVES: &[u8] = b"archives";
/// How names of chunks begin while a session rotates.
pub const TEMPORARY: &[u8] = b".tmp_";
/// The file that makes a directory a trace.
const METADATA: &[u8] = b"metadata";

const USER_SPACE: &[u8] = b"ust";
const KERNEL: &[u8] = b"kernel";
/// Where the paths of streams begin, in the directory of their session.
const DOMAINS: [&[u8]; 2] = [USER_SPACE, KERNEL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_trace_stands_before_its_domain() {
        for (trace, expected) in [
            ("host/s-T/ust/uid/0/64-bit", Some("host/s-T")),
            ("host/my/base/kernel", Some("host/my/base")),
            (
                "host/s-T/snapshot-1-T-0/ust/pid/a",
                Some("host/s-T/snapshot-1-T-0"),
            ),
            ("ust/s-T/kernel", Some("ust/s-T")),
            ("ust/uid/0/64-bit", None),
            ("host/s-T/mine", None),
            ("ust", None),
        ] {
            let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
            assert_eq!(home(&path(trace)), expected.map(path), "{trace}");
        }
    }
}
