//! Directories of a case, and the user that the tools of `LTTng` run as.
//!
//! A session daemon of root keeps its sockets in one directory of the system,
//! so there can be only one, and a test would disturb it. That of any other
//! user keeps them below `$LTTNG_HOME`: any number of them live side by side.
//! So a test run by root runs them as a user without privileges.

use crate::skip;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// "nobody", on every Linux system.
const UNPRIVILEGED: u32 = 65_534;

/// A host may have names that the program `hostname` refuses.
const CALL_HOST: &str = "echo \"$1\" >/proc/sys/kernel/hostname && shift && exec \"$@\"";

/// A new directory that belongs to the user that the tools run as.
pub fn home() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
        .expect("a directory that everybody may enter");
    if run_by_root() {
        chown(directory.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED))
            .expect("a directory of the user without privileges");
    }
    directory
}

/// `program`, run by the user without privileges, with `home` as its world.
pub fn command(program: impl AsRef<Path>, home: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env("HOME", home)
        .env("LTTNG_HOME", home)
        // Messages and formats are parsed here.
        .env("LC_ALL", "C")
        .env_remove("LTTNG_RUNDIR")
        .current_dir(home);
    if run_by_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// As [`command`], on a machine that is called `host`; none without the right to that.
pub fn command_on(host: &str, program: &str, home: &Path) -> Option<Command> {
    if !run_by_root() {
        skip::say("since only root may rename a machine");
        return None;
    }
    let user = UNPRIVILEGED.to_string();
    let mut command = command("unshare", home);
    command
        .uid(0)
        .gid(0)
        .args(["--uts", "sh", "-c", CALL_HOST])
        .args(["sh", host, "setpriv", "--clear-groups"])
        .args(["--reuid", &user, "--regid", &user, program]);
    Some(command)
}

/// The name of this machine, as producers announce it.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("the name of the host");
    name.trim_end().to_owned()
}

fn run_by_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
