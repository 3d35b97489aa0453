//! What happens in a relay.
//!
//! Each system is a plain function over the world; [`tick`] has their order. Sockets,
//! files and clocks are behind the traits of [`ports`].
#![forbid(unsafe_code)]
// The parameters of a system come by value.
#![allow(clippy::needless_pass_by_value)]

pub mod agenda;
pub mod audit;
pub mod census;
mod chance;
pub mod deadlines;
pub mod entities;
mod facts;
mod ingest;
pub mod memory;
mod peers;
mod poll;
pub mod ports;
mod reclaim;
mod record;
mod serve;
pub mod settings;
pub mod tick;
