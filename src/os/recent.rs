//! The last warnings and errors of the log, kept for monitors.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use baton_systems::usage::Warning;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Those of this process, oldest first.
static LINES: Mutex<VecDeque<Warning>> = Mutex::new(VecDeque::new());

/// Number of them.
const LINES_MAX: usize = 50;
/// Bytes of one that are kept: paths may be long.
const TEXT_BYTES_MAX: usize = 1024;

/// The last warnings and errors, oldest first.
pub fn lines() -> Vec<Warning> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().cloned().collect()
}

/// Keeps the last warnings and errors.
pub struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut text = line.message + &line.fields;
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(Warning {
            unix_s: now.map_or(0, |passed| passed.as_secs()),
            is_error: level == Level::ERROR,
            text,
        });
    }
}

/// A line as the log has it: the message, then the fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn the_last_warnings_are_kept() {
        let subscriber = tracing_subscriber::registry().with(Recent);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not this one");
            tracing::error!("too old");
            for number in 1..LINES_MAX {
                tracing::warn!(peer = "10.0.0.1:1", "number {number}");
            }
            tracing::error!("{}", "é".repeat(TEXT_BYTES_MAX));
        });
        let lines = lines();
        assert_eq!(lines.len(), LINES_MAX);
        let texts = lines.iter().map(|line| (line.is_error, line.text.as_str()));
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts[0], (false, "number 1 peer=\"10.0.0.1:1\""));
        assert_eq!(
            texts[LINES_MAX - 1],
            (true, &*"é".repeat(TEXT_BYTES_MAX / 2))
        );
    }
}
