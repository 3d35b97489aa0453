//! Reports as text, line by line, or as tables in Markdown.

use std::fmt::Write;

use super::compare::{Column, Medians, Report};
use super::measure::Summary;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Markdown,
}

impl Format {
    pub const NAMES: [&str; 2] = ["text", "markdown"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// Prints one report after another.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    /// The columns of the current table.
    names: Vec<String>,
}

impl Printer {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            names: Vec::new(),
        }
    }

    pub fn print(&mut self, report: &Report) -> String {
        let mut text = String::new();
        let names = report.columns.iter().map(|column| column.name.clone());
        let names: Vec<String> = names.collect();
        if self.format == Format::Markdown && self.names != names {
            if !self.names.is_empty() {
                text.push('\n');
            }
            text += &header(&names);
            self.names = names;
        }
        for (row, label) in report.labels().iter().enumerate() {
            match self.format {
                Format::Text => text += &lines(label, row, &report.columns),
                Format::Markdown => text += &table_row(label, row, &report.columns),
            }
        }
        text
    }
}

fn lines(label: &str, row: usize, columns: &[Column]) -> String {
    let mut text = format!("{label}\n");
    let first = columns.first().and_then(|column| column.medians(row).ok());
    for (number, column) in columns.iter().enumerate() {
        let medians = match column.medians(row) {
            Ok(medians) => medians,
            Err(reason) => {
                let _ = writeln!(text, "  {:<24} cannot: {reason}", column.name);
                continue;
            }
        };
        let _ = write!(text, "  {:<24}", column.name);
        for summary in figures(&medians) {
            let figure = figure(&summary);
            let _ = write!(text, " {figure:>16}");
        }
        if let Some(first) = first.filter(|_| number > 0) {
            let ratios = [
                (first.speed_ratio(&medians), "in speed"),
                (first.cpu_ratio(&medians), "in CPU"),
                (first.memory_ratio(&medians), "in memory"),
            ];
            let ratios = ratios.into_iter();
            let ratios = join(ratios.filter_map(|(ratio, of)| Some(format!("{:.2} {of}", ratio?))));
            if !ratios.is_empty() {
                let _ = write!(text, "   first/this: {ratios}");
            }
        }
        if let Some(summary) = medians.principal() {
            let (low, high) = (digits(summary.low), digits(summary.high));
            let _ = write!(text, "   (runs: {low} to {high})");
        }
        text.push('\n');
    }
    text
}

fn header(names: &[String]) -> String {
    let mut titles = vec!["workload"];
    titles.extend(names.iter().map(String::as_str));
    if names.len() > 1 {
        titles.extend(["speed ratio", "CPU ratio", "memory ratio"]);
    }
    titles.push("spread");
    let rule = std::iter::once("---").chain(std::iter::repeat_n("---:", titles.len() - 1));
    format!(
        "{}{}",
        table_line(&titles),
        table_line(&rule.collect::<Vec<_>>())
    )
}

fn table_row(label: &str, row: usize, columns: &[Column]) -> String {
    let mut cells = vec![label.to_owned()];
    let medians: Vec<_> = columns.iter().map(|column| column.medians(row)).collect();
    for medians in &medians {
        cells.push(match medians {
            Ok(medians) => join(figures(medians).map(|summary| figure(&summary))),
            Err(reason) => format!("cannot: {}", reason.replace('|', "/")),
        });
    }
    if let [first, others @ ..] = medians.as_slice()
        && !others.is_empty()
    {
        let ratios: [fn(&Medians, &Medians) -> Option<f64>; 3] = [
            Medians::speed_ratio,
            Medians::cpu_ratio,
            Medians::memory_ratio,
        ];
        for ratio in ratios {
            let ratio = |other: &Result<Medians, &str>| {
                let (Ok(first), Ok(other)) = (first, other) else {
                    return None;
                };
                ratio(first, other).map(|it| format!("{it:.2}"))
            };
            cells.push(join(others.iter().filter_map(ratio)));
        }
    }
    let summaries = medians.iter().flatten().filter_map(Medians::principal);
    cells.push(join(
        summaries.map(|summary| format!("±{:.0} %", summary.spread() * 100.0)),
    ));
    table_line(&cells)
}

fn table_line(cells: &[impl AsRef<str>]) -> String {
    let mut line = String::from("|");
    for cell in cells {
        let _ = write!(line, " {} |", cell.as_ref());
    }
    line.push('\n');
    line
}

fn figures(medians: &Medians) -> impl Iterator<Item = Summary> {
    [medians.pace, medians.cpu, medians.memory]
        .into_iter()
        .flatten()
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn figure(summary: &Summary) -> String {
    format!("{} {}", digits(summary.median), summary.unit.name())
}

/// A figure with three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Row, Unit};
    use super::*;

    fn report() -> Report {
        let run = |rate: f64, cpu: f64| {
            vec![
                Row::new("")
                    .pace(rate, Unit::MegabytesPerSecond)
                    .cpu(cpu, Unit::CpuSecondsPerGigabyte),
                Row::new("at rest").memory(rate / 10.0, Unit::Megabytes),
            ]
        };
        let column = |name: &str, runs| Column {
            name: name.to_owned(),
            runs,
        };
        Report {
            workload: "4 KiB".to_owned(),
            columns: vec![
                column(
                    "ours",
                    Ok(vec![run(190.0, 2.5), run(200.0, 2.0), run(230.0, 1.0)]),
                ),
                column("theirs", Ok(vec![run(100.0, 8.0)])),
                column("other", Err("the relay answered with A|B".to_owned())),
            ],
        }
    }

    #[test]
    fn a_table_has_medians_ratios_and_how_alike_the_runs_were() {
        let mut printer = Printer::new(Format::Markdown);
        let expected = "\
| workload | ours | theirs | other | speed ratio | CPU ratio | memory ratio | spread |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 4 KiB | 200 MB/s, 2.00 CPU s/GB | 100 MB/s, 8.00 CPU s/GB | cannot: the relay answered with A/B | 2.00 | 0.25 |  | ±10 %, ±0 % |
| 4 KiB: at rest | 20.0 MB | 10.0 MB | cannot: the relay answered with A/B |  |  | 2.00 | ±10 %, ±0 % |
";
        assert_eq!(printer.print(&report()), expected);
        let again = printer.print(&report());
        assert!(again.starts_with("| 4 KiB |"), "one table has one header");
    }

    #[test]
    fn text_says_the_same() {
        let text = Printer::new(Format::Text).print(&report());
        let expected = "\
4 KiB
  ours                             200 MB/s    2.00 CPU s/GB   (runs: 190 to 230)
  theirs                           100 MB/s    8.00 CPU s/GB   first/this: 2.00 in speed, 0.25 in CPU   (runs: 100 to 100)
  other                    cannot: the relay answered with A|B
4 KiB: at rest
  ours                              20.0 MB   (runs: 19.0 to 23.0)
  theirs                            10.0 MB   first/this: 2.00 in memory   (runs: 10.0 to 10.0)
  other                    cannot: the relay answered with A|B
";
        assert_eq!(text, expected);
    }

    #[test]
    fn where_no_relay_can_a_report_still_says_why() {
        let report = Report {
            workload: "4 KiB".to_owned(),
            columns: vec![Column {
                name: "ours".to_owned(),
                runs: Err("it has ended".to_owned()),
            }],
        };
        let text = Printer::new(Format::Text).print(&report);
        assert_eq!(
            text,
            "4 KiB\n  ours                     cannot: it has ended\n"
        );
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (1234.5, "1234"),
            (12.345, "12.3"),
            (1.2345, "1.23"),
            (0.0123, "0.012"),
        ] {
            assert_eq!(digits(value), text);
        }
    }
}
