//! For a control: the buffer lies under another key than the one that its probe looks at. Nothing is lost, and nothing is
//! seen.

use std::sync::Arc;

use super::Bug;
use crate::config::Config;
use crate::parts::Parts;

pub(super) const BUG: Bug = Bug { name: "another-key", parts: || Arc::new(AnotherKey) };

struct AnotherKey;

impl Parts for AnotherKey {
    fn configuration(&self, mut written: Config) -> Config {
        written.buffer.redis.key = "{elsewhere}".into();
        written
    }
}
