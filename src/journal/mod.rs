//! Journals: recordings of a relay's input, tick by tick, for deterministic replay.
//!
//! A relay with a journal runs on wrapped ports ([`ports`]) that record each call
//! ([`book`]). `docs/journal.md` has the format; [`crate::replay`] reads it.

pub mod block;
pub mod book;
pub mod digest;
pub mod file;
pub mod ports;
pub mod record;
pub mod values;
mod words;

#[cfg(test)]
mod tests;
