//! Counts packets, and what is lost: a listener.
//!
//! A fact adds to the counts of a stream, of its session and of the relay, at once. Nothing
//! is ever summed over streams.

use baton_components::keys::StreamKey;
use baton_components::limits::LOSSY_CHANNELS_MAX;
use baton_components::tally::{Cause, StreamTally, Tally, TornPacket};
use baton_components::time::Now;
use baton_components::wire::producer::NONE;
use bevy_ecs::system::{Res, ResMut};

use crate::entities::Entities;
use crate::facts::{
    ChunkClosed, Facts, PacketDescribed, PacketDropped, PacketGivenUp, PacketTorn, StreamClosed,
};

/// Counts what happened.
pub fn count(mut entities: ResMut<Entities>, facts: Res<Facts>, now: Res<Now>) {
    let entities = &mut *entities;
    let is_of_disk = |fact: &PacketDropped| fact.cause.is_of_disk();
    let totals = &mut entities.totals;
    totals.beacons += facts.beacons.len() as u64;
    if !facts.kept.is_empty() {
        totals.is_disk_failing = false;
    }
    totals.is_disk_failing |= facts.dropped.iter().any(is_of_disk);
    for fact in &facts.dropped {
        drop_one(entities, *fact);
    }
    for fact in &facts.described {
        let mut gap = 0;
        add(entities, fact.stream, |stream, more| {
            gap = describe(stream, more, fact);
        });
        if gap > 0 {
            note_gap(entities, fact.stream, gap);
        }
    }
    for fact in &facts.chunks_closed {
        decide_gaps(entities, fact);
    }
    // A packet breaks off in the tick in which its connection ends, or in the one before; it
    // comes again on another one.
    for fact in &facts.torn {
        add(entities, fact.stream, |stream, more| {
            tear(stream, more, fact);
        });
    }
    for fact in &facts.kept {
        add(entities, fact.stream, |stream, more| {
            stream.packets += fact.packets;
            stream.bytes += fact.bytes;
            (more.packets, more.bytes) = (fact.packets, fact.bytes);
            more.last_packet_s = now.unix_s;
            stream.mend(|torn| torn.sequence == fact.last);
        });
    }
    for fact in &facts.given_up {
        add(entities, fact.stream, |stream, more| {
            give_up(stream, more, fact);
        });
    }
    for StreamClosed(stream) in &facts.closed {
        add(entities, *stream, |stream, more| {
            if stream.mend(|_| true).is_some_and(|torn| !torn.is_counted) {
                lose(stream, more, Cause::Torn);
            }
        });
    }
}

/// A packet was described. Gives how many are missing before it, if it is not known yet
/// whether they are lost.
fn describe(stream: &mut StreamTally, more: &mut Tally, fact: &PacketDescribed) -> u64 {
    more.events_discarded = stream.discarded(fact.events_discarded);
    if fact.begins_anew {
        stream.clear();
    }
    if fact.packet_sequence == NONE {
        return 0;
    }
    let missing = stream.numbered(fact.packet_sequence);
    if fact.may_be_cleared {
        return missing;
    }
    if missing > 0 {
        let lost = &mut stream.losses_mut().packets;
        *lost = lost.saturating_add(missing);
        more.lost.add(Cause::Overwritten, missing);
    }
    0
}

fn note_gap(entities: &mut Entities, stream: StreamKey, gap: u64) {
    if let Some(stream) = entities.streams.get(stream) {
        let gaps = &mut entities.sessions[&stream.session].gaps;
        *gaps = gaps.saturating_add(gap);
    }
}

/// A clear takes packets from the ring buffers, too, which leaves gaps; a rotation does not.
fn decide_gaps(entities: &mut Entities, fact: &ChunkClosed) {
    let Some(session) = entities.sessions.get_mut(fact.session) else {
        return;
    };
    let gaps = std::mem::take(&mut session.gaps);
    if !fact.is_deleted {
        session.tally.lost.add(Cause::Overwritten, gaps);
        entities.totals.tally.lost.add(Cause::Overwritten, gaps);
    }
}

/// A packet broke off. The one that did before, and is another one, does not come any more.
fn tear(stream: &mut StreamTally, more: &mut Tally, fact: &PacketTorn) {
    let torn = TornPacket {
        sequence: fact.sequence,
        is_counted: fact.is_dropped,
    };
    let earlier = stream.losses_mut().torn.replace(torn);
    if earlier.is_some_and(|it| !it.is_counted && it.sequence != torn.sequence) {
        lose(stream, more, Cause::Torn);
    }
}

/// A packet that was announced will not come.
fn give_up(stream: &mut StreamTally, more: &mut Tally, fact: &PacketGivenUp) {
    let torn = stream.mend(|torn| torn.sequence == fact.sequence);
    match torn {
        None => lose(stream, more, Cause::NeverCame),
        Some(torn) if !torn.is_counted => lose(stream, more, Cause::Torn),
        Some(_) => {}
    }
}

/// One packet of a stream, which may be gone, is lost.
fn drop_one(entities: &mut Entities, fact: PacketDropped) {
    if let Some(stream) = entities.streams.get_mut(fact.stream) {
        stream.tally.losses_mut().packets += 1;
    }
    if let Some(session) = entities.sessions.get_mut(fact.session) {
        session.tally.lost.add(fact.cause, 1);
    }
    entities.totals.tally.lost.add(fact.cause, 1);
}

/// One packet of a stream is lost.
fn lose(stream: &mut StreamTally, more: &mut Tally, cause: Cause) {
    stream.losses_mut().packets += 1;
    more.lost.add(cause, 1);
}

/// Changes the tally of a stream, and adds what that gives to its session and to the relay.
fn add(
    entities: &mut Entities,
    stream: StreamKey,
    change: impl FnOnce(&mut StreamTally, &mut Tally),
) {
    // The relay stops, and has let go of all of its session: nobody can ask any more.
    let Some(stream) = entities.streams.get_mut(stream) else {
        return;
    };
    let mut more = Tally::default();
    change(&mut stream.tally, &mut more);
    let session = &mut entities.sessions[&stream.session];
    session.tally.add(&more);
    entities.totals.tally.add(&more);
    let is_of_tracer = more.events_discarded > 0 || more.lost.of(Cause::Overwritten) > 0;
    if is_of_tracer && session.rare().lossy_channels.len() < LOSSY_CHANNELS_MAX {
        let name = stream.channel_name();
        if !session.rare().lossy_channels.contains(name) {
            session.rare_mut().lossy_channels.insert(name.to_vec());
        }
    }
}
