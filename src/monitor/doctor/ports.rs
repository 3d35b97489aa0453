//! The processes that listen on the ports of the relay.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use baton_components::connection::Endpoint;

use super::Finding;
use crate::config::Config;
use crate::os::shown;

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listener {
    pid: u32,
    /// Its program, escaped.
    program: String,
    is_original: bool,
}

/// Library that the original is linked with, and Baton is not.
const LIBRARY_OF_ORIGINAL: &str = "liburcu";
/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Returns whether a relay of ours answers monitors, as far as can be seen.
pub fn examine(config: &Config, findings: &mut Vec<Finding>) -> bool {
    let sockets = listening_sockets();
    let mut listeners = BTreeMap::new();
    for (endpoint, address) in addresses(config) {
        let name = endpoint.name();
        let Some(inode) = sockets.get(&address.port()) else {
            findings.push(Finding::wrong(
                if endpoint == Endpoint::Status {
                    "no-status-port"
                } else {
                    "no-listener"
                },
                format!("no process listens on port {} ({name})", address.port()),
                "the relay does not run, or runs with other ports",
                "baton (it starts a relay); or baton doctor with the options of the relay",
            ));
            continue;
        };
        listeners.insert(endpoint.name(), find(*inode));
    }
    let known: Vec<_> = listeners.values().flatten().collect();
    if let Some(original) = known.iter().find(|it| it.is_original) {
        let Listener { pid, program, .. } = original;
        findings.push(Finding::wrong(
            "original",
            format!("the original lttng-relayd listens here: {program}, process {pid}"),
            "it was started before Baton, perhaps by its service or by lttng-sessiond's user",
            format!("kill {pid}; then start baton"),
        ));
    }
    if known.windows(2).any(|pair| pair[0].pid != pair[1].pid) {
        let who = listeners.iter().filter_map(|(port, it)| {
            let Listener { pid, program, .. } = it.as_ref()?;
            Some(format!("{port}: {program}, process {pid}"))
        });
        findings.push(Finding::wrong(
            "several-listeners",
            "several processes listen on the ports of one relay",
            who.collect::<Vec<_>>().join("; "),
            "stop all but one, or give each relay ports of its own",
        ));
    }
    let of_status = listeners.get(Endpoint::Status.name());
    of_status.is_some_and(|it| it.as_ref().is_none_or(|it| !it.is_original))
}

/// Ports that the system chooses are not known.
fn addresses(config: &Config) -> Vec<(Endpoint, SocketAddr)> {
    let all = config.listeners.iter().chain(&config.status.listeners);
    let all = all.map(|it| (it.endpoint, it.address));
    all.filter(|(_, address)| address.port() != 0).collect()
}

/// The inodes of listening sockets, by their ports.
fn listening_sockets() -> BTreeMap<u16, u64> {
    let mut sockets = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if let [_, local, _, LISTENING, _, _, _, _, _, inode, ..] = fields[..]
                && let Some((_, port)) = local.rsplit_once(':')
                && let (Ok(port), Ok(inode)) = (u16::from_str_radix(port, 16), inode.parse())
            {
                sockets.insert(port, inode);
            }
        }
    }
    sockets
}

/// The process that has a socket; none if it is another user's.
fn find(inode: u64) -> Option<Listener> {
    let socket = format!("socket:[{inode}]");
    let has = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        let mut targets = descriptors.filter_map(|it| fs::read_link(it.path()).ok());
        targets.any(|target| target.as_os_str() == socket.as_str())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let pid = process.file_name().to_str().and_then(|it| it.parse().ok());
        let Some(pid) = pid else { continue };
        let path = process.path();
        if has(&path) {
            let program = fs::read_link(path.join("exe")).unwrap_or_default();
            let maps = fs::read_to_string(path.join("maps")).unwrap_or_default();
            return Some(Listener {
                pid,
                program: shown(&program).to_string(),
                is_original: maps.contains(LIBRARY_OF_ORIGINAL),
            });
        }
    }
    None
}
