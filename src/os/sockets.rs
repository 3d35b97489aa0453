//! The table of sockets by the keys of their connections. The network receives and sends
//! through them, and storage moves bytes between them and files.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_components::keys::ConnectionKey;
use mio::net::TcpStream;
use rustix::io::Errno;
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

    /// Sends bytes of a file with zero-copy (`sendfile`), at most `length`. Returns how many the peer
    /// has accepted; 0: it is reported writable when it accepts more.
    pub fn send_file(&self, file: &File, mut offset: u64, length: u64) -> io::Result<u64> {
        loop {
            let sent = rustix::fs::sendfile(&self.stream, file, Some(&mut offset), length as usize);
            match sent {
                Ok(0) if length > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => return Ok(sent as u64),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.wait_for_room();
                    return Ok(0);
                }
                Err(reason) => return Err(reason.into()),
            }
        }
    }

    /// Notes that the peer accepts no more: the connection is to be reported writable.
    fn wait_for_room(&self) {
        self.waits_for_room.store(true, Ordering::Relaxed);
    }

    /// Notes that the socket is writable. Returns whether a transfer waited for that.
    pub fn has_room(&self) -> bool {
        self.waits_for_room.swap(false, Ordering::Relaxed)
    }
}
