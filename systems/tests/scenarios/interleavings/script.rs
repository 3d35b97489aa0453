//! The generator: what producers and viewers do, one cue after another.
//!
//! A cue is a wish: the cast does what is possible of it when its turn comes, so any
//! list of cues is a script, and so is any part of one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::model::{Close, Limit};
use super::stranger::{Intrusion, intrusions};

#[derive(Clone, Debug)]
pub struct Script {
    pub producers: Vec<Setup>,
    pub viewers: usize,
    /// How late storage answers its requests, in turn; empty: at once.
    pub lateness: Vec<u64>,
    /// Whether what viewers get is not in memory, in turn; empty: it is.
    pub cold: Vec<bool>,
    /// Names are made after a probe of the disk only.
    pub probes: bool,
    pub cues: Vec<Cue>,
}

/// A producer as it begins.
#[derive(Clone, Debug)]
pub struct Setup {
    pub minor: u32,
    /// Producers of one origin share their chunks.
    pub origin: u64,
    /// The base path of its session (since 2.11).
    pub base: &'static str,
    /// Its streams are those of one process, so the session has a hold-back.
    pub per_process: bool,
    /// It finds the origin's chunk 0 there, and does not make it.
    pub joins: bool,
    pub streams: Vec<Limit>,
    /// How it leaves if it is there to the last cue.
    pub leaving: Leaving,
}

#[derive(Clone, Debug)]
pub struct Cue {
    /// Number of the peer, modulo the number of peers.
    pub who: usize,
    pub act: Act,
    /// Bytes of one receive; 0: all there are.
    pub cut: usize,
    /// Bytes on the data connection that arrive together with the command.
    pub race: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// A packet goes on its way. The tracer dropped `jump` packets before it.
    Produce {
        stream: usize,
        size: u64,
        padding: u64,
        jump: u64,
    },
    /// A number of the bytes in flight arrives.
    Deliver(usize),
    /// The description of a packet: the oldest, or one a little newer.
    Describe {
        stream: usize,
        newer: usize,
    },
    Beacon {
        stream: usize,
    },
    Metadata {
        size: usize,
        padding: usize,
    },
    Add(Limit),
    Publish,
    /// Is everything there?
    Pending,
    /// The origin goes on to the next chunk; or begins again if it was stopped.
    Rotate {
        close: Close,
        late_metadata: bool,
    },
    /// The origin stops, and its streams leave their chunk.
    Stop {
        close: Close,
    },
    /// The next message of the rotation that is going on.
    Advance,
    CloseStream {
        stream: usize,
    },
    Leave(Leaving),

    /// A number of milliseconds passes.
    Pass(u64),
    /// A viewer does something.
    View(View),
    /// A stranger attacks a place of the producer.
    Attack {
        stranger: usize,
        place: usize,
        close: usize,
    },
    /// Something goes wrong with the disk in the next cues.
    Fault(Fault),
    /// A stranger sends packets of the producer's streams.
    Intrude(Intrusion),
}

#[derive(Clone, Copy, Debug)]
pub enum Leaving {
    /// Closes all streams, and then its connections.
    Orderly,
    ControlFirst,
    DataFirst,
    Reset,
    ResetDataFirst,
}

#[derive(Clone, Debug)]
pub enum View {
    Attach {
        session: usize,
        from_beginning: bool,
    },
    Detach {
        session: usize,
    },
    NewStreams {
        session: usize,
    },
    NextIndex {
        stream: usize,
    },
    Metadata {
        stream: usize,
    },
    /// Disconnects, and comes back as another viewer.
    Restart,
    /// Accepts no bytes until a later cue allows some.
    Block,
    Take(usize),
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// The nth operation of a kind from now on fails.
    Fail { operation: usize, nth: u64 },
    /// The disk has room for this number of further bytes.
    Full { room: u64 },
    /// It has room again.
    Room,
}

/// The theme of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Producers,
    Viewers,
    Faults,
}

pub fn scripts(theme: Theme) -> impl Strategy<Value = Script> {
    let viewers = match theme {
        Theme::Viewers => 1..3_usize,
        _ => 0..1,
    };
    let length = match theme {
        Theme::Viewers => 1..90_usize,
        _ => 1..60,
    };
    let parts = (
        producers(theme),
        viewers,
        lateness(),
        cold(theme),
        any::<bool>(),
        vec(cue(theme), length),
    );
    parts.prop_map(
        |(producers, viewers, lateness, cold, probes, cues)| Script {
            producers,
            viewers,
            lateness,
            cold,
            probes,
            cues,
        },
    )
}

/// In half of the scripts storage answers at once.
fn lateness() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![Just(Vec::new()), vec(0..6_u64, 1..12_usize)]
}

/// In half of the scripts with viewers all is in memory.
fn cold(theme: Theme) -> impl Strategy<Value = Vec<bool>> {
    let length = if theme == Theme::Viewers {
        1..12
    } else {
        0..1_usize
    };
    prop_oneof![Just(Vec::new()), vec(any::<bool>(), length)]
}

fn producers(theme: Theme) -> BoxedStrategy<Vec<Setup>> {
    let one = || setup(prop_oneof![Just(8_u32), Just(11), Just(13), Just(15)], 0);
    let new = |origin| setup(prop_oneof![Just(11_u32), Just(13), Just(15)], origin);
    let of_two_origins = (one(), new(1)).prop_map(|(a, b)| vec![a, b]);
    let of_one_origin = (new(0), new(0), any::<bool>()).prop_map(|(a, b, joins)| {
        let base = a.base;
        vec![a, Setup { base, joins, ..b }]
    });
    match theme {
        // The first suffers, the second must not.
        Theme::Faults => of_two_origins.boxed(),
        _ => prop_oneof![
            4 => one().prop_map(|it| vec![it]),
            1 => of_two_origins,
            2 => of_one_origin,
        ]
        .boxed(),
    }
}

fn setup(minor: impl Strategy<Value = u32>, origin: u64) -> impl Strategy<Value = Setup> {
    let parts = (minor, base(), any::<bool>(), vec(limit(), 1..3), leaving());
    parts.prop_map(move |(minor, base, per_process, streams, leaving)| Setup {
        minor,
        origin,
        base,
        per_process,
        joins: false,
        streams,
        leaving,
    })
}

/// Paths that are equal, or above or below each other or an old producer's.
fn base() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just(""),
        1 => Just("a"),
        1 => Just("a/b"),
        1 => Just("old0"),
        1 => Just("old0/x"),
        1 => Just("old0/ust/uid/0"),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        3 => Just(None),
        2 => (40..400_u64, 0..4_u64).prop_map(Some),
    ]
}

fn leaving() -> impl Strategy<Value = Leaving> {
    prop_oneof![
        Just(Leaving::Orderly),
        Just(Leaving::ControlFirst),
        Just(Leaving::DataFirst),
        Just(Leaving::Reset),
        Just(Leaving::ResetDataFirst),
    ]
}

fn cue(theme: Theme) -> impl Strategy<Value = Cue> {
    let cut = prop_oneof![4 => Just(0_usize), 1 => 1..40_usize];
    let race = match theme {
        Theme::Producers => prop_oneof![8 => Just(None), 1 => amount().prop_map(Some)].boxed(),
        // The model must know what a viewer may see.
        _ => Just(None).boxed(),
    };
    (0..4_usize, act(theme), cut, race).prop_map(|(who, act, cut, race)| Cue {
        who,
        act,
        cut,
        race,
    })
}

fn act(theme: Theme) -> BoxedStrategy<Act> {
    let producers = producer_act(theme);
    match theme {
        Theme::Producers => prop_oneof![
            90 => producers,
            10 => intrusions().prop_map(Act::Intrude),
            1 => attack(),
        ]
        .boxed(),
        Theme::Viewers => prop_oneof![
            9 => producers,
            12 => view().prop_map(Act::View),
            2 => (50..900_u64).prop_map(Act::Pass),
            1 => intrusions().prop_map(Act::Intrude),
        ]
        .boxed(),
        Theme::Faults => prop_oneof![5 => producers, 1 => fault().prop_map(Act::Fault)].boxed(),
    }
}

fn producer_act(theme: Theme) -> impl Strategy<Value = Act> {
    let stream = || 0..4_usize;
    prop_oneof![
        24 => (stream(), size(theme), padding(), jump()).prop_map(|(stream, size, padding, jump)| {
            Act::Produce { stream, size, padding, jump }
        }),
        22 => amount().prop_map(Act::Deliver),
        22 => (stream(), 0..3_usize).prop_map(|(stream, newer)| Act::Describe { stream, newer }),
        4 => stream().prop_map(|stream| Act::Beacon { stream }),
        4 => (1..60_usize, 0..20_usize).prop_map(|(size, padding)| Act::Metadata { size, padding }),
        3 => limit().prop_map(Act::Add),
        2 => Just(Act::Publish),
        2 => Just(Act::Pending),
        6 => (close(), any::<bool>()).prop_map(|(close, late_metadata)| {
            Act::Rotate { close, late_metadata }
        }),
        2 => close().prop_map(|close| Act::Stop { close }),
        12 => Just(Act::Advance),
        2 => stream().prop_map(|stream| Act::CloseStream { stream }),
        1 => leaving().prop_map(Act::Leave),
    ]
}

fn attack() -> impl Strategy<Value = Act> {
    (0..64_usize, 0..64_usize, 0..3_usize).prop_map(|(stranger, place, close)| Act::Attack {
        stranger,
        place,
        close,
    })
}

fn view() -> impl Strategy<Value = View> {
    let session = || 0..2_usize;
    prop_oneof![
        4 => (session(), any::<bool>()).prop_map(|(session, from_beginning)| {
            View::Attach { session, from_beginning }
        }),
        1 => session().prop_map(|session| View::Detach { session }),
        3 => session().prop_map(|session| View::NewStreams { session }),
        14 => (0..8_usize).prop_map(|stream| View::NextIndex { stream }),
        4 => (0..3_usize).prop_map(|stream| View::Metadata { stream }),
        1 => Just(View::Restart),
        1 => Just(View::Block),
        3 => (1..20_000_usize).prop_map(View::Take),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => (0..8_usize, 1..4_u64).prop_map(|(operation, nth)| Fault::Fail { operation, nth }),
        1 => (0..200_u64).prop_map(|room| Fault::Full { room }),
        1 => Just(Fault::Room),
    ]
}

fn close() -> impl Strategy<Value = Close> {
    prop_oneof![
        Just(Close::Archive),
        Just(Close::Delete),
        Just(Close::Nothing)
    ]
}

fn size(theme: Theme) -> impl Strategy<Value = u64> {
    // On a bad disk each packet must tell by itself which one it is.
    let least = if theme == Theme::Faults {
        TELLING_BYTES
    } else {
        0
    };
    prop_oneof![
        2 => Just(least),
        10 => least + 1..90_u64,
        8 => 90..300_u64,
        1 => Just(20_000),
    ]
}

fn padding() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0_u64), 1 => 1..50_u64]
}

fn jump() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0_u64), 1 => 1..4_u64]
}

/// Bytes that arrive at once: a few, a packet or so, or all.
fn amount() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 1..40_usize,
        4 => 32..400_usize,
        4 => Just(usize::MAX),
    ]
}

/// The first bytes of a packet are like those of no other.
const TELLING_BYTES: u64 = 8;
