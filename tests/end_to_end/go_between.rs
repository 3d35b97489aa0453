//! Go-betweens on the way from producers to a relay: one on the way of commands, which spoils
//! some, so that the relay refuses them (real producers send none that it would); and one
//! that breaks.

use crate::ports;
use crate::relay::Relay;
use baton_components::wire::producer::CommandKind;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const HEADER_SIZE: usize = 24;

/// The manipulation of commands of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Spoil {
    /// Its first number, a stream or a chunk or flags or lengths, is all ones.
    FirstNumber(CommandKind),
    /// The path of a stream leads up.
    StreamPath,
}

impl Spoil {
    pub fn kind(self) -> CommandKind {
        match self {
            Self::FirstNumber(kind) => kind,
            Self::StreamPath => CommandKind::AddStream,
        }
    }

    fn apply(self, payload: &mut [u8]) {
        match self {
            Self::FirstNumber(_) => payload[..8].fill(0xff),
            Self::StreamPath => {
                let path = payload.windows(4).rposition(|it| it == b"ust/");
                let path = path.expect("the path of a stream of user space");
                payload[path..path + 3].copy_from_slice(b"../");
            }
        }
    }
}

#[derive(Debug)]
pub struct GoBetween {
    address: SocketAddr,
    data_port: u16,
    spoilt: Arc<AtomicUsize>,
}

impl GoBetween {
    /// Spoils every command of that kind that is sent through it.
    pub fn start(relay: &Relay, spoil: Spoil) -> Self {
        let listener = TcpListener::bind(ports::local(0)).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let (relay, data_port) = (relay.control_address(), relay.data_address().port());
        let spoilt = Arc::new(AtomicUsize::new(0));
        let count = spoilt.clone();
        thread::spawn(move || {
            for producer in listener.incoming().map_while(Result::ok) {
                let Ok(relay) = TcpStream::connect(relay) else {
                    return;
                };
                join(&producer, &relay, spoil, &count);
            }
        });
        Self {
            address,
            data_port,
            spoilt,
        }
    }

    /// Where a producer sends to.
    pub fn producer_url(&self) -> String {
        format!("net://127.0.0.1:{}:{}", self.address.port(), self.data_port)
    }

    /// How many commands it has spoilt.
    pub fn spoilt(&self) -> usize {
        self.spoilt.load(Ordering::Relaxed)
    }
}

/// Carries both ways, each in a thread that ends with its connections.
fn join(producer: &TcpStream, relay: &TcpStream, spoil: Spoil, count: &Arc<AtomicUsize>) {
    let (mut from, mut to, count) = (own(producer), own(relay), count.clone());
    thread::spawn(move || {
        while let Ok((mut bytes, payload)) = read_command(&mut from) {
            let number = u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
            if number == spoil.kind().number() {
                spoil.apply(&mut bytes[payload..]);
                count.fetch_add(1, Ordering::Relaxed);
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    carry(relay, producer);
}

/// A whole command, and where in it its payload begins.
fn read_command(from: &mut TcpStream) -> io::Result<(Vec<u8>, usize)> {
    let mut bytes = vec![0; HEADER_SIZE];
    from.read_exact(&mut bytes)?;
    let size: [u8; 8] = bytes[8..16].try_into().expect("eight bytes");
    bytes.resize(HEADER_SIZE + u64::from_be_bytes(size) as usize, 0);
    from.read_exact(&mut bytes[HEADER_SIZE..])?;
    Ok((bytes, HEADER_SIZE))
}

/// A cable on the way of packets, which can be cut: each of its connections breaks then, and
/// no other comes through.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    /// None: it is cut.
    sockets: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Cable {
    /// One to that address.
    pub fn lay(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(ports::local(0)).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let sockets = Arc::new(Mutex::new(Some(Vec::new())));
        let all = sockets.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut all = all.lock().expect("the sockets");
                let (Some(all), Ok(far)) = (all.as_mut(), TcpStream::connect(to)) else {
                    return;
                };
                all.extend([own(&near), own(&far)]);
                carry(&near, &far);
                carry(&far, &near);
            }
        });
        Self { address, sockets }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn cut(&self) {
        let sockets = self.sockets.lock().expect("the sockets").take();
        for socket in sockets.into_iter().flatten() {
            // One that has ended is no connection any more.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Carries one way, in a thread that ends with its connections.
fn carry(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (own(from), own(to));
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn own(socket: &TcpStream) -> TcpStream {
    socket.try_clone().expect("a socket")
}
