//! The directory in which a running relay is found: its health socket and its ports.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use baton_components::connection::Port;

use super::own_file::OwnFile;

/// Prepared for this user.
#[derive(Debug)]
pub struct RunDirectory {
    /// Where this relay puts its own.
    relay: PathBuf,
}

const ROOT_MODE: u32 = 0o755;
const USER_MODE: u32 = 0o700;
/// For a file that everybody may read, less the umask.
const FILE_MODE: u32 = 0o666;
const HEALTH_MODE_OF_ROOT: u32 = 0o660;

/// The group that may use what root's relay shows of itself; none for other users.
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

/// Lets the group use the health socket, and nobody else.
pub fn share(socket: &Path, group: Option<u32>) -> io::Result<()> {
    if group.is_some() {
        chown(socket, Some(0), group)?;
        fs::set_permissions(socket, Permissions::from_mode(HEALTH_MODE_OF_ROOT))?;
    }
    Ok(())
}

impl RunDirectory {
    /// Makes the directories if they are not there. Those of root belong to the system:
    /// their group and mode are set again each time.
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

    /// Where the health socket of this process is.
    pub fn health_socket(&self) -> PathBuf {
        self.relay.join(format!("health-{}", std::process::id()))
    }

    /// Tells which ports listen.
    pub fn write_ports(&self, listening: &[(Port, SocketAddr)]) -> io::Result<Vec<OwnFile>> {
        let written = listening.iter().map(|(port, address)| {
            let path = self.relay.join(format!("{}.port", port.name()));
            OwnFile::write(&path, FILE_MODE, &format!("{}\n", address.port()))
        });
        written.collect()
    }
}
