//! The format and its reader.
