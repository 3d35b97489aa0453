//! A proxy between the program and a server: it lets requests through, or does to them what
//! networks and bad servers do. The server behind it is a real one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request that goes by.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counted from 0.
    pub number: u32,
    pub method: String,
    /// Path and query.
    pub target: String,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A fault that is done to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    None,
    /// It does not come to the server; this is the answer.
    Answer(u16, Vec<u8>),
    /// The same, with a body that does not end.
    Endless,
    /// It does not come to the server, and has no answer.
    Drop,
    /// It comes to the server, and its answer does not come back.
    Silence,
    /// Half of the answer comes.
    CutAnswer,
    /// The last byte of its body changes on its way.
    FlipRequest,
    /// A byte in the middle of the answer's body changes on its way.
    FlipAnswer,
    /// The answer comes in two halves, with a pause between them.
    Slow,
}

impl Fault {
    /// This, or none.
    pub fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::None }
    }
}

type Decide = dyn Fn(&Seen) -> Fault + Send + Sync;
/// Called with the body of each answer of the server.
type Watch = dyn Fn(&Seen, &[u8]) + Send + Sync;

pub struct Proxy {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// One to this address; `decide` is asked about each request.
    pub fn start(server: &str, decide: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        Self::start_watched(server, decide, |_, _| ())
    }

    pub fn start_watched(
        server: &str,
        decide: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
        watch: impl Fn(&Seen, &[u8]) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (seen, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let proxy = Self {
            port,
            seen: Arc::clone(&seen),
            is_over: Arc::clone(&is_over),
        };
        let (server, decide): (_, Arc<Decide>) = (server.to_owned(), Arc::new(decide));
        let (numbers, watch): (_, Arc<Watch>) = (Arc::new(AtomicU32::new(0)), Arc::new(watch));
        thread::spawn(move || {
            for client in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (server, decide) = (server.clone(), Arc::clone(&decide));
                let (seen, numbers) = (Arc::clone(&seen), Arc::clone(&numbers));
                let watch = Arc::clone(&watch);
                thread::spawn(move || {
                    // A peer that is killed breaks its connection.
                    let _ = serve(client, &server, (&*decide, &*watch), &seen, &numbers);
                });
            }
        });
        proxy
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the list").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(
    mut client: TcpStream,
    server: &str,
    (decide, watch): (&Decide, &Watch),
    seen: &Mutex<Vec<Seen>>,
    numbers: &AtomicU32,
) -> io::Result<()> {
    let Some((head, mut body)) = read_message(&mut client)? else {
        return Ok(());
    };
    let mut words = head.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let it = Seen {
        number: numbers.fetch_add(1, Ordering::SeqCst),
        method: word(),
        target: word(),
    };
    let fault = decide(&it);
    seen.lock().expect("the list").push(it.clone());
    match &fault {
        Fault::Drop => return Ok(()),
        Fault::Answer(status, text) => return answer(&mut client, *status, text),
        Fault::Endless => return endless(&mut client),
        Fault::FlipRequest => flip_last(&mut body),
        _ => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    // One request for each connection, so that the end of an answer is seen.
    let head = head.trim_end_matches("\r\n");
    write!(upstream, "{head}\r\nConnection: close\r\n\r\n")?;
    upstream.write_all(&body)?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply)?;
    let body = reply.windows(4).position(|it| it == b"\r\n\r\n");
    let body = body.map_or(reply.len(), |at| at + 4);
    watch(&it, &reply[body..]);
    let half = reply.len() / 2;
    match fault {
        Fault::Silence => return Ok(()),
        Fault::CutAnswer => return client.write_all(&reply[..half]),
        Fault::Slow => {
            client.write_all(&reply[..half])?;
            thread::sleep(Duration::from_millis(300));
            return client.write_all(&reply[half..]);
        }
        Fault::FlipAnswer => {
            let middle = body + (reply.len() - body) / 2;
            if let Some(byte) = reply.get_mut(middle) {
                *byte ^= 1;
            }
        }
        _ => {}
    }
    client.write_all(&reply)
}

/// A request's head, with the end of its last line; and its body.
fn read_message(from: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end;
        }
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        value.trim().parse().ok().filter(|_| is_it)
    });
    let mut body = bytes.split_off(end + 4);
    let have = body.len();
    body.resize(length.unwrap_or(have), 0);
    if let Some(rest) = body.get_mut(have..) {
        from.read_exact(rest)?;
    }
    Ok(Some((head, body)))
}

fn answer(client: &mut TcpStream, status: u16, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    client.write_all(body)
}

fn endless(client: &mut TcpStream) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{{\"a\":["
    )?;
    let zeros = b"0,".repeat(32 << 10);
    loop {
        client.write_all(&zeros)?;
    }
}

fn flip_last(bytes: &mut [u8]) {
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
}
