//! Users: an unprivileged user, and a set-user-ID program.

use crate::application::{self, Workload};
use crate::events::assert_complete;
use crate::lttng::{Buffers, Producer};
use crate::process::{Process, eventually};
use crate::relay::{self, Relay};
use crate::sandbox;
use crate::skip;
use crate::viewer::read_directory;
use rustix::fs::StatVfsMountFlags;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_user_without_rights_runs_a_relay() {
    let home = sandbox::home();
    let user = fs::metadata(home.path()).expect("a home").uid();
    let program = install(home.path(), user, 0o755);
    let mut command = sandbox::command(program, home.path());
    command.args(relay::ANY_PORTS);
    command.arg("--pid-file").arg(relay::pid_file(home.path()));
    let mut process = Process::spawn(&mut command, home.path(), "relay");
    let run = home.path().join(".lttng");
    let live = run.join("relayd/live.port");
    let pid = relay::pid_file(home.path());
    eventually("a relay", PATIENCE, || live.exists() && pid.exists());
    let relay = Relay::running_with(home, run);

    let owner_and_mode = |path: &Path| {
        let metadata = fs::symlink_metadata(path).expect("a file");
        (metadata.uid(), metadata.permissions().mode() & 0o777)
    };
    for directory in ["", "relayd"] {
        let directory = relay.run_directory().join(directory);
        assert_eq!(owner_and_mode(&directory), (user, 0o700));
    }
    assert_eq!(owner_and_mode(&relay.health_socket()).0, user);

    let producer = Producer::start();
    let session = producer.live_session(&relay, "plain", Buffers::PerUser);
    let run = producer.launch(Workload::default()).finish();
    session.destroy();
    let traces = relay.directory().join("lttng-traces");
    assert_eq!(owner_and_mode(&traces).0, user);
    assert_complete(&read_directory(&traces), &[run]);
    relay.signal("TERM");
    process.wait_for_success(PATIENCE);
    relay.assert_gone();
}

/// The user's options for files, directories and ports are refused: the program would use
/// them with rights that the user does not have.
#[test]
fn a_program_with_borrowed_rights_is_not_told_where_to_write() {
    let directory = sandbox::home();
    let other = fs::metadata(directory.path()).expect("a home").uid();
    let program = install(directory.path(), other, 0o4755);
    if !lends_rights(&program) {
        skip::say("since this file system gives programs nobody else's rights");
        return;
    }
    let refused = [
        ("control-port", "tcp://127.0.0.1:1"),
        ("data-port", "tcp://127.0.0.1:2"),
        ("live-port", "tcp://127.0.0.1:3"),
        ("output", "/chosen"),
        ("group", "chosen"),
        ("working-directory", "/chosen"),
        ("config", "/chosen"),
        ("pid-file", "/chosen"),
    ];
    let mut command = std::process::Command::new(program);
    for (option, value) in refused {
        command.arg(format!("--{option}={value}"));
    }
    for variable in ["LTTNG_HOME", "LTTNG_RUNDIR", "HOME", "LTTNG_RELAYD_HEALTH"] {
        command.env(variable, "/chosen");
    }
    let output = command.arg("--check").output().expect("lttng-relayd");
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(!out.contains("chosen"), "{out}");
    for port in 1..=3 {
        assert!(!out.contains(&format!(" 127.0.0.1:{port}\n")), "{out}");
    }
    let expected = refused.map(|(option, _)| {
        format!(
            "Warning: Getting '--{option}' argument from setuid/setgid binary refused for security reasons."
        )
    });
    let (refusals, rest) = errors
        .lines()
        .partition::<Vec<_>, _>(|line| line.contains("refused"));
    assert_eq!(refusals, expected);
    // The home of the program's user may not exist: that is another matter.
    assert!(!rest.concat().contains("chosen"), "{errors}");
}

/// A copy of the program where its user may run it.
fn install(directory: &Path, owner: u32, mode: u32) -> PathBuf {
    let path = directory.join("lttng-relayd");
    application::copy(Path::new(env!("CARGO_BIN_EXE_lttng-relayd")), &path);
    chown(&path, Some(owner), None).expect("an owner");
    // After the owner: a new one takes such rights away.
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    path
}

/// Whether this process would run that program with rights of its owner's.
fn lends_rights(program: &Path) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("the state of this process");
    let mount = rustix::fs::statvfs(program).expect("a file system");
    let owner = fs::metadata(program).expect("a program").uid();
    owner != rustix::process::geteuid().as_raw()
        && !mount.f_flag.contains(StatVfsMountFlags::NOSUID)
        && status.contains("NoNewPrivs:\t0")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
