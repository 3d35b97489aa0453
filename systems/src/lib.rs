//! What happens in a relay.
//!
//! Each system is a plain function over the world; [`tick`] has their order. Sockets,
//! files and clocks are behind the traits of [`ports`].
#![forbid(unsafe_code)]
// The parameters of a system come by value.
#![allow(clippy::needless_pass_by_value)]

mod accept;
pub mod agenda;
pub mod audit;
pub mod census;
mod chunks;
mod closing;
mod commit;
pub mod entities;
mod hang_up;
mod ingest;
pub mod memory;
mod places;
mod poll;
pub mod ports;
mod receive;
mod reclaim;
mod serve;
pub mod settings;
pub mod tick;
mod timers;
mod trace_files;
mod transmit;
mod waiting_metadata;
