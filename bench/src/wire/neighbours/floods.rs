//! Bad peers with more of what all peers send: large packets, long lists, requests.

use std::io;

use super::super::commands::IDLE;
use super::super::producer::{Producer, Shape};
use super::super::relay::Target;
use super::super::viewer::{self, Viewer};
use super::{Member, goes_on};

/// So many producers with large packets.
pub fn packets(target: &Target, producers: usize) -> io::Result<Vec<Member>> {
    let member = |mut producer: Producer| -> Member {
        Box::new(move |is_over| {
            // The disk may be the memory.
            for _ in (0..LARGE_PACKETS_MAX).take_while(|_| goes_on(is_over)) {
                producer.send_packet(0, 1)?;
            }
            Ok(())
        })
    };
    let producers = (1..=producers as u64).map(|number| Producer::connect(target, number, LARGE));
    producers.map(|producer| producer.map(member)).collect()
}

/// So many viewers that list so many sessions.
pub fn lists(target: &Target, viewers: usize, sessions: usize) -> io::Result<Vec<Member>> {
    let sessions = (1..=sessions as u64).map(|number| Producer::connect(target, number, IDLE));
    let mut sessions = sessions.collect::<io::Result<Vec<_>>>()?;
    let mut members = Vec::new();
    for _ in 0..viewers {
        let mut viewer = Viewer::connect(target)?;
        // They stay as long as one viewer: the first has them.
        let sessions = std::mem::take(&mut sessions);
        members.push(Box::new(move |is_over: &_| {
            while goes_on(is_over) {
                viewer.count_sessions()?;
            }
            drop(sessions);
            Ok(())
        }) as Member);
    }
    Ok(members)
}

/// A viewer that does not wait for replies.
pub fn requests(target: &Target) -> Vec<Member> {
    let target = target.clone();
    vec![Box::new(move |is_over| viewer::flood(&target, is_over))]
}

const LARGE: Shape = Shape {
    streams: 1,
    packet_bytes: 1 << 20,
    live_timer_us: 0,
};
const LARGE_PACKETS_MAX: usize = 30;
