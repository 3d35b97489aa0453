//! `baton ls`: the chunks of an archive, or of a directory.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use baton_components::shown::{Shown, Size};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::chunk::Chunk;
use crate::facts::{self, Traces};
use crate::find;
use crate::manifest::{HEAD_MAX, Head};
use crate::store::{Patience, Place, Store};
use crate::{Error, keys, say};

/// Which chunks: those of a host and a session that overlap a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub host: Option<String>,
    /// Name of a session's directory, or what it begins with before the time of its creation.
    pub session: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Store(Place),
    Directory(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// The options of `baton ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub source: Source,
    pub filter: Filter,
    pub format: Format,
    pub patience: Patience,
}

/// Returns whether all could be read.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let (heads, is_whole) = match &plan.source {
        Source::Store(place) => {
            let store = Store::open(place, plan.patience)?;
            heads(&store, &plan.filter)?
        }
        Source::Directory(directory) => local(directory, &plan.filter)?,
    };
    match plan.format {
        Format::Text => baton::print(table(&heads))?,
        Format::Json => {
            let lines = heads.iter().map(serde_json::to_string);
            let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
            // Each line has its end.
            lines.push(String::new());
            baton::print(lines.join("\n"))?;
        }
    }
    Ok(is_whole)
}

impl Filter {
    pub fn takes(&self, head: &Head) -> bool {
        let is_session = |wanted: &String| {
            let rest = head.session.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || is_stamp(rest))
        };
        self.host.as_ref().is_none_or(|host| *host == head.host)
            && self.session.as_ref().is_none_or(is_session)
            && self.from.is_none_or(|from| head.end >= from)
            && self.to.is_none_or(|to| head.begin <= to)
    }
}

/// Whether it is what LTTng appends to a session's name: `-20261129-070000`.
fn is_stamp(text: &str) -> bool {
    const SHAPE: &str = "-00000000-000000";
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        _ => found == wanted,
    };
    text.len() == SHAPE.len() && text.bytes().zip(SHAPE.bytes()).all(fits)
}

/// The heads in a store, by the begin of their chunks. Of a chunk that was archived again since
/// it had changed, only the last. False if some could not be read, which is told.
pub fn heads(store: &Store, filter: &Filter) -> Result<(Vec<Head>, bool), Error> {
    let mut latest: BTreeMap<(String, String), Head> = BTreeMap::new();
    let is_whole = each_head(store, filter.from, |_, head| {
        let of = (head.relay.clone(), head.path.clone());
        if filter.takes(&head) && latest.get(&of).is_none_or(|it| it.id < head.id) {
            latest.insert(of, head);
        }
    })?;
    let mut heads: Vec<_> = latest.into_values().collect();
    heads.sort_by(|a, b| (a.begin, &a.path).cmp(&(b.begin, &b.path)));
    Ok((heads, is_whole))
}

/// Gives all heads of chunks that end on the day of `from` or later, with their keys.
pub fn each_head(
    store: &Store,
    from: Option<Timestamp>,
    mut each: impl FnMut(String, Head),
) -> Result<bool, Error> {
    let mut keys = Vec::new();
    // Heads are on the day of the end, so none of an earlier day overlaps.
    let after = from.map(keys::from_day);
    store.list(keys::DAYS, after.as_deref(), |listed| {
        keys.push(listed.key);
        Ok::<_, Error>(())
    })?;
    let mut is_whole = true;
    for keys in keys.chunks(BATCH) {
        let heads = thread::scope(|scope| {
            let read = |key: &String| {
                let key = key.clone();
                scope.spawn(move || store.read_whole(&key, HEAD_MAX))
            };
            let threads: Vec<_> = keys.iter().map(read).collect();
            let mut heads = Vec::new();
            for thread in threads {
                heads.push(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            heads
        });
        for (key, head) in keys.iter().zip(heads) {
            let Some(bytes) = head? else {
                // It was pruned meanwhile.
                continue;
            };
            match Head::read(&bytes) {
                Ok(head) => each(key.clone(), head),
                Err(reason) => {
                    is_whole = false;
                    let key = Shown(key.as_bytes());
                    say(format_args!("baton: {key} is left out: {reason}"));
                }
            }
        }
    }
    Ok(is_whole)
}

/// Heads that are asked for at once: each is small, and a server far away takes its time.
const BATCH: usize = 16;

/// The heads of the chunks in a directory, as an archive would have them.
fn local(directory: &Path, filter: &Filter) -> Result<(Vec<Head>, bool), Error> {
    let found = find::find(directory)?;
    for error in &found.failures {
        say(format_args!("baton ls: {error}"));
    }
    let mut is_whole = found.failures.is_empty();
    let mut heads = Vec::new();
    for chunk in &found.chunks {
        match head(chunk) {
            Ok(head) => heads.extend(Some(head).filter(|head| filter.takes(head))),
            Err(_) if !chunk.root.exists() => {}
            Err(error) => {
                is_whole = false;
                say(format_args!("baton ls: {error}"));
            }
        }
    }
    heads.sort_by(|a, b| (a.begin, &a.path).cmp(&(b.begin, &b.path)));
    Ok((heads, is_whole))
}

pub fn head(chunk: &Chunk) -> Result<Head, Error> {
    let files = chunk.files()?;
    let traces = Traces::of(chunk, &files);
    let data = files.iter().filter(|file| file.is_data());
    let streams: Vec<_> = data
        .filter_map(|file| traces.packets(chunk, file).stream())
        .collect();
    let bytes = files.iter().map(|file| file.bytes).sum();
    let head = Head {
        stored_bytes: bytes,
        ..facts::head(chunk, &files, &traces, &streams)
    };
    Ok(head)
}

fn table(heads: &[Head]) -> String {
    let mut rows = vec![
        [
            "BEGIN",
            "END",
            "SIZE",
            "STORED",
            "PACKETS",
            "DISCARDED",
            "LOST",
            "HOST",
            "PATH",
        ]
        .map(str::to_owned),
    ];
    for head in heads {
        rows.push([
            moment(head.begin),
            moment(head.end),
            Size(head.bytes).to_string(),
            Size(head.stored_bytes).to_string(),
            head.packets.to_string(),
            head.discarded.to_string(),
            head.lost.to_string(),
            Shown(head.host.as_bytes()).to_string(),
            head.shown(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(at, (cell, width))| match at {
            // Numbers end where they end, names begin where they begin.
            2..=6 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

fn moment(moment: Timestamp) -> String {
    let moment = moment.to_zoned(TimeZone::UTC);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
