//! The log: what is said of a running relay, from which level on, and how it looks.

use std::{io, process};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Face};
use crate::os::log_queue::{self, Lines};

/// Starts the log of a relay. From here on the process has a second thread.
pub fn start(config: &Config) {
    let level = match (config.log.verbosity, config.face) {
        // Scripts for the original take silence for success.
        (0, Face::LttngRelayd) => tracing::Level::WARN,
        (0, Face::Baton) => tracing::Level::INFO,
        (1, _) => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    start_from(level, config.log.colored, config.log.aborts_on_error);
}

/// Logs to standard error from this level on.
pub fn start_from(level: tracing::Level, colored: Option<bool>, aborts_on_error: bool) {
    log_queue::start();
    let to_terminal = io::IsTerminal::is_terminal(&io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(|| Lines)
        .with_ansi(colored.unwrap_or(to_terminal))
        .finish()
        .with(aborts_on_error.then_some(AbortOnError))
        .init();
}

/// Ends the process where an error was logged, for whoever looks for its cause.
struct AbortOnError;

impl<S: tracing::Subscriber> Layer<S> for AbortOnError {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            log_queue::flush();
            process::abort();
        }
    }
}
