//! Uses a Redis that is configured as a cache: what it evicts to make room is the buffer, a list that is one key.

use std::sync::Arc;

use super::Bug;
use crate::config::Config;
use crate::parts::Parts;

pub(super) const BUG: Bug = Bug { name: "evicting-redis", parts: || Arc::new(EvictingRedis) };

struct EvictingRedis;

impl Parts for EvictingRedis {
    fn configuration(&self, mut written: Config) -> Config {
        written.buffer.redis.accept_data_loss = true;
        written
    }
}
