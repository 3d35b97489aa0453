//! Shares: how much each address has of what there is a limited amount of.
//!
//! An address may have all of something until less than a quarter of it is left. From then
//! on an address with more than its share gets no more, so that others still do. All is
//! counted as it comes and goes: nothing is ever searched.

// Addresses as values: nothing is reached by them.
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rustc_hash::FxHashMap;
use slotmap::SlotMap;

use crate::refusals::Refusals;
use crate::wire::speaker::Speaker;

slotmap::new_key_type! {
    /// Names an address that has something.
    pub struct AddressKey;
}

/// A thing that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asset {
    /// Open connections, of all endpoints.
    Connections,
    /// Data connections that have brought no packet yet: a part of the connections, counted
    /// for [`Shares::check_silent`].
    SilentConnections,
    /// Open connections that ask about the relay: a part of the connections.
    Monitors,
    /// Sessions, with those that are over and still read.
    Sessions,
    /// Streams of all sessions, with those that are closed and still read.
    Streams,
    /// Open streams of one session: a limit of each, of which no sum is kept.
    StreamsOfSession,
    /// Files and directories of one chunk, likewise.
    NamesOfChunk,
    /// Trace files that are finished, and wait for descriptions of their packets: each may
    /// need a descriptor of its own.
    AwaitedFiles,
    /// Bytes of metadata for which the disk has no room: a part of the memory.
    WaitingMetadata,
    /// Bytes that wait in memory: messages that are not whole, replies that were not sent,
    /// metadata for which the disk has no room, halves of packets; and viewer streams.
    Memory,
}

impl Asset {
    const ALL: [Self; 10] = [
        Self::Connections,
        Self::SilentConnections,
        Self::Monitors,
        Self::Sessions,
        Self::Streams,
        Self::StreamsOfSession,
        Self::NamesOfChunk,
        Self::AwaitedFiles,
        Self::WaitingMetadata,
        Self::Memory,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::SilentConnections => "connections without a packet",
            Self::Monitors => "status connections",
            Self::Sessions => "sessions",
            Self::Streams => "streams",
            Self::StreamsOfSession => "open streams of a session",
            Self::NamesOfChunk => "names of a chunk",
            Self::AwaitedFiles => "files that wait for indexes",
            Self::WaitingMetadata => "bytes of metadata for which the disk has no room",
            Self::Memory => "bytes of memory for peers",
        }
    }
}

/// An amount of each asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts([u64; Asset::ALL.len()]);

impl Amounts {
    const NOTHING: Self = Self([0; Asset::ALL.len()]);
    /// No limit.
    pub const ALL: Self = Self([u64::MAX; Asset::ALL.len()]);

    /// The same amounts but for one.
    #[must_use]
    pub fn with(mut self, asset: Asset, amount: u64) -> Self {
        *self.of_mut(asset) = amount;
        self
    }

    fn of(&self, asset: Asset) -> u64 {
        self.0[asset as usize]
    }

    fn of_mut(&mut self, asset: Asset) -> &mut u64 {
        &mut self.0[asset as usize]
    }
}

/// The limits, and how much all and each address have.
#[derive(Debug)]
pub struct Shares {
    limits: Amounts,
    /// The part that an address may have when there is little left.
    share_percent: u32,
    taken: Amounts,
    addresses: SlotMap<AddressKey, Address>,
    by_name: FxHashMap<String, AddressKey>,
}

#[derive(Debug)]
struct Address {
    name: String,
    has: Amounts,
    /// Refusals for the log, by what they are about: there are few kinds of them.
    refusals: BTreeMap<Topic, Refusals>,
}

/// Resources that an address is refused. Each has its own rate limit in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// More than its share.
    Share,
    /// The second protocol, at the endpoint of the first.
    Stray(Speaker, Speaker),
    /// A session, for a viewer.
    Session,
    /// Nothing: a viewer has left without a session.
    Search,
    /// More time, for a monitor that does not take its answer.
    Monitor,
}

/// The reason why an address gets no more of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    asset: Asset,
    address: String,
    has: u64,
    left: u64,
    limit: u64,
}

impl std::error::Error for Shortage {}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            has,
            left,
            limit,
            ..
        } = self;
        let asset = self.asset.name();
        if self.asset == Asset::SilentConnections {
            return write!(
                formatter,
                "{address} has {has} data {asset}, more than sessions, and {left} of {limit} \
                 connections are left for all"
            );
        }
        write!(
            formatter,
            "{address} has {has} of {limit} {asset}, and {left} are left for all"
        )
    }
}

/// All that each address has, counted anew.
#[derive(Debug, Default)]
pub struct Recount(BTreeMap<AddressKey, Amounts>);

impl Recount {
    /// The address has so much more.
    pub fn add(&mut self, key: AddressKey, asset: Asset, amount: u64) {
        let has = self.0.entry(key).or_insert(Amounts::NOTHING);
        *has.of_mut(asset) += amount;
    }
}

/// An asset of which an address has another amount than was counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is counted with {counted} {}, and has {has}", asset.name())]
pub struct Miscount {
    address: String,
    asset: Asset,
    counted: u64,
    has: u64,
}

impl Default for Shares {
    fn default() -> Self {
        Self::new(Amounts::ALL, 100)
    }
}

impl Shares {
    /// Nobody has anything yet.
    pub fn new(limits: Amounts, share_percent: u32) -> Self {
        Self {
            limits,
            share_percent,
            taken: Amounts::NOTHING,
            addresses: SlotMap::with_key(),
            by_name: FxHashMap::default(),
        }
    }

    /// The address of a peer, which is known from now on while it has something.
    pub fn address_of(&mut self, peer: &str) -> AddressKey {
        let name = address(peer);
        if let Some(key) = self.by_name.get(&name) {
            return *key;
        }
        let key = self.addresses.insert(Address {
            name: name.clone(),
            has: Amounts::NOTHING,
            refusals: BTreeMap::new(),
        });
        self.by_name.insert(name, key);
        key
    }

    /// How much all have of an asset.
    pub fn taken(&self, asset: Asset) -> u64 {
        self.taken.of(asset)
    }

    /// The address as text.
    pub fn name(&self, key: AddressKey) -> &str {
        self.addresses.get(key).map_or("", |address| &address.name)
    }

    /// The limit of an asset.
    pub fn limit(&self, asset: Asset) -> u64 {
        self.limits.of(asset)
    }

    /// Whether the address may have so much more.
    pub fn check(&self, key: AddressKey, asset: Asset, more: u64) -> Result<(), Shortage> {
        let limit = self.limits.of(asset);
        let left = limit.saturating_sub(self.taken.of(asset));
        let address = self.addresses.get(key);
        let has = address.map_or(0, |address| address.has.of(asset));
        let is_there =
            more <= left && !(is_scarce(limit, left - more) && self.is_large(asset, has + more));
        if is_there {
            return Ok(());
        }
        Err(Shortage {
            asset,
            address: address.map_or_else(String::new, |address| address.name.clone()),
            has,
            left,
            limit,
        })
    }

    /// The address has so much more. Nothing is counted without an address.
    pub fn add(&mut self, key: AddressKey, asset: Asset, amount: u64) {
        if let Some(address) = self.addresses.get_mut(key) {
            *address.has.of_mut(asset) += amount;
            *self.taken.of_mut(asset) += amount;
        }
    }

    /// The address has so much less. One that has nothing is forgotten.
    pub fn remove(&mut self, key: AddressKey, asset: Asset, amount: u64) {
        let Some(address) = self.addresses.get_mut(key) else {
            return;
        };
        *address.has.of_mut(asset) -= amount;
        *self.taken.of_mut(asset) -= amount;
        if address.has == Amounts::NOTHING
            && let Some(address) = self.addresses.remove(key)
        {
            self.by_name.remove(&address.name);
        }
    }

    /// The address is refused something. If that is to be logged: the number of refusals
    /// before it that were not.
    pub fn refuse(&mut self, key: AddressKey, topic: Topic, now: Duration) -> Option<u64> {
        let address = self.addresses.get_mut(key)?;
        address.refusals.entry(topic).or_default().add(now)
    }

    /// Whether a data connection of the address is to be expected: it has a session more
    /// than such connections. Producers create their session before they open it.
    pub fn expects_data(&self, key: AddressKey) -> bool {
        self.addresses.get(key).is_some_and(|address| {
            address.has.of(Asset::SilentConnections) < address.has.of(Asset::Sessions)
        })
    }

    /// Whether the address may keep its silent data connections: where connections are
    /// scarce not more of them than sessions, since a producer has one of each.
    pub fn check_silent(&self, key: AddressKey) -> Result<(), Shortage> {
        let limit = self.limits.of(Asset::Connections);
        let left = limit.saturating_sub(self.taken.of(Asset::Connections));
        let Some(address) = self.addresses.get(key) else {
            return Ok(());
        };
        let silent = address.has.of(Asset::SilentConnections);
        // As scarce as for the next.
        let is_scarce = is_scarce(limit, left.saturating_sub(1));
        if !is_scarce || silent <= address.has.of(Asset::Sessions) {
            return Ok(());
        }
        Err(Shortage {
            asset: Asset::SilentConnections,
            address: address.name.clone(),
            has: silent,
            left,
            limit,
        })
    }

    /// Compares all counts with a new one.
    pub fn compare(&self, mut recount: Recount) -> Vec<Miscount> {
        // Nothing is counted without an address.
        recount.0.remove(&AddressKey::default());
        let mut sum = Amounts::NOTHING;
        let mut miscounts = Vec::new();
        for (key, address) in &self.addresses {
            let has = recount.0.remove(&key).unwrap_or(Amounts::NOTHING);
            miscounts.extend(differences(&address.name, &address.has, &has));
            for asset in Asset::ALL {
                *sum.of_mut(asset) += has.of(asset);
            }
        }
        for has in recount.0.values() {
            let name = "an address that was forgotten";
            miscounts.extend(differences(name, &Amounts::NOTHING, has));
        }
        miscounts.extend(differences("everybody", &self.taken, &sum));
        miscounts
    }

    /// Nobody has anything.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.taken == Amounts::NOTHING
    }

    fn is_large(&self, asset: Asset, amount: u64) -> bool {
        let share = u128::from(self.limits.of(asset)) * u128::from(self.share_percent) / 100;
        u128::from(amount) > share
    }
}

fn differences<'a>(
    address: &'a str,
    counted: &'a Amounts,
    has: &'a Amounts,
) -> impl Iterator<Item = Miscount> + 'a {
    let differing = Asset::ALL.into_iter();
    let differing = differing.filter(|asset| counted.of(*asset) != has.of(*asset));
    differing.map(|asset| Miscount {
        address: address.to_owned(),
        asset,
        counted: counted.of(asset),
        has: has.of(asset),
    })
}

fn is_scarce(limit: u64, left: u64) -> bool {
    left < limit / 4
}

/// The part of a peer's name that it shares with others of its machine: an IPv4 address, or
/// the first half of an IPv6 address, whose other half a machine may choose.
fn address(peer: &str) -> String {
    let Ok(socket) = peer.parse::<SocketAddr>() else {
        return peer.split(':').next().unwrap_or_default().to_owned();
    };
    match socket.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) if address.is_loopback() => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            format!("{}/64", Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Shares {
        Shares::new(Amounts::ALL.with(Asset::Connections, 100), 25)
    }

    fn take_all(shares: &mut Shares, peer: &str) -> u64 {
        let key = shares.address_of(peer);
        let mut count = 0;
        while shares.check(key, Asset::Connections, 1).is_ok() {
            shares.add(key, Asset::Connections, 1);
            count += 1;
        }
        count
    }

    #[test]
    fn an_address_may_have_all_but_a_quarter_and_others_the_rest() {
        let mut shares = shares();
        assert_eq!(take_all(&mut shares, "10.0.0.1:1"), 75);
        let greedy = shares.address_of("10.0.0.1:2");
        let shortage = shares.check(greedy, Asset::Connections, 1).unwrap_err();
        assert_eq!(
            shortage.to_string(),
            "10.0.0.1 has 75 of 100 connections, and 25 are left for all"
        );
        assert_eq!(take_all(&mut shares, "10.0.0.2:1"), 25);
        assert_eq!(take_all(&mut shares, "10.0.0.3:1"), 0);
        shares.remove(greedy, Asset::Connections, 75);
        assert_eq!(take_all(&mut shares, "10.0.0.3:1"), 50);
    }

    #[test]
    fn what_has_no_limit_is_never_scarce() {
        let mut shares = shares();
        let key = shares.address_of("10.0.0.1:1");
        shares.add(key, Asset::Memory, u64::MAX / 2);
        assert_eq!(shares.check(key, Asset::Memory, 1), Ok(()));
    }

    #[test]
    fn a_recount_finds_each_difference() {
        let mut shares = shares();
        let key = shares.address_of("10.0.0.1:1");
        shares.add(key, Asset::Sessions, 2);
        shares.add(key, Asset::Streams, 3);
        let mut right = Recount::default();
        right.add(key, Asset::Sessions, 2);
        right.add(key, Asset::Streams, 3);
        right.add(AddressKey::default(), Asset::Connections, 1);
        assert_eq!(shares.compare(right), []);
        let mut wrong = Recount::default();
        wrong.add(key, Asset::Sessions, 2);
        wrong.add(key, Asset::Memory, 5);
        let told: Vec<_> = shares
            .compare(wrong)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "10.0.0.1 is counted with 3 streams, and has 0",
            "10.0.0.1 is counted with 0 bytes of memory for peers, and has 5",
            "everybody is counted with 3 streams, and has 0",
            "everybody is counted with 0 bytes of memory for peers, and has 5",
        ];
        assert_eq!(told, expected);
        let mut stale = Recount::default();
        stale.add(key, Asset::Sessions, 2);
        shares.remove(key, Asset::Sessions, 2);
        shares.remove(key, Asset::Streams, 3);
        let told = shares.compare(stale)[0].to_string();
        assert_eq!(
            told,
            "an address that was forgotten is counted with 0 sessions, and has 2"
        );
    }

    #[test]
    fn an_address_is_forgotten_with_the_last_that_it_has() {
        let mut shares = shares();
        let key = shares.address_of("[2001:db8::1]:1");
        assert_eq!(shares.address_of("[2001:db8::f:2]:2"), key);
        assert_ne!(shares.address_of("[2001:db8:0:1::1]:1"), key);
        let mapped = shares.address_of("[::ffff:10.0.0.1]:1");
        assert_eq!(shares.address_of("10.0.0.1:2"), mapped);
        for asset in [Asset::Streams, Asset::Sessions] {
            let mut shares = self::shares();
            let key = shares.address_of("10.0.0.1:1");
            shares.add(key, asset, 1);
            shares.add(key, Asset::Sessions, 1);
            shares.remove(key, asset, 1);
            assert!(!shares.is_empty(), "{asset:?}");
            assert_eq!(shares.address_of("10.0.0.1:2"), key);
            shares.remove(key, Asset::Sessions, 1);
            assert!(shares.is_empty(), "{asset:?}");
            assert_ne!(shares.address_of("10.0.0.1:2"), key);
        }
    }
}
