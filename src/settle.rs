//! Settling: the load is over and the faults are healed; wait until nothing moves any more.
//!
//! In: a deployment. Out: a [`Settled`] one, with how the wait ended. Quiet means: nothing in any place of the buffer
//! (queue → rows → queue again), and no row moved, for longer than anything could still be waiting. The deadline runs
//! from the last movement; still draining at the hard cap is "undrained", and proves nothing.
//!
//! # Why movement is not yet progress
//! A batch that fails and is given back, again and again, moves between the places of the buffer for ever. Progress is what
//! leaves them: rows, dead letters, fewer tasks. A task may go round as often as it has attempts; what still goes round
//! after that is as stuck as what stands still.

use std::time::Duration;

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
    /// In each place the more of both looks: a task on its way between two places shows.
    depth: Depth,
    /// In all places together the fewer of both looks: a task on its way is not counted twice.
    waiting: u64,
    rows: (i64, i64),
}

impl Sight {
    /// From a look at the queue before, and one after the rows were looked at.
    fn of(before: Depth, rows: (i64, i64), after: Depth) -> Sight {
        let depth = Depth {
            ready: before.ready.max(after.ready),
            leased: before.leased.max(after.leased),
            delayed: before.delayed.max(after.delayed),
            dead: after.dead,
        };
        Sight { depth, waiting: waiting(before).min(waiting(after)), rows }
    }

    fn is_empty(&self) -> bool {
        waiting(self.depth) == 0
    }

    /// What differs only where something came to its end.
    fn done(&self) -> (u64, u64, (i64, i64)) {
        (self.waiting, self.depth.dead, self.rows)
    }
}

/// Tasks in any place from which they may yet be written.
fn waiting(depth: Depth) -> u64 {
    depth.ready + depth.leased + depth.delayed
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
    let mut wait = Wait::new(began, plan.settle.clone(), plan.settle.quiet * plan.target.worker.max_attempts);
    let mut eye = Eye { database: Database::of_run(&deployment.sources().database, plan), probe };
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
        drain: wait.last_of(end).saturating_duration_since(began),
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
        Ok(Sight::of(before, rows, after))
    }
}

/// The rule of quiet, without a clock or a target.
struct Wait {
    plan: SettlePlan,
    /// How long a task may go round before it is written or dead: each attempt, and all that lies between two.
    rounds: Duration,
    began: Instant,
    last: Option<Sight>,
    last_movement: Instant,
    last_progress: Instant,
    blind_since: Option<Instant>,
}

impl Wait {
    fn new(began: Instant, plan: SettlePlan, rounds: Duration) -> Self {
        Wait { plan, rounds, began, last: None, last_movement: began, last_progress: began, blind_since: None }
    }

    /// Since when nothing has changed that would have kept the wait from this end.
    fn last_of(&self, end: SettleEnd) -> Instant {
        if end == SettleEnd::Stuck { self.last_progress } else { self.last_movement }
    }

    /// One look (`None`: it failed) at `now`: whether the wait is over.
    fn saw(&mut self, sight: Option<Sight>, now: Instant) -> Option<SettleEnd> {
        let capped = now.saturating_duration_since(self.began) >= self.plan.hard_cap;
        let Some(sight) = sight else { return self.saw_nothing(now, capped) };
        self.blind_since = None;
        let before = self.last.replace(sight);
        if before != Some(sight) {
            self.last_movement = now;
        }
        if before.map(|before| before.done()) != Some(sight.done()) {
            self.last_progress = now;
        }
        let still = now.saturating_duration_since(self.last_movement);
        let fruitless = now.saturating_duration_since(self.last_progress);
        if sight.is_empty() && still >= self.plan.quiet {
            return Some(SettleEnd::Quiet);
        }
        // A task under a lease or a back-off may yet move: stuck only after every such time has passed as well.
        let stands = still >= self.plan.deadline.max(self.plan.quiet);
        let goes_round = fruitless >= self.plan.deadline.max(self.rounds);
        if !sight.is_empty() && (stands || goes_round) {
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
        let depth = Depth { ready, ..Depth::default() };
        Some(Sight::of(depth, (rows, rows), depth))
    }

    /// Shows one sight a second until the wait ends: after how many seconds, and how.
    fn watch(sights: impl Fn(u64) -> Option<Sight>) -> (u64, SettleEnd) {
        let began = Instant::now();
        let mut wait = Wait::new(began, plan(), plan().quiet * 5);
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
    fn what_goes_round_longer_than_its_attempts_take_is_stuck() {
        let round = |second: u64, rows| {
            let (before, after) = (second % 4, (second + 1) % 4);
            let depth = |leased| Depth { leased, delayed: 3 - leased, ..Depth::default() };
            Some(Sight::of(depth(before), (rows, rows), depth(after)))
        };
        assert_eq!(watch(|s| round(s, 5)), (40, SettleEnd::Stuck), "five attempts of eight seconds");
        assert_eq!(watch(|s| round(s, 5 + i64::from(s >= 20))), (60, SettleEnd::Stuck), "a row is progress");
        assert_eq!(watch(|s| if s < 39 { round(s, 5) } else { sight(0, 5) }), (47, SettleEnd::Quiet));
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
