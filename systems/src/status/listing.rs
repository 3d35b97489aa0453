//! `/status` and `/status/sessions/ID`: JSON for programs and pages, with a record for each
//! session or each stream. Such a list may be long: it is written record by record, as far
//! as the turn of its connection goes, and goes on after the last id that it has.
//!
//! Schema 1: members are added, none is removed or changes its meaning.

use std::ops::Bound;

use baton_components::connection::{Connection, Endpoint, Listed, Listing};
use baton_components::session::Session;
use baton_components::shares::Asset;
use baton_components::stream::Stream;
use baton_components::tally::{Cause, Lost, Tally};
use baton_components::totals::{Excess, Stock, Syncs};
use baton_components::viewer_session::{Attachment, ViewerSession};

use super::escape::{Json, shell};
use super::json::Object;
use super::{Status, advice, health};
use crate::entities::Entities;
use crate::record::ring;
use crate::settings::{Settings, SyncWhen};
use crate::usage::{Archive, Usage};

/// The begin of a list, up to its first record.
pub fn begin(status: &mut Status, listing: &Listing) -> String {
    let mut out = String::new();
    let usage = status.clock.usage();
    let warnings = match listing.what {
        Listed::Sessions => status.clock.warnings(),
        Listed::Streams(_) => Vec::new(),
    };
    let status = &*status;
    let mut root = Object::begin(&mut out);
    root.plain("schema", 1)
        .time("time", status.now.unix_s)
        .object("advice", advice::write);
    match listing.what {
        Listed::Sessions => {
            root.object("relay", |relay| write_relay(relay, status, &usage))
                .list("ports", Endpoint::ALL, |out, it| {
                    write_port(out, status, it);
                })
                .object("storage", |it| write_storage(it, status, &usage));
            match &usage.archive {
                Some(archive) => root.object("archive", |it| write_archive(it, archive)),
                None => root.plain("archive", "null"),
            };
            root.object("totals", |it| {
                write_tally(it, &status.entities.totals.tally);
            })
            .list("warnings", &warnings, |out, warning| {
                let mut object = Object::begin(out);
                let level = if warning.is_error { "error" } else { "warning" };
                object.time("time", warning.unix_s).text("level", level);
                object.text("text", &warning.text);
                object.end();
            });
            root.open_list("sessions");
        }
        Listed::Streams(id) => {
            let session = status.directory.sessions.get(&id);
            if let Some(session) = session.and_then(|it| status.entities.sessions.get(*it)) {
                root.object("session", |it| write_session(it, status, listing, session));
            }
            root.open_list("streams");
        }
    }
    out
}

/// Writes the next record, or the end. Returns whether that was the end.
pub fn write_next(status: &Status, listing: &mut Listing, out: &mut String) -> bool {
    let is_first = listing.after == 0;
    let after = (Bound::Excluded(listing.after), Bound::Unbounded);
    let entities = &status.entities;
    let sessions = &status.directory.sessions;
    let object = |out: &mut String, fill: &dyn Fn(&mut Object)| {
        out.push_str(if is_first { "\n" } else { ",\n" });
        let mut object = Object::begin(out);
        fill(&mut object);
        object.end();
    };
    let next = match listing.what {
        Listed::Sessions => {
            let next = sessions.range(after).next();
            if let Some(session) = next.and_then(|(_, key)| entities.sessions.get(*key)) {
                object(out, &|it| write_session(it, status, listing, session));
            }
            next.map(|(id, _)| *id)
        }
        Listed::Streams(id) => {
            let session = sessions.get(&id).and_then(|it| entities.sessions.get(*it));
            let next = session.and_then(|session| session.open_streams.range(after).next());
            if let Some(stream) = next.and_then(|(_, key)| entities.streams.get(*key)) {
                object(out, &|it| write_stream(it, entities, stream));
            }
            next.map(|(number, _)| *number)
        }
    };
    match next {
        Some(next) => listing.after = next,
        None => out.push_str("]}\n"),
    }
    next.is_none()
}

fn write_relay(object: &mut Object, status: &Status, usage: &Usage) {
    let reasons = || health::reasons(&status.agenda, &status.entities);
    object
        .text("version", env!("CARGO_PKG_VERSION"))
        .time("started", usage.started_s)
        .plain("ready", reasons().next().is_none())
        .list("reasons", reasons(), |out, reason| {
            out.push_str(&Json(reason.as_bytes()).to_string());
        })
        .plain("resident_bytes", usage.resident_bytes)
        .plain("descriptors", usage.descriptors)
        .plain("descriptors_max", usage.descriptors_max);
}

fn write_port(out: &mut String, status: &Status, endpoint: Endpoint) {
    let traffic = &status.entities.totals.ports[endpoint as usize];
    let mut object = Object::begin(out);
    object
        .text("port", endpoint.name())
        .plain("open", traffic.open())
        .plain("accepted", traffic.accepted)
        .plain("received_bytes", traffic.received_bytes)
        .plain("sent_bytes", traffic.sent_bytes);
    object.end();
}

fn write_archive(object: &mut Object, archive: &Archive) {
    object
        .text("to", &archive.to)
        .time("looked", archive.looked_s)
        .plain("waiting_chunks", archive.waiting_chunks)
        .plain("waiting_bytes", archive.waiting_bytes)
        .plain("failing_chunks", archive.failing_chunks);
}

fn write_storage(object: &mut Object, status: &Status, usage: &Usage) {
    let entities = &status.entities;
    object
        .plain("writable", !entities.totals.is_disk_failing)
        .plain("size_bytes", usage.disk_bytes)
        .plain("free_bytes", usage.disk_free_bytes)
        .plain(
            "waiting_metadata_bytes",
            entities.shares.taken(Asset::WaitingMetadata),
        );
    object
        .object("caps", |it| write_caps(it, &status.settings))
        .object("sync", |it| {
            write_sync(it, &status.settings, &entities.totals.syncs);
        });
    let stock = &entities.totals.stock;
    if stock.is_counted {
        object
            .plain("used_bytes", stock.used_bytes)
            .plain("removed_open_bytes", stock.leaving_bytes)
            .object("removed", |it| write_removed(it, stock));
        match stock.limit_bytes {
            Some(limit) => object.plain("limit_bytes", limit),
            None => object.plain("limit_bytes", "null"),
        };
    }
}

/// Caps and the reserve, for those that are set.
fn write_caps(object: &mut Object, settings: &Settings) {
    let caps = settings.caps();
    let reserve = Some(settings.min_free.bytes()).filter(|bytes| *bytes > 0);
    for (name, value) in [
        ("size_bytes", caps.size),
        ("session_size_bytes", caps.session_size),
        ("age_seconds", caps.age.map(|age| age.as_secs())),
        ("chunks", caps.chunks),
        ("min_free_bytes", reserve),
    ] {
        match value {
            Some(value) => object.plain(name, value),
            None => object.plain(name, "null"),
        };
    }
}

/// When recordings are synced, and how that went.
fn write_sync(object: &mut Object, settings: &Settings, syncs: &Syncs) {
    let (when, period) = match settings.sync {
        SyncWhen::Never => ("never", None),
        SyncWhen::Chunk => ("chunk", None),
        SyncWhen::Every(period) => ("period", Some(period.as_secs())),
    };
    object.text("when", when);
    match period {
        Some(seconds) => object.plain("period_seconds", seconds),
        None => object.plain("period_seconds", "null"),
    };
    object
        .plain("done", syncs.done)
        .plain("failed", syncs.failed)
        .plain("pending", syncs.pending)
        .plain("unsynced_files", syncs.dirty_files);
}

/// Removals, by the cap that was exceeded.
fn write_removed(object: &mut Object, stock: &Stock) {
    for excess in Excess::ALL {
        let removed = &stock.removed[excess as usize];
        object.object(excess.name(), |it| {
            it.plain("chunks", removed.chunks)
                .plain("files", removed.files)
                .plain("bytes", removed.bytes)
                .plain("packets", removed.packets);
        });
    }
}

fn write_tally(object: &mut Object, tally: &Tally) {
    object
        .plain("packets", tally.packets)
        .plain("bytes", tally.bytes)
        .time("last_packet", tally.last_packet_s)
        .plain("events_discarded", tally.events_discarded)
        .object("packets_lost", |lost| write_lost(lost, &tally.lost));
}

fn write_lost(object: &mut Object, lost: &Lost) {
    for cause in Cause::ALL {
        object.plain(cause.name(), lost.of(cause));
    }
}

fn write_session(object: &mut Object, status: &Status, listing: &Listing, session: &Session) {
    let entities = &status.entities;
    let state = if !session.is_producer_gone() {
        "recording"
    } else if status.directory.listed.contains_key(&session.id) {
        "kept"
    } else {
        "ending"
    };
    let url = url(status, listing, session);
    let command = url.as_deref().ok().and_then(shell);
    let command = command.map(|url| format!("babeltrace2 --input-format=lttng-live {url}"));
    object
        .plain("id", session.id)
        .text("host", &session.host)
        .text("name", &session.name)
        .time("created", session.created_s)
        .text("state", state)
        .plain("live", session.is_live())
        .plain("snapshot", session.snapshot)
        .text("directory", session.directory.as_bytes())
        .optional("url", url.as_deref().ok())
        .optional("command", command.as_deref())
        .optional("unreadable", url.as_ref().err())
        .text("from", entities.shares.name(session.address))
        .plain("streams", session.stream_count)
        .plain("open_streams", session.open_streams.len())
        .plain("data_connections", session.data_connections);
    write_tally(object, &session.tally);
    let chunk = session.chunk.as_ref();
    match chunk.and_then(|chunk| entities.chunks[chunk].id) {
        Some(id) => object.plain("chunk", id.number),
        None => object.plain("chunk", "null"),
    };
    let viewers = session.viewers.iter();
    let viewers = viewers.filter_map(|key| {
        let viewer = entities.viewer_sessions.get(*key)?;
        Some((viewer, viewer.attached.get(&session.id)?))
    });
    object.list("viewers", viewers, |out, (viewer, attachment)| {
        write_viewer(out, entities, session, viewer, attachment);
    });
}

/// Where babeltrace2 reads the session; or why it cannot, and what to do.
fn url(status: &Status, listing: &Listing, session: &Session) -> Result<Vec<u8>, &'static str> {
    let port = status.settings.ports.live;
    let listed = status.directory.listed.get(&session.id);
    let key = *listed.ok_or("it is over: a relay with --serve all keeps such sessions")?;
    if !ring::is_served(&status.entities, key) {
        return Err(
            "it is not live: lttng create --live makes one that is, and a relay with \
             --serve all shows all",
        );
    }
    if listing.host.is_empty() {
        return Err("the question has no Host by which a viewer could reach the relay");
    }
    let mut url = format!("net://{}:{port}/host/", listing.host).into_bytes();
    for part in [&session.host, b"/".as_slice(), &session.name] {
        url.extend_from_slice(part);
    }
    Ok(url)
}

fn write_viewer(
    out: &mut String,
    entities: &Entities,
    session: &Session,
    viewer: &ViewerSession,
    attachment: &Attachment,
) {
    let connection: Option<&Connection> = entities.connections.get(viewer.connection);
    let reading = &attachment.reading;
    let mut object = Object::begin(out);
    object
        .text("peer", connection.map_or("", |connection| &connection.peer))
        .time("since", attachment.since_s)
        .plain("packets", reading.taken)
        .plain("lag_packets", reading.lag_packets(&session.span))
        .plain("lag_seconds", reading.lag(&session.span).as_secs_f64());
    object.end();
}

fn write_stream(object: &mut Object, entities: &Entities, stream: &Stream) {
    let tally = &stream.tally;
    let losses = tally.losses();
    object
        .plain("number", stream.number)
        .text("channel", &stream.channel)
        .text("trace", entities.traces[&stream.trace].path.as_bytes())
        .plain("metadata", stream.is_metadata())
        .plain("packets", tally.packets)
        .plain("bytes", tally.bytes)
        .plain("events_discarded", losses.events_discarded)
        .plain("packets_lost", losses.packets)
        .plain("pending", stream.pending.len())
        .plain("viewers", stream.rare().viewers.len());
}
