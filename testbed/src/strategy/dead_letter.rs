//! A task that was given up, with the reason and its content, for a person to look at.

use serde::{Deserialize, Serialize};

/// One entry of the dead-letter queue; in Redis the JSON of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The cause of the last nack, `lease expired`, or `undecodable: …`.
    pub cause: String,
    /// Failed attempts.
    pub attempts: u32,
    /// When, in ms since 1970 by the buffer's clock.
    pub at_ms: u64,
    /// The task as JSON text.
    pub payload: String,
}

/// The cause of a task whose last lease ran out.
pub(super) const LEASE_EXPIRED: &str = "lease expired";
