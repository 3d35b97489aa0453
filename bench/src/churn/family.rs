//! A family: the records of one session, from its producer to its viewer.
//!
//! It has a producer's two connections, its session with one chunk, a trace of four data
//! streams and metadata, their files, a packet of each data stream that waits for its
//! bytes, and a viewer that reads all of it. Populations consist of families, so that the
//! kinds have the same proportions as in a relay.

use std::ops::{Index, IndexMut};

pub use baton_components::kinds::Kind;

/// Data streams of a family; one more is its metadata.
pub const DATA_STREAMS: u64 = 4;
const STREAMS: u64 = DATA_STREAMS + 1;

/// The kinds in an order of creation: the records that a new record holds exist before it.
pub const BY_BIRTH: [Kind; 11] = [
    Kind::Connection,
    Kind::Session,
    Kind::Chunk,
    Kind::Trace,
    Kind::Stream,
    Kind::File,
    Kind::TraceFile,
    Kind::Index,
    Kind::ViewerSession,
    Kind::ViewerStream,
    Kind::Batch,
];

/// Number of records of a kind in a family.
pub const fn in_family(kind: Kind) -> u64 {
    match kind {
        Kind::Connection => 3,
        // It lasts until the disk has answered.
        Kind::Batch => 0,
        Kind::ViewerSession | Kind::Trace | Kind::Session | Kind::Chunk => 1,
        Kind::ViewerStream | Kind::Stream | Kind::TraceFile => STREAMS,
        Kind::Index => DATA_STREAMS,
        // Each data file, and the indexes beside those with packets.
        Kind::File => STREAMS + DATA_STREAMS,
    }
}

/// The kinds that a family has records of.
pub fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|kind| in_family(*kind) > 0)
}

/// Records in a family.
pub const FAMILY_SIZE: u64 = {
    let mut size = 0;
    let mut at = 0;
    while at < Kind::ALL.len() {
        size += in_family(Kind::ALL[at]);
        at += 1;
    }
    size
};

/// A record, by its kind and a number that no other of that kind ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub kind: Kind,
    pub id: u64,
}

impl Member {
    pub fn new(kind: Kind, family: u64, ordinal: u64) -> Self {
        let id = family * NUMBERS_PER_FAMILY + ordinal;
        Self { kind, id }
    }
}

/// More than any kind has in a family.
const NUMBERS_PER_FAMILY: u64 = 16;

/// A record that is to be made, with what it holds from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub member: Member,
    pub holds: [Option<Member>; 2],
}

/// The records of a kind that a family has, as they are made.
pub fn births(kind: Kind, family: u64) -> impl Iterator<Item = Birth> {
    (0..in_family(kind)).map(move |ordinal| {
        let own = |kind| Some(Member::new(kind, family, ordinal));
        let only = |kind| Some(Member::new(kind, family, 0));
        let holds = match kind {
            Kind::Trace => [only(Kind::Session), None],
            Kind::Stream => [only(Kind::Trace), only(Kind::Chunk)],
            Kind::TraceFile => [own(Kind::File), None],
            Kind::Index => [own(Kind::Stream), None],
            Kind::ViewerStream => [own(Kind::Stream), own(Kind::TraceFile)],
            Kind::Connection
            | Kind::ViewerSession
            | Kind::Session
            | Kind::Chunk
            | Kind::File
            | Kind::Batch => [None, None],
        };
        Birth {
            member: Member::new(kind, family, ordinal),
            holds,
        }
    })
}

/// The holds that records of a kind get after their creation.
pub fn links(kind: Kind, family: u64) -> Vec<(Member, Member)> {
    let member = |kind, ordinal| Member::new(kind, family, ordinal);
    let each = |count, target: Kind, first| {
        let link = |ordinal| (member(kind, ordinal), member(target, first + ordinal));
        (0..count).map(link).collect()
    };
    match kind {
        // A producer's two connections, and the viewer's.
        Kind::Connection => vec![
            (member(kind, 0), member(Kind::Session, 0)),
            (member(kind, 1), member(Kind::Session, 0)),
            (member(kind, 2), member(Kind::ViewerSession, 0)),
        ],
        Kind::ViewerSession => each(1, Kind::Session, 0),
        // The data file that it may read.
        Kind::ViewerStream => each(DATA_STREAMS, Kind::File, 0),
        Kind::Stream => each(STREAMS, Kind::TraceFile, 0),
        Kind::Session => each(1, Kind::Chunk, 0),
        // Index files come with the first packet.
        Kind::TraceFile => each(DATA_STREAMS, Kind::File, STREAMS),
        Kind::Index | Kind::Trace | Kind::Chunk | Kind::File | Kind::Batch => Vec::new(),
    }
}

/// Whether records of a kind are listed, or counted, by those that they hold. (A trace
/// stands for its session, which counts its streams.)
pub fn is_listed(holder: Kind, held: Kind) -> bool {
    matches!(
        (holder, held),
        (Kind::ViewerStream, Kind::Stream)
            | (Kind::ViewerSession, Kind::Session)
            | (Kind::Stream, Kind::Trace)
    )
}

/// A number for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    /// Counts of the records of so many families.
    pub fn of_families(families: u64) -> Self {
        let mut counts = Self::default();
        for kind in Kind::ALL {
            counts[kind] = families * in_family(kind);
        }
        counts
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds a multiple of another.
    pub fn add(&mut self, other: &Self, times: u64) {
        for kind in Kind::ALL {
            self[kind] += other[kind] * times;
        }
    }

    /// The difference to other counts.
    pub fn without(mut self, other: &Self) -> Self {
        for kind in Kind::ALL {
            self[kind] = self[kind].saturating_sub(other[kind]);
        }
        self
    }
}

impl<const N: usize> From<[(Kind, u64); N]> for Counts {
    fn from(pairs: [(Kind, u64); N]) -> Self {
        let mut counts = Self::default();
        for (kind, count) in pairs {
            counts[kind] += count;
        }
        counts
    }
}

impl Index<Kind> for Counts {
    type Output = u64;

    fn index(&self, kind: Kind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl IndexMut<Kind> for Counts {
    fn index_mut(&mut self, kind: Kind) -> &mut u64 {
        &mut self.0[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Position of a kind in an order.
    fn place(order: [Kind; 11], kind: Kind) -> usize {
        order.iter().position(|other| *other == kind).unwrap()
    }

    #[test]
    fn both_orders_have_every_kind_and_suit_what_is_held() {
        for kind in Kind::ALL {
            for birth in births(kind, 7) {
                for held in birth.holds.into_iter().flatten() {
                    assert!(place(BY_BIRTH, held.kind) < place(BY_BIRTH, kind));
                    assert!(place(Kind::ALL, held.kind) > place(Kind::ALL, kind));
                }
            }
            for (holder, held) in links(kind, 7) {
                assert_eq!(holder.kind, kind);
                assert!(place(Kind::ALL, held.kind) > place(Kind::ALL, kind));
            }
        }
    }

    #[test]
    fn every_link_names_members_of_the_family() {
        for (holder, held) in Kind::ALL.into_iter().flat_map(|kind| links(kind, 7)) {
            for member in [holder, held] {
                let ordinal = member.id - 7 * NUMBERS_PER_FAMILY;
                assert!(ordinal < in_family(member.kind), "{member:?}");
            }
        }
        assert_eq!(Counts::of_families(1).total(), FAMILY_SIZE);
    }
}
