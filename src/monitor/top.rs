//! `baton top`: a relay in a terminal, asked again every two seconds.

use std::cmp::Reverse;
use std::thread;
use std::time::{Duration, Instant};

use super::ask::{Error, Target};
use super::report::{Detail, Report, Session};
use super::screen::{self, Line, Screen};
use super::terminal::{Key, Terminal};
use super::trend::Trend;
use crate::os::print;

/// Time from an answer to the next question.
const PAUSE: Duration = Duration::from_secs(2);
/// The same between the two answers of `--once`, which has rates too.
const PAUSE_ONCE: Duration = Duration::from_secs(1);

/// Prints one screen.
pub fn once(target: &Target) -> Result<(), Box<dyn std::error::Error>> {
    let mut trend = Trend::default();
    trend.take(Instant::now(), &Report::of(target)?);
    thread::sleep(PAUSE_ONCE);
    let report = Report::of(target)?;
    trend.take(Instant::now(), &report);
    let screen = Screen::of(target, &report, Some(&trend));
    Ok(print(screen.text(Terminal::lines()))?)
}

/// Shows a relay until the user ends it.
pub fn run(target: &Target) -> Result<(), Box<dyn std::error::Error>> {
    // Before the screen is changed: an error is of no use there.
    let first = Report::of(target)?;
    let mut terminal = Terminal::open()?;
    let mut top = Top::new(target);
    top.take(Ok(first));
    loop {
        let (lines, marked) = top.lines(Terminal::size().1);
        terminal.show(&lines, marked)?;
        match terminal.key()? {
            Some(Key::Quit) => return Ok(()),
            Some(key) => top.react(key),
            None => {}
        }
        if top.asked_at.elapsed() >= PAUSE {
            top.take(Report::of(target));
        }
    }
}

/// By what sessions are sorted, with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Host,
    Name,
    Age,
    Rate,
    Lag,
    Bytes,
    Lost,
}

impl Order {
    const ALL: [(char, Self); 7] = [
        ('h', Self::Host),
        ('s', Self::Name),
        ('a', Self::Age),
        ('r', Self::Rate),
        ('v', Self::Lag),
        ('b', Self::Bytes),
        ('l', Self::Lost),
    ];
}

/// The view, and its subject.
struct Top<'a> {
    target: &'a Target,
    report: Report,
    trend: Trend,
    asked_at: Instant,
    /// Why there is no newer answer.
    failure: Option<Error>,
    order: Order,
    only_losses: bool,
    /// The session that is marked, by its id: it stays marked where it moves.
    marked: Option<u64>,
    /// The session that is open.
    open: Option<Detail>,
}

const KEYS: &str =
    "q quit  enter open  f losses only  sort: host session age rate b:size v:lag lost";
const KEYS_OPEN: &str = "q quit  esc back";

impl<'a> Top<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            report: Report::default(),
            trend: Trend::default(),
            asked_at: Instant::now(),
            failure: None,
            order: Order::Name,
            only_losses: false,
            marked: None,
            open: None,
        }
    }

    /// Takes an answer, and asks about the open session.
    fn take(&mut self, answer: Result<Report, Error>) {
        self.asked_at = Instant::now();
        match answer {
            Ok(report) => {
                self.trend.take(self.asked_at, &report);
                self.report = report;
                self.failure = None;
                if let Some(detail) = &self.open {
                    self.open(detail.session.id);
                }
            }
            Err(error) => self.failure = Some(error),
        }
    }

    fn open(&mut self, id: u64) {
        match Detail::of(self.target, id) {
            Ok(detail) => self.open = Some(detail),
            // It is over.
            Err(Error::Answer { .. }) => self.open = None,
            Err(error) => self.failure = Some(error),
        }
    }

    fn react(&mut self, key: Key) {
        match key {
            Key::Up => self.mark(-1),
            Key::Down => self.mark(1),
            Key::Enter => {
                if let Some(id) = self.marked {
                    self.open(id);
                }
            }
            Key::Back => self.open = None,
            Key::Character('f') => self.only_losses = !self.only_losses,
            Key::Character(it) => {
                let order = Order::ALL.iter().find(|(key, _)| *key == it);
                self.order = order.map_or(self.order, |(_, order)| *order);
            }
            Key::Quit => {}
        }
    }

    fn mark(&mut self, step: isize) {
        let ids: Vec<_> = self.sessions().iter().map(|it| it.id).collect();
        let at = ids.iter().position(|id| Some(*id) == self.marked);
        let at = match at {
            None => 0,
            Some(at) => at
                .saturating_add_signed(step)
                .min(ids.len().saturating_sub(1)),
        };
        self.marked = ids.get(at).copied();
    }

    /// The sessions that are shown, in order.
    fn sessions(&self) -> Vec<&Session> {
        let sessions = self.report.sessions.iter();
        let is_shown = |it: &&Session| !self.only_losses || it.tally.lost() > 0;
        let mut sessions: Vec<_> = sessions.filter(is_shown).collect();
        let names = |it: &&Session| (it.name.clone(), it.host.clone(), it.id);
        sessions.sort_by_cached_key(names);
        // The largest is first.
        match self.order {
            Order::Name => {}
            Order::Host => sessions.sort_by(|one, other| one.host.cmp(&other.host)),
            Order::Age => sessions.sort_by_key(|it| it.created.0),
            Order::Rate => {
                let rate = |it: &Session| self.trend.session(it.id).unwrap_or_default();
                sessions.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
            }
            Order::Lag => {
                let lag = |it: &Session| it.lag().unwrap_or(-1.0);
                sessions.sort_by(|one, other| lag(other).total_cmp(&lag(one)));
            }
            Order::Bytes => sessions.sort_by_key(|it| Reverse(it.tally.bytes)),
            Order::Lost => sessions.sort_by_key(|it| Reverse(it.tally.lost())),
        }
        sessions
    }

    /// The screen of so many lines, and which of them is marked.
    fn lines(&self, height: usize) -> (Vec<Line>, Option<usize>) {
        let plain = |text: String| Line {
            text,
            is_wrong: false,
        };
        let mut lines = screen::strip(self.target, &self.report, Some(&self.trend));
        if let Some(failure) = &self.failure {
            lines.push(Line {
                text: failure.to_string(),
                is_wrong: true,
            });
        }
        lines.push(plain(String::new()));
        if let Some(detail) = &self.open {
            lines.extend(screen::detail(detail, &self.report));
            lines.truncate(height.saturating_sub(1));
            lines.push(plain(KEYS_OPEN.to_owned()));
            return (lines, None);
        }
        lines.push(plain(screen::heading()));
        let sessions = self.sessions();
        let room = height.saturating_sub(lines.len() + 1).max(1);
        let at = sessions.iter().position(|it| Some(it.id) == self.marked);
        // The marked one is always seen.
        let first = at.map_or(0, |at| (at + 1).saturating_sub(room));
        let marked = at.map(|at| lines.len() + at - first);
        let seen = &sessions[first..sessions.len().min(first + room)];
        lines.extend(screen::rows(seen, &self.report, Some(&self.trend)));
        let below = sessions.len() - first - seen.len();
        let more = if below > 0 {
            format!("{below} more below  ")
        } else {
            String::new()
        };
        lines.push(plain(format!("{more}{KEYS}")));
        (lines, marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::report::Tally;

    fn top(target: &Target) -> Top<'_> {
        let session = |id: u64, name: &str, bytes, events_discarded| Session {
            id,
            name: name.to_owned(),
            host: "vm".to_owned(),
            tally: Tally {
                bytes,
                events_discarded,
                ..Tally::default()
            },
            ..Session::default()
        };
        let mut top = Top::new(target);
        top.take(Ok(Report {
            sessions: vec![
                session(1, "one", 10, 0),
                session(2, "two", 30, 7),
                session(3, "three", 20, 0),
            ],
            ..Report::default()
        }));
        top
    }

    fn shown(top: &Top) -> Vec<u64> {
        top.sessions().iter().map(|it| it.id).collect()
    }

    #[test]
    fn keys_sort_and_filter() {
        let target = Target::default();
        let mut top = top(&target);
        assert_eq!(shown(&top), [1, 3, 2]);
        top.react(Key::Character('b'));
        assert_eq!(shown(&top), [2, 3, 1]);
        top.react(Key::Character('l'));
        assert_eq!(shown(&top), [2, 1, 3]);
        top.react(Key::Character('f'));
        assert_eq!(shown(&top), [2]);
    }

    #[test]
    fn the_marked_session_is_seen_on_a_small_screen() {
        let target = Target::default();
        let mut top = top(&target);
        for expected in [1, 3, 2, 2] {
            top.react(Key::Down);
            assert_eq!(top.marked, Some(expected));
            let (lines, marked) = top.lines(8);
            assert_eq!(lines.len(), 8);
            let name = ["one", "two", "three"][expected as usize - 1];
            assert!(lines[marked.unwrap()].text.contains(name));
        }
        top.react(Key::Up);
        assert_eq!(top.marked, Some(3));
    }
}
