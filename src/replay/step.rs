//! Ticks on the terminal: what enters and leaves, one at a time.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};

use crate::journal::record::Record;

/// Asks a person whether the tick is wanted: Enter says so, `q` and the end of the input
/// do not.
pub fn goes_on(tick: u64, out: &mut dyn Write) -> io::Result<bool> {
    if io::stdin().is_terminal() {
        write!(out, "tick {tick}: Enter goes on, q ends ")?;
    }
    out.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok(read > 0 && line.trim() != "q")
}

/// A tick in lines: what entered, then what the relay did.
pub fn lines(tick: u64, records: &[Record<'_>]) -> String {
    let now = records.iter().find_map(|record| match record {
        Record::Now { monotonic_ns, .. } => Some(*monotonic_ns),
        _ => None,
    });
    let seconds = std::time::Duration::from_nanos(now.unwrap_or(0)).as_secs_f64();
    let mut text = format!("tick {tick} at {seconds:.6} s\n");
    let shown = records
        .iter()
        .filter(|record| !matches!(record, Record::Poll | Record::Now { .. }));
    for record in shown {
        let way = if record.entered() { "->" } else { "<-" };
        let _ = writeln!(text, "  {way} {record}");
    }
    text
}
