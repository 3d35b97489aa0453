//! Habits of the house that a program can check.
//!
//! Each case collects every breach, and its message names the file, the line and what
//! to do. The source is read as text: comments are cut off, nothing is parsed.

mod circles;
mod sentences;
mod source;

use std::path::Path;

use source::{File, has, without_comment, workspace};

/// The crates that know no operating system.
const PURE: [&str; 2] = ["components", "systems"];

/// The crates, where their code is.
const RELAY: [&str; 3] = ["src", "systems/src", "components/src"];
const SOURCES: [&str; 6] = [
    "src",
    "archive/src",
    "bench/src",
    "fuzz/src",
    "systems/src",
    "components/src",
];

/// Words that only the daemon may write, since they mean sockets, files or clocks.
const OUTSIDE: [&str; 8] = [
    "std::os",
    "std::net",
    "std::fs",
    "Instant",
    "SystemTime",
    "mio",
    "rustix",
    "libc",
];

/// Crates that touch the operating system.
const OUTSIDE_CRATES: [&str; 6] = ["mio", "rustix", "libc", "socket2", "signal-hook", "jiff"];

/// Where files and directories are at hand that peers have named.
const NAMED_BY_PEERS: [&str; 6] = ["os", "journal", "replay", "resend", "trace", "repair"];

/// Maximum lines of a file: more cannot be understood as a whole.
const LINES_MAX: usize = 600;
/// Maximum lines of a function: a longer one hides the order of its steps.
const FUNCTION_LINES_MAX: usize = 60;
const LONG: &str = "// Long because:";

#[test]
fn components_and_systems_touch_no_operating_system() {
    let mut breaches = Breaches::default();
    for file in PURE.iter().flat_map(|it| rust_files(&format!("{it}/src"))) {
        for (number, code) in file.code() {
            // `use std::{fs, net}` names them by their last word.
            let grouped = code.starts_with("use std::") && (has(code, "fs") || has(code, "net"));
            if let Some(word) = OUTSIDE.into_iter().find(|word| has(code, word)) {
                breaches.add(&file, number, &format!("{word}: go through a port"));
            } else if grouped {
                breaches.add(&file, number, "sockets or files: go through a port");
            }
        }
    }
    for manifest in PURE.map(Manifest::read) {
        for (number, name) in manifest.names() {
            if OUTSIDE_CRATES.iter().any(|it| name.starts_with(it)) {
                let advice = format!("{name}: only the root package may depend on it");
                breaches.add(&manifest.file, number, &advice);
            }
        }
    }
    breaches.assert_none("components and systems know no operating system");
}

#[test]
fn components_and_systems_have_no_unsafe_code() {
    let mut breaches = Breaches::default();
    for it in PURE {
        for file in rust_files(it) {
            for (number, _) in file.code().filter(|(_, code)| has(code, "unsafe")) {
                breaches.add(&file, number, "unsafe: write it without");
            }
        }
        let root = File::read(workspace(), format!("{it}/src/lib.rs"));
        if !root.code().any(|(_, it)| it == "#![forbid(unsafe_code)]") {
            breaches.add(&root, 1, "add #![forbid(unsafe_code)]");
        }
    }
    breaches.assert_none("components and systems are safe Rust");
}

#[test]
fn arrows_run_one_way() {
    let mut breaches = Breaches::default();
    for (package, allowed) in [
        ("components", &[][..]),
        ("systems", &["baton-components"][..]),
    ] {
        let manifest = Manifest::read(package);
        for (number, name) in manifest.names() {
            if name.starts_with("baton") && !allowed.contains(&name.as_str()) {
                let advice =
                    format!("{package} must not depend on {name}: move what is shared down");
                breaches.add(&manifest.file, number, &advice);
            }
        }
    }
    let root = Manifest::read(".");
    for (number, name) in root.names() {
        if ["baton-archive", "baton-bench", "baton-fuzz"].contains(&name.as_str()) {
            let advice = format!("{name}: the relay needs no package that stands beside it");
            breaches.add(&root.file, number, &advice);
        }
    }
    breaches.assert_none(
        "archive and bench depend on the root, the root on systems, systems on components",
    );
}

#[test]
fn recording_knows_no_listener() {
    let mut breaches = Breaches::default();
    for it in ["ingest", "record", "peers", "reclaim.rs"] {
        for file in rust_files(&format!("systems/src/{it}")) {
            for (number, code) in file.code() {
                for listener in ["serve", "status", "retain"] {
                    if code.contains(&format!("crate::{listener}")) {
                        let advice = format!("{listener}: push a fact, and let it listen");
                        breaches.add(&file, number, &advice);
                    }
                }
            }
        }
    }
    breaches.assert_none("ingest, record, peers and reclaim name nothing of a listener");
}

#[test]
fn recording_asks_nobody_who_asks_it() {
    let mut breaches = Breaches::default();
    for file in rust_files("systems/src/record") {
        for (number, code) in file.code() {
            for above in ["ingest", "peers"] {
                if code.contains(&format!("crate::{above}")) {
                    let advice = format!("{above}: it calls the recorder, not the recorder it");
                    breaches.add(&file, number, &advice);
                }
            }
        }
    }
    for file in rust_files("systems/src/peers") {
        for (number, code) in file.code() {
            if code.contains("crate::ingest") {
                breaches.add(&file, number, "ingest: ask the recorder");
            }
        }
    }
    breaches.assert_none("ingest and peers call the recorder");
}

#[test]
fn a_long_file_says_why() {
    let mut breaches = Breaches::default();
    for file in SOURCES.iter().flat_map(|it| rust_files(it)) {
        let count = file.text.lines().count();
        if count > LINES_MAX && !file.text.lines().any(|line| line.starts_with(LONG)) {
            let advice =
                format!("{count} lines: split it, or begin a line with `{LONG}` and the reason");
            breaches.add(&file, LINES_MAX + 1, &advice);
        }
    }
    breaches.assert_none(&format!("no file has more than {LINES_MAX} lines"));
}

#[test]
fn a_long_function_says_why() {
    let mut breaches = Breaches::default();
    for file in SOURCES.iter().flat_map(|it| rust_files(it)) {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for function in file.functions() {
            let above = lines[..function.first - 1].iter().rev();
            let mut head = above.take_while(|line| line.starts_with("//") || line.starts_with('#'));
            if function.lines() > FUNCTION_LINES_MAX && !head.any(|line| line.starts_with(LONG)) {
                let (name, count) = (&function.name, function.lines());
                let advice = format!(
                    "{name} has {count} lines: split it, or write `{LONG}` and the reason above it"
                );
                breaches.add(&file, function.first, &advice);
            }
        }
    }
    breaches.assert_none(&format!(
        "no function has more than {FUNCTION_LINES_MAX} lines"
    ));
}

#[test]
fn files_use_each_other_in_one_direction() {
    let mut breaches = Breaches::default();
    for root in SOURCES {
        for (user, used) in circles::circles(&rust_files(root), root) {
            let used = used.display();
            let advice =
                format!("it uses {used}, which leads back to it: move what both need below both");
            breaches.add(&File::read(workspace(), user), 1, &advice);
        }
    }
    breaches.assert_none("no circle of files");
}

#[test]
fn every_file_says_what_lives_in_it() {
    let mut breaches = Breaches::default();
    for file in rust_files("") {
        if !file.text.starts_with("//! ") {
            breaches.add(&file, 1, "begin it with //! and what lives here, and why");
        }
    }
    breaches.assert_none("every file begins with its documentation");
}

#[test]
fn nothing_is_left_undone() {
    let mut breaches = Breaches::default();
    for file in rust_files("") {
        if file.path == Path::new(file!()) {
            continue;
        }
        for (number, code) in file.code() {
            for (text, advice) in [
                ("todo!", "do it, or leave it out"),
                ("unimplemented!", "do it, or leave it out"),
                ("dbg!", "remove it"),
                (
                    // In two parts, so that a search for such tests does not find this line.
                    concat!("#[", "ignore"),
                    "a case that does not run checks nothing: mend or remove it",
                ),
            ] {
                if code.contains(text) {
                    breaches.add(&file, number, &format!("{text}: {advice}"));
                }
            }
        }
    }
    breaches.assert_none("nothing is left undone");
}

#[test]
fn nothing_from_a_peer_is_unwrapped() {
    let mut breaches = Breaches::default();
    for file in ["components/src/wire", "systems/src"]
        .iter()
        .flat_map(|it| rust_files(it))
    {
        for (number, code) in file.code_without_tests() {
            if code.contains(".unwrap()") {
                let advice = "unwrap: return an error, or name the law with expect";
                breaches.add(&file, number, advice);
            }
        }
    }
    breaches.assert_none("what a peer sends cannot end the relay");
}

#[test]
fn names_from_peers_are_escaped() {
    let mut breaches = Breaches::default();
    // The rest of `src` names what its own user has named.
    for file in PURE
        .iter()
        .map(|it| format!("{it}/src"))
        .chain(NAMED_BY_PEERS.map(|it| format!("src/{it}")))
        .flat_map(|it| rust_files(&it))
    {
        for (number, code) in file.code_without_tests() {
            for raw in ["from_utf8_lossy", ".display()"] {
                if code.contains(raw) {
                    let advice = format!("{raw}: show it through Shown, a path through os::shown");
                    breaches.add(&file, number, &advice);
                }
            }
        }
    }
    breaches.assert_none("no name of a peer's forges a line or rules a terminal");
}

#[test]
fn a_relay_prints_by_its_log_alone() {
    let mut breaches = Breaches::default();
    for file in RELAY.iter().flat_map(|it| rust_files(it)) {
        for (number, code) in file.code_without_tests() {
            for word in ["print!", "println!", "eprint!", "eprintln!"] {
                if has(code, word.trim_end_matches('!')) && code.contains(word) {
                    let advice = format!("{word}: it panics where nobody listens; log_queue::say");
                    breaches.add(&file, number, &advice);
                }
            }
        }
    }
    breaches.assert_none("who does not listen ends no relay");
}

#[test]
fn every_expect_names_its_law() {
    let mut breaches = Breaches::default();
    for file in SOURCES.iter().flat_map(|it| rust_files(it)) {
        let lines: Vec<_> = file.code_without_tests().collect();
        for (at, (number, code)) in lines.iter().enumerate() {
            let Some((_, after)) = code.split_once(".expect(") else {
                continue;
            };
            // A long message stands in the next line.
            let next = lines.get(at + 1).map_or("", |(_, code)| *code);
            let message = if after.is_empty() { next } else { after };
            if message.starts_with('"') && !has(message, "law") {
                breaches.add(
                    &file,
                    *number,
                    "begin the message with the law that is broken",
                );
            }
        }
    }
    breaches.assert_none("a message of expect names a law");
}

#[test]
fn headings_of_the_protocol_that_code_names_are_there() {
    const PAGE: &str = "docs/protocol.md";
    let mark = format!("`{PAGE}#");
    let page = File::read(workspace(), PAGE);
    let anchors: Vec<String> = page
        .text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let is_kept = |letter: &char| letter.is_alphanumeric() || " -".contains(*letter);
            words.chars().filter(is_kept).collect::<String>()
        })
        .map(|words| words.replace(' ', "-"))
        .collect();
    let mut breaches = Breaches::default();
    for file in SOURCES
        .iter()
        .chain(&["systems/tests", "tests"])
        .flat_map(|it| rust_files(it))
    {
        for (at, line) in file.text.lines().enumerate() {
            let named = line.split_once(&mark);
            if let Some(anchor) = named.and_then(|(_, rest)| rest.split('`').next())
                && !anchors.iter().any(|it| it == anchor)
            {
                let advice = format!("#{anchor}: name a heading of {PAGE}");
                breaches.add(&file, at + 1, &advice);
            }
        }
    }
    breaches.assert_none("whatever the code refers to can be found");
}

/// The faults, with their place.
#[derive(Default)]
struct Breaches(Vec<String>);

impl Breaches {
    fn add(&mut self, file: &File, line: usize, advice: &str) {
        let path = file.path.display();
        self.0.push(format!("{path}:{line}: {advice}"));
    }

    fn assert_none(self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}\n{}", self.0.join("\n"));
    }
}

/// A package's manifest.
struct Manifest {
    file: File,
}

impl Manifest {
    fn read(package: &str) -> Self {
        Self {
            file: File::read(workspace(), format!("{package}/Cargo.toml")),
        }
    }

    /// The text before `=` or the first `.`, and the last name of each header: the names of
    /// all dependencies, and other words.
    fn names(&self) -> impl Iterator<Item = (usize, String)> {
        (1..)
            .zip(self.file.text.lines())
            .filter_map(|(number, line)| {
                let line = line.trim();
                let name = if let Some(header) = line.strip_prefix('[') {
                    header.trim_end_matches(']').rsplit('.').next()
                } else {
                    line.split(['.', '=']).next()
                };
                let name = name?.trim().trim_matches('"').to_owned();
                (!name.is_empty()).then_some((number, name))
            })
    }
}

fn rust_files(directory: &str) -> Vec<File> {
    files(directory, "rs")
}

fn files(directory: &str, ending: &str) -> Vec<File> {
    source::files(workspace(), directory, ending)
}

#[test]
fn words_are_whole_and_comments_are_cut() {
    assert!(has("use mio::Poll;", "mio"));
    assert!(!has("simio::x", "mio"));
    assert!(!has("#![forbid(unsafe_code)]", "unsafe"));
    assert_eq!(without_comment("  let x = 1; // y"), "let x = 1;");
    assert_eq!(without_comment("\"tcp://host\""), "\"tcp://host\"");
}

#[test]
fn what_is_not_code_is_blank() {
    for (text, code) in [
        ("a /* */ b // c\n\"//\"d", "a /* */ b \nd"),
        ("'\\'' \"\\\"\" 'a' <'a> b\"c\"", "   <'a> b"),
        ("r#\"\"c\"# r\"\\\" r#type", "  r#type"),
        ("#[cfg(test)]\nmod tests {\n {} }\nx", "\n\n\nx"),
        ("#[cfg(test)]\npub mod tests;\nx {}", "\n\nx {}"),
    ] {
        assert_eq!(source::bare(text), code, "{text}");
    }
}

#[test]
fn functions_are_found_with_their_ends() {
    let text = "\
pub fn one() {}
trait T {
    fn none(&self);
    fn none_of_several_lines(
        &self,
    ) -> bool;
    pub(crate) const fn three(&self) -> bool {
        if true { 1 } else { 2 }
    }
}";
    let found = source::functions(text).into_iter();
    let found: Vec<_> = found.map(|it| (it.name, it.first, it.last)).collect();
    let expected = [("one".to_owned(), 1, 1), ("three".to_owned(), 7, 9)];
    assert_eq!(found, expected);
}
