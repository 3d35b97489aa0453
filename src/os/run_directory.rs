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
    /// The group that may use it, where root runs the relay.
    group: Option<u32>,
}

const ROOT_MODE: u32 = 0o755;
const USER_MODE: u32 = 0o700;
/// For a file that everybody may read, less the umask.
const FILE_MODE: u32 = 0o666;
const HEALTH_MODE_OF_ROOT: u32 = 0o660;

impl RunDirectory {
    /// Makes the directories if they are not there. Those of root belong to the system:
    /// their group and mode are set again each time.
    pub fn prepare(path: &Path, group: &OsStr) -> io::Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let group = is_root.then(|| {
            uzers::get_group_by_name(group).map_or_else(
                || {
                    tracing::warn!("No tracing group detected");
                    uzers::get_effective_gid()
                },
                |group| group.gid(),
            )
        });
        let relay = path.join("relayd");
        let mode = if is_root { ROOT_MODE } else { USER_MODE };
        for directory in [path, &relay] {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory)?;
            if let Some(group) = group {
                chown(directory, Some(0), Some(group))?;
                fs::set_permissions(directory, Permissions::from_mode(mode))?;
            }
        }
        Ok(Self { relay, group })
    }

    /// Where the health socket of this process is.
    pub fn health_socket(&self) -> PathBuf {
        self.relay.join(format!("health-{}", std::process::id()))
    }

    /// Lets the group use the health socket, and nobody else.
    pub fn share_health_socket(&self, socket: &Path) -> io::Result<()> {
        if let Some(group) = self.group {
            chown(socket, Some(0), Some(group))?;
            fs::set_permissions(socket, Permissions::from_mode(HEALTH_MODE_OF_ROOT))?;
        }
        Ok(())
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
