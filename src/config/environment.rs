//! Environment variables: directories, colours, TCP keep-alive.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use uzers::os::unix::UserExt;

use crate::options::value::{number, switch};
use crate::os::tcp_timeouts::{KeepAlive, TcpTimeouts};

/// The value of a variable, if it is set and not empty.
///
/// A set-user-ID or set-group-ID program does not trust the environment of its user.
pub fn variable(name: &str) -> Option<OsString> {
    if has_borrowed_rights() {
        return None;
    }
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether this program is set-user-ID or set-group-ID.
pub fn has_borrowed_rights() -> bool {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    geteuid() != getuid() || getegid() != getgid()
}

/// The home directory, as far as LTTng is concerned.
pub fn home() -> Option<PathBuf> {
    variable("LTTNG_HOME")
        .or_else(|| variable("HOME"))
        .map(PathBuf::from)
        .or_else(|| {
            Some(
                // The home directory of the effective user, who may write the files there.
                uzers::get_user_by_uid(uzers::get_effective_uid())?
                    .home_dir()
                    .to_owned(),
            )
        })
}

/// The run directory, with health socket and port files, if it is known.
pub fn run_directory() -> Option<PathBuf> {
    if let Some(directory) = variable("LTTNG_RUNDIR") {
        return Some(directory.into());
    }
    if rustix::process::geteuid().is_root() {
        return Some("/var/run/lttng".into());
    }
    Some(home()?.join(".lttng"))
}

/// Whether the log is coloured; none: on terminals only.
pub fn colored() -> Option<bool> {
    match text_of("LTTNG_TERM_COLOR").as_deref() {
        Some("always") => Some(true),
        Some("never") => Some(false),
        _ => variable("NO_COLOR").map(|_| false),
    }
}

/// Whether the first error in the log ends the relay, with a core dump.
pub fn aborts_on_error() -> bool {
    text_of("LTTNG_ABORT_ON_ERROR").is_some_and(|text| text == "1")
}

/// TCP keep-alive and user timeout from variables. An invalid value is a warning, and its
/// default is used.
pub fn tcp_timeouts(warnings: &mut Vec<String>) -> TcpTimeouts {
    let mut timeouts = TcpTimeouts::default();
    if let Some(text) = text_of(KEEP_ALIVE) {
        match switch(&text) {
            Some(true) => {}
            Some(false) => timeouts.keep_alive = None,
            None => warnings.push(format!("Invalid value for {KEEP_ALIVE}")),
        }
    }
    if let Some(keep_alive) = &mut timeouts.keep_alive {
        read_keep_alive(keep_alive, warnings);
    }
    if text_of(ABORT_THRESHOLD).is_some() {
        warnings.push(format!("{ABORT_THRESHOLD} has no meaning on this system"));
    }
    set(TIMEOUT, warnings, |value| {
        timeouts.timeout = value.map(milliseconds);
    });
    timeouts
}

fn read_keep_alive(keep_alive: &mut KeepAlive, warnings: &mut Vec<String>) {
    set(IDLE_TIME, warnings, |value| {
        keep_alive.idle = value.map(seconds);
    });
    set(PROBE_INTERVAL, warnings, |value| {
        keep_alive.interval = value.map(seconds);
    });
    set(PROBE_COUNT, warnings, |value| keep_alive.probes = value);
}

/// Sets a number from a variable, if it is set; 0 or -1 means the system's default (none).
fn set(name: &str, warnings: &mut Vec<String>, take: impl FnOnce(Option<u32>)) {
    let Some(text) = text_of(name) else {
        return;
    };
    match number(&text).map(u32::try_from) {
        Some(Ok(0)) => take(None),
        Some(Ok(value)) => take(Some(value)),
        Some(Err(_)) if number(&text) == Some(-1) => take(None),
        _ => warnings.push(format!(
            "Invalid value for {name}: {text} is not a number from -1"
        )),
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

fn text_of(name: &str) -> Option<String> {
    Some(variable(name)?.to_string_lossy().into_owned())
}

const KEEP_ALIVE: &str = "LTTNG_RELAYD_TCP_KEEP_ALIVE";
const IDLE_TIME: &str = "LTTNG_RELAYD_TCP_KEEP_ALIVE_IDLE_TIME";
const PROBE_INTERVAL: &str = "LTTNG_RELAYD_TCP_KEEP_ALIVE_PROBE_INTERVAL";
const PROBE_COUNT: &str = "LTTNG_RELAYD_TCP_KEEP_ALIVE_MAX_PROBE_COUNT";
const ABORT_THRESHOLD: &str = "LTTNG_RELAYD_TCP_KEEP_ALIVE_ABORT_THRESHOLD";
const TIMEOUT: &str = "LTTNG_NETWORK_SOCKET_TIMEOUT";
