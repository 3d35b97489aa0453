//! Where below the output directory a session's files go.

use baton_components::directory::Occupied;
use baton_components::limits::SESSION_PATH_BYTES_MAX;
use baton_components::path::{NAME_BYTES_MAX, RelativePath, shortened};
use baton_components::session::Origin;
use baton_components::wire::producer::CreateSession;

use super::Ingest;
use super::fault::Reason;
use crate::settings::Grouping;

/// The directory that a session asks for.
///
/// By host: `HOST/BASE`, or `HOST/NAME` with the time of creation, which automatic
/// names carry already. By session: `NAME/HOST-TIME`, and `BASE` below it. What is too long
/// for a file system is shortened.
pub fn directory(
    ingest: &Ingest,
    command: &CreateSession,
    base: &RelativePath,
    created_s: u64,
) -> Result<RelativePath, Reason> {
    let time = ingest
        .clock
        .civil(created_s)
        .ok_or(Reason::Time(created_s))?;
    let stamp = time.session_stamp();
    let stamped = |name: &[u8]| {
        let room = NAME_BYTES_MAX - 1 - stamp.len();
        [&shortened(name, room), &b"-"[..], stamp.as_bytes()].concat()
    };
    let path = match ingest.settings.grouping {
        Grouping::Host if !base.is_root() => name(command.host)?.join(base),
        Grouping::Host if command.name_holds_time => name(command.host)?.join(&name(command.name)?),
        Grouping::Host => name(command.host)?.join(&name(&stamped(command.name))?),
        Grouping::Session => name(command.name)?
            .join(&name(&stamped(command.host))?)
            .join(base),
    };
    Ok(path.fitted(SESSION_PATH_BYTES_MAX))
}

/// Takes a directory for a session, and makes it. Nothing recorded is ever written
/// over: if somebody else writes to the one that was asked for, or has written to it,
/// it is that name with the first free number. The sessions of one origin share
/// theirs; snapshots have directories of their own in it.
pub fn occupy(
    ingest: &mut Ingest,
    wanted: RelativePath,
    origin: Origin,
    snapshot: bool,
) -> Result<RelativePath, Reason> {
    let mut path = wanted.clone();
    let mut number = 1;
    while !is_free(ingest, &path, origin, snapshot)? {
        number += 1;
        path = numbered(&wanted, number)?;
    }
    if path != wanted {
        tracing::warn!("{wanted} holds another session's trace: writing to {path} instead");
    }
    ingest.storage.create_directory(&path)?;
    let occupied = ingest.directory.outputs.entry(path.clone());
    occupied
        .or_insert(Occupied {
            origin,
            sessions: 0,
        })
        .sessions += 1;
    Ok(path)
}

fn is_free(
    ingest: &mut Ingest,
    path: &RelativePath,
    origin: Origin,
    snapshot: bool,
) -> Result<bool, Reason> {
    match ingest.directory.outputs.get(path) {
        Some(occupied) => Ok(occupied.origin == origin),
        None => Ok(snapshot || !ingest.storage.exists(path)?),
    }
}

fn numbered(path: &RelativePath, number: u32) -> Result<RelativePath, Reason> {
    let last = path.components().last().unwrap_or_default();
    let parent = path.parent().unwrap_or_default();
    let number = format!("-{number}");
    let last = shortened(last, NAME_BYTES_MAX - number.len());
    Ok(parent.join(&name(&[&last, number.as_bytes()].concat())?))
}

fn name(bytes: &[u8]) -> Result<RelativePath, Reason> {
    RelativePath::root()
        .child(bytes)
        .map_err(|error| Reason::name("name", bytes, error))
}
