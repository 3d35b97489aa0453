//! Clock and chance of a replay: they return the recorded results.

use std::time::Duration;

use baton_components::directory::Lot;
use baton_components::time::{CivilTime, Now};
use baton_systems::ports::{Chance, Clock};
use baton_systems::usage::{Usage, Warning};

use crate::journal::record::Record;
use crate::replay::script::Shared;

pub struct ReplayClock {
    shared: Shared,
    last: Now,
}

impl ReplayClock {
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            last: Now::default(),
        }
    }
}

impl Clock for ReplayClock {
    fn now(&mut self) -> Now {
        let now = self.shared.script().ask(
            |record| match record {
                Record::Now {
                    monotonic_ns,
                    unix_s,
                } => Some(Now {
                    monotonic: Duration::from_nanos(*monotonic_ns),
                    unix_s: *unix_s,
                }),
                _ => None,
            },
            || "the clock is read".to_owned(),
        );
        self.last = now.unwrap_or(self.last);
        self.last
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let time = self.shared.script().ask(
            |record| match record {
                Record::Civil {
                    unix_s: recorded,
                    time,
                } if *recorded == unix_s => Some(*time),
                _ => None,
            },
            || format!("the calendar is asked about second {unix_s}"),
        );
        time.flatten().map(Into::into)
    }

    fn usage(&mut self) -> Usage {
        let usage = self.shared.script().ask(
            |record| match record {
                Record::Usage(usage) => Some(Usage::clone(usage)),
                _ => None,
            },
            || "the usage of the process is read".to_owned(),
        );
        usage.unwrap_or_default()
    }

    fn warnings(&mut self) -> Vec<Warning> {
        let warnings = self.shared.script().ask(
            |record| match record {
                Record::Warnings(warnings) => Some(warnings.clone()),
                _ => None,
            },
            || "the last warnings are read".to_owned(),
        );
        warnings.unwrap_or_default()
    }
}

pub struct ReplayChance {
    shared: Shared,
    last: u64,
}

impl ReplayChance {
    pub fn new(shared: Shared) -> Self {
        Self { shared, last: 0 }
    }
}

impl Chance for ReplayChance {
    fn draw(&mut self, _: Lot) -> u64 {
        let number = self.shared.script().ask(
            |record| match record {
                Record::Draw(number) => Some(*number),
                _ => None,
            },
            || "a number is drawn".to_owned(),
        );
        // A failed replay goes on to the end of its tick: a loop that draws until a number
        // is unused must end.
        self.last = number.unwrap_or(self.last.wrapping_add(1));
        self.last
    }
}
