//! Places: a session claims its directory.
//!
//! A session writes, removes and renames only files that it created. So its directory must
//! be new, and not inside another session's. Parent directories, such as that of a host,
//! have no owner.

use baton_components::chunk;
use baton_components::directory::Directory;
use baton_components::path::{NAME_BYTES_MAX, RelativePath, shortened};
use baton_components::places::{Names, Owner};
use baton_components::session::Session;

use crate::ports::{StorageError, StorageErrorKind, StoragePort};

/// Claims a directory for a session, and makes it if its owner has not made it yet. A name
/// that exists gets a number that is free.
pub fn occupy(
    directory: &mut Directory,
    storage: &mut StoragePort,
    wanted: &RelativePath,
    owner: Owner,
) -> Result<RelativePath, StorageError> {
    let path = match directory.places.of(&owner, wanted).cloned() {
        Some(own) => {
            storage.create_directory(&own)?;
            own
        }
        None => find_free(directory, storage, wanted, &owner)?,
    };
    if path != *wanted {
        tracing::warn!("{wanted} belongs to another session: writing to {path} instead");
    }
    directory.places.enter(wanted, &path, owner);
    storage.begin_recording(&path);
    Ok(path)
}

fn find_free(
    directory: &Directory,
    storage: &mut StoragePort,
    wanted: &RelativePath,
    owner: &Owner,
) -> Result<RelativePath, StorageError> {
    let places = &directory.places;
    let mut path = RelativePath::root();
    let mut names = wanted.components().peekable();
    let mut is_missing = false;
    while let Some(name) = names.next() {
        path = if names.peek().is_some() {
            // Its owner's own place may look like a recording from above.
            let above = first_free(&path, name, |path, _| {
                let is_free = places.owner(path).is_none()
                    && (is_missing
                        || !is_recording(storage, path)?
                        || places.has_below(path, owner));
                Ok(is_free)
            })?;
            // Nothing is below a directory that is not there.
            is_missing = is_missing || !storage.exists(&above)?;
            above
        } else {
            first_free(&path, name, |path, take| match places.owner(path) {
                Some(known) if known == owner => storage.create_directory(path).map(|()| true),
                Some(_) => Ok(false),
                None if places.is_above_some(path) => Ok(false),
                None => claim_or_look(storage, path, take),
            })?
        };
    }
    Ok(path)
}

/// Takes a directory for a trace of a producer before 2.11, which names the whole path:
/// `HOST/SESSION-TIME/ust/…`. Sessions of the same name and host that live at the same time
/// share the directories above `ust` or `kernel`.
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
        let namesakes = Owner::Named(Box::new(Names {
            name: session.name.to_vec(),
            host: session.host.to_vec(),
        }));
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
        if is_place && session.rare_mut().trace_places.insert(path.clone()) {
            let owner = if is_home { namesakes } else { own };
            directory.places.enter(&path, &path, owner);
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
        kind: StorageErrorKind::InTheWay,
        action: "make directory".into(),
        path: path.to_string(),
        reason: "it is another's, and nothing is added to it".to_owned(),
    }
}

/// Makes a directory of a session's in another of its own: of that name, or with a number
/// that is free.
pub fn claim(
    storage: &mut StoragePort,
    directory: &RelativePath,
    name: &[u8],
) -> Result<RelativePath, StorageError> {
    first_free(directory, name, |path, take| {
        claim_or_look(storage, path, take)
    })
}

/// `directory/name`, or `directory/name-2` and so on if that is taken.
pub fn free_name(
    storage: &mut StoragePort,
    directory: &RelativePath,
    name: &[u8],
) -> Result<RelativePath, StorageError> {
    first_free(directory, name, |path, _| Ok(!storage.exists(path)?))
}

/// Whether a directory was free, and is made now; or is only looked at.
fn claim_or_look(
    storage: &mut StoragePort,
    path: &RelativePath,
    take: Take,
) -> Result<bool, StorageError> {
    match take {
        Take::Now => storage.claim_directory(path),
        Take::Not => Ok(!storage.exists(path)?),
    }
}

/// Whether a name that is free is to be taken with the question.
#[derive(Clone, Copy)]
enum Take {
    Now,
    Not,
}

/// The name, or the name with a number that is free after one that is not.
fn first_free(
    directory: &RelativePath,
    name: &[u8],
    mut is_free: impl FnMut(&RelativePath, Take) -> Result<bool, StorageError>,
) -> Result<RelativePath, StorageError> {
    let mut number = 1;
    loop {
        let path = numbered(directory, name, number);
        if is_free(&path, Take::Now)? {
            return Ok(path);
        }
        number = free_after(number, |number| {
            is_free(&numbered(directory, name, number), Take::Not)
        })?;
    }
}

/// A free number after one that is taken. Where they are taken without a gap it is the
/// first: the steps double until one is free, and then halve, so of many numbers few are
/// asked about.
pub fn free_after<E>(
    taken: u64,
    mut is_free: impl FnMut(u64) -> Result<bool, E>,
) -> Result<u64, E> {
    let (mut taken, mut step) = (taken, 1);
    while !is_free(taken + step)? {
        taken += step;
        step *= 2;
    }
    while step > 1 {
        let half = step / 2;
        if is_free(taken + half)? {
            step = half;
        } else {
            taken += half;
            step -= half;
        }
    }
    Ok(taken + 1)
}

fn numbered(directory: &RelativePath, name: &[u8], number: u64) -> RelativePath {
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

/// Whether a session was recorded in that directory, perhaps by an earlier relay: it is the
/// directory of a trace, of a session, or of its archives. The directory of a host, or of a
/// session's name, may have very many names; it has no chunks, and it is not listed in
/// full.
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
/// First names of the paths of streams, in the directory of their session.
const DOMAINS: [&[u8]; 2] = [USER_SPACE, KERNEL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_numbers_few_are_asked_about() {
        for taken in [1, 2, 3, 4, 7, 8, 100, 100_000] {
            let mut asked = 0;
            let free = free_after(1, |number| {
                asked += 1;
                Ok::<_, ()>(number > taken)
            });
            assert_eq!(free, Ok(taken + 1));
            assert!(asked <= 2 * taken.ilog2() + 2, "{asked} for {taken}");
        }
        // A gap is as good as the end.
        assert_eq!(free_after(1, |number| Ok::<_, ()>(number != 2)), Ok(3));
    }

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
