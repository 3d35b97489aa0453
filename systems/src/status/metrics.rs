//! `/metrics`: figures for Prometheus.
//!
//! The series of the relay are always the same, whatever it does. Sessions have some of their
//! own, a limited number of them; a stream has none: a program that stores series pays for
//! each.

mod disk;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use baton_components::connection::{Ending, Endpoint};
use baton_components::session::Session;
use baton_components::shares::Asset;
use baton_components::tally::{Cause, Tally};
use baton_components::totals::{Outcomes, Totals, Traffic, Written};
use baton_components::wire::producer::CommandKind;
use baton_components::wire::viewer::RequestKind;

use super::Status;
use super::escape::Label;
use super::http::Answer;
use super::page::{Family, Format, Page, Type, counter, gauge};
use crate::entities::Entities;
use crate::usage::{BOUNDS, Counts, Durations, Usage};

pub fn answer(status: &Status, usage: &Usage, format: Format) -> Answer {
    let mut page = Page::new(format);
    let totals = &status.entities.totals;
    let version = env!("CARGO_PKG_VERSION");
    page.family(gauge("baton_build_info", "Version of the relay; always 1."));
    page.sample("baton_build_info", &[("version", &version)], 1);
    write_process(&mut page, usage);
    write_histogram(
        &mut page,
        "baton_tick_duration_seconds",
        "Durations of the turns of the event loop, without the wait for a peer.",
        &usage.ticks,
    );
    write_ports(&mut page, totals);
    write_turned_away(&mut page, &usage.counts);
    write_messages(&mut page, totals);
    write_packets(&mut page, totals);
    write_records(&mut page, status);
    write_storage(&mut page, totals, usage);
    disk::write_stock(&mut page, &totals.stock);
    disk::write_syncs(&mut page, &totals.syncs);
    write_budgets(&mut page, &status.entities);
    write_sessions(&mut page, status);
    page.finish()
}

/// As in all programs that Prometheus asks.
fn write_process(page: &mut Page, usage: &Usage) {
    let cpu = counter("process_cpu_seconds_total", "Processor time of the relay.");
    page.single(cpu, usage.cpu.as_secs_f64());
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Memory of the relay.",
            usage.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Address space of the relay.",
            usage.virtual_bytes,
        ),
        ("process_open_fds", "Open descriptors.", usage.descriptors),
        (
            "process_max_fds",
            "Descriptors that may be open.",
            usage.descriptors_max,
        ),
        (
            "process_start_time_seconds",
            "When the relay started.",
            usage.started_s,
        ),
    ] {
        page.single(gauge(name, help), value);
    }
}

fn write_histogram(page: &mut Page, name: &'static str, help: &'static str, of: &Durations) {
    page.family(Family {
        name,
        kind: Type::Histogram,
        help,
    });
    let bucket = format!("{name}_bucket");
    let mut count = 0;
    for ((_, bound), more) in BOUNDS.iter().zip(of.counts) {
        count += more;
        page.sample(&bucket, &[("le", bound)], count);
    }
    count += of.longer;
    page.sample(&bucket, &[("le", &"+Inf")], count);
    page.sample(&format!("{name}_sum"), &[], of.sum.as_secs_f64());
    page.sample(&format!("{name}_count"), &[], count);
}

/// Peers that the network has turned away, so that no connection was accepted.
fn write_turned_away(page: &mut Page, counts: &Counts) {
    let families = [
        (
            counter(
                "baton_strangers_total",
                "Connections that were closed at once, since their address may not connect.",
            ),
            counts.strangers,
        ),
        (
            counter(
                "baton_tls_handshakes_failed_total",
                "Connections whose TLS handshake failed.",
            ),
            counts.failed_handshakes,
        ),
    ];
    for (family, of_ports) in families {
        page.family(family);
        for endpoint in Endpoint::ALL {
            let count = of_ports[endpoint as usize];
            page.sample(family.name, &[("port", &endpoint.name())], count);
        }
    }
    if let Some(expiry_s) = counts.certificate_expiry_s {
        let expiry = gauge(
            "baton_certificate_expiry_timestamp_seconds",
            "When the certificate of the ports with TLS expires.",
        );
        page.single(expiry, expiry_s);
    }
}

/// A figure of a port.
type OfPort = fn(&Traffic) -> u64;

fn write_ports(page: &mut Page, totals: &Totals) {
    let families: [(Family, OfPort); 4] = [
        (
            gauge("baton_connections", "Open connections."),
            Traffic::open,
        ),
        (
            counter(
                "baton_connections_accepted_total",
                "Connections that were accepted.",
            ),
            |port| port.accepted,
        ),
        (
            counter("baton_received_bytes_total", "Bytes from peers."),
            |port| port.received_bytes,
        ),
        (
            counter("baton_sent_bytes_total", "Bytes to peers."),
            |port| port.sent_bytes,
        ),
    ];
    for (family, value) in families {
        page.family(family);
        for endpoint in Endpoint::ALL {
            let port = &totals.ports[endpoint as usize];
            page.sample(family.name, &[("port", &endpoint.name())], value(port));
        }
    }
    let ended = counter(
        "baton_connections_closed_total",
        "Connections that have ended, by how they did.",
    );
    page.family(ended);
    for endpoint in Endpoint::ALL {
        for ending in Ending::ALL {
            let count = totals.ports[endpoint as usize].ended[ending as usize];
            let labels: [(&str, &dyn Display); 2] =
                [("port", &endpoint.name()), ("how", &ending.name())];
            page.sample(ended.name, &labels, count);
        }
    }
}

fn write_messages(page: &mut Page, totals: &Totals) {
    let commands = CommandKind::ALL.map(CommandKind::name);
    let requests = RequestKind::ALL.map(RequestKind::name);
    let mut write = |family: Family, label, names: &[&str], counts: &[Outcomes], refused: bool| {
        page.family(family);
        for (name, outcomes) in names.iter().zip(counts) {
            let count = if refused {
                outcomes.refused
            } else {
                outcomes.all
            };
            page.sample(family.name, &[(label, name)], count);
        }
    };
    for (name, help, refused) in [
        ("baton_commands_total", "Commands of producers.", false),
        (
            "baton_commands_refused_total",
            "Commands of producers that were refused.",
            true,
        ),
    ] {
        let family = counter(name, help);
        write(family, "command", &commands, &totals.commands, refused);
    }
    for (name, help, refused) in [
        ("baton_requests_total", "Requests of viewers.", false),
        (
            "baton_requests_refused_total",
            "Requests of viewers that were refused.",
            true,
        ),
    ] {
        let family = counter(name, help);
        write(family, "request", &requests, &totals.requests, refused);
    }
}

fn write_packets(page: &mut Page, totals: &Totals) {
    let tally = &totals.tally;
    for (name, help, value) in [
        (
            "baton_packets_total",
            "Packets that were received and kept.",
            tally.packets,
        ),
        (
            "baton_packet_bytes_total",
            "Bytes of the packets that were received and kept.",
            tally.bytes,
        ),
        (
            "baton_metadata_messages_total",
            "Messages of metadata.",
            totals.metadata.count,
        ),
        (
            "baton_metadata_bytes_total",
            "Bytes of metadata.",
            totals.metadata.bytes,
        ),
        ("baton_beacons_total", "Live beacons.", totals.beacons),
        (
            "baton_events_discarded_total",
            "Events that tracers discarded, since their ring buffers were full.",
            tally.events_discarded,
        ),
    ] {
        page.single(counter(name, help), value);
    }
    let latest = gauge(
        "baton_last_packet_timestamp_seconds",
        "When the last packet came; 0: none did.",
    );
    page.single(latest, tally.last_packet_s);
    let lost = counter(
        "baton_packets_lost_total",
        "Packets that were lost, by cause.",
    );
    page.family(lost);
    for cause in Cause::ALL {
        page.sample(
            lost.name,
            &[("reason", &cause.name())],
            tally.lost.of(cause),
        );
    }
}

/// Sessions, streams and viewers.
fn write_records(page: &mut Page, status: &Status) {
    let Status {
        entities,
        agenda,
        directory,
        ..
    } = status;
    let (all, listed) = (entities.sessions.len(), directory.listed.len());
    let kept = agenda.kept.len();
    let sessions = gauge("baton_sessions", "Sessions, by state.");
    page.family(sessions);
    for (state, count) in [
        ("recording", listed.saturating_sub(kept)),
        ("ending", all.saturating_sub(listed)),
        ("kept", kept),
    ] {
        page.sample(sessions.name, &[("state", &state)], count);
    }
    let open = directory.streams.len();
    let streams = gauge("baton_streams", "Streams, by state.");
    page.family(streams);
    for (state, count) in [
        ("open", open),
        ("closed", entities.streams.len().saturating_sub(open)),
    ] {
        page.sample(streams.name, &[("state", &state)], count);
    }
    for (name, help, value) in [
        (
            "baton_sessions_created_total",
            "Sessions that were created.",
            directory.session_ids.drawn(),
        ),
        (
            "baton_streams_created_total",
            "Streams that were added.",
            directory.stream_numbers.drawn(),
        ),
    ] {
        page.single(counter(name, help), value);
    }
    let viewers = gauge("baton_viewers", "Viewers that are connected.");
    page.single(viewers, entities.viewer_sessions.len());
    let read = gauge("baton_viewer_streams", "Streams that viewers read.");
    page.single(read, entities.viewer_streams.len());
}

fn write_storage(page: &mut Page, totals: &Totals, usage: &Usage) {
    for (name, help, value) in [
        (
            "baton_storage_size_bytes",
            "Size of the file system of the output directory.",
            usage.disk_bytes,
        ),
        (
            "baton_storage_free_bytes",
            "Bytes that are left on it.",
            usage.disk_free_bytes,
        ),
        (
            "baton_storage_writable",
            "1: the disk has taken the last packet; 0: it has not.",
            u64::from(!totals.is_disk_failing),
        ),
    ] {
        page.single(gauge(name, help), value);
    }
    let errors = counter(
        "baton_storage_errors_total",
        "Failures of the disk, by what could not be written.",
    );
    page.family(errors);
    for what in Written::ALL {
        let count = totals.failures[what as usize];
        page.sample(errors.name, &[("what", &what.name())], count);
    }
    write_histogram(
        page,
        "baton_storage_write_seconds",
        "Durations of writes to files.",
        &usage.counts.writes,
    );
}

/// Budgets of all peers together: limits and use.
fn write_budgets(page: &mut Page, entities: &Entities) {
    let shares = &entities.shares;
    let budgets = [
        ("connections", Asset::Connections),
        ("monitors", Asset::Monitors),
        ("sessions", Asset::Sessions),
        ("streams", Asset::Streams),
        ("files_without_indexes", Asset::AwaitedFiles),
        ("metadata_bytes", Asset::WaitingMetadata),
        ("memory_bytes", Asset::Memory),
    ];
    let used = gauge(
        "baton_budget_used",
        "Use of limited resources by all peers.",
    );
    page.family(used);
    for (name, asset) in budgets {
        page.sample(used.name, &[("of", &name)], shares.taken(asset));
    }
    let limit = gauge(
        "baton_budget_limit",
        "Limit on the use by all peers together.",
    );
    page.family(limit);
    for (name, asset) in budgets {
        let labels: [(&str, &dyn Display); 1] = [("of", &name)];
        match shares.limit(asset) {
            u64::MAX => page.sample(limit.name, &labels, "+Inf"),
            max => page.sample(limit.name, &labels, max),
        }
    }
}

/// Sums of several sessions of one name: a user's session has up to three here,
/// one for each consumer daemon.
#[derive(Default)]
struct Row {
    tally: Tally,
    streams: u64,
    viewers: u64,
    /// Of the slowest viewer.
    lag: Duration,
}

impl Row {
    fn add(&mut self, entities: &Entities, session: &Session) {
        self.tally.add(&session.tally);
        self.streams += u64::from(session.stream_count);
        self.viewers += session.viewers.len() as u64;
        let viewers = session.viewers.iter();
        let viewers = viewers.filter_map(|key| entities.viewer_sessions.get(*key));
        let lags = viewers.filter_map(|viewer| {
            let attachment = viewer.attached.get(&session.id)?;
            Some(attachment.reading.lag(&session.span))
        });
        self.lag = self.lag.max(lags.max().unwrap_or_default());
    }
}

/// A value of a session's series.
enum Figure {
    Count(u64),
    Seconds(Duration),
}

impl Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(formatter),
            Self::Seconds(time) => time.as_secs_f64().fmt(formatter),
        }
    }
}

type Value = fn(&Row) -> Figure;

const SESSION_SERIES: [(Family, Value); 8] = [
    (
        counter(
            "baton_session_packets_total",
            "Packets of a session that were received and kept.",
        ),
        |row| Figure::Count(row.tally.packets),
    ),
    (
        counter(
            "baton_session_packet_bytes_total",
            "Bytes of these packets.",
        ),
        |row| Figure::Count(row.tally.bytes),
    ),
    (
        counter(
            "baton_session_events_discarded_total",
            "Events of a session that its tracers discarded.",
        ),
        |row| Figure::Count(row.tally.events_discarded),
    ),
    (
        counter(
            "baton_session_packets_lost_total",
            "Packets of a session that were lost, by whatever cause.",
        ),
        |row| Figure::Count(row.tally.lost.total()),
    ),
    (
        gauge("baton_session_streams", "Streams of a session."),
        |row| Figure::Count(row.streams),
    ),
    (
        gauge(
            "baton_session_viewers",
            "Viewers that are attached to a session.",
        ),
        |row| Figure::Count(row.viewers),
    ),
    (
        gauge(
            "baton_session_viewer_lag_seconds",
            "How far the slowest viewer of a session is behind its last packet.",
        ),
        |row| Figure::Seconds(row.lag),
    ),
    (
        gauge(
            "baton_session_last_packet_timestamp_seconds",
            "When the last packet of a session came; 0: none did.",
        ),
        |row| Figure::Count(row.tally.last_packet_s),
    ),
];

fn write_sessions(page: &mut Page, status: &Status) {
    let Status {
        entities,
        directory,
        settings,
        ..
    } = status;
    let max = settings.metrics_sessions.0 as usize;
    let mut rows = BTreeMap::<_, Row>::new();
    // The oldest ones: a session that has a place keeps it.
    for key in directory.sessions.values().take(max) {
        if let Some(session) = entities.sessions.get(*key) {
            let name = (&session.host, &session.name);
            rows.entry(name).or_default().add(entities, session);
        }
    }
    let omitted = gauge(
        "baton_metrics_sessions_omitted",
        "Sessions without series of their own.",
    );
    page.single(omitted, directory.sessions.len().saturating_sub(max));
    for (family, value) in SESSION_SERIES {
        page.family(family);
        for ((host, session), row) in &rows {
            let (host, session) = (Label(host), Label(session));
            let labels: [(&str, &dyn Display); 2] = [("host", &host), ("session", &session)];
            page.sample(family.name, &labels, value(row));
        }
    }
}
