//! A relay as a screen of text: a strip of figures, and a table of sessions. `status` prints
//! it once, `top` again and again.

use baton_components::shown::Shown;

use super::ask::Target;
use super::report::{Archive, Detail, Removed, Report, Session, Storage, Sync, Time};
use super::trend::Trend;
use super::words::{self, fit};

/// Columns of a line; 80 where a terminal does not say otherwise.
pub const WIDTH: usize = 80;

/// A line of the screen, and whether it is about something wrong.
#[derive(Debug)]
pub struct Line {
    pub text: String,
    pub is_wrong: bool,
}

/// The parts of the screen, top to bottom.
#[derive(Debug)]
pub struct Screen {
    pub strip: Vec<Line>,
    pub heading: String,
    pub rows: Vec<Line>,
    /// Below the table.
    pub advice: Vec<Line>,
}

impl Screen {
    /// The whole of a report. Rates are shown if there is a trend.
    pub fn of(target: &Target, report: &Report, trend: Option<&Trend>) -> Self {
        let sessions: Vec<_> = report.sessions.iter().collect();
        Self {
            strip: strip(target, report, trend),
            heading: heading(),
            rows: rows(&sessions, report, trend),
            advice: advice(report),
        }
    }

    /// As text. If it has more lines than that, sessions are left out, and those with losses
    /// come first.
    pub fn text(&self, lines_max: Option<usize>) -> String {
        let mut text = String::new();
        let mut add = |line: &str| {
            text.push_str(line.trim_end());
            text.push('\n');
        };
        for line in &self.strip {
            add(&line.text);
        }
        if self.rows.is_empty() {
            add("no session");
        } else {
            add("");
            add(&self.heading);
        }
        let others = self.strip.len() + HEADING_LINES + self.advice.len();
        let room = lines_max.map_or(usize::MAX, |it| it.saturating_sub(others));
        if self.rows.len() <= room {
            self.rows.iter().for_each(|it| add(&it.text));
        } else {
            let (wrong, fine): (Vec<_>, Vec<_>) = self.rows.iter().partition(|it| it.is_wrong);
            // The last line is the one that counts the others.
            let seen = room.saturating_sub(1).max(ROWS_MIN);
            for line in wrong.into_iter().chain(fine).take(seen) {
                add(&line.text);
            }
            let more = self.rows.len().saturating_sub(seen);
            add(&format!(
                "and {more} more: baton top shows them, baton status --format json has all"
            ));
        }
        for line in &self.advice {
            add(&line.text);
        }
        text
    }
}

/// An empty line, the heading, and the line in which the shell asks again.
const HEADING_LINES: usize = 3;
/// Sessions that are shown on however small a screen.
const ROWS_MIN: usize = 3;

pub fn strip(target: &Target, report: &Report, trend: Option<&Trend>) -> Vec<Line> {
    let relay = &report.relay;
    let state = if relay.ready { "ready" } else { "NOT READY" };
    let mut lines = vec![Line {
        text: format!(
            "baton {} at {target}: {state}, up {}",
            Shown(relay.version.as_bytes()),
            words::span(relay.started.until(report.time))
        ),
        is_wrong: !relay.ready,
    }];
    lines.extend(relay.reasons.iter().map(|reason| wrong(reason)));
    let mut parts = Vec::new();
    let rates = trend.and_then(|trend| trend.received().zip(trend.sent()));
    if let Some((received, sent)) = rates {
        parts.push(format!("in {}", words::rate(received)));
        parts.push(format!("out {}", words::rate(sent)));
    }
    let viewers = report.sessions.iter().map(|it| it.viewers.len()).sum();
    parts.push(words::count(report.sessions.len(), "session"));
    parts.push(words::count(viewers, "viewer"));
    lines.push(plain(parts.join(", ")));
    lines.push(plain(disk(report, trend)));
    lines.extend(report.archive.iter().map(|it| archive(it, report.time)));
    lines.extend(kept(&report.storage).map(plain));
    lines.extend(synced(&report.storage.sync));
    let losses: Vec<_> = report.totals.losses().collect();
    if losses.is_empty() {
        lines.push(plain("nothing lost".to_owned()));
    } else {
        let losses = losses
            .iter()
            .map(|(cause, count)| words::loss(cause, *count));
        let losses = losses.collect::<Vec<_>>().join(", ");
        let recent = trend.map(|trend| format!("; last minute: {}", trend.lost()));
        let text = format!("lost: {losses}{}", recent.unwrap_or_default());
        lines.push(Line {
            text,
            is_wrong: trend.is_none_or(|trend| trend.lost() > 0),
        });
    }
    lines
}

fn disk(report: &Report, trend: Option<&Trend>) -> String {
    let storage = &report.storage;
    if storage.size_bytes == 0 {
        return "no disk, traces are in memory".to_owned();
    }
    let free = words::bytes(storage.free_bytes);
    let size = words::bytes(storage.size_bytes);
    let full_in_s = trend.and_then(|it| it.full_in_s(storage.free_bytes));
    let full = full_in_s.map(|it| format!(", full in {} at this rate", words::span(it)));
    format!("disk {free} free of {size}{}", full.unwrap_or_default())
}

fn archive(archive: &Archive, now: Time) -> Line {
    let chunks = words::count(archive.waiting_chunks as usize, "chunk");
    let bytes = words::bytes(archive.waiting_bytes);
    let waiting = match archive.waiting_chunks {
        0 => "nothing waits".to_owned(),
        _ => format!("{chunks} to go ({bytes})"),
    };
    let failing = match archive.failing_chunks {
        0 => String::new(),
        count => format!(", {count} failed"),
    };
    let ago = words::span(archive.looked.until(now));
    Line {
        text: format!("archive: {waiting}{failing}, {ago} ago"),
        is_wrong: archive.failing_chunks > 0 || archive.stands_still(now),
    }
}

/// Disk space of recordings, and removals.
fn kept(storage: &Storage) -> Option<String> {
    let used = words::bytes(storage.used_bytes?);
    let of = storage.limit_bytes.map(words::bytes);
    let of = of.map_or_else(String::new, |limit| format!(" of {limit}"));
    let all = |of: fn(&Removed) -> u64| storage.removed.values().map(of).sum::<u64>();
    let (chunks, files) = (all(|it| it.chunks), all(|it| it.files));
    let removed = match chunks + files {
        0 => "nothing removed".to_owned(),
        _ => format!(
            "removed {} and {}, {}",
            words::count(chunks as usize, "chunk"),
            words::count(files as usize, "file"),
            words::bytes(all(|it| it.bytes))
        ),
    };
    Some(format!("kept {used}{of}, {removed}"))
}

/// Syncs, if there are any.
fn synced(sync: &Sync) -> Option<Line> {
    if sync.failed > 0 {
        return Some(wrong(
            "a sync has failed: a loss of power may take what was recorded",
        ));
    }
    let when = match (sync.when.as_str(), sync.period_seconds) {
        ("chunk", _) => "chunks when they are closed".to_owned(),
        ("period", Some(seconds)) => format!("every {}", words::span(seconds)),
        _ => return None,
    };
    Some(plain(format!("synced {when}, {} so far", sync.done)))
}

/// Columns of the figures; host and session have the rest.
const COLUMNS: [(&str, usize); 7] = [
    ("AGE", 7),
    ("RATE", 9),
    ("STR", 4),
    ("VIEW", 4),
    ("LAG", 6),
    ("SIZE", 7),
    ("LOST", 8),
];
const HOST: usize = 12;
const NAME: usize = WIDTH - HOST - 1 - 52;

pub fn heading() -> String {
    let figures = COLUMNS.map(|(name, _)| name.to_owned());
    row("HOST", "SESSION", &figures)
}

fn row(host: &str, name: &str, figures: &[String; COLUMNS.len()]) -> String {
    let figures = COLUMNS.iter().zip(figures);
    let figures = figures.map(|((_, columns), figure)| format!("{figure:>columns$}"));
    let figures = figures.collect::<Vec<_>>().join(" ");
    format!("{} {} {figures}", fit(host, HOST), fit(name, NAME))
}

pub fn rows(sessions: &[&Session], report: &Report, trend: Option<&Trend>) -> Vec<Line> {
    let rows = sessions.iter().map(|session| {
        let rate = trend.and_then(|it| it.session(session.id));
        let or_none = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        let lost = session.tally.lost();
        let figures = [
            words::span(session.created.until(report.time)),
            or_none(rate.map(words::rate)),
            session.streams.to_string(),
            session.viewers.len().to_string(),
            or_none(session.lag().map(words::lag)),
            words::bytes(session.tally.bytes),
            words::number(lost),
        ];
        let [host, name] = [&session.host, &session.name].map(|it| shown(it));
        Line {
            text: row(&host, &name, &figures),
            is_wrong: lost > 0,
        }
    });
    rows.collect()
}

/// Advice for the losses of a relay.
fn advice(report: &Report) -> Vec<Line> {
    let losses = report.totals.losses();
    let advice = losses.filter_map(|(cause, _)| Some((cause, report.advice.get(cause)?)));
    let texts = advice.map(|(cause, advice)| format!("{}: {advice}", cause.replace('_', " ")));
    texts.flat_map(|text| wrapped(&wrong(&text))).collect()
}

/// A session by itself: where it is, what reads it, its losses, viewers and streams.
pub fn detail(detail: &Detail, report: &Report) -> Vec<Line> {
    let session = &detail.session;
    let mut lines = facts(session);
    for (cause, count) in session.tally.losses() {
        let advice = report.advice.get(cause).map(String::as_str);
        let loss = words::loss(cause, count);
        lines.push(wrong(&format!("{loss}: {}", advice.unwrap_or_default())));
    }
    lines.extend(viewers(session, report));
    let lines = lines.iter().flat_map(wrapped);
    lines.chain(streams(detail)).collect()
}

/// A line that may be longer than the screen is wide.
fn wrapped(line: &Line) -> Vec<Line> {
    let parts = words::wrap(&line.text, WIDTH).into_iter();
    let part = |text| Line { text, ..*line };
    parts.map(part).collect()
}

fn facts(session: &Session) -> Vec<Line> {
    let mut lines = vec![plain(format!(
        "session {}@{}: {}, from {}, in {}",
        shown(&session.name),
        shown(&session.host),
        shown(&session.state),
        shown(&session.from),
        shown(&session.directory)
    ))];
    if let Some(chunk) = session.chunk {
        lines.push(plain(format!("chunk {chunk}")));
    }
    match (&session.command, &session.unreadable) {
        (Some(command), _) => lines.push(plain(format!("read it with: {}", shown(command)))),
        (None, Some(why)) => lines.push(plain(format!("no viewer can read it: {}", shown(why)))),
        (None, None) => {}
    }
    lines
}

fn viewers(session: &Session, report: &Report) -> impl Iterator<Item = Line> {
    session.viewers.iter().map(|viewer| {
        plain(format!(
            "viewer {}: for {}, {} read, {} ({}) behind",
            shown(&viewer.peer),
            words::span(viewer.since.until(report.time)),
            words::count(viewer.packets as usize, "packet"),
            words::count(viewer.lag_packets as usize, "packet"),
            words::lag(viewer.lag_seconds),
        ))
    })
}

fn streams(detail: &Detail) -> Vec<Line> {
    let row = |name: &str, figures: [&str; 4]| {
        let [packets, size, discarded, lost] = figures;
        let name = fit(name, 36);
        format!("{name} {packets:>9} {size:>9} {discarded:>12} {lost:>10}")
    };
    let heading = row("STREAM", ["PACKETS", "SIZE", "DISCARDED", "LOST"]);
    let rows = detail.streams.iter().map(|stream| {
        let figures = [
            &words::number(stream.packets),
            &words::bytes(stream.bytes),
            &stream.events_discarded.to_string(),
            &stream.packets_lost.to_string(),
        ];
        Line {
            text: row(&shown(&stream.channel), figures.map(String::as_str)),
            is_wrong: stream.events_discarded > 0 || stream.packets_lost > 0,
        }
    });
    std::iter::once(plain(heading)).chain(rows).collect()
}

/// Text of a peer's, for a terminal.
fn shown(text: &str) -> String {
    Shown(text.as_bytes()).to_string()
}

fn plain(text: String) -> Line {
    Line {
        text,
        is_wrong: false,
    }
}

fn wrong(text: &str) -> Line {
    Line {
        text: shown(text),
        is_wrong: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::report::Tally;

    /// One of them has a loss.
    fn crowd(count: u64) -> Screen {
        let session = |id| Session {
            name: format!("session-{id}"),
            tally: Tally {
                events_discarded: u64::from(id == count),
                ..Tally::default()
            },
            ..Session::default()
        };
        let report = Report {
            sessions: (1..=count).map(session).collect(),
            ..Report::default()
        };
        Screen::of(&Target::default(), &report, None)
    }

    #[test]
    fn of_many_sessions_a_screen_has_those_with_losses_and_counts_the_others() {
        let text = crowd(10_000).text(Some(24));
        // The shell asks in the last one.
        assert_eq!(text.lines().count(), 23, "{text}");
        assert!(text.contains(" session-10000 "), "{text}");
        let shown = text.matches(" session-").count();
        let more = format!("and {} more: ", 10_000 - shown);
        assert!(text.lines().any(|line| line.starts_with(&more)), "{text}");
    }

    #[test]
    fn all_sessions_are_shown_where_there_is_room() {
        for (count, lines_max) in [(17, Some(24)), (10_000, None)] {
            let text = crowd(count).text(lines_max);
            let shown = text.matches(" session-").count();
            assert_eq!(shown as u64, count, "{text}");
            assert!(!text.contains("more:"), "{text}");
            assert!(lines_max.is_none_or(|max| text.lines().count() < max));
        }
    }

    #[test]
    fn a_screen_is_as_wide_as_a_terminal_and_no_name_rules_it() {
        let session = Session {
            host: "h\u{1b}[31m\u{202e}".repeat(9),
            name: "n\n\u{9b}2J".repeat(9),
            tally: Tally {
                events_discarded: 123_456_789,
                ..Tally::default()
            },
            ..Session::default()
        };
        let report = Report {
            sessions: vec![session],
            ..Report::default()
        };
        let screen = Screen::of(&Target::default(), &report, None);
        assert_eq!(screen.heading.chars().count(), WIDTH);
        assert_eq!(screen.rows[0].text.chars().count(), WIDTH);
        let text = screen.text(None);
        let is_plain = |it: char| it == '\n' || it.is_ascii_graphic() || it == ' ';
        assert!(text.chars().all(is_plain), "{text:?}");
    }
}
