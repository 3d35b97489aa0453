//! How far a run is: a bar on a terminal. Elsewhere there are lines only.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar of this process: there is one terminal, and all threads print to it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

const TEMPLATE: &str = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Shows a bar over so many bytes, if standard error is a terminal.
pub fn begin(bytes: u64) {
    if bytes == 0 || !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(TEMPLATE);
    set(Some(
        bar.with_style(style.expect("law: the template is sound")),
    ));
}

/// So many bytes more are done.
pub fn add(bytes: u64) {
    if let Some(bar) = bar() {
        bar.inc(bytes);
    }
}

/// So many bytes are done in all: what was tried twice counts once.
pub fn reach(bytes: u64) {
    if let Some(bar) = bar() {
        bar.set_position(bytes);
    }
}

pub fn end() {
    if let Some(bar) = bar() {
        bar.finish_and_clear();
    }
    set(None);
}

/// Prints something while the bar is out of the way.
pub fn aside<T>(print: impl FnOnce() -> T) -> T {
    match bar() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// A line on standard output, while the bar is out of the way.
pub fn print(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    aside(|| baton::print(text))
}

fn bar() -> Option<ProgressBar> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}
