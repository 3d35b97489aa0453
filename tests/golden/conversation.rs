//! The decoded messages of a control connection: commands and replies.

use baton_components::wire::producer::{
    Command, CommandKind, HEADER_SIZE, Header, Minors, Version, decode, reply,
};
use reply::Reply;

use crate::capture::Recorded;

/// A command and, if it has one, its reply.
pub struct Exchange<'a> {
    pub command: Command<'a>,
    /// Where the command ends among the bytes sent.
    pub end: usize,
    pub reply: Reply<'a>,
}

/// All exchanges of a connection. Commands that were sent and not answered, since a
/// recording ends, are left out.
pub fn exchanges<'a>(sent: &'a [u8], received: &'a [u8]) -> Vec<Exchange<'a>> {
    let mut minor = 0;
    let mut exchanges = Vec::new();
    let (mut at, mut replied) = (0, 0);
    while let Some(header) = sent[at..].first_chunk::<HEADER_SIZE>() {
        let header = Header::decode(header);
        let start = at + HEADER_SIZE;
        let end = start + header.payload_size as usize;
        let kind = CommandKind::from_number(header.command).expect("a command");
        let command = decode(kind, Minors::both(minor), &sent[start..end]).expect("a payload");
        let Some((reply, size)) =
            reply::decode(kind, minor, &received[replied..]).expect("a reply")
        else {
            break;
        };
        if let (Command::Version(asked), Reply::Version(answered)) = (&command, &reply) {
            minor = asked.minor.min(answered.minor);
        }
        replied += size;
        at = end;
        exchanges.push(Exchange {
            command,
            end,
            reply,
        });
    }
    assert_eq!(
        replied,
        received.len(),
        "replies that nobody asked for, after {} commands",
        exchanges.len()
    );
    exchanges
}

/// Replies that may differ from the recorded ones, by what was changed in the replay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// All are the same.
    Same,
    /// Data came earlier or later: so does the answer to "is all of it there?".
    PendingMayDiffer,
}

/// Differences of our replies, one line each.
pub fn differences(recorded: &Recorded, ours: &[u8], expect: Expect) -> Vec<String> {
    let theirs = exchanges(&recorded.sent, &recorded.received);
    let ours = exchanges(&recorded.sent, ours);
    let mut lines = Vec::new();
    if ours.len() != theirs.len() {
        lines.push(format!(
            "{} commands were answered, {} in the recording",
            ours.len(),
            theirs.len()
        ));
    }
    for (number, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        if !agree(theirs, ours, expect) {
            lines.push(format!(
                "command {number}, {:?}: {} is answered, {} in the recording",
                ours.command,
                text(ours.reply),
                text(theirs.reply)
            ));
        }
    }
    lines
}

/// A reply with its path as a person reads it.
fn text(reply: Reply) -> String {
    match reply {
        Reply::SessionCreated { path, .. }
        | Reply::ChunkClosed {
            path: Some(path), ..
        } => format!("{:?}", String::from_utf8_lossy(path)),
        other => format!("{other:?}"),
    }
}

fn agree(theirs: &Exchange, ours: &Exchange, expect: Expect) -> bool {
    match (&ours.command, ours.reply, theirs.reply) {
        // A relay tells its own version; the lower one is used.
        (Command::Version(_), Reply::Version(ours), _) => {
            ours == Version {
                major: reply::MAJOR,
                minor: reply::MINOR,
            }
        }
        (
            Command::DataPending(_) | Command::EndDataPending(_) | Command::TraceChunkExists(_),
            ..,
        ) if expect == Expect::PendingMayDiffer => true,
        // Where the first archive of a session goes: the recorded relays name the
        // session's directory, ours the archive.
        (
            Command::CloseTraceChunk(_),
            Reply::ChunkClosed {
                code,
                path: Some(path),
            },
            Reply::ChunkClosed {
                code: their_code,
                path: Some(their_path),
            },
        ) if path != their_path => {
            let below = path.strip_prefix(their_path);
            code == their_code && below.is_some_and(|below| below.starts_with(b"/archives/"))
        }
        (_, ours, theirs) => ours == theirs,
    }
}
