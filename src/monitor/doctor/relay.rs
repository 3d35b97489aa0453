//! Findings from the relay's own status.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use baton_components::connection::Endpoint;
use baton_components::path::RelativePath;

use super::{Finding, clocks};
use crate::config::Config;
use crate::monitor::Target;
use crate::monitor::report::{DISCARDED, Detail, Report, Session};
use crate::monitor::trend::Trend;
use crate::monitor::words;

/// Between the two answers from which rates are made.
const PAUSE: Duration = Duration::from_secs(1);
/// A packet whose description came comes within this time, unless it does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Space that lasts less is a finding.
const FULL_IN_MIN_S: u64 = 24 * 3600;
/// Parts of what there is: of the disk that must be free, of descriptors that may be used.
const FREE_MIN_PERCENT: u64 = 5;
const DESCRIPTORS_MAX_PERCENT: u64 = 80;
/// Sessions whose streams or files are looked at.
const SESSIONS_MAX: usize = 100;
/// A tracer's clock that is so far ahead of ours is wrong: no packet comes before it ends.
const AHEAD_MAX_NS: i128 = 2_000_000_000;
/// One that is so far behind may be: packets come late only from producers that were cut off.
const BEHIND_MAX_NS: i128 = 60_000_000_000;

pub fn examine(target: &Target, config: &Config, findings: &mut Vec<Finding>) {
    let output = config.output.directory();
    let mut trend = Trend::default();
    let ask = |findings: &mut Vec<Finding>| match Report::of(target) {
        Ok(report) => Some(report),
        Err(error) => {
            findings.push(Finding::wrong(
                "no-answer",
                "the relay does not say how it is",
                error.to_string(),
                "look at what listens there: ss -ltnp",
            ));
            None
        }
    };
    let Some(first) = ask(findings) else { return };
    trend.take(Instant::now(), &first);
    thread::sleep(PAUSE);
    let Some(report) = ask(findings) else { return };
    trend.take(Instant::now(), &report);

    for reason in &report.relay.reasons {
        findings.push(Finding::wrong(
            "not-ready",
            "what producers send now is not recorded",
            reason,
            "look at the relay's log, and at the disk: df",
        ));
    }
    if let Some(output) = output {
        space(&report, &trend, output, findings);
    }
    archive(&report, findings);
    syncs(&report, findings);
    descriptors(&report, findings);
    for session in report.sessions.iter().take(SESSIONS_MAX) {
        losses(target, &report, session, findings);
        readable(session, findings);
        if let Some(output) = output {
            clock(session, output, findings);
        }
    }
    data_ports(target, &report, &data_port(config), findings);
}

fn space(report: &Report, trend: &Trend, output: &Path, findings: &mut Vec<Finding>) {
    let storage = &report.storage;
    let (free, size) = (storage.free_bytes, storage.size_bytes);
    if size == 0 {
        // It has no disk.
        return;
    }
    let full_in_s = trend.full_in_s(free).filter(|it| *it < FULL_IN_MIN_S);
    let is_scarce = free < size / 100 * FREE_MIN_PERCENT;
    if full_in_s.is_none() && !is_scarce {
        return;
    }
    let (free, size) = (words::bytes(free), words::bytes(size));
    let why = match full_in_s {
        Some(full_in_s) => format!(
            "{free} of {size} are free, and at the present rate they last {}",
            words::span(full_in_s)
        ),
        None => format!("{free} of {size} are free"),
    };
    findings.push(Finding::wrong(
        "space",
        "the disk of the output directory is soon full",
        why,
        format!(
            "delete traces below {}, or choose another --output",
            output.display()
        ),
    ));
}

fn archive(report: &Report, findings: &mut Vec<Finding>) {
    let Some(archive) = &report.archive else {
        return;
    };
    let since = words::span(archive.looked.until(report.time));
    let why = if archive.stands_still(report.time) {
        format!(
            "the archiver has given no sign for {since}: it has stopped, or its server does not answer"
        )
    } else if archive.failing_chunks > 0 {
        let chunks = words::count(archive.failing_chunks as usize, "chunk");
        format!("its last attempt at {chunks} failed, {since} ago")
    } else {
        return;
    };
    let chunks = words::count(archive.waiting_chunks as usize, "chunk");
    let bytes = words::bytes(archive.waiting_bytes);
    findings.push(Finding::wrong(
        "archive",
        format!(
            "{chunks} ({bytes}) are finished, and are not archived to {}",
            archive.to
        ),
        why,
        "look at what it says: journalctl -u baton-archive; or run baton archive --once by hand",
    ));
}

fn syncs(report: &Report, findings: &mut Vec<Finding>) {
    let failed = report.storage.sync.failed;
    if failed > 0 {
        findings.push(Finding::wrong(
            "sync",
            "a loss of power may take what was recorded",
            format!("the disk has failed to sync {failed} times"),
            "look at the disk (dmesg, smartctl), copy the traces to another one, and start the \
             relay anew",
        ));
    }
}

fn descriptors(report: &Report, findings: &mut Vec<Finding>) {
    let relay = &report.relay;
    let (used, max) = (relay.descriptors, relay.descriptors_max);
    if used > max / 100 * DESCRIPTORS_MAX_PERCENT {
        let streams: u64 = report.sessions.iter().map(|it| it.open_streams).sum();
        findings.push(Finding::wrong(
            "descriptors",
            "the relay is short of file descriptors",
            format!("{used} of {max} are open, for {streams} streams"),
            "ulimit -n 65536 before the relay starts, or LimitNOFILE=65536 in its unit",
        ));
    }
}

fn losses(target: &Target, report: &Report, session: &Session, findings: &mut Vec<Finding>) {
    if session.tally.lost() == 0 {
        return;
    }
    let detail = Detail::of(target, session.id).unwrap_or_default();
    for (cause, count) in session.tally.losses() {
        let is_cause = cause == DISCARDED;
        let channels: BTreeSet<_> = detail
            .streams
            .iter()
            .filter(|it| {
                if is_cause {
                    it.events_discarded > 0
                } else {
                    it.packets_lost > 0
                }
            })
            .map(|it| channel(&it.channel))
            .collect();
        let channels: Vec<_> = channels.into_iter().collect();
        let of = if channels.is_empty() {
            String::new()
        } else {
            format!(", of channel {}", channels.join(", "))
        };
        let advice = report.advice.get(cause).cloned();
        findings.push(Finding::wrong(
            "loss",
            format!("session {} lost data", name(session)),
            format!("{}{of}", words::loss(cause, count)),
            advice.unwrap_or_default(),
        ));
    }
}

fn readable(session: &Session, findings: &mut Vec<Finding>) {
    if let Some(why) = &session.unreadable
        && session.is_recording()
        && !session.snapshot
    {
        let finding = Finding::wrong(
            "no-viewer",
            format!("no viewer can attach session {}", name(session)),
            why,
            "lttng create NAME --live --set-url=net://HOST, if it is to be seen while it records",
        );
        findings.push(finding.note());
    }
}

fn clock(session: &Session, output: &Path, findings: &mut Vec<Finding>) {
    // Another program may answer in place of the relay.
    let directory = RelativePath::parse(session.directory.as_bytes());
    if session.directory.is_empty() || directory.is_err() {
        return;
    }
    let Some(ahead_ns) = clocks::ahead_ns(&output.join(&session.directory)) else {
        return;
    };
    let seconds = u64::try_from(ahead_ns.unsigned_abs() / 1_000_000_000).unwrap_or(u64::MAX);
    let span = words::span(seconds);
    let (where_, why) = if ahead_ns > AHEAD_MAX_NS {
        (
            "ahead of",
            format!("its last packet came {span} before it ended, by its own clock"),
        )
    } else if ahead_ns < -BEHIND_MAX_NS {
        (
            "behind",
            format!(
                "its last packet came {span} after it ended, by its own clock; or the producer was cut off for so long"
            ),
        )
    } else {
        return;
    };
    findings.push(Finding::wrong(
        "clock",
        format!("the clock of {} is {where_} ours", session.host),
        why,
        "timedatectl on both machines; start NTP where it does not run",
    ));
}

/// Sessions whose packets are announced, and do not come.
fn data_ports(target: &Target, report: &Report, port: &str, findings: &mut Vec<Finding>) {
    let sessions = report.sessions.iter().take(SESSIONS_MAX);
    let mut suspects: Vec<_> = sessions.filter(|it| waits_for_data(target, it)).collect();
    if !suspects.is_empty() {
        thread::sleep(PATIENCE);
        suspects.retain(|session| {
            let again = Detail::of(target, session.id).unwrap_or_default();
            waits_for_data(target, &again.session)
        });
    }
    for session in suspects {
        findings.push(Finding::wrong(
            "data-port",
            format!(
                "no data connection brings the packets of session {}",
                name(session)
            ),
            format!(
                "packets are announced and do not come: the data port ({port}) is blocked between \
                 {} and here, or --data-url is wrong",
                session.host
            ),
            format!(
                "on {}: nc -vz RELAY {port}; open that port in firewalls",
                session.host
            ),
        ));
    }
}

/// The data port of the relay; the first, if it has several.
fn data_port(config: &Config) -> String {
    let mut listeners = config.listeners.iter();
    let of_data = listeners.find(|it| it.endpoint == Endpoint::Data && it.address.port() != 0);
    of_data.map_or("DATA_PORT".to_owned(), |it| it.address.port().to_string())
}

fn waits_for_data(target: &Target, session: &Session) -> bool {
    if !session.is_recording() || session.data_connections > 0 || session.open_streams == 0 {
        return false;
    }
    let detail = Detail::of(target, session.id).unwrap_or_default();
    detail.streams.iter().any(|it| it.pending > 0)
}

/// The channel of a stream: its name without the number of its CPU.
fn channel(stream: &str) -> &str {
    match stream.rsplit_once('_') {
        Some((channel, cpu)) if cpu.bytes().all(|it| it.is_ascii_digit()) => channel,
        _ => stream,
    }
}

fn name(session: &Session) -> String {
    format!("{}@{}", session.name, session.host)
}
