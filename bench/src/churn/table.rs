//! Tables in Markdown, aligned so that they can be read as text.

use std::fmt;

/// Rows of cells below a header. The first column is text, the others are figures.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|cell| (*cell).to_owned()).collect();
        Self { rows: vec![header] }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let header = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..header).map(width).collect();
        for (at, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(formatter, "| {cell:<width$} |")?;
                } else {
                    write!(formatter, " {cell:>width$} |")?;
                }
            }
            writeln!(formatter)?;
            if at == 0 {
                for (column, width) in widths.iter().enumerate() {
                    if column == 0 {
                        write!(formatter, "| {:-<width$} |", "")?;
                    } else {
                        write!(formatter, " {:->width$} |", ":")?;
                    }
                }
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

/// A figure with as many digits as are worth reading: three at least, none after the
/// point from 100 on.
pub fn figure(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The number per second of operations that take this number of nanoseconds.
pub fn per_second(ns: f64) -> String {
    let rate = 1e9 / ns;
    match rate {
        rate if !rate.is_finite() => "–".to_owned(),
        rate if rate >= 1e6 => format!("{} M", figure(rate / 1e6)),
        rate if rate >= 1e3 => format!("{} k", figure(rate / 1e3)),
        rate => figure(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["kind", "ns"]);
        table.row(["stream".to_owned(), figure(7.0)]);
        table.row(["file".to_owned(), figure(1234.5)]);
        assert_eq!(
            table.to_string(),
            "| kind   |   ns |\n\
             | ------ | ---: |\n\
             | stream | 7.00 |\n\
             | file   | 1234 |\n"
        );
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!(figure(0.456), "0.46");
        assert_eq!(figure(45.67), "45.7");
        assert_eq!(figure(456.7), "457");
        assert_eq!(per_second(25.0), "40.0 M");
        assert_eq!(per_second(2e6), "500");
        assert_eq!(per_second(50_000.0), "20.0 k");
        assert_eq!(per_second(0.0), "–");
    }
}
