//! The health socket: a client that connects learns that the relay is healthy.
//!
//! The relay is single-threaded, and replies to clients from its event loop. So a reply
//! proves that the event loop runs; a relay that hangs does not reply, and the client times
//! out. A client that sends nothing, or garbage, disturbs no other client.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use mio::Interest;
use mio::net::{UnixListener, UnixStream};

use super::own_file::OwnFile;
use super::reactor::{Guest, Seat};

/// The listening socket and the clients that have not asked yet.
#[derive(Debug)]
pub struct Health {
    listener: UnixListener,
    _file: OwnFile,
    /// The oldest first.
    clients: VecDeque<Client>,
    next_client: usize,
}

#[derive(Debug)]
struct Client {
    number: usize,
    socket: UnixStream,
    question: Vec<u8>,
}

/// The numbers of its sockets.
const LISTENER: usize = 0;
const FIRST_CLIENT: usize = 1;
/// Numbers of clients, used in turn: many more than there are clients.
const CLIENT_NUMBERS: usize = 1 << 12;
/// Maximum number of clients. One more evicts the client that has been silent for longest.
const CLIENTS_MAX: usize = 8;

/// The only request: a command in the byte order of this machine.
const CHECK: [u8; 4] = 0_u32.to_ne_bytes();
/// A bit for each unhealthy part of the relay: none.
const ALL_WELL: [u8; 8] = 0_u64.to_ne_bytes();

impl Health {
    /// Binds the socket. An existing socket of the same name was left by a dead relay and
    /// is replaced; any other file of that name is not removed.
    pub fn listen(path: &Path, seat: &Seat<'_>) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let mut listener = UnixListener::bind(path)?;
        seat.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            _file: OwnFile::adopt(path)?,
            clients: VecDeque::new(),
            next_client: 0,
        })
    }

    fn accept(&mut self, seat: &Seat<'_>) {
        loop {
            match self.listener.accept() {
                Ok((mut socket, _)) => {
                    let number = FIRST_CLIENT + self.next_client;
                    self.next_client = (self.next_client + 1) % CLIENT_NUMBERS;
                    if seat
                        .register(&mut socket, number, Interest::READABLE)
                        .is_err()
                    {
                        continue;
                    }
                    if self.clients.len() == CLIENTS_MAX {
                        self.clients.pop_front();
                    }
                    self.clients.push_back(Client {
                        number,
                        socket,
                        question: Vec::with_capacity(CHECK.len()),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // No client waits; or there is no descriptor, and the next client tries
                // again.
                Err(_) => return,
            }
        }
    }
}

impl Guest for Health {
    fn react(&mut self, number: usize, seat: &Seat<'_>) {
        if number == LISTENER {
            self.accept(seat);
        } else if let Some(at) = self.clients.iter().position(|it| it.number == number)
            && self.clients[at].is_done()
        {
            self.clients.remove(at);
        }
    }
}

impl Client {
    /// Reads the request as far as it has arrived, and replies when it is complete.
    fn is_done(&mut self) -> bool {
        let mut bytes = [0; CHECK.len()];
        while self.question.len() < CHECK.len() {
            let missing = CHECK.len() - self.question.len();
            match self.socket.read(&mut bytes[..missing]) {
                Ok(0) => return true,
                Ok(count) => self.question.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        if self.question == CHECK {
            // The buffer of a new socket has room for eight bytes; a closed client needs no
            // reply.
            let _ = self.socket.write_all(&ALL_WELL);
        } else {
            tracing::debug!("a health client sent an unknown request");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream as Peer;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;
    use crate::os::reactor::guest_of;

    struct Test {
        directory: tempfile::TempDir,
        poll: Poll,
        health: Health,
    }

    impl Test {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let poll = Poll::new().unwrap();
            let path = directory.path().join("health");
            // The socket of a dead relay.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let health = Health::listen(&path, &Seat::of(poll.registry(), 0)).unwrap();
            Self {
                directory,
                poll,
                health,
            }
        }

        fn connect(&mut self) -> Peer {
            let peer = Peer::connect(self.directory.path().join("health")).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            self.turn();
            peer
        }

        fn turn(&mut self) {
            let mut events = Events::with_capacity(16);
            let wait = Some(Duration::from_millis(50));
            self.poll.poll(&mut events, wait).unwrap();
            for event in &events {
                let (guest, number) = guest_of(event.token()).unwrap();
                self.health
                    .react(number, &Seat::of(self.poll.registry(), guest));
            }
        }

        fn answer(&mut self, mut peer: Peer, question: &[u8]) -> Vec<u8> {
            peer.write_all(question).unwrap();
            self.turn();
            let mut answer = Vec::new();
            let _ = peer.read_to_end(&mut answer);
            answer
        }
    }

    #[test]
    fn a_request_is_answered() {
        let mut test = Test::new();
        let mut slow = test.connect();
        slow.write_all(&[0]).unwrap();
        test.turn();
        let peer = test.connect();
        assert_eq!(test.answer(peer, &[0; 4]), [0; 8]);
        assert_eq!(test.answer(slow, &[0; 3]), [0; 8]);
        assert!(test.health.clients.is_empty());
    }

    #[test]
    fn silent_and_wrong_clients_disturb_nobody() {
        let mut test = Test::new();
        let silent: Vec<_> = (0..3 * CLIENTS_MAX).map(|_| test.connect()).collect();
        let wrong = test.connect();
        assert!(test.answer(wrong, &[9, 0, 0, 0]).is_empty());
        let gone = test.connect();
        drop(gone);
        test.turn();
        let peer = test.connect();
        assert_eq!(test.answer(peer, &[0; 4]), [0; 8]);
        assert!(test.health.clients.len() < CLIENTS_MAX);
        drop(silent);
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("health");
        fs::write(&path, "precious").unwrap();
        let poll = Poll::new().unwrap();
        assert!(Health::listen(&path, &Seat::of(poll.registry(), 0)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_socket_goes_with_its_relay() {
        let test = Test::new();
        let path = test.directory.path().join("health");
        drop(test.health);
        assert!(!path.exists());
    }
}
