//! The audit: recounts all references and shares from the records, and compares them with the
//! counts.
//!
//! The law, for each key: its holders are its owner and the holds that living records
//! declare on it; no record holds a key that is not in its arena; no condemned record
//! outlives the tick. For each address: its shares are what its records have.

use std::collections::BTreeMap;

use baton_components::arena::Arena;
use baton_components::connection::Role;
use baton_components::hold::Held;
use baton_components::keys::SessionKey;
use baton_components::kinds::{EntityKey, Id, Kind};
use baton_components::limits::{HALF_BYTES, VIEWER_STREAM_BYTES};
use baton_components::shares::{AddressKey, Asset, Miscount, Recount};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut};

use crate::described::Described;
use crate::entities::{Entities, Entity, Visit};

/// The result of the audit.
#[derive(Debug, Default, Resource)]
pub struct Audit {
    /// Ticks that were audited.
    pub ticks: u64,
    /// The breaches of the first tick that had any.
    pub breaches: Vec<Breach>,
}

/// A breach of the law.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    #[error("{id} counts {counted} holders, its records declare {declared}")]
    Miscounted { id: Id, counted: u32, declared: u32 },
    #[error("{id} is held {count} times and does not exist")]
    Missing { id: Id, count: u32 },
    #[error("{count} condemned records of kind {} outlived a tick", kind.name())]
    Outlived { kind: Kind, count: usize },
    #[error(transparent)]
    Share(#[from] Miscount),
}

/// Recounts every hold and share, and compares.
pub fn audit(entities: Res<Entities>, mut audit: ResMut<Audit>) {
    audit.ticks += 1;
    if audit.breaches.is_empty() {
        audit.breaches = breaches(&entities);
    }
}

/// The remaining records, one line for each kind that is not empty.
pub fn remains(entities: Res<Entities>) -> Vec<String> {
    let mut remains = Remains::default();
    entities.walk(&mut remains);
    remains.0
}

#[derive(Default)]
struct Remains(Vec<String>);

impl Visit for Remains {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>) {
        if !arena.is_empty() {
            let line = format!("{} {} are left", arena.len(), E::Key::KIND.plural());
            self.0.push(line);
        }
    }
}

fn breaches(entities: &Entities) -> Vec<Breach> {
    let mut holds = Holds::default();
    entities.walk(&mut holds);
    let mut check = Check {
        holds,
        breaches: Vec::new(),
    };
    entities.walk(&mut check);
    // The remaining holds are on keys that no arena has.
    let Check { holds, breaches } = check;
    let missing = holds.0.into_iter();
    let missing = missing.map(|(id, count)| Breach::Missing { id, count });
    let shares = entities.shares.compare(recount(entities));
    let shares = shares.into_iter().map(Breach::from);
    breaches.into_iter().chain(missing).chain(shares).collect()
}

/// Counts what each address has.
fn recount(entities: &Entities) -> Recount {
    let mut recount = Recount::default();
    for (_, connection) in entities.connections.iter() {
        let address = connection.address;
        recount.add(address, Asset::Connections, 1);
        recount.add(address, Asset::Memory, connection.memory_bytes);
        match &connection.role {
            Role::Data(data) if data.is_silent => recount.add(address, Asset::SilentConnections, 1),
            Role::Status(_) => recount.add(address, Asset::Monitors, 1),
            Role::Data(_) | Role::Control(_) | Role::Viewer(_) => {}
        }
    }
    for (_, viewer_stream) in entities.viewer_streams.iter() {
        recount.add(viewer_stream.address, Asset::Memory, VIEWER_STREAM_BYTES);
    }
    let of = |session: &Held<SessionKey>| -> AddressKey { entities.sessions[session].address };
    for (_, index) in entities.indexes.iter() {
        let stream = &entities.streams[&index.stream];
        recount.add(of(&stream.session), Asset::Memory, HALF_BYTES);
    }
    for (_, stream) in entities.streams.iter() {
        recount.add(of(&stream.session), Asset::Streams, 1);
    }
    for (_, session) in entities.sessions.iter() {
        recount.add(session.address, Asset::Sessions, 1);
    }
    for (_, file) in entities.trace_files.iter() {
        if let Some(stream) = entities
            .streams
            .get(file.stream)
            .filter(|_| file.is_awaited)
        {
            recount.add(of(&stream.session), Asset::AwaitedFiles, 1);
        }
        if let Some(waiting) = &file.waiting {
            for message in &waiting.messages {
                let bytes = message.memory_bytes();
                recount.add(waiting.address, Asset::WaitingMetadata, bytes);
                recount.add(waiting.address, Asset::Memory, bytes);
            }
        }
    }
    recount
}

/// Number of holds on each record.
#[derive(Default)]
struct Holds(BTreeMap<Id, u32>);

impl Visit for Holds {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>) {
        for (_, record) in arena.iter() {
            record.holds(&mut |hold| *self.0.entry(hold).or_default() += 1);
        }
    }
}

struct Check {
    holds: Holds,
    breaches: Vec<Breach>,
}

impl Visit for Check {
    fn arena<E: Entity + Described>(&mut self, arena: &Arena<E::Key, E>) {
        let mut living = 0;
        for (key, _) in arena.iter() {
            living += 1;
            let id = Id::from(key);
            let declared = self.holds.0.remove(&id).unwrap_or(0) + u32::from(arena.is_owned(key));
            let counted = arena.holders(key);
            if counted != declared {
                self.breaches.push(Breach::Miscounted {
                    id,
                    counted,
                    declared,
                });
            }
        }
        let count = arena.len() - living;
        if count > 0 {
            let kind = E::Key::KIND;
            self.breaches.push(Breach::Outlived { kind, count });
        }
    }
}
