//! Lists of addresses that may connect: `10.0.0.0/8,2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that may connect to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// None: all addresses, since no list was given.
    blocks: Option<Vec<Block>>,
    has_loopback: bool,
}

/// The addresses of a network: those that begin with its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: IpAddr,
    bits: u32,
}

/// An error in a list, named for the user.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("\"{0}\" is no address")]
    Address(String),
    #[error("\"{0}\" has no prefix length that fits its address")]
    Bits(String),
    #[error("\"all\" and \"none\" are in one list, and contradict each other")]
    Contradiction,
    #[error("{given} has bits beyond its prefix; the network is {network}")]
    Beyond { given: String, network: String },
}

/// The word for no address, not even of this machine.
const NONE: &str = "none";
/// The word for every address.
const ALL: &str = "all";

/// All addresses.
const EVERYTHING: [Block; 2] = [
    Block {
        first: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        bits: 0,
    },
    Block {
        first: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        bits: 0,
    },
];

impl Default for Allowed {
    fn default() -> Self {
        Self {
            blocks: None,
            has_loopback: true,
        }
    }
}

impl Allowed {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut blocks = Vec::new();
        let mut has_loopback = true;
        for part in text.split(',').map(str::trim) {
            match part {
                ALL => blocks.extend(EVERYTHING),
                NONE => has_loopback = false,
                _ => blocks.push(Block::parse(part)?),
            }
        }
        if !has_loopback && EVERYTHING.iter().all(|it| blocks.contains(it)) {
            return Err(Wrong::Contradiction);
        }
        Ok(Self {
            blocks: Some(blocks),
            has_loopback,
        })
    }

    /// Whether a list was given.
    pub fn is_given(&self) -> bool {
        self.blocks.is_some()
    }

    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match &self.blocks {
            None => true,
            Some(_) if self.has_loopback && address.is_loopback() => true,
            Some(blocks) => blocks.iter().any(|block| block.has(address)),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = match &self.blocks {
            Some(blocks) if blocks[..] != EVERYTHING => blocks,
            _ => return to.write_str(ALL),
        };
        let none = (!self.has_loopback).then(|| NONE.to_owned());
        let parts: Vec<String> = none
            .into_iter()
            .chain(blocks.iter().map(ToString::to_string))
            .collect();
        to.write_str(&parts.join(","))
    }
}

impl Block {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address
            .parse()
            .map_err(|_| Wrong::Address(text.to_owned()))?;
        let whole = bits_of(first);
        let bits = bits.map_or(Some(whole), |bits| bits.parse().ok());
        let bits = bits
            .filter(|bits| *bits <= whole)
            .ok_or_else(|| Wrong::Bits(text.to_owned()))?;
        let block = Self {
            first: masked(first, bits),
            bits,
        };
        if block.first == first {
            Ok(block.canonical())
        } else {
            Err(Wrong::Beyond {
                given: text.to_owned(),
                network: block.to_string(),
            })
        }
    }

    /// A network of IPv4 addresses that was written as one of IPv6: peers are compared as IPv4.
    fn canonical(self) -> Self {
        let first = self.first.to_canonical();
        let mapped = bits_of(self.first) - bits_of(first);
        match self.bits.checked_sub(mapped) {
            Some(bits) => Self { first, bits },
            None => self,
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && masked(address, self.bits) == self.first
    }
}

impl fmt::Display for Block {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.first)?;
        if self.bits == bits_of(self.first) {
            Ok(())
        } else {
            write!(to, "/{}", self.bits)
        }
    }
}

fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

/// The address with all but its first bits 0.
fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(it) => {
            let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0);
            IpAddr::V4((it.to_bits() & mask).into())
        }
        IpAddr::V6(it) => {
            let mask = u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0);
            IpAddr::V6((it.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &str, address: &str) -> bool {
        Allowed::parse(list).unwrap().has(address.parse().unwrap())
    }

    #[test]
    fn a_list_has_its_networks_and_this_machine() {
        for (list, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "127.0.0.1", "::2"),
            ("10.0.0.0/8", "::1", "192.0.2.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("192.0.2.1, 198.51.100.0/24", "198.51.100.9", "192.0.2.2"),
            ("none,192.0.2.1", "192.0.2.1", "127.0.0.1"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ] {
            assert!(has(list, inside), "{inside} of {list}");
            assert!(!has(list, outside), "{outside} of {list}");
        }
        assert!(!has("none", "127.0.0.1"));
        assert!(!has("none", "::1"));
        assert!(has("all", "192.0.2.1"));
        assert!(Allowed::default().has("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_list_is_shown_as_it_is_given() {
        for list in ["all", "none", "none,10.0.0.0/8", "192.0.2.1,2001:db8::/32"] {
            assert_eq!(Allowed::parse(list).unwrap().to_string(), list);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (list, wrong) in [
            ("", "\"\" is no address"),
            ("10.0.0/8", "\"10.0.0/8\" is no address"),
            ("relay.example", "\"relay.example\" is no address"),
            (
                "10.0.0.0/33",
                "\"10.0.0.0/33\" has no prefix length that fits its address",
            ),
            (
                "10.0.0.0/",
                "\"10.0.0.0/\" has no prefix length that fits its address",
            ),
            (
                "all,none",
                "\"all\" and \"none\" are in one list, and contradict each other",
            ),
            (
                "10.1.2.3/8",
                "10.1.2.3/8 has bits beyond its prefix; the network is 10.0.0.0/8",
            ),
        ] {
            assert_eq!(Allowed::parse(list).unwrap_err().to_string(), wrong);
        }
    }
}
