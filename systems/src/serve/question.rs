//! Questions for the next packet of a stream that has none.
//!
//! A viewer that is told so pauses and asks again; what comes in its pause has to wait.
//! So a question that follows a pause is kept, unanswered and unread, as the next request
//! on its connection: a packet or a beacon of the stream answers it at once, and its
//! time passes soon enough that a viewer sees a slow relay at worst. Only who asks for
//! the same stream as before is kept waiting: others may find something elsewhere.

use std::time::Duration;

use baton_components::keys::{SessionKey, StreamKey, ViewerSessionKey, ViewerStreamKey};
use baton_components::limits::{QUESTION_PATIENCE, QUESTION_PAUSE_MIN, QUESTION_PAUSES};
use baton_components::viewer_session::{Asked, Question, ViewerSession};

use bevy_ecs::system::{Res, ResMut};

use super::{Caller, Serve};
use crate::agenda::Agenda;
use crate::deadlines::Timer;
use crate::entities::Entities;
use crate::facts::{BeaconMoved, Facts, PacketComplete, ProducerGone, QuestionDue};

/// There is nothing of `stream` to tell, before `next` if something waits. Whether the
/// viewer, whose last question that was answered so was `last`, is told later.
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

/// Hears what happened to streams and sessions: questions that may have an answer now are
/// looked at in this tick.
pub fn listen(
    mut entities: ResMut<Entities>,
    mut agenda: ResMut<Agenda>,
    packets: Res<Facts<PacketComplete>>,
    beacons: Res<Facts<BeaconMoved>>,
    gone: Res<Facts<ProducerGone>>,
    due: Res<Facts<QuestionDue>>,
) {
    for PacketComplete(stream) in &packets.0 {
        look_again(&entities, &mut agenda, *stream);
    }
    for BeaconMoved(stream) in &beacons.0 {
        look_again(&entities, &mut agenda, *stream);
    }
    for ProducerGone(session) in &gone.0 {
        look_again_at_all(&entities, &mut agenda, *session);
    }
    for QuestionDue { viewer, due } in &due.0 {
        expire(&mut entities, &mut agenda, *viewer, *due);
    }
}

fn look_again(entities: &Entities, agenda: &mut Agenda, stream: StreamKey) {
    let Some(stream) = entities.streams.get(stream) else {
        return;
    };
    for key in &stream.viewers {
        let viewer = entities.viewer_streams.get(*key);
        let viewer = viewer.and_then(|viewer| entities.viewer_sessions.get(viewer.viewer_session));
        let question = viewer.and_then(|viewer| viewer.question);
        if let Some(Question { stream, state }) = question
            && let Asked::Waiting { connection, .. } = state
            && stream == *key
        {
            agenda.viewers.push(connection);
        }
    }
}

/// A session is over for its producer: all questions of its viewers are looked at again.
fn look_again_at_all(entities: &Entities, agenda: &mut Agenda, session: SessionKey) {
    let viewers = entities.sessions.get(session);
    for key in viewers.iter().flat_map(|session| &session.viewers) {
        let viewer = entities.viewer_sessions.get(*key);
        let question = viewer.and_then(|viewer| viewer.question);
        if let Some(Asked::Waiting { connection, .. }) = question.map(|it| it.state) {
            agenda.viewers.push(connection);
        }
    }
}

/// A timer of a viewer has run out: its question has waited long enough, or one that
/// was asked since goes on waiting. Nothing, if an earlier one took its place.
fn expire(entities: &mut Entities, agenda: &mut Agenda, key: ViewerSessionKey, due: Duration) {
    let viewer = entities.viewer_sessions.get_mut(key);
    let Some(viewer) = viewer.filter(|viewer| viewer.timer == Some(due)) else {
        return;
    };
    viewer.timer = None;
    let Some(Asked::Waiting { connection, until }) = viewer.question.map(|last| last.state) else {
        return;
    };
    if until <= due {
        agenda.viewers.push(connection);
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
