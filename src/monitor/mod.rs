//! Monitors: `baton status`, `top` and `doctor`. They ask a relay by HTTP, as any monitor does,
//! and show its answer to people.

pub mod doctor;
pub mod top;

mod ask;
mod report;
mod screen;
mod terminal;
mod trend;
mod words;

pub use self::ask::{Credentials, Error, Target};

use self::report::Report;
use self::screen::Screen;
use self::terminal::Terminal;
use crate::os::print;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Prints how a relay is: one screen, or the relay's own JSON.
pub fn status(target: &Target, format: Format) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = target.get("/status")?;
    let report = Report::read(target, &bytes)?;
    match format {
        // It is text, since it was read as JSON.
        Format::Json => print(String::from_utf8(bytes)?)?,
        Format::Text => print(Screen::of(target, &report, None).text(Terminal::lines()))?,
    }
    Ok(())
}
