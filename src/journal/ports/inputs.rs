//! Clock and chance whose results are recorded.

use baton_components::directory::Lot;
use baton_components::time::{CivilTime, Now};
use baton_systems::ports::{Chance, ChancePort, Clock, ClockPort};
use baton_systems::usage::{Usage, Warning};

use crate::journal::book::Journal;
use crate::journal::record::Record;
use crate::journal::values::nanoseconds;

pub struct RecordedClock {
    pub inner: ClockPort,
    pub journal: Journal,
}

pub struct RecordedChance {
    pub inner: ChancePort,
    pub journal: Journal,
}

impl Clock for RecordedClock {
    fn now(&mut self) -> Now {
        let now = self.inner.now();
        let monotonic_ns = nanoseconds(now.monotonic);
        self.journal.book().read_clock(monotonic_ns, now.unix_s);
        now
    }

    fn civil(&self, unix_s: u64) -> Option<CivilTime> {
        let time = self.inner.civil(unix_s);
        self.journal.book().record(&Record::Civil {
            unix_s,
            time: time.map(Into::into),
        });
        time
    }

    fn tick_ends(&mut self) {
        self.inner.tick_ends();
    }

    fn usage(&mut self) -> Usage {
        let usage = self.inner.usage();
        let record = Record::Usage(Box::new(usage.clone()));
        self.journal.book().record(&record);
        usage
    }

    fn warnings(&mut self) -> Vec<Warning> {
        let warnings = self.inner.warnings();
        let record = Record::Warnings(warnings.clone());
        self.journal.book().record(&record);
        warnings
    }
}

impl Chance for RecordedChance {
    fn draw(&mut self, lot: Lot) -> u64 {
        let number = self.inner.draw(lot);
        self.journal.book().record(&Record::Draw(number));
        number
    }
}
