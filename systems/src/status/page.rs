//! The text formats of Prometheus: its own, version 0.0.4, and OpenMetrics.

use std::fmt::{Display, Write as _};

use super::http::{Answer, Asked};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The one that a monitor asks for.
    pub fn of(asked: &Asked) -> Self {
        if asked.wants_open_metrics {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// How a value behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It only grows, and its name ends in `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// A family of series.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Type,
    pub help: &'static str,
}

/// A counter.
pub const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Type::Counter,
        help,
    }
}

/// A gauge.
pub const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Type::Gauge,
        help,
    }
}

/// The text as it grows.
pub struct Page {
    format: Format,
    text: String,
}

impl Page {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
        }
    }

    pub fn finish(mut self) -> Answer {
        let content_type = match self.format {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => {
                self.text.push_str("# EOF\n");
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        };
        Answer::page(content_type, self.text)
    }

    /// Begins a family: its samples follow.
    pub fn family(&mut self, family: Family) {
        let Family { name, kind, help } = family;
        // In OpenMetrics the family of a counter has the name without the ending.
        let name = match self.format {
            Format::OpenMetrics if kind == Type::Counter => {
                name.strip_suffix("_total").unwrap_or(name)
            }
            _ => name,
        };
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.print(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A family of one series.
    pub fn single(&mut self, family: Family, value: impl Display) {
        self.family(family);
        self.sample(family.name, &[], value);
    }

    /// A series. The values of labels are escaped already.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            self.print(format_args!("{before}{label}=\"{text}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.print(format_args!("{end} {value}\n"));
    }

    fn print(&mut self, text: std::fmt::Arguments) {
        self.text
            .write_fmt(text)
            .expect("law: a string takes all that is written to it");
    }
}
