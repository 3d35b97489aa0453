//! Random numbers, from the kernel (`getrandom`).

use std::io;

use baton_components::directory::Lot;
use baton_systems::ports::Chance;
use rustix::rand::{GetRandomFlags, getrandom};

/// Numbers per call. The kernel returns up to 256 bytes in full, even if signals arrive.
const NUMBERS: usize = 32;

#[derive(Debug)]
pub struct KernelChance {
    numbers: [u64; NUMBERS],
    /// Number of those that were not drawn yet.
    left: usize,
}

impl KernelChance {
    /// Calls the kernel once, so that a system without random numbers fails at the start.
    pub fn new() -> io::Result<Self> {
        let mut chance = Self {
            numbers: [0; NUMBERS],
            left: 0,
        };
        chance.fill()?;
        Ok(chance)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; NUMBERS * size_of::<u64>()];
        let count = getrandom(&mut bytes, GetRandomFlags::empty())?;
        if count < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (numbers, _) = bytes.as_chunks();
        for (number, bytes) in self.numbers.iter_mut().zip(numbers) {
            *number = u64::from_ne_bytes(*bytes);
        }
        self.left = NUMBERS;
        Ok(())
    }
}

impl Chance for KernelChance {
    fn draw(&mut self, _: Lot) -> u64 {
        if self.left == 0 {
            self.fill()
                .expect("law: a kernel that gave random numbers goes on to");
        }
        self.left -= 1;
        self.numbers[self.left]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let mut chance = KernelChance::new().unwrap();
        let numbers: BTreeSet<u64> = (0..10 * NUMBERS)
            .map(|_| chance.draw(Lot::Handle))
            .collect();
        assert_eq!(numbers.len(), 10 * NUMBERS);
    }
}
