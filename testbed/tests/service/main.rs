//! The service as its callers and its operators see it: real HTTP, a real database file, a real control socket, and,
//! where instances share a buffer, a real Redis.

mod api;
mod configuration;
mod harness;
mod pausing;
#[path = "../lab/redis_server.rs"]
mod redis_server;
mod shared;
mod shutdown;
mod worker;
