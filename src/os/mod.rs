//! The operating system: sockets, files, signals and clocks, behind the ports of the
//! systems. Nothing else in the project touches them.

pub mod clock;
pub mod marker;
pub mod network;
pub mod signals;
pub mod storage;
