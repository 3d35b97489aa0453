//! The directory of a session, below the output directory.

use baton_components::limits::{SESSION_PATH_BYTES_MAX, SESSION_PATH_NAMES_MAX};
use baton_components::path::{NAME_BYTES_MAX, RelativePath, shortened};
use baton_components::wire::producer::CreateSession;

use super::Ingest;
use super::fault::Reason;
use crate::settings::Grouping;

/// The directory that a session asks for.
///
/// By host: `HOST/BASE`, or `HOST/NAME` with the time of creation, which automatic names
/// carry already. By session: `NAME/HOST-TIME`, and `BASE` below it. Names that are too
/// long for a file system are shortened.
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
    Ok(path.fitted(SESSION_PATH_BYTES_MAX, SESSION_PATH_NAMES_MAX))
}

fn name(bytes: &[u8]) -> Result<RelativePath, Reason> {
    RelativePath::root()
        .child(bytes)
        .map_err(|error| Reason::name("name", bytes, error))
}
