//! VERSION, GET_CONFIGURATION, CREATE_SESSION: the first commands of a control connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_components::chunk::{Chunk, ChunkId};
use baton_components::connection::Connection;
use baton_components::keys::{ChunkKey, ConnectionKey, SessionKey};
use baton_components::path::{RelativePath, check_visible_name};
use baton_components::places::Owner;
use baton_components::rights::Rights;
use baton_components::session::{Origin, Session};
use baton_components::shares::Asset;
use baton_components::shown::Shown;
use baton_components::tally::{Span, Tally};
use baton_components::wire::producer::{CreateSession, GetConfiguration, Version, code, reply};

use super::fault::{Fault, Reason};
use super::{Ingest, output};
use crate::probe;
use crate::record::{Recorder, places};
use crate::settings::Served;

/// The reply is always Baton's version; both sides then use the lower minor.
pub fn version(
    ingest: &mut Ingest,
    connection: ConnectionKey,
    asked: Version,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    reply::version(replies);
    if asked.major != reply::MAJOR {
        return Err(Reason::Major(asked.major).abort());
    }
    let control = ingest
        .record
        .entities
        .connections
        .get_mut(connection)
        .and_then(Connection::control_mut);
    if let Some(control) = control {
        control.minor = Some(asked.minor.min(reply::MINOR));
    }
    let Recorder { agenda, now, .. } = &mut ingest.record;
    probe::expect_names(agenda, now);
    Ok(())
}

pub fn configuration(
    ingest: &Ingest,
    asked: GetConfiguration,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    if asked.flags != 0 {
        reply::configuration(replies, code::INVALID_PROTOCOL, 0);
        return Err(Reason::Flags(asked.flags).stay());
    }
    let flags = if ingest.settings.clear_allowed {
        reply::CLEAR_ALLOWED
    } else {
        0
    };
    reply::configuration(replies, code::OK, flags);
    Ok(())
}

/// Makes the session of this connection. Every failure leaves the connection open
/// and without a session: the producer may try again.
pub fn create(
    ingest: &mut Ingest,
    connection: ConnectionKey,
    minor: u32,
    command: &CreateSession,
    replies: &mut Vec<u8>,
) -> Result<(), Fault> {
    match try_create(ingest, connection, minor, command) {
        Ok((id, directory)) => {
            reply::session_created(replies, minor, id, directory.as_bytes());
            Ok(())
        }
        Err(reason) => {
            reply::session_refused(replies, minor, code::FATAL);
            Err(reason.stay())
        }
    }
}

// Long because: a session has many fields, and each begins here.
fn try_create(
    ingest: &mut Ingest,
    connection: ConnectionKey,
    minor: u32,
    command: &CreateSession,
) -> Result<(u64, RelativePath), Reason> {
    let asking = ingest.record.entities.connections.get(connection);
    let asking = asking.ok_or(Reason::NoSession)?;
    if asking.session().is_some() {
        return Err(Reason::SecondSession);
    }
    check_host(asking, command)?;
    let address = asking.address;
    let shares = &ingest.record.entities.shares;
    shares.check(address, Asset::Sessions, 1)?;
    if ingest.record.entities.totals.is_reserve_reached {
        return Err(Reason::NoRoom);
    }
    let base = check(command)?;
    let id = ingest.record.directory.session_ids.draw();
    let origin = command.origin.map(|origin| Origin {
        daemon: origin.daemon,
        session: origin.session,
    });
    let created_s = command
        .origin
        .map_or(ingest.record.now.unix_s, |origin| origin.creation_time_s);
    let named_chunk = match (
        origin,
        command.origin.and_then(|origin| origin.current_chunk),
    ) {
        (Some(origin), Some(number)) => Some(find_chunk(ingest, ChunkId { origin, number })?),
        _ => None,
    };
    let directory = match origin {
        Some(origin) => occupy(ingest, command, origin, &base, created_s)?,
        // Streams of older producers bring the whole path.
        None => RelativePath::root(),
    };

    let session = ingest.record.entities.insert(|links| Session {
        id,
        name: command.name.into(),
        host: command.host.into(),
        origin,
        address,
        control: connection,
        directory: directory.clone(),
        created_s,
        minor,
        trace_format: command.trace_format,
        live_timer_us: command.live_timer_us,
        snapshot: command.snapshot,
        hold_back: Duration::ZERO,
        chunk: named_chunk.map(|chunk| links.hold(chunk)),
        closing_chunk: None,
        rotated: false,
        open_streams: BTreeMap::new(),
        unpublished: BTreeMap::new(),
        stream_count: 0,
        pending_round: 1,
        unchecked: 0,
        gone_since: None,
        given_up: false,
        drain_by: None,
        data_connections: 0,
        is_data_watched: false,
        tally: Tally::default(),
        streams_added: 0,
        gaps: 0,
        span: Span::default(),
        writes: Box::default(),
        viewers: BTreeSet::new(),
        rare: None,
    });
    ingest
        .record
        .entities
        .shares
        .add(address, Asset::Sessions, 1);
    begin(ingest, connection, id, session);
    let place = match origin {
        Some(_) => format!(" in {directory}"),
        None => ": its streams name their directories".to_owned(),
    };
    if let Some(session) = ingest.record.entities.sessions.get(session) {
        let live = if session.is_live() {
            "live session"
        } else {
            "session"
        };
        tracing::info!("{live} {session} created{place}");
    }
    Ok((id, directory))
}

/// Whether the connection may be a producer of the host. Where a rule names hosts, the host has
/// to be that of the directory, which producers before 2.11 name themselves.
fn check_host(asking: &Connection, command: &CreateSession) -> Result<(), Reason> {
    let names_hosts = |rights: &Rights| rights.hosts.is_some();
    let is_limited = asking.rights.as_deref().is_some_and(names_hosts);
    if asking.may_be_of(command.host) && !(is_limited && command.origin.is_none()) {
        Ok(())
    } else {
        Err(Reason::OthersHost(Shown(command.host).to_string()))
    }
}

/// Checks the names of a command; returns the base path of the session's directory.
fn check(command: &CreateSession) -> Result<RelativePath, Reason> {
    check_visible_name(command.name)
        .map_err(|error| Reason::name("session name", command.name, error))?;
    check_visible_name(command.host)
        .map_err(|error| Reason::name("host name", command.host, error))?;
    RelativePath::parse(command.base_path)
        .map_err(|error| Reason::name("base path", command.base_path, error))
}

/// The directory that the session gets.
fn occupy(
    ingest: &mut Ingest,
    command: &CreateSession,
    origin: Origin,
    base: &RelativePath,
    created_s: u64,
) -> Result<RelativePath, Reason> {
    let wanted = output::directory(ingest, command, base, created_s)?;
    let owner = if command.snapshot {
        Owner::Snapshots {
            daemon: origin.daemon,
        }
    } else {
        Owner::Origin(origin)
    };
    let Recorder {
        directory, storage, ..
    } = &mut ingest.record;
    Ok(places::occupy(directory, storage, &wanted, owner)?)
}

/// Gives the session to its connection, which holds it.
fn begin(ingest: &mut Ingest, connection: ConnectionKey, id: u64, session: SessionKey) {
    let sessions = &ingest.record.entities.sessions;
    if sessions
        .get(session)
        .is_some_and(|session| session.origin.is_none())
    {
        // Paths of producers before 2.11 are relative to the output directory:
        // one chunk without a number is theirs for ever.
        let chunk = ingest.record.entities.insert(|_| Chunk::anonymous());
        ingest
            .record
            .entities
            .relink(session, |session: &mut Session, links| {
                session.chunk = Some(links.hold(chunk));
            });
        ingest.record.entities.disown::<Chunk>(chunk);
    }
    ingest
        .record
        .entities
        .relink(connection, |connection: &mut Connection, links| {
            if let Some(control) = connection.control_mut() {
                control.session = Some(links.hold(session));
            }
        });
    // Its connection holds it now; it stays owned if viewers may read it when it is over.
    if ingest.settings.serve == Served::Live {
        ingest.record.entities.disown::<Session>(session);
    }
    ingest.record.directory.sessions.insert(id, session);
    ingest.record.directory.listed.insert(id, session);
}

fn find_chunk(ingest: &Ingest, id: ChunkId) -> Result<ChunkKey, Reason> {
    ingest
        .record
        .directory
        .chunks
        .get(&id)
        .copied()
        .filter(|key| ingest.record.entities.chunks.contains(*key))
        .ok_or(Reason::UnknownChunk(id.number))
}
