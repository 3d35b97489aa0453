//! The reserve: disk space that stays free, for metadata and indexes, and for others.
//!
//! Nothing is removed for it. While less is free, packets are dropped, or data connections are
//! not read, and no session begins. The disk is asked how much is free while packets come,
//! since others fill it too.

use std::time::Duration;

use baton_components::limits::{RESERVE_PERIOD, RESERVE_PERIOD_LOW};
use baton_components::shown::Size;
use baton_components::time::Now;
use baton_components::waits::{Ticket, Waiter};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut};

use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::ports::{Answer, StoragePort};
use crate::requests::{Outcome, Request};
use crate::settings::WhenFull;

/// The reserve, and when the disk was asked.
#[derive(Debug, Default, Resource)]
pub struct Reserve {
    /// In bytes; 0: nothing.
    min_free: u64,
    when_full: WhenFull,
    asked: Option<Ticket>,
    /// When it may be asked again (monotonic).
    next: Duration,
}

impl Reserve {
    pub fn new(min_free: u64, when_full: WhenFull) -> Self {
        Self {
            min_free,
            when_full,
            ..Self::default()
        }
    }

    /// Whether there is an answer, or it is time to ask.
    pub fn is_due(&self, facts: &Facts, now: Duration) -> bool {
        self.min_free > 0
            && if self.asked.is_some() {
                !facts.answered.is_empty()
            } else {
                self.next <= now
            }
    }
}

/// Asks the disk, and does what its answer makes necessary.
pub fn watch(
    mut reserve: ResMut<Reserve>,
    mut entities: ResMut<Entities>,
    mut storage: ResMut<StoragePort>,
    mut agenda: ResMut<Agenda>,
    facts: Res<Facts>,
    now: Res<Now>,
) {
    let reserve = &mut *reserve;
    let Some(ticket) = reserve.asked else {
        let ticket = agenda.waits.add(Waiter::Listener);
        storage.ask(ticket, Request::Space);
        reserve.asked = Some(ticket);
        return;
    };
    let answer = facts.answered.iter().find(|answer| answer.ticket == ticket);
    let Some(Answer { outcome, .. }) = answer else {
        return;
    };
    reserve.asked = None;
    let is_low = match outcome {
        Ok(Outcome::Space { free_bytes }) => *free_bytes < reserve.min_free,
        // An unknown amount stops nobody; a write that fails says so.
        _ => false,
    };
    let was_low = std::mem::replace(&mut entities.totals.is_reserve_reached, is_low);
    agenda.is_data_paused = is_low && reserve.when_full == WhenFull::Wait;
    report(reserve, was_low, is_low);
    if is_low {
        reserve.next = now.monotonic + RESERVE_PERIOD_LOW;
        agenda.deadlines.at(reserve.next, Timer::Reserve);
    } else {
        reserve.next = now.monotonic + RESERVE_PERIOD;
    }
}

fn report(reserve: &Reserve, was_low: bool, is_low: bool) {
    let least = Size(reserve.min_free);
    let what = match reserve.when_full {
        WhenFull::Drop => "packets are dropped",
        WhenFull::Wait => "producers wait",
    };
    match (was_low, is_low) {
        (false, true) => tracing::error!(
            "less than {least} (--min-free) is left on the disk: {what}, and no session begins"
        ),
        (true, false) => tracing::warn!("{least} is free on the disk again: recording goes on"),
        _ => {}
    }
}
