//! The log: level and format.

use std::fmt;
use std::{io, process};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Config;
use crate::options::Face;
use crate::os::log_queue::{self, Lines, Place, say};
use crate::os::{recent, standard_error_is_journal};

/// Starts the log of a relay. From here on the process has a second thread.
pub fn start(config: &Config, place: Place) {
    let level = match (config.log.verbosity, config.face) {
        // Scripts for the original expect no output on success.
        (0, Face::LttngRelayd) => Level::WARN,
        (0, Face::Baton) => Level::INFO,
        (1, _) => Level::DEBUG,
        _ => Level::TRACE,
    };
    let (has_levels, colored) = match &place {
        Place::StandardError => (standard_error_is_journal(), config.log.colored),
        Place::File(_) => (false, Some(config.log.colored == Some(true))),
        Place::Syslog(_) => (true, None),
    };
    log_queue::start(place);
    let aborts = config.log.aborts_on_error.then_some(AbortOnError);
    if has_levels {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .event_format(Leveled::default())
            .with_writer(|| Lines)
            .finish()
            .with(recent::Recent)
            .with(aborts)
            .init();
    } else {
        begin(level, colored)
            .with(recent::Recent)
            .with(aborts)
            .init();
    }
}

/// Logs to standard error from this level on.
pub fn start_from(level: Level, colored: Option<bool>) {
    log_queue::start(Place::StandardError);
    begin(level, colored).init();
}

fn begin(level: Level, colored: Option<bool>) -> impl Subscriber + for<'a> LookupSpan<'a> {
    let to_terminal = io::IsTerminal::is_terminal(&io::stderr());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(|| Lines)
        .with_ansi(colored.unwrap_or(to_terminal))
        .finish()
}

/// Logs the warnings from before the log was started.
pub fn say_all(lines: &[String]) {
    for line in lines {
        say(format_args!("{line}"));
    }
}

/// Lines for journald and syslog, which have the time by themselves: the level is at the
/// beginning (sd-daemon(3)).
struct Leveled(Format<Full, ()>);

impl Default for Leveled {
    fn default() -> Self {
        let format = tracing_subscriber::fmt::format();
        Self(format.without_time().with_level(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for Leveled
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// Aborts the process at the first error, for a core dump (LTTNG_ABORT_ON_ERROR).
struct AbortOnError;

impl<S: Subscriber> Layer<S> for AbortOnError {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            log_queue::flush();
            process::abort();
        }
    }
}
