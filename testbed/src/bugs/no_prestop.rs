//! Stops accepting at once on SIGTERM, before any balancer can have noticed: it keeps its data, and refuses callers.

use std::sync::Arc;

use super::Bug;
use crate::parts::Parts;
use crate::shutdown::{IN_ORDER, Step};

pub(super) const BUG: Bug = Bug { name: "no-prestop", parts: || Arc::new(NoPrestop) };

struct NoPrestop;

impl Parts for NoPrestop {
    fn shutdown(&self) -> &'static [Step] {
        let (first, rest) = IN_ORDER.split_first().expect("a shutdown has steps");
        assert_eq!(*first, Step::LeaveRotation);
        rest
    }
}
