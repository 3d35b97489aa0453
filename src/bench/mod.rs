//! Benchmarks: how fast a relay is, Baton or any other.

// Figures for people: some digits are enough.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

pub mod churn;
pub mod wire;
