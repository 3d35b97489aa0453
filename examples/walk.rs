//! A walk through the code: a reader follows a call to its end, and the functions and files
//! on the way are counted.
//!
//! `cargo run --example walk -- TREE DIRECTORY FILE:FUNCTION…`, with the directory below the
//! tree in which calls are followed, and files below that directory. Calls of a function with
//! a `-` before it are not followed. For example a packet, in a stream that does not rotate:
//!
//! ```text
//! cargo run --example walk -- . systems/src -record/rotation.rs:try_rotate \
//!     ingest/data.rs:data record/commit.rs:commit serve/mod.rs:listen
//! ```
//!
//! Calls are followed in the order of the text, into each function once, whatever
//! condition they are under. They are found by their form: `name(…)` and `module::name(…)`
//! are free functions, `Type::name(…)` and `self.name(…)` those of a type, and
//! `value.name(…)` is one of a type whose name begins as that of the value. Other calls are
//! not followed. A *return* is a call from one file into another where the reader has been
//! before. Returns are counted for files, and for *rooms*: the directories below the named
//! one, and the files directly in it. Use the numbers to compare two trees; for one tree alone
//! they mean nothing.

#[path = "../tests/tidy/source.rs"]
#[allow(dead_code, reason = "the checks of habits need more of it")]
mod source;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::ExitCode;

use source::{File, bare, files, is_name};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [tree, directory, starts @ ..] = &words[..] else {
        eprintln!("walk: name a tree, a directory in it, and FILE:FUNCTION");
        return ExitCode::FAILURE;
    };
    let mut walk = Walk::of(&files(Path::new(tree), directory, "rs"), directory);
    let mut left_out = BTreeSet::new();
    for word in starts {
        let start = word.strip_prefix('-').unwrap_or(word);
        let found = start.split_once(':').and_then(|it| walk.find(it.0, it.1));
        let Some(found) = found else {
            eprintln!("walk: {start} is not FILE:FUNCTION of {tree}/{directory}");
            return ExitCode::FAILURE;
        };
        if start == word {
            walk.follow(found, None, 0);
        } else {
            walk.followed.insert(found);
            left_out.insert(found);
        }
    }
    let files = walk.entered.len();
    let functions = walk.followed.difference(&left_out).count();
    let rooms: BTreeSet<&str> = walk.entered.iter().map(|file| room(file)).collect();
    let (rooms, [to_files, to_rooms]) = (rooms.len(), walk.returns);
    println!(
        "{functions} functions, {files} files, {to_files} returns to a file; \
         {rooms} rooms, {to_rooms} returns to a room"
    );
    ExitCode::SUCCESS
}

/// A function, with what of it matters.
struct Function {
    file: String,
    name: String,
    /// The type that it is of.
    owner: Option<String>,
    body: String,
    /// All of its file, for what that imports.
    imports: String,
}

/// A reader's way.
struct Walk {
    functions: Vec<Function>,
    followed: BTreeSet<usize>,
    entered: BTreeSet<String>,
    /// To files, and to rooms.
    returns: [usize; 2],
}

impl Walk {
    fn of(files: &[File], directory: &str) -> Self {
        let mut functions = Vec::new();
        // Ports in memory belong to tests.
        let is_part = |file: &&File| !file.is_test() && !file.path.iter().any(|it| it == "memory");
        for file in files.iter().filter(is_part) {
            let path = file.path.strip_prefix(directory).unwrap_or(&file.path);
            let text = bare(&file.text);
            let lines: Vec<&str> = text.lines().collect();
            let uses = lines.iter().filter(|line| line.contains("use "));
            let imports: String = uses.copied().collect();
            for it in source::functions(&text) {
                functions.push(Function {
                    file: path.display().to_string(),
                    name: it.name,
                    owner: owner(&lines[..it.first - 1], lines[it.first - 1]),
                    body: lines[it.first..it.last].join("\n"),
                    imports: imports.clone(),
                });
            }
        }
        Self {
            functions,
            followed: BTreeSet::new(),
            entered: BTreeSet::new(),
            returns: [0; 2],
        }
    }

    fn find(&self, file: &str, name: &str) -> Option<usize> {
        let mut functions = self.functions.iter();
        functions.position(|it| it.file == file && it.name == name)
    }

    /// Enters a function from a file, and all that it calls.
    fn follow(&mut self, at: usize, from: Option<&str>, depth: usize) {
        let Function { file, name, .. } = &self.functions[at];
        let (file, name) = (file.clone(), name.clone());
        let has_been = |it: fn(&str) -> &str| {
            let is_known = self.entered.iter().any(|known| it(known) == it(&file));
            is_known && from.is_some_and(|from| it(from) != it(&file))
        };
        let returns = [has_been(|file| file), has_been(room)];
        self.returns[0] += usize::from(returns[0]);
        self.returns[1] += usize::from(returns[1]);
        self.entered.insert(file.clone());
        let mark = if returns[0] { " (return)" } else { "" };
        println!("{:indent$}{file}: {name}{mark}", "", indent = depth * 2);
        if self.followed.insert(at) {
            for called in calls(&self.functions[at].body) {
                if let Some(next) = self.resolve(at, &called) {
                    self.follow(next, Some(&file), depth + 1);
                }
            }
        }
    }

    fn resolve(&self, caller: usize, call: &Call) -> Option<usize> {
        let caller = &self.functions[caller];
        let fits = |it: &Function| {
            let is_same_file = it.file == caller.file;
            it.name == call.name
                && match (&call.of, &it.owner) {
                    (Of::Nothing, None) => is_same_file || imports(&caller.imports, &it.name),
                    (Of::Value(value), Some(_)) if value == "self" => {
                        is_same_file && it.owner == caller.owner
                    }
                    (Of::Value(value), Some(owner)) => owner.to_lowercase().starts_with(value),
                    (Of::Path(path), Some(_)) if path == "Self" => {
                        is_same_file && it.owner == caller.owner
                    }
                    (Of::Path(path), Some(owner)) => owner == path,
                    (Of::Path(path), None) => is_module(&it.file, path),
                    _ => false,
                }
        };
        let found: Vec<usize> = (0..self.functions.len())
            .filter(|at| fits(&self.functions[*at]))
            .collect();
        // One's own file and directory come first.
        let is_near =
            |at: &&usize| directory(&self.functions[**at].file) == directory(&caller.file);
        let is_own = |at: &&usize| self.functions[**at].file == caller.file;
        let one_of = |found: Vec<&usize>| match found[..] {
            [one] => Some(*one),
            _ => None,
        };
        one_of(found.iter().filter(is_own).collect())
            .or_else(|| one_of(found.iter().filter(is_near).collect()))
            .or_else(|| one_of(found.iter().collect()))
    }
}

/// A call as it is written.
struct Call {
    name: String,
    of: Of,
}

/// The text before a name.
enum Of {
    Nothing,
    Value(String),
    Path(String),
}

fn calls(body: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for (at, _) in body.match_indices('(') {
        let (before, name) = last_name(&body[..at]);
        if name.is_empty() || before.ends_with("fn ") {
            continue;
        }
        let of = if let Some(path) = before.strip_suffix("::") {
            Of::Path(last_name(path).1.to_owned())
        } else if let Some(value) = before.trim_end().strip_suffix('.') {
            Of::Value(last_name(value.trim_end()).1.to_owned())
        } else {
            Of::Nothing
        };
        // A call on what another call gave has no name that tells its type.
        if !matches!(&of, Of::Value(name) | Of::Path(name) if name.is_empty()) {
            let name = name.to_owned();
            calls.push(Call { name, of });
        }
    }
    calls
}

/// A text without its last name, and that.
fn last_name(text: &str) -> (&str, &str) {
    text.split_at(text.trim_end_matches(is_name).len())
}

/// The type in whose block a function is, if it is in one.
fn owner(above: &[&str], line: &str) -> Option<String> {
    if !line.starts_with(' ') {
        return None;
    }
    let block = above.iter().rev().find(|line| line.starts_with("impl"))?;
    let named = block.split(" for ").last()?.trim_start_matches("impl");
    let named = named.trim_start();
    let named = match named.strip_prefix('<') {
        Some(generic) => generic.split_once("> ")?.1,
        None => named,
    };
    Some(named.chars().take_while(|it| is_name(*it)).collect())
}

fn imports(uses: &str, name: &str) -> bool {
    source::has(uses, name)
}

/// Whether a file is the module of that name.
fn is_module(file: &str, name: &str) -> bool {
    let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
    file.rsplit('/').next() == Some(name)
}

/// The first directory of a path, or the file that has none.
fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

fn directory(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(directory, _)| directory)
}
