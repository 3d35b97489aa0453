//! The survey: disk space of closed chunks, as the file system says.
//!
//! It finds what earlier runs have left, at the start and slice by slice, while the relay
//! works. Later ones find what users have removed or pinned, and what an archive has.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_components::limits::{AGE_PERIOD, SURVEY_CHUNKS, SURVEY_PERIOD};
use baton_components::path::RelativePath;

use super::asking::ask;
use super::ledger::{ChunkNumber, Closed, Finished};
use super::{Job, Retain};
use crate::lists::Found;
use crate::ports::StorageError;
use crate::requests::{Outcome, Request};

/// How far the survey is.
#[derive(Debug, Default)]
pub struct Survey {
    /// A slice was asked for.
    is_asked: bool,
    /// The chunks that were closed when it began, and that it has not found: they are gone, if
    /// it does not find them.
    missing: BTreeSet<ChunkNumber>,
    /// The last number that it has looked at.
    after: Option<u64>,
    /// When the next one begins (monotonic); none: at once.
    next: Option<Duration>,
    /// One was begun.
    has_begun: bool,
}

/// Asks for the next slice, if it is time.
pub fn go_on(retain: &mut Retain) {
    let survey = &mut retain.retention.survey;
    let is_due = survey.next.is_none_or(|next| next <= retain.now.monotonic);
    if survey.is_asked || !is_due {
        return;
    }
    let request = Request::Survey {
        after: survey.after,
        count: SURVEY_CHUNKS,
        is_first: !survey.has_begun,
    };
    survey.is_asked = true;
    survey.has_begun = true;
    if survey.after.is_none() {
        let now = retain.now.monotonic;
        // The end of one that was closed just now may not be in its list.
        let is_settled = |chunk: &Closed| match chunk.finished {
            Finished::Before(_) => true,
            Finished::Now(_, at) => now.saturating_sub(at) > AGE_PERIOD,
        };
        let closed = retain.retention.ledger.closed_chunks();
        let settled = closed.filter(|(_, chunk)| is_settled(chunk));
        retain.retention.survey.missing = settled.map(|(number, _)| *number).collect();
    }
    ask(retain, request, Job::Survey);
}

/// A slice has come.
pub fn answered(retain: &mut Retain, outcome: Result<Outcome, StorageError>) {
    retain.retention.survey.is_asked = false;
    let (found, last) = match outcome {
        Ok(Outcome::Surveyed { found, last }) => (found, last),
        Ok(Outcome::Done | Outcome::Committed { .. } | Outcome::Space { .. }) => (Vec::new(), None),
        Err(error) => {
            tracing::error!("earlier recordings cannot be counted: {error}");
            retain.retention.survey.missing.clear();
            (Vec::new(), None)
        }
    };
    for found in found {
        retain.retention.survey.missing.remove(&found.number);
        take(retain, found);
    }
    retain.retention.survey.after = last;
    if last.is_none() {
        retain.retention.survey.next = Some(retain.now.monotonic + SURVEY_PERIOD);
        for number in std::mem::take(&mut retain.retention.survey.missing) {
            retain.retention.ledger.take_chunk(number);
        }
    }
}

fn take(retain: &mut Retain, found: Found) {
    let retention = &mut *retain.retention;
    let Ok(session) = RelativePath::parse(&found.session) else {
        return;
    };
    if retention.ledger.recorded(found.number).is_some() || retention.is_leaving(found.number) {
        return;
    }
    let known = retention.ledger.closed(found.number);
    let chunk = Closed {
        session: session.clone(),
        bytes: found.bytes,
        packets: known.map_or(0, |known| known.packets),
        finished: known.map_or(Finished::Before(found.closed_s), |known| known.finished),
        is_archived: found.is_archived,
        is_pinned: found.is_pinned,
        files: known.map_or_else(Vec::new, |known| known.files.clone()),
    };
    retention.ledger.close(found.number, chunk);
    retention.changed.insert(session);
}
