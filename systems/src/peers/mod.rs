//! Peers: connections come, bring bytes, take replies, and end.

pub mod accept;
pub mod hang_up;
pub mod receive;
pub mod refusals;
pub mod timers;
pub mod transmit;
