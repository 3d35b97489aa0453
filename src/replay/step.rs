//! Prints ticks with their input and output, and with the log of the relay, one at a time
//! (`--print`, `--step`).

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing::{Dispatch, Level};

use crate::journal::record::Record;

/// Waits for the user: Enter continues; `q` and the end of the input stop.
pub fn goes_on(tick: u64, out: &mut dyn Write) -> io::Result<bool> {
    if io::stdin().is_terminal() {
        write!(out, "tick {tick}: Enter goes on, q ends ")?;
    }
    out.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok(read > 0 && line.trim() != "q")
}

/// The log of the relay that is replayed: what happens in a tick, with each command and reply
/// by name.
pub struct Log {
    dispatch: Dispatch,
    lines: Lines,
}

impl Default for Log {
    fn default() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            dispatch: Dispatch::new(log),
            lines,
        }
    }
}

impl Log {
    /// Runs something that logs. Gives what it logged, as lines of a tick.
    pub fn of<T>(&self, run: impl FnOnce() -> T) -> (T, String) {
        let done = tracing::dispatcher::with_default(&self.dispatch, run);
        // Names from peers are escaped in it.
        let logged = String::from_utf8(std::mem::take(&mut *self.lines.text()));
        let logged = logged.unwrap_or_default();
        let mut text = String::new();
        for line in logged.lines() {
            let _ = writeln!(text, "  .. {}", line.trim_start());
        }
        (done, text)
    }
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A tick as lines: its input, then its output.
pub fn lines(tick: u64, records: &[Record<'_>]) -> String {
    let now = records.iter().find_map(|record| match record {
        Record::Now {
            monotonic_ns,
            unix_s,
        } => Some((*monotonic_ns, *unix_s)),
        _ => None,
    });
    let (monotonic_ns, unix_s) = now.unwrap_or_default();
    let seconds = Duration::from_nanos(monotonic_ns).as_secs_f64();
    let time = i64::try_from(unix_s).ok();
    let time = time.and_then(|it| Timestamp::from_second(it).ok());
    let time = time.unwrap_or_default();
    let mut text = format!("tick {tick} at {time}, {seconds:.6} s\n");
    let shown = records
        .iter()
        .filter(|record| !matches!(record, Record::Poll | Record::Now { .. }));
    for record in shown {
        let way = if record.entered() { "->" } else { "<-" };
        let _ = writeln!(text, "  {way} {record}");
    }
    text
}
