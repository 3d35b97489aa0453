//! A test that is skipped says so.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::thread;

/// Says that the case that runs is left out, and why.
pub fn say(why: impl Display) {
    let case = thread::current().name().unwrap_or("a case").to_owned();
    // Not `eprintln!`: the output of a case that passes is not shown.
    let _ = writeln!(io::stderr(), "{case}: skipped {why}");
}
