//! Evidence: all that judging may look at, the same from a run that has just ended and from its folder.

use crate::load::Ledger;
use crate::readback::table::Table;
use crate::readback::{FinalState, RowRecord, SightingRecord, Source};
use crate::timeline::Incidents;

/// All that a verdict may rest on.
pub struct Evidence {
    pub ledger: Ledger,
    pub incidents: Incidents,
    /// `None`: the run ended before its state was read.
    pub state: Option<FinalState>,
    /// The run was told to stop.
    pub interrupted: bool,
}

impl Evidence {
    /// The rows that were read; `Err`: why there are none.
    pub fn rows(&self) -> Result<&Table<RowRecord>, String> {
        of_state(self, |state| &state.rows).map(|set| &set.rows)
    }

    /// What the witness saw; `Err`: why there is nothing.
    pub fn sightings(&self) -> Result<&Table<SightingRecord>, String> {
        of_state(self, |state| &state.witness).map(|log| &log.sightings)
    }

    /// Somebody cut the run short: what was not issued then was not due.
    pub(super) fn told_to_stop(&self) -> bool {
        self.interrupted || self.incidents.interrupted
    }
}

fn of_state<T>(evidence: &Evidence, source: impl Fn(&FinalState) -> &Source<T>) -> Result<&T, String> {
    let state = evidence.state.as_ref().ok_or("the run ended before its state was read")?;
    let source = source(state);
    source.read().ok_or_else(|| source.why_not().unwrap_or_default().to_owned())
}
