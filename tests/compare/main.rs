//! The original and ours, given the same command lines.
//!
//! Where they come out differently, the row must say why. The table of both is printed,
//! and left in the build's directory for temporary files as `command-lines.md`.
//!
//! Without the original on this machine there is nothing to compare.

mod lines;
mod program;

use lines::LINES;
use program::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Longer than a relay takes to give up.
const PATIENCE: Duration = Duration::from_millis(500);

const ORIGINAL: &str = "/usr/bin/lttng-relayd";

#[test]
fn every_difference_is_explained() {
    if !Path::new(ORIGINAL).exists() {
        return;
    }
    let original = Program::new(ORIGINAL);
    let ours = Program::new(env!("CARGO_BIN_EXE_lttng-relayd"));
    let mut table = String::from(HEAD);
    let mut wrong = Vec::new();
    for line in LINES {
        let run = |patience| (original.run(line, patience), ours.run(line, patience));
        let is_explained = |(theirs, our): &_| (theirs != our) != line.why.is_empty();
        let mut came = run(PATIENCE);
        if !is_explained(&came) {
            // Whether they end is not known so soon on a busy machine.
            came = run(4 * PATIENCE);
        }
        let (theirs, our) = &came;
        let differs = theirs != our;
        if !is_explained(&came) {
            wrong.push(format!("{line:?}\n  original: {theirs}\n  ours: {our}"));
        }
        let surroundings = line.surroundings();
        let our = if differs {
            our.to_string()
        } else {
            "the same".to_owned()
        };
        let _ = writeln!(
            table,
            "| `{}`{surroundings} | {theirs} | {our} | {} |",
            line.words, line.why
        );
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command-lines.md");
    std::fs::write(&path, &table).expect("a file for the table");
    println!("{table}");
    assert!(
        wrong.is_empty(),
        "a difference without a reason, or a reason without a difference:\n{}",
        wrong.join("\n")
    );
}

const HEAD: &str = "\
# Command lines: the original and ours

Made by `cargo test --test compare` with `lttng-relayd` 2.13.9. *Runs* means that it
still ran after half a second; `LISTEN` stands for `-C`, `-D`, `-L` and `-o` on free
ports and in a directory of its own, `{}` for that directory.

| command line | original | ours | why |
| --- | --- | --- | --- |
";
