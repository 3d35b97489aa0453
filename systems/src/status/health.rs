//! Whether the relay lives, and whether it is ready: and why not.

use super::http::Answer;
use crate::agenda::Agenda;
use crate::entities::Entities;

/// An answer shows that the loop runs.
pub fn lives() -> Answer {
    Answer::text("200 OK", "ok\n".to_owned())
}

/// Ready: what producers send now is recorded.
pub fn is_ready(agenda: &Agenda, entities: &Entities) -> Answer {
    let mut text = String::new();
    for reason in reasons(agenda, entities) {
        text.push_str(reason);
        text.push('\n');
    }
    if text.is_empty() {
        Answer::text("200 OK", "ready\n".to_owned())
    } else {
        Answer::text("503 Service Unavailable", text)
    }
}

/// Why what producers send now is not recorded.
pub fn reasons(agenda: &Agenda, entities: &Entities) -> impl Iterator<Item = &'static str> {
    let totals = &entities.totals;
    let reasons = [
        (totals.is_stopping, "stopping: no connection is accepted"),
        (
            totals.is_disk_failing,
            "storage: the last packet could not be written; the log says why",
        ),
        (
            totals.is_reserve_reached,
            "storage: less than --min-free is left on the disk, packets are not recorded",
        ),
        (agenda.probes.is_silent, "storage: the disk does not answer"),
        (
            !agenda.waiting_metadata.is_empty(),
            "storage: metadata waits for room on the disk, packets are lost",
        ),
        (
            !agenda.unburied.is_empty(),
            "storage: files of chunks cannot be moved or deleted; the log says why",
        ),
    ];
    let reasons = reasons.into_iter().filter(|(applies, _)| *applies);
    reasons.map(|(_, reason)| reason)
}
