//! The census: which records there are, and who holds whom.
//!
//! [`walk`] has the one list of all kinds. The audit recounts along it; whoever wants to
//! see a world takes a [`Census`] of it.

mod described;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use baton_components::arena::Arena;
use baton_components::hold::Hold;
use bevy_ecs::system::Res;
use slotmap::{Key, KeyData};

use crate::entities::{Entities, Entity};

pub use described::Described;

/// A kind of record, in the order of reclamation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Connection,
    ViewerSession,
    ViewerStream,
    Index,
    Stream,
    Trace,
    Session,
    Chunk,
    TraceFile,
    File,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Connection,
        Self::ViewerSession,
        Self::ViewerStream,
        Self::Index,
        Self::Stream,
        Self::Trace,
        Self::Session,
        Self::Chunk,
        Self::TraceFile,
        Self::File,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::ViewerSession => "viewer session",
            Self::ViewerStream => "viewer stream",
            Self::Index => "index",
            Self::Stream => "stream",
            Self::Trace => "trace",
            Self::Session => "session",
            Self::Chunk => "chunk",
            Self::TraceFile => "trace file",
            Self::File => "file",
        }
    }

    /// The word for several of them.
    pub fn plural(self) -> String {
        match self {
            Self::Index => "indexes".to_owned(),
            _ => format!("{}s", self.name()),
        }
    }
}

/// A record by its kind and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub kind: Kind,
    pub key: KeyData,
}

impl Id {
    pub fn new(kind: Kind, key: impl Key) -> Self {
        let key = key.data();
        Self { kind, key }
    }
}

impl From<Hold> for Id {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::ViewerSession(key) => Self::new(Kind::ViewerSession, key),
            Hold::Stream(key) => Self::new(Kind::Stream, key),
            Hold::Trace(key) => Self::new(Kind::Trace, key),
            Hold::Session(key) => Self::new(Kind::Session, key),
            Hold::TraceFile(key) => Self::new(Kind::TraceFile, key),
            Hold::Chunk(key) => Self::new(Kind::Chunk, key),
            Hold::File(key) => Self::new(Kind::File, key),
        }
    }
}

/// `stream 3v1`: the kind, the slot, and the generation of the record in it.
impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.kind.name(), self.key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind and a key, such as `stream:3v1`")]
pub struct NotAnId(String);

/// Reads `stream 3v1`, or `stream:3v1`; `viewer-stream` is also a viewer stream.
impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId(text.to_owned());
        let (kind, key) = text.rsplit_once([':', ' ']).ok_or_else(wrong)?;
        let kind = kind.replace('-', " ");
        let kind = Kind::ALL.into_iter().find(|it| it.name() == kind);
        let (slot, generation) = key.split_once('v').ok_or_else(wrong)?;
        let slot: u32 = slot.parse().map_err(|_| wrong())?;
        let generation: u32 = generation.parse().map_err(|_| wrong())?;
        Ok(Self {
            kind: kind.ok_or_else(wrong)?,
            key: KeyData::from_ffi(u64::from(generation) << 32 | u64::from(slot)),
        })
    }
}

/// Looks at the arenas, kind by kind.
pub trait Visit {
    fn arena<E: Entity + Described>(&mut self, kind: Kind, arena: &Arena<E::Key, E>);
}

/// Visits every arena.
pub fn walk(entities: &Entities, visit: &mut impl Visit) {
    visit.arena(Kind::Connection, &entities.connections);
    visit.arena(Kind::ViewerSession, &entities.viewer_sessions);
    visit.arena(Kind::ViewerStream, &entities.viewer_streams);
    visit.arena(Kind::Index, &entities.indexes);
    visit.arena(Kind::Stream, &entities.streams);
    visit.arena(Kind::Trace, &entities.traces);
    visit.arena(Kind::Session, &entities.sessions);
    visit.arena(Kind::Chunk, &entities.chunks);
    visit.arena(Kind::TraceFile, &entities.trace_files);
    visit.arena(Kind::File, &entities.files);
}

/// All living records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(pub BTreeMap<Id, Entry>);

/// A record, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is, in a few words.
    pub label: String,
    /// What it is a part of.
    pub part_of: Option<Id>,
    /// Its owner is there.
    pub owned: bool,
    /// How many hold it by its own count, the owner included.
    pub holders: u32,
    /// Whom it holds; twice if twice.
    pub holds: Vec<Id>,
    /// Who holds it by their own word.
    pub held_by: Vec<Id>,
}

/// Looks at everything there is.
pub fn census(entities: Res<Entities>) -> Census {
    let mut census = Census::default();
    walk(&entities, &mut census);
    let links: Vec<(Id, Id)> = census
        .0
        .iter()
        .flat_map(|(id, entry)| entry.holds.iter().map(|held| (*id, *held)))
        .collect();
    for (holder, held) in links {
        if let Some(entry) = census.0.get_mut(&held) {
            entry.held_by.push(holder);
        }
    }
    census
}

impl Visit for Census {
    fn arena<E: Entity + Described>(&mut self, kind: Kind, arena: &Arena<E::Key, E>) {
        for (key, record) in arena.iter() {
            let mut holds = Vec::new();
            record.holds(&mut |hold| holds.push(hold.into()));
            let entry = Entry {
                label: record.label(),
                part_of: record.part_of(),
                owned: arena.is_owned(key),
                holders: arena.holders(key),
                holds,
                held_by: Vec::new(),
            };
            self.0.insert(Id::new(kind, key), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for kind in Kind::ALL {
            let key = KeyData::from_ffi((5 << 32) + 12);
            let id = Id { kind, key };
            let text = id.to_string();
            assert_eq!(text, format!("{} 12v5", kind.name()));
            assert_eq!(text.parse(), Ok(id));
            let typed = format!("{}:12v5", kind.name().replace(' ', "-"));
            assert_eq!(typed.parse(), Ok(id));
        }
        for wrong in [
            "", "stream", "stream:", "stream:3", "3v1", "cat:3v1", "stream:v",
        ] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }
}
