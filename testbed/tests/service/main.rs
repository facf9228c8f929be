//! The service as its callers and its operators see it: real HTTP, real databases, a real control socket, and, where
//! instances share a buffer, a real Redis.

mod api;
mod configuration;
mod databases;
mod harness;
#[path = "../lab/mod.rs"]
#[expect(dead_code, reason = "one laboratory for all tests: these need a part of it")]
mod lab;
mod pausing;
mod shared;
mod shutdown;
mod worker;
