//! SHA-256 of a file, also over several runs: its state is kept with each part that is stored.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use crate::store::hex;

#[derive(Clone, Debug, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }

    /// The state, for [`Checksum::resume`].
    pub fn state(&self) -> String {
        hex(&self.0.serialize())
    }

    /// Goes on from a state; none if it is not one.
    pub fn resume(state: &str) -> Option<Self> {
        let bytes = unhex(state)?;
        let state = SerializedState::<Sha256>::try_from(&bytes[..]).ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_goes_on_in_another_run() {
        let content: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
        let whole = hex(&Sha256::digest(&content));
        for at in [0, 1, 63, 64, 65, 2048, content.len()] {
            let mut first = Checksum::default();
            first.update(&content[..at]);
            let mut rest = Checksum::resume(&first.state()).unwrap();
            rest.update(&content[at..]);
            assert_eq!(rest.finish(), whole, "{at}");
        }
        let state = Checksum::default().state();
        for text in ["", "zz", &state[2..], &format!("{state}00")] {
            assert!(Checksum::resume(text).is_none(), "{text}");
        }
        // The position in a block is more than a block has.
        let broken = format!("{}ff", &state[..state.len() - 2]);
        assert!(Checksum::resume(&broken).is_none());
    }
}
