//! Journals: what came into a relay, tick by tick, so that it can be done again.
//!
//! A relay with a journal runs on ports that wrap its own ([`ports`]) and write each
//! call down ([`book`]). `docs/journal.md` has the format; [`crate::replay`] reads it.

pub mod block;
pub mod book;
pub mod lent;
pub mod place;
pub mod ports;
pub mod record;
mod words;

#[cfg(test)]
mod tests;
