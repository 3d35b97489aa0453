//! A viewer that is as strict as Babeltrace 2.1, of which no package is at hand.
//!
//! It merges streams by time, and so it must know something of each before it goes on: the
//! next packet, or that the stream is idle until some time. It takes the earliest of all,
//! and from then on nothing may come that is earlier: not a packet, and not a time until
//! which a stream was idle. Where Babeltrace ends with "late message", so does this one.

use crate::events::Event;
use crate::live_client::{Answer, Attached, IDLE_PERIOD, LiveClient, Next, Seek, Stream};
use crate::relay::Relay;
use crate::sandbox;
use crate::viewer::read_directory;
use std::collections::VecDeque;
use std::path::Path;
use std::thread;

#[derive(Debug)]
pub struct StrictViewer {
    attached: Attached,
    metadata: Vec<Stream>,
    data: Vec<Followed>,
    /// It was told of streams that it has not asked for.
    must_ask: bool,
    reached: u64,
}

#[derive(Debug)]
struct Followed {
    stream: Stream,
    /// Next items, soonest first: begin and end of a packet, or the time until which the
    /// stream is idle.
    times: VecDeque<u64>,
    idle_until: Option<u64>,
}

/// The result of a step.
enum Round {
    Went,
    /// Some stream has nothing to go on with.
    Waits,
    /// Something came that is earlier than what it has taken.
    Late(String),
}

impl StrictViewer {
    /// Attaches to a session, from now on.
    pub fn attach(relay: &Relay, session: &str) -> Self {
        let client = LiveClient::connect(relay.live_address());
        let attached = client.attach(session, Seek::Last);
        let mut viewer = Self {
            attached,
            metadata: Vec::new(),
            data: Vec::new(),
            must_ask: false,
            reached: 0,
        };
        viewer.take_streams();
        viewer
    }

    /// Reads until the session has ended, and returns what Babeltrace finds in it; or
    /// reads until it cannot go on.
    pub fn read_to_end(mut self) -> Result<Vec<Event>, String> {
        let copy = sandbox::home();
        let mut session_lives = true;
        loop {
            if self.must_ask || self.data.is_empty() {
                session_lives = session_lives && self.ask_for_streams(copy.path());
            }
            if self.data.is_empty() && !session_lives {
                return Ok(read_directory(copy.path()));
            }
            match self.go_on(copy.path()) {
                Round::Went => {}
                Round::Waits => thread::sleep(IDLE_PERIOD),
                Round::Late(late) => return Err(late),
            }
        }
    }

    /// Asks for streams that are new. Whether the session goes on.
    fn ask_for_streams(&mut self, copy: &Path) -> bool {
        self.must_ask = false;
        let lives = self.attached.find_streams();
        self.take_streams();
        self.read_metadata(copy);
        lives
    }

    fn take_streams(&mut self) {
        for stream in self.attached.streams.drain(..) {
            if stream.is_metadata {
                self.metadata.push(stream);
            } else {
                self.data.push(Followed {
                    stream,
                    times: VecDeque::new(),
                    idle_until: None,
                });
            }
        }
    }

    fn read_metadata(&mut self, copy: &Path) {
        let client = &mut self.attached.client;
        self.metadata.retain(|stream| {
            loop {
                match stream.next_metadata(client) {
                    Next::Bytes(bytes) => stream.store(&bytes, copy),
                    Next::Nothing => return true,
                    Next::End => return false,
                }
            }
        });
    }

    /// Learns of each stream what comes next, and takes the earliest.
    fn go_on(&mut self, copy: &Path) -> Round {
        let mut at = 0;
        while at < self.data.len() {
            if !self.data[at].times.is_empty() {
                at += 1;
                continue;
            }
            if self.must_ask {
                self.ask_for_streams(copy);
            }
            let index = self.data[at].stream.next_index(&mut self.attached.client);
            self.must_ask |= index.new_streams;
            let (what, shown) = match index.answer {
                Answer::End => {
                    self.data.remove(at);
                    continue;
                }
                Answer::Retry => return Round::Waits,
                Answer::Inactive(until) if self.data[at].idle_until == Some(until) => {
                    return Round::Waits;
                }
                Answer::Inactive(until) => {
                    self.data[at].idle_until = Some(until);
                    self.data[at].times.push_back(until);
                    ("a time of idleness", until)
                }
                Answer::Packet(packet) => {
                    if self.must_ask {
                        self.ask_for_streams(copy);
                    }
                    if index.new_metadata {
                        self.read_metadata(copy);
                    }
                    let followed = &mut self.data[at];
                    let bytes = followed.stream.fetch(&mut self.attached.client, &packet);
                    followed.stream.store(&bytes, copy);
                    followed.times.extend([packet.begin, packet.end]);
                    ("a packet", packet.begin)
                }
            };
            if shown < self.reached {
                let reached = self.reached;
                return Round::Late(format!("{what} of {shown} after {reached}"));
            }
        }
        let earliest = self.data.iter_mut().min_by_key(|it| it.times[0]);
        match earliest.and_then(|it| it.times.pop_front()) {
            Some(time) => {
                self.reached = time;
                Round::Went
            }
            None => Round::Waits,
        }
    }
}
