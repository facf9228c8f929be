//! The target service of `mxctl`: answers a request at once and writes to its database later, from a buffer that
//! configuration chooses. It never uses `mxctl`.

mod duration;
pub mod strategy;
pub mod task;
