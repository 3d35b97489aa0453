//! The audit: every hold recounted from the records themselves.
//!
//! The law, for each key: its holders are its owner and the holds that living records
//! declare on it; nobody holds a key that is not in its arena; nothing condemned
//! outlives the tick.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use baton_components::arena::Arena;
use baton_components::hold::{Hold, Holder};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::ResMut;
use slotmap::Key;

use crate::entities::Entities;

/// What the audit has found, tick after tick.
#[derive(Debug, Default, Resource)]
pub struct Audit {
    /// Ticks that were audited.
    pub ticks: u64,
    /// What broke the law, in the first tick that had something.
    pub breaches: Vec<String>,
}

/// Recounts every hold and compares.
pub fn audit(entities: Entities, mut audit: ResMut<Audit>) {
    audit.ticks += 1;
    if audit.breaches.is_empty() {
        audit.breaches = breaches(&entities);
    }
}

/// What is still there, one line for each kind that is not empty.
pub fn remains(entities: Entities) -> Vec<String> {
    let counts = [
        ("connections", entities.connections.len()),
        ("viewer sessions", entities.viewer_sessions.len()),
        ("viewer streams", entities.viewer_streams.len()),
        ("indexes", entities.indexes.len()),
        ("streams", entities.streams.len()),
        ("traces", entities.traces.len()),
        ("sessions", entities.sessions.len()),
        ("trace files", entities.trace_files.len()),
        ("chunks", entities.chunks.len()),
        ("files", entities.files.len()),
    ];
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {kind} are left"))
        .collect()
}

fn breaches(entities: &Entities) -> Vec<String> {
    let mut holds = Holds::default();
    holds.count(&entities.connections);
    holds.count(&entities.viewer_sessions);
    holds.count(&entities.viewer_streams);
    holds.count(&entities.indexes);
    holds.count(&entities.streams);
    holds.count(&entities.traces);
    holds.count(&entities.sessions);
    holds.count(&entities.trace_files);
    holds.count(&entities.chunks);
    holds.count(&entities.files);
    let mut breaches = Vec::new();
    let mut check = Check {
        holds: &mut holds,
        breaches: &mut breaches,
    };
    // Nothing holds these three kinds but their owners.
    check.arena(&entities.connections, "connection", |_| None);
    check.arena(&entities.viewer_streams, "viewer stream", |_| None);
    check.arena(&entities.indexes, "index", |_| None);
    check.arena(&entities.viewer_sessions, "viewer session", |key| {
        Some(Hold::ViewerSession(key))
    });
    check.arena(&entities.streams, "stream", |key| Some(Hold::Stream(key)));
    check.arena(&entities.traces, "trace", |key| Some(Hold::Trace(key)));
    check.arena(&entities.sessions, "session", |key| {
        Some(Hold::Session(key))
    });
    check.arena(&entities.trace_files, "trace file", |key| {
        Some(Hold::TraceFile(key))
    });
    check.arena(&entities.chunks, "chunk", |key| Some(Hold::Chunk(key)));
    check.arena(&entities.files, "file", |key| Some(Hold::File(key)));
    // What is left was declared on keys that no arena has.
    for (hold, count) in holds.0 {
        breaches.push(format!("{hold:?} is held {count} times and does not exist"));
    }
    breaches
}

/// How often each key is held.
#[derive(Default)]
struct Holds(BTreeMap<Hold, u32>);

impl Holds {
    fn count<K, T>(&mut self, arena: &Arena<K, T>)
    where
        K: Key + Send + Sync + 'static,
        T: Holder + Send + Sync + 'static,
    {
        for (_, record) in arena.iter() {
            record.holds(&mut |hold| *self.0.entry(hold).or_default() += 1);
        }
    }
}

struct Check<'a> {
    holds: &'a mut Holds,
    breaches: &'a mut Vec<String>,
}

impl Check<'_> {
    fn arena<K, T>(&mut self, arena: &Arena<K, T>, kind: &str, hold: impl Fn(K) -> Option<Hold>)
    where
        K: Key + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let mut living = 0;
        for (key, _) in arena.iter() {
            living += 1;
            let declared = hold(key)
                .and_then(|hold| self.holds.0.remove(&hold))
                .unwrap_or(0);
            let expected = declared + u32::from(arena.is_owned(key));
            let counted = arena.holders(key);
            if counted != expected {
                let mut line = format!("{kind} {key:?} counts {counted} holders");
                let _ = write!(line, ", its records declare {expected}");
                self.breaches.push(line);
            }
        }
        if living != arena.len() {
            let left = arena.len() - living;
            self.breaches.push(format!(
                "{left} condemned records of kind {kind} outlived a tick"
            ));
        }
    }
}
