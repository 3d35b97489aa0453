//! Files as text, those of Rust without comments, strings and tests, and where functions begin
//! and end. Nothing is parsed; `cargo fmt` has made the form of the code certain.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the workspace.
pub struct File {
    /// Relative to the workspace.
    pub path: PathBuf,
    pub text: String,
}

impl File {
    pub fn read(root: &Path, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = fs::read_to_string(root.join(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    /// Its lines without comments and indentation, numbered from 1.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().map(without_comment);
        (1..).zip(lines)
    }

    /// As [`File::code`], up to the first part that only tests have.
    pub fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let only_tests = self.is_test();
        self.code()
            .take_while(move |(_, code)| !only_tests && *code != "#[cfg(test)]")
    }

    /// Whether only tests are in it.
    pub fn is_test(&self) -> bool {
        let name = self.path.file_stem().and_then(|name| name.to_str());
        matches!(name, Some("tests" | "testing"))
    }

    pub fn functions(&self) -> Vec<Function> {
        functions(&self.text)
    }
}

/// A function with a body.
pub struct Function {
    pub name: String,
    /// The line of its name, from 1, and that of its last brace.
    pub first: usize,
    pub last: usize,
}

impl Function {
    pub fn lines(&self) -> usize {
        self.last - self.first + 1
    }
}

/// The functions of a formatted text: each ends with a brace below its first letter.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line) else {
            continue;
        };
        let closes = |line: &&str| {
            let is_below = line.len() - line.trim_start().len() == indent;
            // A signature of several lines without a body ends with the second.
            is_below && (line.trim() == "}" || line.trim().starts_with(')') && line.ends_with(';'))
        };
        let last = if line.ends_with(['}', ';']) {
            at
        } else {
            let rest = &lines[at + 1..];
            at + 1 + rest.iter().position(closes).unwrap_or(rest.len())
        };
        if lines.get(last).is_some_and(|line| line.ends_with('}')) {
            functions.push(Function {
                name,
                first: at + 1,
                last: last + 1,
            });
        }
    }
    functions
}

/// The name that a line gives to a function.
fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_prefix = |word: &str| {
        word.starts_with("pub") || matches!(word, "const" | "unsafe" | "extern" | "async")
    };
    before.split_whitespace().all(is_prefix).then(|| {
        let end = after.find(|it| !is_name(it)).unwrap_or(after.len());
        after[..end].to_owned()
    })
}

pub fn is_name(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

/// A text of the same lines in which comments are gone, strings are empty, and what only
/// tests have is gone.
pub fn bare(text: &str) -> String {
    without_tests(&without_strings(text))
}

fn without_strings(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            string_bytes(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string_bytes(rest)
        } else if first == '\'' {
            character_bytes(rest)
        } else {
            0
        };
        if skipped == 0 {
            bare.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            bare.extend(rest[..skipped].chars().filter(|it| *it == '\n'));
            rest = &rest[skipped..];
        }
    }
    bare
}

fn string_bytes(text: &str) -> usize {
    let mut escaped = true;
    for (at, it) in text.char_indices() {
        match it {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// None for a name that begins with `r#`.
fn raw_string_bytes(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let begin = hashes + 2;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text[begin..].find(&end).map(|at| begin + at + end.len());
    length.unwrap_or(text.len())
}

/// None for a lifetime.
fn character_bytes(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

fn without_tests(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        bare += before;
        let is_use = after.trim_start().starts_with("use ");
        let end = after.find(';').map_or(after.len(), |at| at + 1);
        let end = match after.find('{') {
            Some(brace) if brace < end && !is_use => brace + block_bytes(&after[brace..]),
            _ => end,
        };
        bare.extend(after[..end].chars().filter(|it| *it == '\n'));
        rest = &after[end..];
    }
    bare + rest
}

fn block_bytes(text: &str) -> usize {
    let mut depth = 0;
    for (at, it) in text.char_indices() {
        match it {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The files with that ending at or below a directory of the workspace, in the order of
/// their names. Not those that were built, nor hidden ones.
pub fn files(root: &Path, directory: &str, ending: &str) -> Vec<File> {
    let mut paths = Vec::new();
    collect(root, Path::new(directory), ending, &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no file below {directory}");
    let files = paths.into_iter();
    files.map(|path| File::read(root, path)).collect()
}

fn collect(root: &Path, directory: &Path, ending: &str, paths: &mut Vec<PathBuf>) {
    if root.join(directory).is_file() {
        paths.push(directory.to_owned());
        return;
    }
    let entries = fs::read_dir(root.join(directory))
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a directory");
        let name = entry.file_name();
        let path = directory.join(&name);
        let kind = entry.file_type().expect("the type of an entry");
        if kind.is_dir() {
            let hidden = name.to_string_lossy().starts_with('.');
            if !hidden && name != "target" {
                collect(root, &path, ending, paths);
            }
        } else if path.extension().is_some_and(|it| it == ending) {
            paths.push(path);
        }
    }
}

pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn without_comment(line: &str) -> &str {
    // `://` in a string is no comment.
    let end = line
        .match_indices("//")
        .map(|(at, _)| at)
        .find(|at| !line[..*at].ends_with(':'));
    line[..end.unwrap_or(line.len())].trim()
}

/// Whether `code` has `word`, and not as a part of a longer one.
pub fn has(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}
