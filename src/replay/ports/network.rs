//! Network of a replay: its input comes from the script.

use std::time::Duration;

use baton_components::keys::ConnectionKey;
use baton_components::rights::{Pattern, Rights};
use baton_systems::ports::{Network, Newcomer, Received, Transmitted};
use slotmap::SecondaryMap;

use crate::journal::digest::digest;
use crate::journal::record::Record;
use crate::journal::values::ConnectionId;
use crate::replay::script::{Shared, same};

pub struct ReplayNetwork {
    shared: Shared,
    peers: SecondaryMap<ConnectionKey, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    input: Vec<u8>,
    unsent: usize,
}

impl ReplayNetwork {
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            peers: SecondaryMap::new(),
        }
    }
}

impl Network for ReplayNetwork {
    fn poll(
        &mut self,
        _: Option<Duration>,
        readable: &mut Vec<ConnectionKey>,
        writable: &mut Vec<ConnectionKey>,
    ) -> bool {
        let mut script = self.shared.script();
        script.begin_tick();
        while let Some((list, key)) = script.ask_whether(|record| match record {
            Record::Readable(id) => Some((&mut *readable, id.key())),
            Record::Writable(id) => Some((&mut *writable, id.key())),
            _ => None,
        }) {
            list.push(key);
        }
        false
    }

    fn accept(&mut self) -> Option<Newcomer> {
        let mut script = self.shared.script();
        let mut newcomer = script.ask_whether(|record| match record {
            Record::Accept { endpoint, peer } => Some(Newcomer {
                endpoint: (*endpoint).into(),
                peer: (*peer).to_owned(),
                has_tls: false,
                rights: None,
            }),
            _ => None,
        })?;
        let has_tls = script.ask_whether(|record| matches!(record, Record::Tls).then_some(()));
        newcomer.has_tls = has_tls.is_some();
        newcomer.rights = script.ask_whether(|record| match record {
            Record::Rights { hosts, sessions } => Some(Box::new(Rights {
                hosts: patterns(hosts.as_deref()),
                sessions: patterns(sessions.as_deref()),
            })),
            _ => None,
        });
        Some(newcomer)
    }

    fn adopt(&mut self, key: ConnectionKey) {
        let made = Record::Adopt(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.peers.insert(key, Peer::default());
    }

    fn stop_accepting(&mut self) {
        let made = Record::StopAccepting;
        self.shared.script().ask(same(&made), || made.to_string());
    }

    fn receive(&mut self, key: ConnectionKey, _: usize) -> Received {
        let mut script = self.shared.script();
        let Some(peer) = self.peers.get_mut(key) else {
            return Received::Drained;
        };
        let came = script.receive(key.into(), &mut peer.input);
        came.map_or(Received::Drained, Received::from)
    }

    fn input(&self, key: ConnectionKey) -> &[u8] {
        self.peers.get(key).map_or(&[], |peer| &peer.input)
    }

    fn consume(&mut self, key: ConnectionKey, count: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.input.drain(..count);
            self.shared.script().consume(key.into(), count as u64);
        }
    }

    fn send(&mut self, key: ConnectionKey, bytes: &[u8]) {
        let mut script = self.shared.script();
        let made = Record::Send {
            connection: key.into(),
            length: bytes.len() as u64,
            digest: if script.verifies() { digest(bytes) } else { 0 },
        };
        let verifies = script.verifies();
        script.ask(
            |record| match (record, &made) {
                (
                    Record::Send {
                        connection,
                        length,
                        digest: recorded,
                    },
                    Record::Send {
                        connection: own,
                        length: own_length,
                        digest,
                    },
                ) => {
                    let same = connection == own && length == own_length;
                    (same && (!verifies || recorded == digest)).then_some(())
                }
                _ => None,
            },
            || made.to_string(),
        );
        script.compared.reply_bytes += bytes.len() as u64;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.unsent += bytes.len();
        }
    }

    fn unsent(&self, key: ConnectionKey) -> usize {
        self.peers.get(key).map_or(0, |peer| peer.unsent)
    }

    fn transmit(&mut self, key: ConnectionKey, _: bool) -> Transmitted {
        let answer = self.shared.script().ask(
            |record| match record {
                Record::Transmit {
                    connection,
                    outcome,
                    unsent,
                } if connection.key() == key => {
                    Some((Transmitted::from(outcome.clone()), *unsent as usize))
                }
                _ => None,
            },
            || format!("queued output of {} is sent", ConnectionId::from(key)),
        );
        let (outcome, unsent) = answer.unwrap_or((Transmitted::All, 0));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.unsent = unsent;
        }
        outcome
    }

    fn close(&mut self, key: ConnectionKey) {
        let made = Record::Close(key.into());
        self.shared.script().ask(same(&made), || made.to_string());
        self.peers.remove(key);
    }
}

fn patterns(recorded: Option<&[String]>) -> Option<Vec<Pattern>> {
    Some(recorded?.iter().map(Pattern::new).collect())
}
