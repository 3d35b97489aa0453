//! Where below the output directory a session's files go.

use baton_components::limits::SESSION_PATH_BYTES_MAX;
use baton_components::path::RelativePath;
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

fn name(bytes: &[u8]) -> Result<RelativePath, Reason> {
    RelativePath::root()
        .child(bytes)
        .map_err(|error| Reason::name("name", bytes, error))
}
