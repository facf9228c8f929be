//! The small laboratory of these tests: each strategy and each database of the lists, with the server that it needs.

pub mod database;
mod database_server;
mod mariadb;
mod postgres;
mod redis_server;
pub mod server_process;
pub mod strategies;

pub use redis_server::RedisServer;
