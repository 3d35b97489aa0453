//! Retention: removal of the oldest chunks and files above a cap. A listener of facts.
//!
//! [`ledger`] has what is there, [`policy`] decides what goes next, and this file does it:
//! files of streams that go on are renamed to a hidden name and removed when no viewer holds
//! them; closed chunks are removed by their lists ([`crate::lists`]). Storage is asked for
//! all that takes time, and answers later. Data connections are not read while there is more than
//! the cap and storage still removes something: a producer may be faster than it.
//!
//! Files are unlinked, and not cut shorter before: the tick does not wait for it, and a reader
//! that has mapped a file, as Babeltrace does, is not killed by it.

mod asking;
mod calendar;
pub mod ledger;
mod listen;
pub mod policy;
mod remove;
pub mod reserve;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_components::keys::{FileKey, StreamKey};
use baton_components::limits::{AGE_PERIOD, HELD_PERIOD, REMOVALS_PER_TICK};
use baton_components::path::RelativePath;
use baton_components::time::Now;
use baton_components::waits::Ticket;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut, SystemParam};
use rustc_hash::FxHashMap;

use self::calendar::Calendar;
use self::ledger::{ChunkNumber, Closed, Ledger};
use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::facts::Facts;
use crate::lists;
use crate::ports::{Answer, ChancePort, StorageError, StoragePort};
use crate::probe;
use crate::requests::Outcome;
use crate::settings::Caps;

/// The state of retention.
#[derive(Debug, Default, Resource)]
pub struct Retention {
    caps: Caps,
    ledger: Ledger,
    calendar: Calendar,
    /// The ordinal of the file that each stream writes.
    current: FxHashMap<StreamKey, u64>,
    /// Sessions that have changed since the policy looked at them.
    changed: BTreeSet<RelativePath>,
    /// The numbers of chunks and of removed files follow it; none: it was not drawn.
    first_number: Option<u64>,
    /// Files that were removed.
    removed: u64,
    /// Pending requests to storage.
    asked: BTreeMap<Ticket, Job>,
    /// Removals that wait until no viewer holds the files.
    held: Vec<Held>,
    /// Bytes of all that is held, or that storage was asked to remove.
    leaving_bytes: u64,
    survey: survey::Survey,
    /// When it looks again without a fact (monotonic).
    timer: Option<Duration>,
}

/// A request to storage.
#[derive(Debug)]
enum Job {
    /// A list is changed.
    Note,
    File {
        bytes: u64,
    },
    Chunk {
        number: ChunkNumber,
        chunk: Box<Closed>,
    },
    Survey,
}

/// Something that was removed, and is held by viewers.
#[derive(Debug)]
struct Held {
    stream: Option<StreamKey>,
    files: Vec<FileKey>,
    since: Duration,
    job: Job,
    /// Names of removed files.
    names: Vec<RelativePath>,
}

impl Retention {
    /// Keeps to these caps.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            ..Self::default()
        }
    }

    /// Whether there is any cap.
    pub fn is_on(&self) -> bool {
        self.caps.are_set()
    }

    /// The ledger of disk space.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Bytes of removed files that still take them.
    pub fn leaving_bytes(&self) -> u64 {
        self.leaving_bytes
    }

    /// Whether there is more than the cap until storage has done what it was asked for, with the
    /// bytes that are being written.
    fn is_behind(&self, coming_bytes: u64) -> bool {
        let used = self.ledger.used() + self.leaving_bytes + coming_bytes;
        let is_removal = |job: &Job| matches!(job, Job::File { .. } | Job::Chunk { .. });
        self.caps.size.is_some_and(|cap| used > cap) && self.asked.values().any(is_removal)
    }

    /// Where the list of a chunk is, if there are lists.
    pub fn list(&self, ordinal: u64) -> Option<RelativePath> {
        Some(lists::path(self.first_number?.wrapping_add(ordinal)))
    }

    /// Whether a closed chunk is being removed.
    fn is_leaving(&self, chunk: ChunkNumber) -> bool {
        let held = self.held.iter().map(|held| &held.job);
        let mut jobs = held.chain(self.asked.values());
        jobs.any(|job| matches!(job, Job::Chunk { number, .. } if *number == chunk))
    }
}

/// The parameters of the system.
#[derive(SystemParam)]
pub struct Retain<'w> {
    retention: ResMut<'w, Retention>,
    entities: ResMut<'w, Entities>,
    storage: ResMut<'w, StoragePort>,
    agenda: ResMut<'w, Agenda>,
    chance: ResMut<'w, ChancePort>,
    facts: Res<'w, Facts>,
    now: Res<'w, Now>,
}

/// Reads the facts, and removes what is too much.
pub fn retain(mut retain: Retain) {
    retain.agenda.is_retention_due = false;
    retain.retention.calendar.read(*retain.now);
    listen::listen(&mut retain);
    hear_answers(&mut retain);
    survey::go_on(&mut retain);
    remove::withhold(&mut retain);
    if !retain.agenda.is_stopping {
        for _ in 0..REMOVALS_PER_TICK {
            let Some(victim) = remove::next(&mut retain) else {
                break;
            };
            if !may_remove(&mut retain) {
                break;
            }
            remove::begin(&mut retain, victim);
            // Files that nobody holds are closed at the end of this tick, and can be removed then.
            retain.agenda.is_retention_due = true;
        }
    }
    remove::release(&mut retain);
    retain.agenda.is_removal_awaited = retain
        .retention
        .is_behind(retain.entities.unconfirmed_bytes);
    set_timer(&mut retain);
    show(&mut retain);
}

/// Whether what is removed can be renamed now.
fn may_remove(retain: &mut Retain) -> bool {
    let may = probe::may_make_names(&mut retain.agenda, &retain.now);
    retain.agenda.probes.is_awaited_by_retention = !may;
    may
}

/// Storage has answered.
fn hear_answers(retain: &mut Retain) {
    for at in 0..retain.facts.answered.len() {
        let Answer { ticket, outcome } = retain.facts.answered[at].clone();
        if let Some(job) = retain.retention.asked.remove(&ticket) {
            answer(retain, job, outcome);
        }
    }
}

fn answer(retain: &mut Retain, job: Job, outcome: Result<Outcome, StorageError>) {
    match job {
        Job::Note => {
            if let Err(error) = outcome {
                tracing::error!(
                    "a recording is not listed, and the next relay will not count it: {error}"
                );
            }
        }
        Job::File { bytes } => remove::file_answered(retain, bytes, outcome.map(drop)),
        Job::Chunk { number, chunk } => {
            remove::chunk_answered(retain, number, *chunk, outcome.map(drop));
        }
        Job::Survey => survey::answered(retain, outcome),
    }
}

/// Looks again after a while: at what is held, at ages, and at the disk.
fn set_timer(retain: &mut Retain) {
    let now = retain.now.monotonic;
    let retention = &mut *retain.retention;
    let period = if retention.held.is_empty() {
        AGE_PERIOD
    } else {
        HELD_PERIOD
    };
    let timer = retention.timer.filter(|timer| *timer > now);
    let at = now + period;
    if timer.is_none_or(|timer| timer > at) {
        retention.timer = Some(at);
        retain.agenda.deadlines.at(at, Timer::Retention);
    }
}

/// Tells monitors.
fn show(retain: &mut Retain) {
    let stock = &mut retain.entities.totals.stock;
    stock.is_counted = true;
    stock.leaving_bytes = retain.retention.leaving_bytes;
    stock.used_bytes = retain.retention.ledger.used() + stock.leaving_bytes;
    stock.limit_bytes = retain.retention.caps.size;
}
