//! Sweeps: the end of a session, or of a viewer, with very many streams keeps nobody waiting: some
//! of the streams are looked at in each tick.

use std::ops::Bound;

use baton_components::keys::{SessionKey, StreamKey, ViewerStreamKey};
use baton_components::limits::STREAMS_SWEPT_PER_TURN;
use baton_components::sweeps::{Sweep, Work};
use baton_components::viewer_stream::ViewerStream;

use super::{Recorder, closing, giving_up};
use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::facts::ProducerGone;
use crate::probe;

/// Begins a sweep over the open streams of a session. Those of a session of usual size are all
/// done when this returns.
pub fn begin(recorder: &mut Recorder, session: SessionKey, work: Work) {
    let mut sweep = Sweep {
        session,
        work,
        after: 0,
    };
    let turn = recorder.agenda.sweeps.budget;
    if !advance(recorder, &mut sweep, turn) {
        recorder.agenda.sweeps.sessions.push_back(sweep);
    }
}

/// Goes on with the sweeps that earlier ticks have left. Files may have to be made then.
pub fn go_on(mut recorder: Recorder) {
    let Recorder {
        entities,
        agenda,
        now,
        ..
    } = &mut recorder;
    while !agenda.sweeps.left_streams.is_empty() && agenda.sweeps.take_one() {
        if let Some(key) = agenda.sweeps.left_streams.pop_front() {
            entities.disown::<ViewerStream>(key);
        }
    }
    if !agenda.sweeps.sessions.is_empty() && probe::may_make_names(agenda, now) {
        run(&mut recorder);
    }
}

/// Sweeps sessions in turn, as far as the budget of this tick goes.
pub fn run(recorder: &mut Recorder) {
    while recorder.agenda.sweeps.budget > 0
        && let Some(mut sweep) = recorder.agenda.sweeps.sessions.pop_front()
    {
        if !advance(recorder, &mut sweep, STREAMS_SWEPT_PER_TURN) {
            recorder.agenda.sweeps.sessions.push_back(sweep);
        } else if sweep.work == Work::Close {
            // Viewers have heard that before its last streams were closed.
            recorder.facts.gone.push(ProducerGone(sweep.session));
        }
    }
}

/// Goes on with one sweep, for so many streams at most. Returns whether it is finished.
fn advance(recorder: &mut Recorder, sweep: &mut Sweep, turn: usize) -> bool {
    for _ in 0..turn {
        let Some((number, stream)) = next_stream(recorder, sweep) else {
            break;
        };
        if !recorder.agenda.sweeps.take_one() {
            return false;
        }
        sweep.after = number;
        let calls = recorder.storage.calls();
        match sweep.work {
            Work::Close => closing::try_close(recorder, stream),
            Work::GiveUp => giving_up::give_up(recorder, stream),
        }
        // It may have made the directories of a deep path.
        let calls = (recorder.storage.calls() - calls) as usize;
        let budget = &mut recorder.agenda.sweeps.budget;
        *budget = budget.saturating_sub(calls / CALLS_PER_STREAM);
    }
    let is_finished = next_stream(recorder, sweep).is_none();
    if is_finished {
        closing::keep(recorder, sweep.session);
    }
    is_finished
}

/// The next stream; none also if packets of the session are waited for again, since a new
/// connection brings some.
fn next_stream(recorder: &Recorder, sweep: &Sweep) -> Option<(u64, StreamKey)> {
    let session = recorder.entities.sessions.get(sweep.session)?;
    if sweep.work == Work::GiveUp && !session.given_up {
        return None;
    }
    let rest = (Bound::Excluded(sweep.after), Bound::Unbounded);
    let (number, stream) = session.open_streams.range(rest).next()?;
    Some((*number, *stream))
}

/// A viewer does not read a stream any more: now, or soon if there are very many.
pub fn leave(entities: &mut Entities, agenda: &mut Agenda, key: ViewerStreamKey) {
    if agenda.sweeps.take_one() {
        entities.disown::<ViewerStream>(key);
    } else {
        agenda.sweeps.left_streams.push_back(key);
    }
}

/// Calls to storage for each stream that are no more work than is expected.
const CALLS_PER_STREAM: usize = 4;
