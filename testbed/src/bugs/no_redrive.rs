//! Leases without a reaper: what a dead worker held stays its own for ever. Delays still end.

use std::sync::Arc;

use super::Bug;
use super::scripted::Scripted;
use crate::strategy::redis::{DEAD_SOURCE, Lazy, REDRIVE_SOURCE, SCRIPTS, Script, Scripts};

pub(super) const BUG: Bug =
    Bug { name: "no-redrive", parts: || Arc::new(Scripted(Scripts { redrive: &DELAYS_ONLY, ..SCRIPTS })) };

/// Without its line that looks at leases.
static DELAYS_ONLY: Lazy = Lazy::new(|| {
    let lines = REDRIVE_SOURCE.lines().filter(|line| !line.starts_with("take_due(leases"));
    Script::new("", &[DEAD_SOURCE, &lines.collect::<Vec<_>>().join("\n")])
});
