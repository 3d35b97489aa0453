//! How far a replay has come: a line on a terminal, written over again and again.
//!
//! Not by a crate: those for progress bars estimate times with the mathematics library, whose
//! pages would be a part of the memory that each relay takes at rest.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use baton_components::shown::Size;

#[derive(Debug)]
pub struct Progress {
    done: u64,
    total: u64,
    /// When the line was drawn last. None: it is not shown.
    drawn: Option<Instant>,
}

/// Time between two drawings.
const PERIOD: Duration = Duration::from_millis(100);
/// Width of the bar in characters.
const WIDTH: u64 = 40;
/// To the begin of the line, which is erased.
const ERASED: &str = "\r\x1b[K";

impl Progress {
    /// Over so many bytes, on standard error if that is a terminal. `is_alone`: no lines are
    /// printed there meanwhile.
    pub fn over(total: u64, is_alone: bool) -> Self {
        let is_shown = is_alone && io::stderr().is_terminal();
        Self {
            done: 0,
            total,
            drawn: is_shown.then(Instant::now),
        }
    }

    /// So many more bytes are done.
    pub fn add(&mut self, bytes: u64) {
        self.reach(self.done + bytes);
    }

    /// So many bytes are done.
    pub fn reach(&mut self, bytes: u64) {
        self.done = bytes;
        if let Some(drawn) = &mut self.drawn
            && drawn.elapsed() >= PERIOD
        {
            *drawn = Instant::now();
            draw(&line(self.done, self.total));
        }
    }

    /// Erases the line.
    pub fn finish(&mut self) {
        if self.drawn.take().is_some() {
            draw("");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A terminal that has gone shows nothing.
fn draw(line: &str) {
    let _ = io::stderr().write_all(format!("{ERASED}{line}").as_bytes());
}

fn line(done: u64, total: u64) -> String {
    let marks = done.min(total) * WIDTH / total.max(1);
    let bar: String = (0..WIDTH)
        .map(|at| if at < marks { '#' } else { '-' })
        .collect();
    format!("{bar} {} of {}", Size(done), Size(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_to_its_width_and_no_further() {
        for (done, total, marks) in [(0, 0, 0), (0, 8, 0), (4, 8, 20), (8, 8, 40), (9, 8, 40)] {
            let line = line(done, total);
            assert_eq!(line.matches('#').count(), marks, "{line}");
            assert!(
                line.starts_with(['#', '-']) && line.contains(" of "),
                "{line}"
            );
        }
        assert!(line(1_500_000, 3_000_000).ends_with("- 1.5 MB of 3.0 MB"));
    }
}
