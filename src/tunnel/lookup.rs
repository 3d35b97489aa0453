//! The addresses of the relay: a thread looks its name up, since a name server may take long to
//! answer, and the connections that are open go on meanwhile.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

#[derive(Debug)]
pub struct Lookup {
    questions: Sender<()>,
    answers: Receiver<Addresses>,
    is_asked: bool,
}

/// The addresses of a name, the preferred first.
pub type Addresses = io::Result<Vec<SocketAddr>>;

impl Lookup {
    /// Starts the thread, which wakes the poll when it has an answer.
    pub fn start(
        waker: Waker,
        resolve: impl Fn() -> Addresses + Send + 'static,
    ) -> io::Result<Self> {
        let (questions, asked) = channel();
        let (found, answers) = channel();
        thread::Builder::new()
            .name("lookup".to_owned())
            .spawn(move || {
                for () in asked {
                    if found.send(resolve()).is_err() || waker.wake().is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            questions,
            answers,
            is_asked: false,
        })
    }

    /// Asks, unless an answer is awaited already.
    pub fn ask(&mut self) {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.questions
                .send(())
                .expect("law: the thread lives as long as this");
        }
    }

    /// The answer, when it is there.
    pub fn answer(&mut self) -> Option<Addresses> {
        let answer = self.answers.try_recv().ok()?;
        self.is_asked = false;
        Some(answer)
    }
}

/// The addresses of a host, without a port.
pub fn addresses(host: &str) -> Addresses {
    (host, 0).to_socket_addrs().map(Iterator::collect)
}
