//! The programs that the cases need: one clear message instead of a dozen odd
//! failures where they are missing.

use std::env;
use std::sync::OnceLock;

const PROGRAMS: [&str; 9] = [
    "lttng",
    "lttng-relayd",
    "lttng-sessiond",
    "babeltrace2",
    "cc",
    "install",
    "kill",
    "openssl",
    "stunnel4",
];

/// Fails, and says what to install, unless all tools are here.
pub fn check() {
    static MISSING: OnceLock<Vec<&str>> = OnceLock::new();
    let missing = MISSING.get_or_init(|| {
        PROGRAMS
            .into_iter()
            .filter(|program| !is_installed(program))
            .collect()
    });
    assert!(
        missing.is_empty(),
        "the end-to-end tests need {}: install the packages \
         lttng-tools, babeltrace2, liblttng-ust-dev, gcc, coreutils, procps, openssl and stunnel4",
        missing.join(", ")
    );
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
