//! systemd's watchdog (`WatchdogSec=`): it ends a relay that does not say in time that it is
//! alive. The reactor says so, once a tick at most, so a tick that hangs does not.

use std::env;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

#[derive(Debug)]
pub struct Watchdog {
    period: Duration,
    due: Instant,
}

impl Watchdog {
    /// The watchdog of this process, if the service manager has set one.
    pub fn of_service() -> Option<Self> {
        env::var_os("NOTIFY_SOCKET")?;
        // Twice in its time, as systemd advises.
        let period = sd_notify::watchdog_enabled()? / 2;
        let due = Instant::now();
        Some(Self { period, due })
    }

    /// Says that the relay is alive, if it is time for that. Returns how long the relay may
    /// wait for events until then, if it wanted to wait for `patience` (none: for ever).
    pub fn feed(&mut self, patience: Option<Duration>) -> Duration {
        let now = Instant::now();
        if self.due <= now {
            // A lost message has the relay ended: the log says why.
            if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
                tracing::warn!("systemd cannot be told that the relay is alive: {error}");
            }
            self.due = now + self.period;
        }
        let until = self.due - now;
        patience.map_or(until, |patience| patience.min(until))
    }
}
