//! Circles: files of a crate that use each other.
//!
//! The rule. At each level of a crate's tree of modules, a file counts together with the
//! files in the directory of its name. Of two such neighbours that use each other, also by
//! way of others, each must be read to understand the other. A file and the files in its
//! directory are one thing to the rest, so what these use of each other is their own
//! affair: the file calls them, and they take its types.
//!
//! The files that a file uses are found in its `use` declarations and in paths that begin
//! with `crate`, `self` or `super`. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::{File, bare, is_name};

type Module = Vec<String>;

/// Neighbours, what they use of each other, and where.
type Level = BTreeMap<String, BTreeMap<String, (PathBuf, PathBuf)>>;

/// The uses that are parts of circles: the file, and what of the same crate it uses.
pub fn circles(files: &[File], root: &str) -> Vec<(PathBuf, PathBuf)> {
    let modules: BTreeMap<Module, &File> = files
        .iter()
        .filter(|file| !file.is_test())
        .filter_map(|file| Some((module(file.path.strip_prefix(root).ok()?)?, file)))
        .collect();
    let mut levels: BTreeMap<Module, Level> = BTreeMap::new();
    for (module, file) in &modules {
        for path in paths(&bare(&file.text)) {
            let Some(used) = resolve(module, &path, &modules) else {
                continue;
            };
            let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            // Else one is the other's parent.
            if let (Some(one), Some(other)) = (module.get(common), used.get(common)) {
                let level = levels.entry(module[..common].to_vec()).or_default();
                let of_one = level.entry(one.clone()).or_default();
                let files = (file.path.clone(), modules[&used].path.clone());
                of_one.entry(other.clone()).or_insert(files);
            }
        }
    }
    let of_level = |level: &Level| {
        let edges = level.iter().flat_map(|(one, uses)| {
            let back = uses.iter().filter(|(other, _)| reaches(level, other, one));
            back.map(|(_, files)| files.clone()).collect::<Vec<_>>()
        });
        edges.collect::<Vec<_>>()
    };
    levels.values().flat_map(of_level).collect()
}

fn reaches(level: &Level, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut left = vec![from];
    while let Some(next) = left.pop() {
        for used in level.get(next).into_iter().flat_map(BTreeMap::keys) {
            if used == to {
                return true;
            }
            if seen.insert(used) {
                left.push(used);
            }
        }
    }
    false
}

/// The module that a file of a library is; none for programs.
fn module(path: &Path) -> Option<Module> {
    let text = path.with_extension("");
    let mut names: Module = text
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    match names.last().map(String::as_str) {
        Some("main") => return None,
        Some("mod" | "lib") => drop(names.pop()),
        _ => {}
    }
    (names.first().is_none_or(|it| it != "bin")).then_some(names)
}

/// The module of the crate in which a path ends.
fn resolve(user: &Module, path: &[String], modules: &BTreeMap<Module, &File>) -> Option<Module> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let mut names = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [user, &path[1..]].concat(),
        "super" => [&user[..user.len().checked_sub(ups)?], &path[ups..]].concat(),
        _ => {
            let below = [user, path].concat();
            modules
                .contains_key(&below[..=user.len()])
                .then_some(below)?
        }
    };
    while !modules.contains_key(&names) {
        names.pop()?;
    }
    (names != *user).then_some(names)
}

/// The paths of a text: what `use` names, and what begins in the crate.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    for statement in text.split_inclusive(';') {
        // It may follow a block or an attribute in the same piece.
        let begin = statement
            .match_indices("use ")
            .map(|(at, _)| at)
            .filter(|at| !statement[..*at].ends_with(is_name))
            .last();
        match begin {
            Some(at) => {
                rest += &statement[..at];
                expand(&[], statement[at + 4..].trim_end_matches(';'), &mut paths);
            }
            None => rest += statement,
        }
    }
    let is_path = |it: char| is_name(it) || it == ':';
    for word in rest.split(|it| !is_path(it)) {
        let names: Vec<_> = word.split("::").map(str::to_owned).collect();
        let begins = ["crate", "self", "super"].contains(&names[0].as_str());
        if begins && names.len() > 1 {
            paths.push(names);
        }
    }
    paths
}

/// The paths of a tree of `use`.
fn expand(before: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let (path, group) = match tree.split_once('{') {
        Some((path, group)) => (path, group.trim_end().strip_suffix('}')),
        None => (tree, None),
    };
    let path = path.split(" as ").next().unwrap_or(path);
    let names = path.split("::").map(str::trim).filter(|it| !it.is_empty());
    let path: Vec<_> = before
        .iter()
        .cloned()
        .chain(names.map(str::to_owned))
        .collect();
    let Some(group) = group else {
        paths.push(path);
        return;
    };
    let mut depth = 0;
    let mut begin = 0;
    for (at, it) in group.char_indices().chain([(group.len(), ',')]) {
        match it {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[begin..at].trim().is_empty() {
                    expand(&path, &group[begin..at], paths);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| File {
                path: Path::new("src").join(path),
                text: (*text).to_owned(),
            })
            .collect();
        let circles = circles(&files, "src").into_iter();
        let text = circles.map(|(one, other)| format!("{} {}", one.display(), other.display()));
        text.collect()
    }

    #[test]
    fn neighbours_that_use_each_other_are_a_circle() {
        let both = [
            ("a.rs", "use crate::b::{self, c};"),
            ("b.rs", "fn f() { crate::a::g() }"),
        ];
        assert_eq!(found(&both), ["src/a.rs src/b.rs", "src/b.rs src/a.rs"]);
        let three = [
            ("a.rs", "use crate::{b, x};"),
            ("b.rs", "use super::c::C;"),
            ("c.rs", "use crate::a::A;"),
            ("x.rs", "use crate::c;"),
        ];
        assert_eq!(found(&three).len(), 5);
    }

    #[test]
    fn a_directory_is_one_with_the_file_of_its_name() {
        let parent = [
            ("a/mod.rs", "mod b; use self::b::B; pub struct A;"),
            ("a/b.rs", "use super::A;"),
        ];
        assert_eq!(found(&parent), [""; 0]);
        let across = [
            ("a/mod.rs", "mod b;"),
            ("a/b.rs", "use crate::c;"),
            ("c.rs", "use crate::a::A;"),
        ];
        let expected = ["src/a/b.rs src/c.rs", "src/c.rs src/a/mod.rs"];
        assert_eq!(found(&across), expected);
    }

    #[test]
    fn tests_and_texts_make_no_circle() {
        let texts = [
            ("a.rs", "use crate::b;"),
            (
                "b.rs",
                "// crate::a\nconst A: &str = \"crate::a::A\";\n#[cfg(test)]\nmod tests { use crate::a; }",
            ),
        ];
        assert_eq!(found(&texts), [""; 0]);
    }
}
