//! The table of sockets by the keys of their connections. The network receives and sends
//! through them, and storage moves bytes between them and files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::keys::ConnectionKey;
use mio::net::TcpStream;
use slotmap::SecondaryMap;

/// The table: the network changes it, and others read it.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<Table>>);

type Table = SecondaryMap<ConnectionKey, Arc<Socket>>;

/// A connection's socket. Its descriptor is closed when it was removed from the table and is
/// not in use.
#[derive(Debug)]
pub struct Socket {
    pub stream: TcpStream,
    /// A zero-copy transfer waits until the peer accepts more; the network has no queued bytes
    /// that would make it report the connection.
    waits_for_room: AtomicBool,
}

impl Sockets {
    pub fn insert(&self, key: ConnectionKey, stream: TcpStream) -> Arc<Socket> {
        let socket = Socket::apart(stream);
        self.table().insert(key, Arc::clone(&socket));
        socket
    }

    pub fn get(&self, key: ConnectionKey) -> Option<Arc<Socket>> {
        self.table().get(key).cloned()
    }

    pub fn remove(&self, key: ConnectionKey) {
        self.table().remove(key);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    /// One that is not in the table: the bytes on it are not those of a file.
    pub fn apart(stream: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            waits_for_room: AtomicBool::new(false),
        })
    }

    /// Notes that the peer accepts no more: the connection is to be reported writable.
    pub fn wait_for_room(&self) {
        self.waits_for_room.store(true, Ordering::Relaxed);
    }

    /// Notes that the socket is writable. Returns whether a transfer waited for that.
    pub fn has_room(&self) -> bool {
        self.waits_for_room.swap(false, Ordering::Relaxed)
    }
}
