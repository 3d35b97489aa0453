//! The health socket: whoever asks learns that the relay is well.
//!
//! One thread does all work here, and it answers from the same poll. So an answer is the
//! proof that everything runs; a relay that hangs does not answer, and the client's own
//! deadline tells. A client that says nothing, or something else, disturbs nobody.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use super::own_file::OwnFile;

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
    token: Token,
    socket: UnixStream,
    question: Vec<u8>,
}

/// Tokens from here on are those of the health socket: below those of connections,
/// above those of listeners.
const LISTENER: Token = Token(1 << 16);
const FIRST_CLIENT: usize = LISTENER.0 + 1;
/// Client tokens, used in turn: many more than there are clients.
const CLIENT_TOKENS: usize = 1 << 12;
/// Clients that may be there at a time. One more, and the one that has been silent
/// for longest goes.
const CLIENTS_MAX: usize = 8;

/// The one question: a command in the byte order of this machine.
const CHECK: [u8; 4] = 0_u32.to_ne_bytes();
/// A bit for each part of the relay that is not well: none.
const ALL_WELL: [u8; 8] = 0_u64.to_ne_bytes();

impl Health {
    /// Binds the socket. One of the same name is what a dead relay left; anything else
    /// of that name is not ours to remove.
    pub fn listen(path: &Path, registry: &Registry) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let mut listener = UnixListener::bind(path)?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            _file: OwnFile::adopt(path)?,
            clients: VecDeque::new(),
            next_client: 0,
        })
    }

    /// Whether an event of this token is for the health socket.
    pub fn owns(token: Token) -> bool {
        (LISTENER.0..FIRST_CLIENT + CLIENT_TOKENS).contains(&token.0)
    }

    /// Does what an event asks for.
    pub fn react(&mut self, token: Token, registry: &Registry) {
        if token == LISTENER {
            self.accept(registry);
        } else if let Some(at) = self.clients.iter().position(|it| it.token == token)
            && self.clients[at].is_done()
        {
            self.clients.remove(at);
        }
    }

    fn accept(&mut self, registry: &Registry) {
        loop {
            match self.listener.accept() {
                Ok((mut socket, _)) => {
                    let token = Token(FIRST_CLIENT + self.next_client);
                    self.next_client = (self.next_client + 1) % CLIENT_TOKENS;
                    if registry
                        .register(&mut socket, token, Interest::READABLE)
                        .is_err()
                    {
                        continue;
                    }
                    if self.clients.len() == CLIENTS_MAX {
                        self.clients.pop_front();
                    }
                    self.clients.push_back(Client {
                        token,
                        socket,
                        question: Vec::with_capacity(CHECK.len()),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nobody waits; or there is no descriptor, and the next client tries again.
                Err(_) => return,
            }
        }
    }
}

impl Client {
    /// Reads what there is of the question, and answers it when it is whole.
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
            // An empty socket takes eight bytes; a client that is gone needs none.
            let _ = self.socket.write_all(&ALL_WELL);
        } else {
            tracing::debug!("a health client asked something else");
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
            // What a dead relay left.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let health = Health::listen(&path, poll.registry()).unwrap();
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
                assert!(Health::owns(event.token()));
                self.health.react(event.token(), self.poll.registry());
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
    fn who_asks_is_answered() {
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
        assert!(Health::listen(&path, poll.registry()).is_err());
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
