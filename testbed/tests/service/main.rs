//! The service as its callers and its operators see it: real HTTP, a real database file, a real control socket.

mod api;
mod configuration;
mod harness;
mod pausing;
mod shutdown;
mod worker;
