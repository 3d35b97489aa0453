//! A connection of a producer (control or data) or of a viewer.
//!
//! Owned by the network while its socket is open. Its bytes, in and out, are the
//! network's too: here is only what the conversation has come to.

use std::time::Duration;

use crate::hold::Holder;
use crate::keys::{FileKey, SessionKey, StreamKey, ViewerSessionKey};
use crate::kinds::Id;
use crate::limits::REFUSALS_LOGGED_EVERY;
use crate::wire::producer::data::PacketHeader;

/// The listener that a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    Control,
    Data,
    Live,
}

impl Port {
    pub const ALL: [Self; 3] = [Self::Control, Self::Data, Self::Live];

    /// The word for it in log lines and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Live => "live",
        }
    }
}

#[derive(Debug)]
pub struct Connection {
    /// Its address, for people.
    pub peer: String,
    pub role: Role,
    /// Set once: the connection is closed at the end of this tick.
    pub ending: Option<Ending>,
    /// It was left unread since it does not take its replies.
    pub throttled: bool,
    /// Since when it has taken nothing of what waits for it.
    pub stalled_since: Option<Duration>,
}

/// What a connection is for, with the state of that conversation.
#[derive(Debug)]
pub enum Role {
    Control(Control),
    Data(Data),
    Viewer(Viewer),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: streams that still wait for announced packets may get them.
    Close,
    /// By a fault. A control connection's session is over at once, nothing is waited for.
    Abort,
}

/// A producer's control connection: commands in, replies out.
#[derive(Debug, Default)]
pub struct Control {
    /// The minor of the protocol, once VERSION has settled it.
    pub minor: Option<u32>,
    /// The session that CREATE_SESSION made on it: at most one in its life.
    pub session: Option<SessionKey>,
    pub refusals: Refusals,
}

/// Commands that were refused on a connection that stayed open. A peer may send any
/// number, and the log says what it was a line for each run of them.
#[derive(Debug, Default)]
pub struct Refusals {
    /// When one was logged last.
    logged_at: Option<Duration>,
    /// Those since then.
    unlogged: u64,
}

impl Refusals {
    /// Takes one more. If it is to be logged: how many were not, before it.
    pub fn add(&mut self, now: Duration) -> Option<u64> {
        let run = self
            .logged_at
            .filter(|at| now < *at + REFUSALS_LOGGED_EVERY);
        if run.is_some() {
            self.unlogged += 1;
            return None;
        }
        self.logged_at = Some(now);
        Some(self.take_unlogged())
    }

    /// How many were not logged.
    pub fn take_unlogged(&mut self) -> u64 {
        std::mem::take(&mut self.unlogged)
    }
}

/// A producer's data connection: packets in, nothing out.
#[derive(Debug, Default)]
pub struct Data {
    /// The session of the first stream of which it brought payload.
    pub session: Option<SessionKey>,
    /// The packet that is arriving.
    pub packet: Option<ArrivingPacket>,
}

/// A packet of which the header was read, and its payload up to `received`.
#[derive(Clone, Copy, Debug)]
pub struct ArrivingPacket {
    pub header: PacketHeader,
    /// Weak: the stream may close while the payload arrives.
    pub stream: StreamKey,
    /// Payload bytes that are in the stream's file, or lost.
    pub received: u32,
}

/// A viewer's connection: requests in, replies out.
#[derive(Debug, Default)]
pub struct Viewer {
    /// The minor of the live protocol, once CONNECT has settled it.
    pub minor: Option<u32>,
    pub session: Option<ViewerSessionKey>,
    /// The rest of the reply that is being sent, if it comes from a file.
    pub body: Option<Body>,
}

/// A range of a file that belongs to the reply in hand.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    pub file: FileKey,
    pub offset: u64,
    pub remaining: u64,
}

impl Connection {
    pub fn new(peer: String, port: Port) -> Self {
        let role = match port {
            Port::Control => Role::Control(Control::default()),
            Port::Data => Role::Data(Data::default()),
            Port::Live => Role::Viewer(Viewer::default()),
        };
        Self {
            peer,
            role,
            ending: None,
            throttled: false,
            stalled_since: None,
        }
    }

    pub fn port(&self) -> Port {
        match self.role {
            Role::Control(_) => Port::Control,
            Role::Data(_) => Port::Data,
            Role::Viewer(_) => Port::Live,
        }
    }

    pub fn control(&self) -> Option<&Control> {
        if let Role::Control(control) = &self.role {
            Some(control)
        } else {
            None
        }
    }

    pub fn control_mut(&mut self) -> Option<&mut Control> {
        if let Role::Control(control) = &mut self.role {
            Some(control)
        } else {
            None
        }
    }

    pub fn data_mut(&mut self) -> Option<&mut Data> {
        if let Role::Data(data) = &mut self.role {
            Some(data)
        } else {
            None
        }
    }

    pub fn viewer(&self) -> Option<&Viewer> {
        if let Role::Viewer(viewer) = &self.role {
            Some(viewer)
        } else {
            None
        }
    }

    pub fn viewer_mut(&mut self) -> Option<&mut Viewer> {
        if let Role::Viewer(viewer) = &mut self.role {
            Some(viewer)
        } else {
            None
        }
    }

    /// The session that this connection produces for.
    pub fn session(&self) -> Option<SessionKey> {
        match &self.role {
            Role::Control(control) => control.session,
            Role::Data(data) => data.session,
            Role::Viewer(_) => None,
        }
    }

    /// Ends the connection at the end of the tick. An abort stays an abort.
    pub fn end(&mut self, ending: Ending) {
        if self.ending != Some(Ending::Abort) {
            self.ending = Some(ending);
        }
    }
}

impl Holder for Connection {
    fn holds(&self, visit: &mut dyn FnMut(Id)) {
        if let Some(session) = self.session() {
            visit(session.into());
        }
        if let Role::Viewer(viewer) = &self.role {
            if let Some(session) = viewer.session {
                visit(session.into());
            }
            if let Some(body) = viewer.body {
                visit(body.file.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_refusals_few_are_logged() {
        let mut refusals = Refusals::default();
        let begin = Duration::from_secs(1);
        assert_eq!(refusals.add(begin), Some(0));
        for millisecond in 0..9_999 {
            assert_eq!(
                refusals.add(begin + Duration::from_millis(millisecond)),
                None
            );
        }
        // It goes on: that is told once in a while.
        assert_eq!(refusals.add(begin + REFUSALS_LOGGED_EVERY), Some(9_999));
        assert_eq!(refusals.add(begin + REFUSALS_LOGGED_EVERY), None);
        assert_eq!(refusals.take_unlogged(), 1);
        assert_eq!(refusals.take_unlogged(), 0);
        assert_eq!(refusals.add(begin + 3 * REFUSALS_LOGGED_EVERY), Some(0));
    }
}
