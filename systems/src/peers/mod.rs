//! Peers: accept, receive, transmit, time out and close connections.

pub mod accept;
pub mod hang_up;
pub mod receive;
pub mod records;
pub mod refusals;
pub mod strays;
pub mod timers;
pub mod transmit;
pub mod waiting;
