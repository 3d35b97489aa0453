//! Counts: packets that were kept, and losses by cause.
//!
//! Each session has a [`Tally`], and the relay has one for all. A stream has less
//! ([`StreamTally`]), since there are many: what is added to it is added to its session and
//! to the relay at the same moment. So nothing is summed later, and what a stream counted
//! stays when the stream goes.

use std::fmt;
use std::time::Duration;

use crate::shown::Size;

/// Counts of a session, or of the whole relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets whose bytes are in a file.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last of them came, in seconds since 1970; 0: none did.
    pub last_packet_s: u64,
    /// Events that tracers discarded, since their ring buffers were full.
    pub events_discarded: u64,
    /// Packets that were lost, by cause.
    pub lost: Lost,
}

impl Tally {
    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.last_packet_s = self.last_packet_s.max(other.last_packet_s);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.events_discarded = self.events_discarded.saturating_add(other.events_discarded);
        for cause in Cause::ALL {
            self.lost.add(cause, other.lost.of(cause));
        }
    }
}

/// For the log: `412 packets, 1.6 MB; 0 lost here, 0 announced and never received; the tracer
/// discarded 97948 events`.
impl fmt::Display for Tally {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, bytes, .. } = self;
        let noun = if *packets == 1 { "packet" } else { "packets" };
        write!(to, "{packets} {noun}, {}; ", Size(*bytes))?;
        let overwritten = self.lost.of(Cause::Overwritten);
        let never_came = self.lost.of(Cause::NeverCame);
        let is_here = |cause: &Cause| !matches!(cause, Cause::Overwritten | Cause::NeverCame);
        let here = Cause::ALL.into_iter().filter(is_here);
        let here = here.fold(0, |sum: u64, it| sum.saturating_add(self.lost.of(it)));
        write!(
            to,
            "{here} lost here, {never_came} announced and never received"
        )?;
        if self.events_discarded > 0 {
            let events = self.events_discarded;
            write!(to, "; the tracer discarded {events} events")?;
        }
        if overwritten > 0 {
            write!(to, "; the tracer overwrote {overwritten} packets")?;
        }
        Ok(())
    }
}

/// The complete packets of a session, which viewers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Their number, those that were removed included.
    pub packets: u64,
    /// Where the last of them ends, by the clock of its tracer. (That of LTTng's tracers
    /// counts nanoseconds.)
    pub end: u64,
    /// Where the first of them begins.
    pub begin: u64,
}

impl Span {
    /// One more packet is complete.
    pub fn add(&mut self, begin: u64, end: u64) {
        if self.packets == 0 {
            self.begin = begin;
        }
        self.packets += 1;
        self.begin = self.begin.min(begin);
        self.end = self.end.max(end);
    }
}

/// How far a viewer has read a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Packets of [`Span::packets`] that it has, or cannot get.
    pub packets: u64,
    /// Packets that it got.
    pub taken: u64,
    /// Where the last of these ends.
    pub end: u64,
}

impl Reading {
    /// Of a viewer that just attached the session, and may read `readable` packets.
    pub fn from(span: &Span, readable: u64) -> Self {
        Self {
            packets: span.packets.saturating_sub(readable),
            taken: 0,
            end: if readable > 0 { span.begin } else { span.end },
        }
    }

    /// It gets one more packet.
    pub fn take(&mut self, end: u64) {
        self.packets += 1;
        self.taken += 1;
        self.end = self.end.max(end);
    }

    /// Packets that it has not got.
    pub fn lag_packets(&self, span: &Span) -> u64 {
        span.packets.saturating_sub(self.packets)
    }

    /// How far the last packet that it got is before the last that there is.
    pub fn lag(&self, span: &Span) -> Duration {
        if self.lag_packets(span) == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(span.end.saturating_sub(self.end))
    }
}

/// Why a packet was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The tracer overwrote it before it was sent (overwrite mode).
    Overwritten,
    /// There was no room on the disk.
    DiskFull,
    /// The disk failed in another way.
    DiskFailed,
    /// It came while metadata of its trace waited for room on the disk.
    NoMetadata,
    /// Its stream, or the address that sent it, has too much of something else.
    Bound,
    /// Its connection ended in the middle of it.
    Torn,
    /// It was announced, and nothing of it came.
    NeverCame,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::Overwritten,
        Self::DiskFull,
        Self::DiskFailed,
        Self::NoMetadata,
        Self::Bound,
        Self::Torn,
        Self::NeverCame,
    ];

    /// Whether the relay's disk did not take it.
    pub fn is_of_disk(self) -> bool {
        matches!(self, Self::DiskFull | Self::DiskFailed | Self::NoMetadata)
    }

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overwritten => "overwritten",
            Self::DiskFull => "disk_full",
            Self::DiskFailed => "disk_failed",
            Self::NoMetadata => "no_metadata",
            Self::Bound => "bound",
            Self::Torn => "torn",
            Self::NeverCame => "never_came",
        }
    }
}

/// Numbers of packets that were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost([u64; Cause::ALL.len()]);

impl Lost {
    /// Those that were lost by that cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Adds packets that were lost by that cause.
    pub fn add(&mut self, cause: Cause, packets: u64) {
        let sum = &mut self.0[cause as usize];
        // A tracer's numbers are anything that a peer says.
        *sum = sum.saturating_add(packets);
    }

    /// Those that were lost, by whatever cause.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, it| sum.saturating_add(*it))
    }
}

/// Counts of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTally {
    /// Packets whose bytes are in a file.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Complete packets that a new viewer may get: those of its files.
    pub readable: u64,
    /// The tracer's number of the next packet, if none is lost; 0 before the first.
    next: u64,
    /// Made with the first loss: most streams lose nothing.
    losses: Option<Box<StreamLosses>>,
}

/// Losses of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLosses {
    /// Events that the tracer discarded.
    pub events_discarded: u64,
    /// Packets that were lost, by whatever cause.
    pub packets: u64,
    /// The packet that broke off last, if it was not given up and did not come again.
    pub torn: Option<TornPacket>,
}

/// A packet whose connection ended in the middle of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornPacket {
    /// Its number.
    pub sequence: u64,
    /// It had been counted as lost when it broke off.
    pub is_counted: bool,
}

impl StreamTally {
    /// Its losses.
    pub fn losses(&self) -> StreamLosses {
        self.losses.as_deref().copied().unwrap_or_default()
    }

    /// Its losses, to be changed: they take memory from now on.
    pub fn losses_mut(&mut self) -> &mut StreamLosses {
        self.losses.get_or_insert_default()
    }

    /// The packet that broke off last, if it is that one, does so no more.
    pub fn mend(&mut self, is_it: impl FnOnce(&mut TornPacket) -> bool) -> Option<TornPacket> {
        self.losses.as_mut()?.torn.take_if(is_it)
    }

    /// Whether a packet broke off last.
    pub fn has_torn(&self) -> bool {
        let losses = self.losses.as_ref();
        losses.is_some_and(|losses| losses.torn.is_some())
    }

    /// Takes the description of a packet before which nothing was lost. False: something was.
    pub fn follow(&mut self, number: u64, discarded: u64) -> bool {
        let follows = number == self.next
            && number != u64::MAX
            && discarded == self.losses().events_discarded;
        self.next += u64::from(follows);
        follows
    }

    /// Takes the tracer's running count of discarded events. Gives how many are new.
    ///
    /// A 32-bit tracer counts to 2^32 and begins anew.
    pub fn discarded(&mut self, count: u64) -> u64 {
        let known = self.losses().events_discarded;
        let now = if count >= known {
            count
        } else if count < WRAP {
            let now = (known & !(WRAP - 1)) | count;
            if now < known {
                now.saturating_add(WRAP)
            } else {
                now
            }
        } else {
            // No tracer counts back.
            known
        };
        if now > known {
            self.losses_mut().events_discarded = now;
        }
        now - known
    }

    /// The recording was cleared, and with it packets that the tracer had not sent: the
    /// next packet is as the first.
    pub fn clear(&mut self) {
        self.next = 0;
    }

    /// Takes the tracer's number of a packet. Gives how many are missing between it and the one
    /// before it. Packets that the tracer overwrote before the first are not counted, as LTTng and
    /// Babeltrace do not: a stream may begin anywhere.
    pub fn numbered(&mut self, number: u64) -> u64 {
        let is_first = self.next == 0;
        let missing = if is_first {
            0
        } else {
            number.saturating_sub(self.next)
        };
        self.next = self.next.max(number.saturating_add(1));
        missing
    }
}

/// Where the counter of a 32-bit tracer begins anew.
const WRAP: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_of_32_bits_wraps() {
        let mut tally = StreamTally::default();
        let told = [
            (0, 0),
            (5, 5),
            (5, 0),
            (WRAP - 1, WRAP - 6),
            (3, 4),
            (3, 0),
            (2, WRAP - 1),
        ];
        for (count, new) in told {
            assert_eq!(tally.discarded(count), new, "{count}");
        }
        assert_eq!(tally.losses().events_discarded, 2 * WRAP + 2);
    }

    #[test]
    fn a_counter_of_64_bits_goes_on() {
        let mut tally = StreamTally::default();
        assert_eq!(tally.discarded(WRAP + 7), WRAP + 7);
        assert_eq!(tally.discarded(3 * WRAP), 2 * WRAP - 7);
        // Nothing that a tracer says.
        assert_eq!(tally.discarded(2 * WRAP), 0);
        assert_eq!(tally.losses().events_discarded, 3 * WRAP);
    }

    #[test]
    fn gaps_of_numbers_are_counted_once() {
        let mut tally = StreamTally::default();
        for (number, missing) in [(2, 0), (3, 0), (7, 3), (7, 0), (4, 0), (10, 2)] {
            assert_eq!(tally.numbered(number), missing, "{number}");
        }
    }

    #[test]
    fn a_tally_says_what_is_lost_and_where() {
        let mut tally = Tally {
            packets: 1,
            bytes: 64,
            ..Tally::default()
        };
        let kept = "1 packet, 64 B; 0 lost here, 0 announced and never received";
        assert_eq!(tally.to_string(), kept);
        tally.events_discarded = 97_948;
        for cause in Cause::ALL {
            tally.lost.add(cause, u64::MAX);
        }
        let most = u64::MAX;
        let lost = format!(
            "1 packet, 64 B; {most} lost here, {most} announced and never received; the tracer \
             discarded 97948 events; the tracer overwrote {most} packets"
        );
        assert_eq!(tally.to_string(), lost);
    }

    #[test]
    fn a_tally_of_a_stream_is_small() {
        assert!(size_of::<StreamTally>() <= 40);
    }

    proptest! {
        #[test]
        fn no_number_that_a_peer_says_does_harm(counts in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut tally = StreamTally::default();
            let mut sum = Tally::default();
            for count in counts {
                let before = tally.losses().events_discarded;
                sum.events_discarded += tally.discarded(count);
                sum.lost.add(Cause::Overwritten, tally.numbered(count));
                prop_assert!(tally.losses().events_discarded >= before);
                prop_assert_eq!(sum.events_discarded, tally.losses().events_discarded);
            }
        }

        #[test]
        fn what_a_32_bit_tracer_discards_is_known(steps in prop::collection::vec(0..WRAP, 0..20)) {
            let (mut tally, mut sum) = (StreamTally::default(), 0);
            for step in steps {
                sum += step;
                prop_assert_eq!(tally.discarded(sum % WRAP), step);
            }
        }
    }
}
