//! Sweeps: the end of a session, or of a viewer, with very many streams keeps nobody waiting: some
//! of the streams are looked at in each tick.

use std::ops::Bound;

use baton_components::keys::{SessionKey, StreamKey, ViewerStreamKey};
use baton_components::sweeps::{Sweep, Why};
use baton_components::viewer_stream::ViewerStream;

use super::{Recorder, closing, giving_up};
use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::probe;

/// Begins a sweep over the open streams of a session. Those of a session of usual size are all
/// done when this returns.
pub fn begin(recorder: &mut Recorder, session: SessionKey, why: Why) {
    let sweeps = &mut recorder.agenda.sweeps.pending;
    sweeps.push_back(Sweep {
        session,
        why,
        after: 0,
    });
    if sweeps.len() == 1 {
        run(recorder);
    }
}

/// Goes on with what earlier ticks have left. Files may have to be made then.
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
    if !agenda.sweeps.pending.is_empty() && probe::may_make_names(agenda, now) {
        run(&mut recorder);
    }
}

/// Sweeps, one after another, as far as the budget of this tick goes.
pub fn run(recorder: &mut Recorder) {
    while let Some(sweep) = recorder.agenda.sweeps.pending.front().copied() {
        let next = next_stream(recorder, &sweep);
        if next.is_some() && !recorder.agenda.sweeps.take_one() {
            return;
        }
        let Some((number, stream)) = next else {
            recorder.agenda.sweeps.pending.pop_front();
            closing::keep(recorder, sweep.session);
            continue;
        };
        if let Some(sweep) = recorder.agenda.sweeps.pending.front_mut() {
            sweep.after = number;
        }
        match sweep.why {
            Why::ProducerGone => closing::try_close(recorder, stream),
            Why::GivenUp => giving_up::give_up(recorder, stream),
        }
    }
}

fn next_stream(recorder: &Recorder, sweep: &Sweep) -> Option<(u64, StreamKey)> {
    let session = recorder.entities.sessions.get(sweep.session)?;
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
