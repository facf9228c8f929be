//! The command line.

pub mod problems;
pub mod scenario;
pub mod target_flags;
