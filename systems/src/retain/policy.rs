//! The policy: the chunk or file that goes next, given the ledger. A pure function.
//!
//! Order of removal: of a session above its own cap its oldest chunks, then its oldest files;
//! what is too old, or one archive too many. If all together is too much: chunks that an
//! archive elsewhere has and chunks of sessions that are over, oldest first; then archives of
//! sessions that are recorded, of the one first that is furthest above its own cap; then the
//! oldest finished files of those. The oldest of all streams go first, so what is left of a
//! trace begins at about one moment.

use std::time::Duration;

use baton_components::chunk::FileOfStream;
use baton_components::totals::Excess;

use super::calendar::Calendar;
use super::ledger::{Account, ChunkNumber, Closed, Ledger};
use crate::settings::Caps;

/// A chunk or file that goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    pub what: What,
    pub why: Excess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Chunk(ChunkNumber),
    File(FileOfStream),
}

/// Bytes to which a cap is kept: below it, so that the cap holds while removals take their
/// time.
pub fn target(cap: u64) -> u64 {
    cap - cap / 32
}

/// The next victim of a session that is above its cap. The caller asks for each
/// session that has changed.
pub fn next_of(caps: &Caps, session: &Account) -> Option<Victim> {
    let is_crowded = caps
        .chunks
        .is_some_and(|max| session.closed.len() as u64 > max);
    let is_large = caps
        .session_size
        .is_some_and(|cap| session.bytes > target(cap));
    let why = match (is_large, is_crowded) {
        (true, _) => Excess::Session,
        (false, true) => Excess::Count,
        (false, false) => return None,
    };
    let chunk = session
        .closed
        .first()
        .map(|(.., number)| What::Chunk(*number));
    let file = session.files.first().map(|(_, file)| What::File(*file));
    let what = if is_large { chunk.or(file) } else { chunk };
    Some(Victim { what: what?, why })
}

/// The next victim of all sessions, while so many bytes are being written.
pub fn next(
    caps: &Caps,
    (ledger, coming_bytes): (&Ledger, u64),
    calendar: &Calendar,
    now: Duration,
) -> Option<Victim> {
    if let Some(cap) = caps.size
        && ledger.used() + coming_bytes > target(cap)
        && let Some(what) = oldest(ledger)
    {
        return Some(Victim {
            what,
            why: Excess::Size,
        });
    }
    let age = caps.age?;
    let is_old = |finished| calendar.age(finished, now) > age;
    let is_old_chunk = |(_, chunk): &(ChunkNumber, &Closed)| is_old(chunk.finished);
    let over = ledger.first_chunk().filter(is_old_chunk);
    let later = || ledger.later_chunk().filter(is_old_chunk);
    let file = || {
        ledger
            .first_file()
            .filter(|(finished, _)| is_old(*finished))
    };
    let what = over
        .or_else(later)
        .map(|(number, _)| What::Chunk(number))
        .or_else(|| file().map(|(_, file)| What::File(file)))?;
    Some(Victim {
        what,
        why: Excess::Age,
    })
}

fn oldest(ledger: &Ledger) -> Option<What> {
    if let Some((number, _)) = ledger.first_chunk() {
        return Some(What::Chunk(number));
    }
    // All sessions have the same cap: the largest is furthest above it.
    let furthest = ledger.largest_rotated();
    let chunk = furthest.and_then(|account| account.closed.first());
    let chunk = chunk.map(|(.., number)| What::Chunk(*number));
    chunk.or_else(|| ledger.first_file().map(|(_, file)| What::File(file)))
}
