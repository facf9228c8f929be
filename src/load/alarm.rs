//! What a shard's thread does when it wakes for the next operation, before it looks at what is due.

use std::fmt::Debug;

/// Whoever keeps a shard here makes a late generator. It is called for every waking: nothing is allocated for it.
pub trait Alarm: Debug + Send + Sync {
    fn woken(&self);
}

/// Lets it look at once.
#[derive(Debug)]
pub struct Timer;

impl Alarm for Timer {
    fn woken(&self) {}
}
