//! The target service of `mxctl`: answers a request at once and writes to its database later, from a buffer that
//! configuration chooses. It never uses `mxctl`. This file is the map, in the order in which a write passes through:
//!
//! ```text
//! application.yml ─ Config ─ serve ─┬─ api ── offer ──► strategy ──► poll ── worker ── store ─► rows
//!                                   │   ◆ offer.registered, offer.stored   ◆ worker.leased, worker.committed
//!                                   └─ shutdown
//! ```
//!
//! Start with `service.rs`: what is opened, what runs, how it ends.

// What a person wrote.
pub mod clock;
pub mod config;
mod duration;

// The service, its life, its orderly end, and the parts that it is put together from.
mod lifecycle;
mod parts;
mod service;
mod shutdown;

// A write: offered, buffered, moved, stored.
mod api;
pub mod strategy;
pub mod task;
mod worker;

pub mod store;

// Parts with one mistake each, for those who must find it. Nothing above knows them but `serve`, which asks for them.
mod bugs;

// What looks on: the log, the metrics, and the hands that hold a task.
mod logging;
mod metrics;
mod pause;

pub use config::{Config, ConfigError};
pub use logging::{log_to_stderr, with_log_in};
pub use service::{ServeError, serve};
