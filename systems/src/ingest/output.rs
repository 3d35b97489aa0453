//! Where below the output directory a session's files go.

use baton_components::directory::Occupied;
use baton_components::limits::SESSION_PATH_BYTES_MAX;
use baton_components::path::RelativePath;
use baton_components::session::Origin;
use baton_components::wire::producer::CreateSession;

use super::Ingest;
use super::fault::Reason;
use crate::settings::Grouping;

/// The directory that a session asks for.
///
/// By host: `HOST/BASE`, or `HOST/NAME` with the time of creation, which automatic
/// names carry already. By session: `NAME/HOST-TIME`, and `BASE` below it.
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
    let stamped = |name: &[u8]| [name, b"-", time.session_stamp().as_bytes()].concat();
    let path = match ingest.settings.grouping {
        Grouping::Host if !base.is_root() => name(command.host)?.join(base),
        Grouping::Host if command.name_holds_time => name(command.host)?.join(&name(command.name)?),
        Grouping::Host => name(command.host)?.join(&name(&stamped(command.name))?),
        Grouping::Session => name(command.name)?
            .join(&name(&stamped(command.host))?)
            .join(base),
    };
    let size = path.as_bytes().len();
    if size > SESSION_PATH_BYTES_MAX {
        Err(Reason::PathTooLong(size))
    } else {
        Ok(path)
    }
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
    Ok(parent.join(&name(&[last, format!("-{number}").as_bytes()].concat())?))
}

fn name(bytes: &[u8]) -> Result<RelativePath, Reason> {
    RelativePath::root()
        .child(bytes)
        .map_err(|error| Reason::name("name", bytes, error))
}
