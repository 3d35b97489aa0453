//! Events as Babeltrace prints them, and what a complete reading of them is.

use crate::application::Run;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One `baton:tick`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub pid: u32,
    pub thread: u32,
    pub seq: u64,
    pub payload: String,
}

impl Event {
    /// Reads the events in the text output of Babeltrace, one a line.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines()
            .map(|line| Self::parse(line).unwrap_or_else(|| panic!("not an event: {line}")))
            .collect()
    }

    fn parse(line: &str) -> Option<Self> {
        Some(Self {
            pid: field(line, "vpid")?.parse().ok()?,
            thread: field(line, "thread")?.parse().ok()?,
            seq: field(line, "seq")?.parse().ok()?,
            payload: field(line, "payload")?.trim_matches('"').to_owned(),
        })
    }
}

/// The value of a field in a line like `... { vpid = 12 }, { thread = 0, seq = 1, ... }`.
fn field<'line>(line: &'line str, name: &str) -> Option<&'line str> {
    let (_, rest) = line.split_once(&format!(" {name} = "))?;
    rest.split([',', ' ']).next()
}

/// Every event of the runs, once, in order within its thread, and no other event.
pub fn assert_complete(events: &[Event], runs: &[Run]) {
    assert_runs(events, runs, |seen, run| {
        let all: Vec<_> = (0..run.workload.events_per_thread).collect();
        seen == all
    });
}

/// Of each thread the first events, without a gap: what a trace that was cut short holds.
pub fn assert_prefix(events: &[Event], runs: &[Run]) {
    assert_runs(events, runs, |seen, _| {
        seen.iter().copied().eq(0..seen.len() as u64)
    });
}

/// Of each thread the last events, without a gap: what a viewer sees who came late.
pub fn assert_suffix(events: &[Event], run: Run) {
    assert_runs(events, &[run], |seen, run| {
        let end = run.workload.events_per_thread;
        seen.iter().copied().eq(end - seen.len() as u64..end)
    });
}

/// Of each thread some events, once and in order: what is left where others were lost.
pub fn assert_ascending(events: &[Event], runs: &[Run]) {
    assert_runs(events, runs, |seen, run| {
        seen.windows(2).all(|pair| pair[0] < pair[1])
            && seen
                .last()
                .is_none_or(|last| *last < run.workload.events_per_thread)
    });
}

/// The events of one run.
pub fn of(run: Run, events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.retain(|event| event.pid == run.pid);
    events
}

/// Checks the sequence numbers of each thread, in the order in which they were read.
fn assert_runs(events: &[Event], runs: &[Run], is_right: impl Fn(&[u64], &Run) -> bool) {
    let mut threads = sequences(events);
    let mut faults = String::new();
    for run in runs {
        for thread in 0..run.workload.threads {
            let seen = threads.remove(&(run.pid, thread)).unwrap_or_default();
            if !is_right(&seen, run) {
                let fault = describe(&seen, run.workload.events_per_thread);
                let _ = writeln!(faults, "process {}, thread {thread}: {fault}", run.pid);
            }
        }
        for event in events.iter().filter(|event| event.pid == run.pid) {
            if event.payload != payload(event.thread, event.seq, run.workload.payload_length) {
                let _ = writeln!(faults, "damaged: {event:?}");
            }
        }
    }
    for ((pid, thread), seen) in threads {
        let count = seen.len();
        let _ = writeln!(
            faults,
            "process {pid}, thread {thread}: {count} events of nobody"
        );
    }
    assert!(faults.is_empty(), "of {} events:\n{faults}", events.len());
}

fn sequences(events: &[Event]) -> BTreeMap<(u32, u32), Vec<u64>> {
    let mut threads: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events {
        let seen = threads.entry((event.pid, event.thread)).or_default();
        seen.push(event.seq);
    }
    threads
}

/// As the application makes it.
pub fn payload(thread: u32, seq: u64, length: u64) -> String {
    (0..length)
        .map(|i| char::from(b'a' + ((7 * u64::from(thread) + seq + i) % 26) as u8))
        .collect()
}

/// Missing, duplicate and misordered numbers in `seen`, which should be `0..end`.
fn describe(seen: &[u64], end: u64) -> String {
    let mut counts = BTreeMap::new();
    for seq in seen {
        *counts.entry(*seq).or_insert(0) += 1;
    }
    let missing = ranges((0..end).filter(|seq| !counts.contains_key(seq)));
    let double = ranges(counts.iter().filter(|(_, n)| **n > 1).map(|(seq, _)| *seq));
    let disorder = seen.windows(2).find(|pair| pair[0] > pair[1]);
    format!(
        "{} seen of {end}; missing: {missing}; more than once: {double}; out of order: {disorder:?}",
        seen.len()
    )
}

/// Ascending numbers as `3..=7 9..=9`.
fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts: Vec<_> = ranges.iter().map(|(a, b)| format!("{a}..={b}")).collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(" ")
    }
}
