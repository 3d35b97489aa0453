//! Long polling: questions (GET_NEXT_INDEX) for the next packet of a stream that has none.
//!
//! A viewer that gets RETRY pauses and asks again, and packets that arrive in its pause
//! wait for it. So a question that follows a pause is kept, unanswered and unread, as the
//! next request on its connection. A packet or a beacon of the stream answers it at once;
//! otherwise it is answered after a short time, so at worst the relay looks slow. Only a
//! viewer that asks for the same stream as before is kept waiting: others may find packets
//! in other streams.

use std::time::Duration;

use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey, ViewerStreamKey};
use baton_components::limits::{QUESTION_PATIENCE, QUESTION_PAUSE_MIN, QUESTION_PAUSES};
use baton_components::viewer_session::{Asked, Question, ViewerSession};

use super::{Caller, Serve};
use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::facts::{BeaconMoved, Facts, PacketComplete, ProducerGone, QuestionDue};

/// Decides about a question for `stream`, which has nothing before `next` (the time when
/// held-back data becomes visible, if any). `last` is the viewer's last question that got
/// RETRY. Returns whether the question is kept.
pub(super) fn is_kept(
    serve: &mut Serve,
    caller: Caller,
    stream: ViewerStreamKey,
    last: Option<Question>,
    next: Option<Duration>,
) -> bool {
    let now = serve.now.monotonic;
    let last = last.filter(|last| last.stream == stream);
    let until = match last.map(|last| last.state) {
        Some(Asked::Answered { at }) => {
            let pause = now.saturating_sub(at);
            let patience = QUESTION_PATIENCE.min(pause * QUESTION_PAUSES);
            (pause >= QUESTION_PAUSE_MIN && !caller.goes_on).then(|| now + patience)
        }
        Some(Asked::Waiting { until, .. }) => (until > now && !caller.goes_on).then_some(until),
        None => None,
    };
    let until = until.map(|until| next.map_or(until, |next| until.min(next)));
    let Some((key, viewer)) = caller
        .session
        .and_then(|key| Some((key, serve.entities.viewer_sessions.get_mut(key)?)))
    else {
        // A viewer without a session has no streams to ask for.
        return false;
    };
    let connection = caller.connection;
    let state = match until {
        Some(until) => Asked::Waiting { connection, until },
        None => Asked::Answered { at: now },
    };
    viewer.question = Some(Question { stream, state });
    if let Some(until) = until {
        set_timer(viewer, &mut serve.agenda, key, until);
    }
    until.is_some()
}

/// Puts questions that may have an answer now on the agenda of this tick.
pub(super) fn hear(entities: &mut Entities, agenda: &mut Agenda, facts: &Facts) {
    for PacketComplete(stream) in &facts.packets {
        look_again(entities, agenda, *stream);
    }
    for BeaconMoved(stream) in &facts.beacons {
        look_again(entities, agenda, *stream);
    }
    for ProducerGone(session) in &facts.gone {
        look_again_at_all(entities, agenda, *session);
    }
    for QuestionDue { viewer, due } in &facts.due {
        expire(entities, agenda, *viewer, *due);
    }
}

fn look_again(entities: &Entities, agenda: &mut Agenda, stream: StreamKey) {
    let Some(stream) = entities.streams.get(stream) else {
        // A stream that is gone has no viewers.
        return;
    };
    for (_, key) in &stream.rare().viewers {
        let viewer = entities.viewer_streams.get(*key);
        let viewer = viewer.and_then(|viewer| entities.viewer_sessions.get(viewer.viewer_session));
        let question = viewer.and_then(|viewer| viewer.question);
        if let Some(Question { stream, state }) = question
            && let Asked::Waiting { connection, .. } = state
            && stream == *key
        {
            agenda.viewers.ready(connection);
        }
    }
}

/// Examines all questions of a session's viewers again, since its producer is gone.
fn look_again_at_all(entities: &Entities, agenda: &mut Agenda, session: SessionKey) {
    let viewers = entities.sessions.get(session);
    for key in viewers.iter().flat_map(|session| &session.viewers) {
        let viewer = entities.viewer_sessions.get(*key);
        let question = viewer.and_then(|viewer| viewer.question);
        if let Some(Asked::Waiting { connection, .. }) = question.map(|it| it.state) {
            agenda.viewers.ready(connection);
        }
    }
}

/// A viewer's timer has expired: its question is answered, or a later question goes on
/// waiting. Does nothing if an earlier timer replaced it.
fn expire(entities: &mut Entities, agenda: &mut Agenda, key: ViewerSessionKey, due: Duration) {
    let viewer = entities.viewer_sessions.get_mut(key);
    let Some(viewer) = viewer.filter(|viewer| viewer.timer == Some(due)) else {
        return;
    };
    viewer.timer = None;
    let Some(Asked::Waiting { connection, until }) = viewer.question.map(|last| last.state) else {
        // It was answered.
        return;
    };
    if until <= due {
        agenda.viewers.ready(connection);
    } else {
        set_timer(viewer, agenda, key, until);
    }
}

/// Most questions are answered before their time, so a viewer has one timer that goes on
/// from one to the next, and another only for a question that waits less long.
fn set_timer(
    viewer: &mut ViewerSession,
    agenda: &mut Agenda,
    key: ViewerSessionKey,
    until: Duration,
) {
    if viewer.timer.is_none_or(|timer| until < timer) {
        viewer.timer = Some(until);
        agenda.deadlines.at(until, Timer::Question(key));
    }
}
