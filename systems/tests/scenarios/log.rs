//! The log of a relay that runs in this thread.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::Once;

use tracing::Level;
use tracing::subscriber::set_global_default;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

thread_local! {
    /// None: this thread logs nothing.
    static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The lines logged from its start until it is dropped.
pub struct Log;

impl Log {
    /// From INFO on.
    pub fn start() -> Self {
        Self::from(Level::INFO)
    }

    /// With one subscriber for all threads: where the code logs for the first time, it misses a
    /// subscriber that another thread makes at the same moment.
    pub fn from(level: Level) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lines = fmt::layer()
                .with_target(false)
                .with_ansi(false)
                .without_time()
                .with_writer(|| Lines);
            let is_logged = |level: &Level| LEVEL.get().is_some_and(|least| *level <= least);
            let filter = dynamic_filter_fn(move |data, _| is_logged(data.level()));
            set_global_default(registry().with(lines).with(filter)).unwrap();
        });
        // Another thread may have logged for the first time before.
        tracing::callsite::rebuild_interest_cache();
        LEVEL.set(Some(level));
        TEXT.take();
        Self
    }

    /// The lines since the last call.
    #[allow(clippy::unused_self)] // Without it nothing is logged.
    pub fn take(&self) -> Vec<String> {
        let text = String::from_utf8(TEXT.take()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The one line since the last call.
    pub fn take_one(&self) -> String {
        let lines = self.take();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.into_iter().next().unwrap_or_default()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LEVEL.set(None);
    }
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
