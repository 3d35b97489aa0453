//! Gives the same command lines to the original and to Baton.
//!
//! If the results differ, the row must have a reason. The test prints the table, and writes
//! it to `command-lines.md` in the build's directory for temporary files.
//!
//! Without the original on this machine there is nothing to compare: the test says so, and
//! fails if `BATON_TEST_REQUIRE_ORIGINAL` is set.

mod lines;
mod program;
#[path = "../skip/mod.rs"]
mod skip;

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
        let is_required = std::env::var_os("BATON_TEST_REQUIRE_ORIGINAL").is_some();
        assert!(!is_required, "there is no {ORIGINAL}: install lttng-tools");
        skip::say(format_args!("since there is no {ORIGINAL}"));
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
# Command lines: lttng-relayd and Baton

Each row gives the same command line to `lttng-relayd` 2.13.9 and to Baton under the name
`lttng-relayd`. A cell shows the exit status and the first line of the output; *runs* means
that the process was still running after half a second.

- `LISTEN` stands for `-C`, `-D`, `-L` and `-o` with free ports and a temporary directory.
- `{}` stands for that directory; *file* is `.lttng/lttng.conf` and `file` in it.
- An empty last column means that both behave the same.

`cargo test --test compare` makes this table, and fails if a difference has no reason.

| command line | lttng-relayd 2.13.9 | Baton | reason for the difference |
| --- | --- | --- | --- |
";
