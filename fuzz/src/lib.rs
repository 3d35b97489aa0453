//! Fuzz targets: properties that must hold for arbitrary bytes.
//!
//! A target is a function of bytes that panics if a property does not hold. libFuzzer
//! drives it, guided by coverage (`fuzz/run`); `cargo test` runs it on seeds, known inputs
//! and variations of both (`tests/corpus.rs`).
#![forbid(unsafe_code)]

pub mod crowd;
pub mod input;
pub mod journal;
pub mod relay;
pub mod seeds;
pub mod status;
pub mod tls;
pub mod trace;
pub mod wire;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of its program, and of its directory in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics if the input breaks what must hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "wire",
        run: wire::run,
        seeds: seeds::wire,
    },
    Target {
        name: "journal",
        run: journal::run,
        seeds: seeds::journal,
    },
    Target {
        name: "trace",
        run: trace::run,
        seeds: seeds::trace,
    },
    Target {
        name: "relay",
        run: relay::run,
        seeds: seeds::relay,
    },
    Target {
        name: "status",
        run: status::run,
        seeds: status::seeds,
    },
    Target {
        name: "tls",
        run: tls::run,
        seeds: tls::seeds,
    },
];
