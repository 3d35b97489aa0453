//! The progress bar of a replay, on terminals.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Ticks between two updates of the bar.
const PERIOD: u64 = 256;

#[derive(Debug)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Over the bytes of a journal. None if lines are printed to the same terminal
    /// meanwhile.
    pub fn over(journal: &Path, prints: bool) -> Self {
        let prints = prints && std::io::stdout().is_terminal();
        let looks = std::io::stderr().is_terminal() && !prints;
        let size = std::fs::metadata(journal).map_or(0, |it| it.len());
        Self(looks.then(|| {
            let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(TEMPLATE);
            bar.with_style(style.expect("law: the template is sound"))
        }))
    }

    pub fn reach(&self, position: u64, tick: u64) {
        if let Some(bar) = self.0.as_ref().filter(|_| tick.is_multiple_of(PERIOD)) {
            bar.set_message(format!("tick {tick}"));
            bar.set_position(position);
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str = "{wide_bar} {bytes}/{total_bytes} {msg} {eta}";
