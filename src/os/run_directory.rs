//! The run directory: health socket and port files of a running relay.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use baton_components::connection::Endpoint;

use super::own_file::OwnFile;

/// Prepared for this user.
#[derive(Debug)]
pub struct RunDirectory {
    /// Subdirectory of this relay.
    relay: PathBuf,
}

const ROOT_MODE: u32 = 0o755;
const USER_MODE: u32 = 0o700;
/// Mode of a file that all users may read, less the umask.
const FILE_MODE: u32 = 0o666;
const HEALTH_MODE_OF_ROOT: u32 = 0o660;

/// The group that may use the run directory of root's relay; none for other users.
pub fn group(name: &OsStr) -> Option<u32> {
    let is_root = rustix::process::geteuid().is_root();
    is_root.then(|| {
        uzers::get_group_by_name(name).map_or_else(
            || {
                tracing::warn!("No tracing group detected");
                uzers::get_effective_gid()
            },
            |group| group.gid(),
        )
    })
}

/// Sets the group and the mode of the health socket: access for the group only.
pub fn share(socket: &Path, group: Option<u32>) -> io::Result<()> {
    if group.is_some() {
        chown(socket, Some(0), group)?;
        fs::set_permissions(socket, Permissions::from_mode(HEALTH_MODE_OF_ROOT))?;
    }
    Ok(())
}

impl RunDirectory {
    /// Creates the directories if they do not exist. Those of root are shared by the
    /// system, so their group and mode are set each time.
    pub fn prepare(path: &Path, group: Option<u32>) -> io::Result<Self> {
        let relay = path.join("relayd");
        let mode = group.map_or(USER_MODE, |_| ROOT_MODE);
        for directory in [path, &relay] {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory)?;
            if group.is_some() {
                chown(directory, Some(0), group)?;
                fs::set_permissions(directory, Permissions::from_mode(mode))?;
            }
        }
        Ok(Self { relay })
    }

    /// Path of the health socket of this process.
    pub fn health_socket(&self) -> PathBuf {
        self.relay.join(format!("health-{}", std::process::id()))
    }

    /// Writes the port files.
    pub fn write_ports(&self, listening: &[(Endpoint, SocketAddr)]) -> io::Result<Vec<OwnFile>> {
        let written = listening.iter().map(|(endpoint, address)| {
            let path = self.relay.join(format!("{}.port", endpoint.name()));
            OwnFile::write(&path, FILE_MODE, &format!("{}\n", address.port()))
        });
        written.collect()
    }
}
