//! The signs of a running relay for other programs: health socket, port files, pid file, a
//! signal to the parent process, the notification of systemd.

use std::net::SocketAddr;
use std::path::Path;
use std::process;

use baton_components::connection::Endpoint;
use rustix::process::{Pid, Signal};

use super::Error;
use crate::config::Config;
use crate::os::health::Health;
use crate::os::network::SocketNetwork;
use crate::os::own_file::OwnFile;
use crate::os::run_directory::{self, RunDirectory};
use crate::os::said;

/// Creates the health socket and the port files. A relay without a usable run directory
/// runs without them.
pub fn show(
    network: &mut SocketNetwork,
    config: &Config,
    listening: &[(Endpoint, SocketAddr)],
) -> Result<Vec<OwnFile>, Error> {
    let group = run_directory::group(&config.options.group);
    let mut answer = |socket: &Path| {
        let reactor = network.reactor();
        reactor
            .invite(|seat| Health::listen(socket, seat))
            .and_then(|()| run_directory::share(socket, group))
    };
    // A health socket that the user named must be created, or the relay does not start.
    if let Some(socket) = &config.health_socket {
        answer(socket).map_err(|reason| Error::Health {
            path: socket.clone(),
            reason,
        })?;
    }
    let Some(path) = &config.run_directory else {
        tracing::warn!(
            "no home directory is known: no health socket, no port files; \
             choose a directory for them with LTTNG_RUNDIR"
        );
        return Ok(Vec::new());
    };
    let shown = RunDirectory::prepare(path, group).and_then(|directory| {
        if config.health_socket.is_none() {
            answer(&directory.health_socket())?;
        }
        directory.write_ports(listening)
    });
    Ok(shown.unwrap_or_else(|reason| {
        let (path, reason) = (path.display(), said(&reason));
        tracing::warn!(
            "cannot use the run directory {path}: {reason}: no health socket, no port files; \
             choose another with LTTNG_RUNDIR"
        );
        Vec::new()
    }))
}

pub fn write_pid(path: Option<&Path>) -> Result<Option<OwnFile>, Error> {
    let Some(path) = path else {
        return Ok(None);
    };
    match OwnFile::write(path, PID_FILE_MODE, &format!("{}\n", process::id())) {
        Ok(file) => Ok(Some(file)),
        Err(reason) => Err(Error::PidFile {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// `--sig-parent`: sends SIGUSR1 to the parent of the starting process.
pub fn signal(config: &Config, parent: Option<Pid>) {
    if config.options.sig_parent
        && let Some(parent) = parent
    {
        // A parent that is gone is not waiting.
        let _ = rustix::process::kill_process(parent, Signal::USR1);
    }
}

/// Notifies systemd (`Type=notify`), if it started the relay.
pub fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd cannot be notified: {error}");
    }
}

/// Mode of the pid file: readable by all users, less the umask.
const PID_FILE_MODE: u32 = 0o644;
