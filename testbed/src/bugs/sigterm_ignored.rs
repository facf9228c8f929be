//! SIGTERM ends the process as it stands: no readiness that goes off, no drain.

use std::sync::Arc;

use super::Bug;
use crate::parts::Parts;
use crate::shutdown::Step;

pub(super) const BUG: Bug = Bug { name: "sigterm-ignored", parts: || Arc::new(SigtermIgnored) };

struct SigtermIgnored;

impl Parts for SigtermIgnored {
    fn shutdown(&self) -> &'static [Step] {
        &[]
    }
}
