//! What a target had counted before the run's first operation: on a lab that stays, earlier runs have left counts and
//! dead letters behind.
//!
//! In: a deployment, before the load. Out: what to leave out of everything that is read later, so that each figure is
//! this run's own. A lab that the run brought up for itself has the empty one.

use std::collections::BTreeMap;

use super::counters::{CountersError, Scraper};
use super::depth::{DepthError, DepthProbe};
use super::queue::Look;
use super::{Counters, QueueState};
use crate::backends::Deployment;
use crate::plan::RunKey;
use crate::watch::Depth;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    look: Look,
    counters: BTreeMap<String, Counters>,
}

#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error(transparent)]
    Depth(#[from] DepthError),
    #[error(transparent)]
    Counters(#[from] CountersError),
}

impl Baseline {
    /// Looks at everything that counts.
    pub async fn take(deployment: &dyn Deployment) -> Result<Baseline, BaselineError> {
        let look = DepthProbe::new(&deployment.sources()).look(deployment).await?;
        let scraper = Scraper::default();
        let mut counters = BTreeMap::new();
        for instance in deployment.alive() {
            counters.insert(instance.name.clone(), scraper.counters(&instance).await?);
        }
        Ok(Baseline { look, counters })
    }

    /// Tasks that wait from before, dead letters apart: they would be taken for this run's.
    pub fn waiting(&self) -> u64 {
        let Depth { ready, leased, delayed, dead: _ } = self.look.depth;
        ready + leased + delayed
    }

    /// Whether a look saw anything that had not been there before.
    pub fn is_behind(&self, look: &Look) -> bool {
        let Depth { ready, leased, delayed, dead } = look.depth;
        look.accepted > self.look.accepted || dead > self.look.depth.dead || ready + leased + delayed > 0
    }

    /// What this run's operations have in the broker. An item that nobody can read may be anybody's, and stays.
    pub fn out_of_queue(&self, run: RunKey, mut queue: QueueState) -> QueueState {
        let (first, last) = run.key_range();
        queue.items.retain(|item| item.task.is_none_or(|(key, ..)| (first..=last).contains(&key)));
        queue.accepted = queue.accepted.saturating_sub(self.look.accepted);
        queue
    }

    /// What each instance did since. One that was born since has done it all.
    pub fn out_of_counters(&self, mut counters: Vec<Counters>) -> Vec<Counters> {
        for own in &mut counters {
            let Some(before) = self.counters.get(&own.instance) else { continue };
            own.processed_tasks = own.processed_tasks.saturating_sub(before.processed_tasks);
            own.failed_attempts = own.failed_attempts.saturating_sub(before.failed_attempts);
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readback::{Place, QueuedItem};

    fn item(key: Option<u64>) -> QueuedItem {
        QueuedItem { task: key.map(|key| (key, 1, 1)), place: Place::Dead, holder: None, cause: None, costs: None }
    }

    fn baseline() -> Baseline {
        let look = Look { depth: Depth { dead: 2, ..Depth::default() }, accepted: 100 };
        let own = Counters {
            instance: "api-1.1".into(),
            private_buffer: 0,
            processed_tasks: 90,
            failed_attempts: 3,
            clock_ahead_ms: None,
        };
        Baseline { look, counters: [(own.instance.clone(), own)].into() }
    }

    #[test]
    fn the_dead_letters_of_an_earlier_run_are_not_this_run_s_and_nobody_s_stay() {
        let run = RunKey { number: 7, seed: 1 };
        let items = vec![item(Some(run.key(3))), item(Some(6 << 32)), item(None)];
        let read = QueueState { items, accepted: 130, keys: Some(5) };
        let QueueState { items, accepted, .. } = baseline().out_of_queue(run, read);
        assert_eq!((items, accepted), (vec![item(Some(run.key(3))), item(None)], 30));
    }

    #[test]
    fn a_counter_counts_from_the_start_of_the_run_and_a_newcomer_s_from_its_birth() {
        let count = |instance: &str, processed_tasks| Counters {
            instance: instance.into(),
            private_buffer: 0,
            processed_tasks,
            failed_attempts: 3,
            clock_ahead_ms: None,
        };
        let since = baseline().out_of_counters(vec![count("api-1.1", 95), count("api-1.2", 40)]);
        let figures: Vec<_> = since.iter().map(|own| (own.processed_tasks, own.failed_attempts)).collect();
        assert_eq!(figures, [(5, 0), (40, 3)]);
    }

    #[test]
    fn what_was_there_before_is_nothing_that_a_probe_saw() {
        let baseline = baseline();
        assert!(!baseline.is_behind(&baseline.look));
        assert!(baseline.is_behind(&Look { accepted: 101, ..baseline.look }));
        assert!(baseline.is_behind(&Look { depth: Depth { dead: 3, ..Depth::default() }, ..baseline.look }));
        assert!(baseline.is_behind(&Look { depth: Depth { leased: 1, dead: 2, ..Depth::default() }, ..baseline.look }));
        assert!(!Baseline::default().is_behind(&Look::default()));
    }
}
