//! Compares relays, in alternating runs.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Plan;
use super::limits::Limit;
use super::measure::{Row, Summary, ratio};
use super::relay::Spawned;
use super::workload::{Load, Subject, Workload};

/// The results of a workload.
#[derive(Debug)]
pub struct Report {
    pub workload: String,
    /// On each relay; or on this machine, for its limits.
    pub columns: Vec<Column>,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// The rows of each run; or the reason why there are none.
    pub runs: Result<Vec<Vec<Row>>, String>,
}

/// The same row of all runs of a column.
#[derive(Clone, Copy, Debug, Default)]
pub struct Medians {
    pub pace: Option<Summary>,
    pub cpu: Option<Summary>,
    pub memory: Option<Summary>,
}

/// Runs a workload on each relay in turn, or on this machine alone.
pub fn compare(plan: &Plan, workload: &Workload, stopped: &AtomicBool) -> io::Result<Report> {
    let columns = match workload.subject {
        Subject::Relay(load) => load_relays(plan, load, stopped)?,
        Subject::Machine { limit, bytes } => vec![measure_machine(plan, limit, bytes)?],
    };
    Ok(Report {
        workload: workload.name.clone(),
        columns,
    })
}

/// Runs a workload on a newly started relay. A relay that fails is not tried again.
fn load_relays(plan: &Plan, load: Load, stopped: &AtomicBool) -> io::Result<Vec<Column>> {
    let empty = |name| Column {
        name,
        runs: Ok(Vec::new()),
    };
    let mut columns: Vec<Column> = names(&plan.relays).into_iter().map(empty).collect();
    for _ in 0..plan.rounds {
        for (column, relay) in columns.iter_mut().zip(&plan.relays) {
            let Ok(runs) = &mut column.runs else { continue };
            let directory = directory(&plan.output)?;
            let outcome = load_relay(load, relay, directory.path(), stopped)?;
            if stopped.load(Ordering::Relaxed) {
                return Err(io::Error::other("stopped"));
            }
            match outcome {
                Ok(rows) => runs.push(rows),
                Err(reason) => column.runs = Err(reason),
            }
        }
    }
    Ok(columns)
}

/// The outer error is the benchmark's, the inner one the relay's.
fn load_relay(
    load: Load,
    relay: &str,
    directory: &Path,
    stopped: &AtomicBool,
) -> io::Result<Result<Vec<Row>, String>> {
    let mut relay = Spawned::start(relay, directory, load.descriptors())?;
    let outcome = relay.load(RUN_MAX, stopped, |target| load.run(target));
    Ok(outcome.map_err(|error| {
        let reason = baton::said(&error);
        match relay.ended() {
            Some(end) => format!("{reason}; {end}"),
            None => reason,
        }
    }))
}

fn measure_machine(plan: &Plan, limit: Limit, bytes: usize) -> io::Result<Column> {
    let mut runs = Vec::new();
    for _ in 0..plan.rounds {
        let directory = directory(&plan.output)?;
        runs.push(vec![limit.run(directory.path(), bytes)?]);
    }
    Ok(Column {
        name: "this machine".to_owned(),
        runs: Ok(runs),
    })
}

impl Report {
    /// The labels of its rows.
    pub fn labels(&self) -> Vec<String> {
        let runs = self.columns.iter().filter_map(|it| it.runs.as_ref().ok());
        let Some(rows) = runs.flatten().next() else {
            return vec![self.workload.clone()];
        };
        let label = |row: &Row| match row.label.as_str() {
            "" => self.workload.clone(),
            label => format!("{}: {label}", self.workload),
        };
        rows.iter().map(label).collect()
    }
}

impl Column {
    /// The medians of a row.
    pub fn medians(&self, row: usize) -> Result<Medians, &str> {
        let runs = self.runs.as_ref().map_err(String::as_str)?;
        let rows = || runs.iter().filter_map(|rows| rows.get(row));
        Ok(Medians {
            pace: Summary::of(rows().filter_map(|row| row.pace)),
            cpu: Summary::of(rows().filter_map(|row| row.cpu)),
            memory: Summary::of(rows().filter_map(|row| row.memory)),
        })
    }
}

impl Medians {
    /// Speed ratio to another.
    pub fn speed_ratio(&self, other: &Self) -> Option<f64> {
        let (own, other) = (self.pace?, other.pace?);
        if own.unit.is_rate() {
            ratio(own.median, other.median)
        } else {
            ratio(other.median, own.median)
        }
    }

    /// Its part of the CPU time of another.
    pub fn cpu_ratio(&self, other: &Self) -> Option<f64> {
        ratio(self.cpu?.median, other.cpu?.median)
    }

    /// Its part of the memory of another.
    pub fn memory_ratio(&self, other: &Self) -> Option<f64> {
        ratio(self.memory?.median, other.memory?.median)
    }

    /// The figure for the spread of the runs.
    pub fn principal(&self) -> Option<Summary> {
        self.pace.or(self.cpu).or(self.memory)
    }
}

/// The names of the programs, with their directories where they are needed to tell one
/// from another.
fn names(relays: &[String]) -> Vec<String> {
    let file = |relay: &String| {
        let name = Path::new(relay).file_name();
        name.map_or(relay.clone(), |name| name.to_string_lossy().into_owned())
    };
    let short: Vec<String> = relays.iter().map(file).collect();
    let is_unique = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    if short.iter().all(is_unique) {
        short
    } else {
        relays.to_vec()
    }
}

fn directory(below: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("baton-bench-")
        .tempdir_in(below)
}

/// Maximum time of a run. A relay that takes longer counts as failed.
const RUN_MAX: Duration = Duration::from_mins(3);

#[cfg(test)]
mod tests {
    use super::super::measure::Unit;
    use super::*;

    #[test]
    fn programs_go_by_their_shortest_names() {
        let of =
            |relays: &[&str]| names(&relays.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            of(&["target/release/baton", "lttng-relayd"]),
            ["baton", "lttng-relayd"]
        );
        assert_eq!(of(&["a/baton", "b/baton"]), ["a/baton", "b/baton"]);
    }

    #[test]
    fn ratios_say_how_much_faster_and_how_much_smaller_the_first_is() {
        let column = |value: f64, pace: Unit| Column {
            name: String::new(),
            runs: Ok(vec![vec![
                Row::new("")
                    .pace(value, pace)
                    .cpu(value, Unit::CpuMicroseconds)
                    .memory(value, Unit::Megabytes),
            ]]),
        };
        for (pace, speed) in [(Unit::MegabytesPerSecond, 4.0), (Unit::Microseconds, 0.25)] {
            let (first, second) = (column(8.0, pace), column(2.0, pace));
            let (first, second) = (first.medians(0).unwrap(), second.medians(0).unwrap());
            assert_eq!(first.speed_ratio(&second), Some(speed));
            assert_eq!(first.cpu_ratio(&second), Some(4.0));
            assert_eq!(first.memory_ratio(&second), Some(4.0));
        }
    }
}
