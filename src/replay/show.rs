//! Prints all records as a tree, with their holders (`--show`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use baton_components::kinds::{Id, Kind};
use baton_systems::census::{Census, Entry};
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// All records at the end of that tick.
pub fn show(census: &Census, tick: u64, format: Format) -> String {
    let tree = Tree::of(census);
    match format {
        Format::Text => {
            let mut text = format!("the world after tick {tick}\n");
            for id in &tree.roots {
                tree.print(*id, 1, &mut text);
            }
            if tree.roots.is_empty() {
                text += "  nothing\n";
            }
            text
        }
        Format::Json => {
            let records = tree.roots.iter().map(|id| tree.node(*id)).collect();
            let world = World { tick, records };
            let text = serde_json::to_string_pretty(&world);
            text.expect("law: names and numbers can be written as JSON") + "\n"
        }
    }
}

#[derive(Serialize)]
struct World {
    tick: u64,
    records: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    kind: &'static str,
    key: String,
    label: String,
    owned: bool,
    holders: u32,
    held_by: Vec<String>,
    holds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Node>,
}

struct Tree<'a> {
    census: &'a Census,
    /// Records without a parent, in a useful order for people.
    roots: Vec<Id>,
    parts: BTreeMap<Id, Vec<Id>>,
}

/// The order of the roots.
const ORDER: [Kind; 10] = [
    Kind::Connection,
    Kind::Session,
    Kind::Chunk,
    Kind::Trace,
    Kind::Stream,
    Kind::Index,
    Kind::TraceFile,
    Kind::File,
    Kind::ViewerSession,
    Kind::ViewerStream,
];

impl<'a> Tree<'a> {
    fn of(census: &'a Census) -> Self {
        let mut tree = Self {
            census,
            roots: Vec::new(),
            parts: BTreeMap::new(),
        };
        for kind in ORDER {
            for (id, entry) in census.0.iter().filter(|(id, _)| id.kind == kind) {
                match tree.whole_of(*id, entry) {
                    Some(whole) => tree.parts.entry(whole).or_default().push(*id),
                    None => tree.roots.push(*id),
                }
            }
        }
        tree
    }

    /// The parent of a record: as its description says; for chunks and files, their holder.
    fn whole_of(&self, id: Id, entry: &Entry) -> Option<Id> {
        if let Kind::Chunk | Kind::File = id.kind {
            let place = |id: &&Id| ORDER.iter().position(|kind| *kind == id.kind);
            entry.held_by.iter().min_by_key(place).copied()
        } else {
            entry.part_of.filter(|id| self.census.0.contains_key(id))
        }
    }

    fn print(&self, id: Id, depth: usize, text: &mut String) {
        let Some(entry) = self.census.0.get(&id) else {
            return;
        };
        let indent = "  ".repeat(depth);
        let _ = writeln!(text, "{indent}{id}: {} [{}]", entry.label, holders(entry));
        for part in self.parts.get(&id).into_iter().flatten() {
            self.print(*part, depth + 1, text);
        }
    }

    fn node(&self, id: Id) -> Node {
        let entry = self.census.0.get(&id).cloned().unwrap_or_default();
        let names = |ids: &[Id]| ids.iter().map(Id::to_string).collect();
        let parts = self.parts.get(&id).into_iter().flatten();
        Node {
            kind: id.kind.name(),
            key: format!("{:?}", id.key),
            owned: entry.owned,
            holders: entry.holders,
            held_by: names(&entry.held_by),
            holds: names(&entry.holds),
            label: entry.label,
            parts: parts.map(|part| self.node(*part)).collect(),
        }
    }
}

/// `3 holders: its owner, stream 1v1, index 2v1`
fn holders(entry: &Entry) -> String {
    let owner = entry.owned.then(|| "its owner".to_owned());
    let held_by = entry.held_by.iter().map(Id::to_string);
    let names: Vec<_> = owner.into_iter().chain(held_by).collect();
    let word = if entry.holders == 1 {
        "holder"
    } else {
        "holders"
    };
    format!("{} {word}: {}", entry.holders, names.join(", "))
}
