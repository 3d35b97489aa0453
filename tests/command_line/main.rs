//! The command line, as a table: what is typed, what the files and the environment say,
//! and what comes of it.
//!
//! Rows that start a relay end with `--check`: the configuration is resolved and
//! printed, nothing listens. `{}` in a row is a directory of its own, which is also the
//! home directory.

mod abbreviations;
mod baton;
mod environment;
mod failures;
mod files;
mod table;
mod urls;

use table::Row;

/// Rows that the original's users rely on, and ours.
const ROWS_MIN: usize = 120;

#[test]
fn every_row_comes_out_as_written() {
    let rows: Vec<Row> = [
        abbreviations::rows(),
        urls::rows(),
        files::rows(),
        environment::rows(),
        failures::rows(),
        baton::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(rows.len() >= ROWS_MIN, "{} rows", rows.len());
    let wrong: Vec<String> = rows.iter().filter_map(|row| row.run().err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}
