//! Figures of a run, with units, and statistics over several runs.

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    MegabytesPerSecond,
    SessionsPerSecond,
    Microseconds,
    CpuSecondsPerGigabyte,
    CpuMicroseconds,
    CpuMilliseconds,
    Megabytes,
    Kilobytes,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Self::MegabytesPerSecond => "MB/s",
            Self::SessionsPerSecond => "sessions/s",
            Self::Microseconds => "µs",
            Self::CpuSecondsPerGigabyte => "CPU s/GB",
            Self::CpuMicroseconds => "CPU µs",
            Self::CpuMilliseconds => "CPU ms",
            Self::Megabytes => "MB",
            Self::Kilobytes => "kB",
        }
    }

    /// Higher is better for rates, lower for all other units.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::MegabytesPerSecond | Self::SessionsPerSecond)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub value: f64,
    pub unit: Unit,
}

/// The figures of one workload, or of one part of it, in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub label: String,
    /// How fast: a rate, or a time.
    pub pace: Option<Figure>,
    pub cpu: Option<Figure>,
    pub memory: Option<Figure>,
}

impl Row {
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            pace: None,
            cpu: None,
            memory: None,
        }
    }

    pub fn pace(mut self, value: f64, unit: Unit) -> Self {
        self.pace = Some(Figure { value, unit });
        self
    }

    pub fn cpu(mut self, value: f64, unit: Unit) -> Self {
        self.cpu = Some(Figure { value, unit });
        self
    }

    pub fn memory(mut self, value: f64, unit: Unit) -> Self {
        self.memory = Some(Figure { value, unit });
        self
    }
}

/// The same figure of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// The first and the third quartile.
    middle: (f64, f64),
    pub unit: Unit,
}

impl Summary {
    /// None if there is no figure.
    pub fn of(figures: impl Iterator<Item = Figure>) -> Option<Self> {
        let figures: Vec<Figure> = figures.collect();
        let unit = figures.first()?.unit;
        let values = sorted(figures.iter().map(|figure| figure.value));
        Some(Self {
            median: percentile(&values, 50.0)?,
            low: *values.first()?,
            high: *values.last()?,
            middle: (percentile(&values, 25.0)?, percentile(&values, 75.0)?),
            unit,
        })
    }

    /// The spread: half the interquartile range, relative to the median. A single disturbed
    /// run has no effect.
    pub fn spread(&self) -> f64 {
        let (low, high) = self.middle;
        ratio((high - low) / 2.0, self.median).unwrap_or(0.0)
    }
}

/// None if `other` is 0.
pub fn ratio(value: f64, other: f64) -> Option<f64> {
    let ratio = value / other;
    ratio.is_finite().then_some(ratio)
}

pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// A percentile of sorted values: the least value that `percent` of them do not exceed.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_so_many_do_not_exceed() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        for (percent, expected) in [
            (0.0, 1.0),
            (0.4, 1.0),
            (50.0, 100.0),
            (90.0, 180.0),
            (99.0, 198.0),
            (99.9, 200.0),
            (100.0, 200.0),
        ] {
            assert_eq!(percentile(&values, percent), Some(expected), "{percent}");
        }
        assert_eq!(percentile(&[7.0], 50.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn values_are_sorted_as_numbers() {
        let values = sorted([10.0, 9.0, -1.0, 9.5].into_iter());
        assert_eq!(values, [-1.0, 9.0, 9.5, 10.0]);
    }

    #[test]
    fn runs_come_to_their_median_and_their_extremes() {
        let figures = [3.0, 100.0, 2.0, 4.0, 1.0].map(|value| Figure {
            value,
            unit: Unit::Megabytes,
        });
        let summary = Summary::of(figures.into_iter()).unwrap();
        let expected = Summary {
            median: 3.0,
            low: 1.0,
            high: 100.0,
            middle: (2.0, 4.0),
            unit: Unit::Megabytes,
        };
        assert_eq!(summary, expected);
        assert!((summary.spread() - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(Summary::of(std::iter::empty()), None);
    }

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(ratio(1.0, 4.0), Some(0.25));
        assert_eq!(ratio(0.0, 0.0), None);
        assert_eq!(ratio(1.0, 0.0), None);
    }
}
