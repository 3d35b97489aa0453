//! Rates: what grew between answers of the last minute. A relay gives sums only, so that each
//! of its monitors makes the rates that it likes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::report::Report;

/// How far back it goes: losses of the last minute are shown.
const SPAN: Duration = Duration::from_mins(1);
/// Rates are those of about so long.
const RATE_SPAN: Duration = Duration::from_secs(4);

/// The sums of the last minute's answers, oldest first.
#[derive(Debug, Default)]
pub struct Trend {
    samples: VecDeque<(Instant, Sums)>,
}

#[derive(Debug)]
struct Sums {
    received_bytes: u64,
    sent_bytes: u64,
    recorded_bytes: u64,
    lost: u64,
    /// Bytes of each session, by its id.
    sessions: BTreeMap<u64, u64>,
}

impl Trend {
    /// Takes an answer that came at that time.
    pub fn take(&mut self, at: Instant, report: &Report) {
        while let Some((oldest, _)) = self.samples.front()
            && at.duration_since(*oldest) > SPAN
        {
            self.samples.pop_front();
        }
        let of = |names: &[&str], bytes: fn(&super::report::Port) -> u64| {
            let ports = report.ports.iter();
            let ports = ports.filter(|it| names.contains(&it.name.as_str()));
            ports.map(bytes).sum()
        };
        let sums = Sums {
            received_bytes: of(&["control", "data"], |it| it.received_bytes),
            sent_bytes: of(&["live"], |it| it.sent_bytes),
            recorded_bytes: report.totals.bytes,
            lost: report.totals.lost(),
            sessions: report
                .sessions
                .iter()
                .map(|it| (it.id, it.tally.bytes))
                .collect(),
        };
        self.samples.push_back((at, sums));
    }

    /// Bytes a second from producers; none before the second answer.
    pub fn received(&self) -> Option<f64> {
        self.rate(|it| it.received_bytes)
    }

    /// Bytes a second to viewers.
    pub fn sent(&self) -> Option<f64> {
        self.rate(|it| it.sent_bytes)
    }

    /// Bytes a second that a session records.
    pub fn session(&self, id: u64) -> Option<f64> {
        self.rate(|it| it.sessions.get(&id).copied().unwrap_or_default())
    }

    /// Seconds until the disk is full, at the rate of the last minute.
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // An estimate.
    pub fn full_in_s(&self, free_bytes: u64) -> Option<u64> {
        let (begin, end) = (self.samples.front()?, self.samples.back()?);
        let rate = per_second(begin, end, |it| it.recorded_bytes)?;
        (rate > 0.0).then(|| (free_bytes as f64 / rate) as u64)
    }

    /// Losses of the last minute, or since the first answer.
    pub fn lost(&self) -> u64 {
        let ends = self.samples.front().zip(self.samples.back());
        ends.map_or(0, |((_, begin), (_, end))| {
            end.lost.saturating_sub(begin.lost)
        })
    }

    fn rate(&self, of: impl Fn(&Sums) -> u64) -> Option<f64> {
        let end = self.samples.back()?;
        let is_recent = |(at, _): &&(Instant, Sums)| end.0.duration_since(*at) <= RATE_SPAN;
        // The one before, if answers are slow.
        let before = self.samples.len().checked_sub(2)?;
        let begin = self.samples.iter().find(is_recent);
        let begin = begin
            .filter(|begin| begin.0 < end.0)
            .unwrap_or(&self.samples[before]);
        per_second(begin, end, of)
    }
}

#[allow(clippy::cast_precision_loss)] // Two digits are shown.
fn per_second(
    (begin, before): &(Instant, Sums),
    (end, after): &(Instant, Sums),
    of: impl Fn(&Sums) -> u64,
) -> Option<f64> {
    let passed = end.duration_since(*begin).as_secs_f64();
    let grown = of(after).saturating_sub(of(before));
    (passed > 0.0).then(|| grown as f64 / passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::report::{Port, Session, Tally};

    fn report(bytes: u64, lost: u64) -> Report {
        let tally = || Tally {
            bytes,
            events_discarded: lost,
            ..Tally::default()
        };
        Report {
            totals: tally(),
            ports: vec![Port {
                name: "data".to_owned(),
                received_bytes: bytes,
                ..Port::default()
            }],
            sessions: vec![Session {
                id: 1,
                tally: tally(),
                ..Session::default()
            }],
            ..Report::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_and_losses_of_the_last_minute() {
        let (mut trend, begin) = (Trend::default(), Instant::now());
        trend.take(begin, &report(0, 5));
        assert_eq!((trend.received(), trend.lost()), (None, 0));
        for second in 1..=70 {
            let lost = if second < 50 { 5 } else { 8 };
            // Faster at the end.
            let bytes = if second < 60 {
                second * 10
            } else {
                600 + (second - 60) * 100
            };
            trend.take(begin + Duration::from_secs(second), &report(bytes, lost));
        }
        assert_eq!(trend.received(), Some(100.0));
        assert_eq!(trend.session(1), Some(100.0));
        assert_eq!(trend.session(2), Some(0.0));
        assert_eq!(trend.lost(), 3);
        assert_eq!(trend.full_in_s(25_000), Some(1_000));
    }
}
