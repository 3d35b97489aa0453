//! Relays beside each other: one run of each in turn, medians, and their ratio.

use std::fmt;
use std::io;

use super::Plan;
use super::relay::Spawned;
use super::workload::{Measure, Workload};

/// What a workload came to, on each relay.
#[derive(Debug)]
pub struct Report {
    workload: Workload,
    relays: Vec<(String, Vec<Measure>)>,
}

/// Runs a workload on each relay in turn, every time on a relay that has just been
/// started.
pub fn compare(plan: &Plan, workload: Workload) -> io::Result<Report> {
    let mut relays: Vec<(String, Vec<Measure>)> = plan
        .relays
        .iter()
        .map(|relay| (relay.clone(), Vec::new()))
        .collect();
    for _ in 0..plan.rounds {
        for (program, measures) in &mut relays {
            let output = tempdir(&plan.output)?;
            let relay = Spawned::start(program, output.path())?;
            measures.push(workload.run(&relay.target, plan.scale)?);
        }
    }
    Ok(Report { workload, relays })
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.workload.name)?;
        let (unit, divisor) = if self.workload.counts_bytes() {
            ("MB", 1e6)
        } else {
            ("sessions", 1.0)
        };
        // CPU time is told for a GB, or for a thousand sessions.
        let per = if self.workload.counts_bytes() {
            ("GB", 1e9)
        } else {
            ("1000", 1e3)
        };
        let first = self
            .relays
            .first()
            .map(|(_, measures)| Medians::of(measures));
        for (number, (name, measures)) in self.relays.iter().enumerate() {
            let medians = Medians::of(measures);
            write!(
                formatter,
                "  {name:<24} {:>9.1} {unit}/s  {:>7.3} CPU s/{}  {:>6.1} MB peak",
                medians.rate / divisor,
                medians.cpu * per.1,
                per.0,
                medians.peak / 1e6,
            )?;
            if let Some(first) = first.filter(|_| number > 0) {
                write!(
                    formatter,
                    "   first/this: {:.2} in throughput, {:.2} in CPU",
                    first.rate / medians.rate,
                    first.cpu / medians.cpu
                )?;
            }
            let (low, high) = spread(measures);
            writeln!(
                formatter,
                "   (runs: {:.1} to {:.1})",
                low / divisor,
                high / divisor
            )?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct Medians {
    /// Amount in a second.
    rate: f64,
    /// Seconds of CPU time for one of the amount.
    cpu: f64,
    peak: f64,
}

impl Medians {
    fn of(measures: &[Measure]) -> Self {
        Self {
            rate: median(measures, rate),
            cpu: median(measures, |measure| {
                measure.cpu.as_secs_f64() / measure.amount
            }),
            peak: median(measures, |measure| measure.peak_bytes as f64),
        }
    }
}

fn rate(measure: &Measure) -> f64 {
    measure.amount / measure.elapsed.as_secs_f64()
}

fn spread(measures: &[Measure]) -> (f64, f64) {
    let rates = || measures.iter().map(rate);
    (
        rates().fold(f64::INFINITY, f64::min),
        rates().fold(0.0, f64::max),
    )
}

fn median(measures: &[Measure], value: impl Fn(&Measure) -> f64) -> f64 {
    let mut values: Vec<f64> = measures.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn tempdir(below: &std::path::Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("baton-bench-")
        .tempdir_in(below)
}
