//! Settling: the load is over and the faults are healed; wait until nothing moves any more.
//!
//! In: a deployment. Out: a [`Settled`] one, with how the wait ended. Quiet means: nothing in any place of the buffer
//! (queue → rows → queue again), and no row moved, for longer than anything could still be waiting. The deadline runs
//! from the last movement; still draining at the hard cap is "undrained", and proves nothing.

use tokio::time::Instant;

use crate::backends::{Deployment, SettleEnd, SettleOutcome, Settled};
use crate::plan::{Plan, SettlePlan};
use crate::readback::database::Database;
use crate::readback::depth::DepthProbe;
use crate::stop::Stop;
use crate::watch::{Depth, Event, Watch};

/// What one look at the whole target saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    depth: Depth,
    rows: (i64, i64),
}

impl Sight {
    fn is_empty(&self) -> bool {
        self.depth.ready + self.depth.leased + self.depth.delayed == 0
    }
}

/// Waits until the target is quiet, stuck, or out of time.
pub async fn until_quiet(
    deployment: Box<dyn Deployment>,
    plan: &Plan,
    probe: DepthProbe,
    watch: &dyn Watch,
    stop: &Stop,
) -> Settled {
    let began = Instant::now();
    let mut wait = Wait::new(began, plan.settle.clone());
    let mut eye = Eye { database: Database::new(&deployment.sources().database, plan.run, plan.load.hot_keys), probe };
    let end = loop {
        let sight = eye.look(&*deployment).await;
        if let Ok(sight) = &sight {
            watch.event(Event::Depth(sight.depth));
        }
        if let Some(end) = wait.saw(sight.ok(), Instant::now()) {
            break end;
        }
        if stop.abort.run_until_cancelled(tokio::time::sleep(plan.settle.poll)).await.is_none() {
            break SettleEnd::Aborted;
        }
    };
    let outcome = SettleOutcome {
        end,
        drain: wait.last_movement.saturating_duration_since(began),
        waited: began.elapsed(),
        probe_saw_something: eye.probe.saw_something(),
    };
    Settled::new(deployment, outcome)
}

struct Eye {
    database: Database,
    probe: DepthProbe,
}

impl Eye {
    /// Queue, rows, queue: a task on its way between them shows in one of the three.
    async fn look(&mut self, deployment: &dyn Deployment) -> Result<Sight, String> {
        let before = self.probe.look(deployment).await.map_err(|e| e.to_string())?.depth;
        let rows = self.database.movement().await.map_err(|e| e.to_string())?;
        let after = self.probe.look(deployment).await.map_err(|e| e.to_string())?.depth;
        let depth = Depth {
            ready: before.ready.max(after.ready),
            leased: before.leased.max(after.leased),
            delayed: before.delayed.max(after.delayed),
            dead: after.dead,
        };
        Ok(Sight { depth, rows })
    }
}

/// The rule of quiet, without a clock or a target.
struct Wait {
    plan: SettlePlan,
    began: Instant,
    last: Option<Sight>,
    last_movement: Instant,
    blind_since: Option<Instant>,
}

impl Wait {
    fn new(began: Instant, plan: SettlePlan) -> Self {
        Wait { plan, began, last: None, last_movement: began, blind_since: None }
    }

    /// One look (`None`: it failed) at `now`: whether the wait is over.
    fn saw(&mut self, sight: Option<Sight>, now: Instant) -> Option<SettleEnd> {
        let capped = now.saturating_duration_since(self.began) >= self.plan.hard_cap;
        let Some(sight) = sight else { return self.saw_nothing(now, capped) };
        self.blind_since = None;
        if self.last.replace(sight) != Some(sight) {
            self.last_movement = now;
        }
        let still = now.saturating_duration_since(self.last_movement);
        if sight.is_empty() && still >= self.plan.quiet {
            return Some(SettleEnd::Quiet);
        }
        // A task under a lease or a back-off may yet move: stuck only after every such time has passed as well.
        if !sight.is_empty() && still >= self.plan.deadline.max(self.plan.quiet) {
            return Some(SettleEnd::Stuck);
        }
        capped.then_some(SettleEnd::Undrained)
    }

    fn saw_nothing(&mut self, now: Instant, capped: bool) -> Option<SettleEnd> {
        let since = *self.blind_since.get_or_insert(now);
        // What was seen before the blindness does not count as quiet.
        self.last = None;
        let given_up = now.saturating_duration_since(since) >= self.plan.deadline;
        (given_up || capped).then_some(SettleEnd::Blind)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan() -> SettlePlan {
        SettlePlan {
            quiet: Duration::from_secs(8),
            poll: Duration::from_millis(100),
            deadline: Duration::from_secs(30),
            hard_cap: Duration::from_secs(120),
        }
    }

    fn sight(ready: u64, rows: i64) -> Option<Sight> {
        Some(Sight { depth: Depth { ready, ..Depth::default() }, rows: (rows, rows) })
    }

    /// Shows one sight a second until the wait ends: after how many seconds, and how.
    fn watch(sights: impl Fn(u64) -> Option<Sight>) -> (u64, SettleEnd) {
        let began = Instant::now();
        let mut wait = Wait::new(began, plan());
        (0..1000)
            .find_map(|second| {
                let end = wait.saw(sights(second), began + Duration::from_secs(second));
                end.map(|end| (second, end))
            })
            .expect("every wait ends")
    }

    #[test]
    fn quiet_is_empty_and_still_for_long_enough() {
        assert_eq!(watch(|_| sight(0, 5)), (8, SettleEnd::Quiet));
    }

    #[test]
    fn a_row_that_moves_starts_the_quiet_time_again() {
        assert_eq!(watch(|s| sight(0, i64::from(s >= 6))), (14, SettleEnd::Quiet));
    }

    #[test]
    fn what_stays_in_the_queue_without_movement_is_stuck() {
        assert_eq!(watch(|_| sight(3, 5)), (30, SettleEnd::Stuck));
    }

    #[test]
    fn still_draining_at_the_hard_cap_is_undrained() {
        assert_eq!(watch(|s| sight(1000 - s, s as i64)), (120, SettleEnd::Undrained));
    }

    #[test]
    fn a_probe_that_fails_is_blind_and_never_quiet() {
        assert_eq!(watch(|_| None), (30, SettleEnd::Blind));
        // Blind for a while, then quiet: the quiet time counts from the first sight after it.
        assert_eq!(watch(|s| if s < 5 { None } else { sight(0, 5) }), (13, SettleEnd::Quiet));
    }
}
