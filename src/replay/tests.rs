//! Replays of relays in memory.
