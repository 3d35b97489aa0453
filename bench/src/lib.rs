//! Benchmarks: how fast a relay is, Baton or any other.
//!
//! A program of its own, `baton-bench`, so that what only benchmarks need is not in the
//! relay. `baton bench` runs it.

// Figures for people: some digits are enough.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

pub mod churn;
pub mod cli;
pub mod wire;
