//! Benchmarks of relays, Baton or any other.
//!
//! A separate program, `baton-bench`, so that the relay has no dependencies of benchmarks.
//! `baton bench` runs it.

// Figures for people: some digits are enough.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

pub mod churn;
pub mod cli;
pub mod wire;
