//! The database is closed before the worker has drained the buffer into it.

use std::sync::Arc;

use super::Bug;
use crate::parts::Parts;
use crate::shutdown::Step;

pub(super) const BUG: Bug = Bug { name: "drain-after-close", parts: || Arc::new(DrainAfterClose) };

struct DrainAfterClose;

impl Parts for DrainAfterClose {
    fn shutdown(&self) -> &'static [Step] {
        use Step::{
            CloseBuffer, CloseDatabase, EndTasks, FinishAnswers, FinishOffers, FinishWorker, LeaveRotation,
            ReleaseLeases, StopAccepting,
        };
        &[
            LeaveRotation,
            StopAccepting,
            CloseDatabase,
            FinishOffers,
            CloseBuffer,
            FinishWorker,
            ReleaseLeases,
            FinishAnswers,
            EndTasks,
        ]
    }
}
