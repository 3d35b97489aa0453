//! Holds: the links that keep their target alive.
//!
//! A record declares its holds in one place, [`Holder::holds`]. Whoever counts,
//! releases, checks or draws them asks there; nothing else may count.

use crate::kinds::Id;

/// A record that can hold others.
pub trait Holder {
    /// Calls `visit` once for each hold, a target held twice being named twice.
    fn holds(&self, visit: &mut dyn FnMut(Id));
}
