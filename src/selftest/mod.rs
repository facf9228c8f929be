//! The selftest: mxctl proves that it can fail.
//!
//! In: the [`ZOO`], seeded bugs of the target service, or of how its Redis is set up and struck, with what must catch each;
//! and controls. Out: a [`Selftest`]: bug by bug whether it was caught, by the class or check that is named for it and on
//! sound evidence; for every scenario whether the correct service passes it (its twin); control by control whether it came to
//! what it must: it says why it cannot tell, or passes.
//!
//! ```text
//! ZOO ─ wanted ─ case ─ plan (+ seeded bug) ─ run::run ─ RunReport ─ Expected::met ─ CaseResult ─ Selftest
//!                  └─ again, where the machine was too busy to ask on time (a bounded number of times)
//! ```
//! Start with `zoo.rs`: it is the list.

mod expected;
mod play;
mod scenarios;
mod tamper;
mod zoo;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::RwLock;
use tokio::task::{JoinSet, LocalSet};

pub use expected::Expected;
pub use scenarios::scenarios;
pub use zoo::{Case, ZOO};

use crate::proven::{CaseResult, Kind, ProvenError, Selftest, Shelf};
use crate::run::{Place, RunError};
use crate::scenario::Problems;
use crate::stop::Stop;

/// Which cases are run, and how.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// By name; empty: all of them.
    pub only: Vec<String>,
    /// Those that turn every class and check red at least once, in a few minutes.
    pub quick: bool,
    /// So many at a time.
    pub jobs: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    #[error("find a case named `{name}` in the zoo{}; `mxctl selftest --list` names them",
        nearest.map_or_else(String::new, |nearest| format!(": did you mean `{nearest}`?")))]
    Unknown { name: String, nearest: Option<&'static str> },
    #[error("resolve the scenario of {case}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Scenario { case: String, problems: Problems },
    #[error("run {case}: {source}")]
    Run { case: String, source: RunError },
    #[error("judge {case} again: {why}")]
    Tamper { case: String, why: String },
    #[error("come to its end: it was interrupted")]
    Interrupted,
    #[error(transparent)]
    Proven(#[from] ProvenError),
}

/// What happens meanwhile, for whoever watches.
pub trait Audience {
    fn begins(&self, case: &Case);
    fn again(&self, case: &Case, why: &str);
    fn ended(&self, result: &CaseResult);
}

/// The cases that are wanted, in the order of the zoo; of each scenario of a bug the twin, too.
pub fn wanted(wanted: &Wanted) -> Result<Vec<&'static Case>, SelftestError> {
    for name in &wanted.only {
        if !ZOO.iter().any(|case| case.name == name) {
            let known: Vec<&'static str> = ZOO.iter().map(|case| case.name).collect();
            let nearest = crate::scenario::nearest(name, &known).map(|near| {
                known.iter().copied().find(|known| *known == near).expect("the nearest is one of the known")
            });
            return Err(SelftestError::Unknown { name: name.clone(), nearest });
        }
    }
    let asked = |case: &&Case| match wanted.only.is_empty() {
        true => case.quick || !wanted.quick,
        false => wanted.only.iter().any(|name| name == case.name),
    };
    let asked: Vec<&Case> = ZOO.iter().filter(asked).collect();
    let is_twin = |case: &Case| asked.iter().any(|bug| bug.kind == Kind::Bug && bug.twin == Some(case.name));
    Ok(ZOO.iter().filter(|case| asked.iter().any(|other| other.name == case.name) || is_twin(case)).collect())
}

/// Runs cases, and stores the result. A machine that lacks what they need (no Redis) is an error, not a result.
pub async fn run(
    cases: Vec<&'static Case>,
    jobs: usize,
    place: Place,
    audience: Rc<dyn Audience>,
    stop: &Stop,
) -> Result<(Selftest, PathBuf), SelftestError> {
    let began = Instant::now();
    let started_at = place.environment.started_at;
    let shelf = Shelf::new(&place.reports, started_at);
    let executable_sha256 = place.environment.executable_sha256.clone();
    let desk = Rc::new(play::Desk {
        place,
        reports: shelf.root().to_owned(),
        audience,
        stop: stop.clone(),
        machine: RwLock::new(()),
    });
    let results = play_all(cases, jobs.max(1), &desk).await?;
    if stop.interrupt.is_cancelled() {
        return Err(SelftestError::Interrupted);
    }
    let selftest = Selftest { executable_sha256, started_at, took: rounded(began.elapsed()), results };
    let stored = shelf.put(&selftest)?;
    Ok((selftest, stored))
}

/// The cases with their places, still to be played.
type Queue = Rc<Mutex<VecDeque<(usize, &'static Case)>>>;
type Numbered = Vec<(usize, CaseResult)>;

/// So many lanes, each taking the next case. All of them on this thread: children die with the one that started them.
async fn play_all(
    cases: Vec<&'static Case>,
    jobs: usize,
    desk: &Rc<play::Desk>,
) -> Result<Vec<CaseResult>, SelftestError> {
    let queue: Queue = Rc::new(Mutex::new(cases.into_iter().enumerate().collect()));
    let mut lanes: JoinSet<Result<Numbered, SelftestError>> = JoinSet::new();
    let local = LocalSet::new();
    for _ in 0..jobs {
        lanes.spawn_local_on(lane(queue.clone(), desk.clone()), &local);
    }
    // Every lane comes to its end, also where one has failed: what it started goes down with it.
    let ended = local.run_until(lanes.join_all()).await;
    let by_lane: Vec<Numbered> = ended.into_iter().collect::<Result<_, _>>()?;
    let mut numbered = by_lane.concat();
    numbered.sort_by_key(|(place, _)| *place);
    Ok(numbered.into_iter().map(|(_, result)| result).collect())
}

async fn lane(queue: Queue, desk: Rc<play::Desk>) -> Result<Numbered, SelftestError> {
    let next = || queue.lock().expect("no lane panics with it").pop_front();
    let mut results = Vec::new();
    while !desk.stop.interrupt.is_cancelled()
        && let Some((number, case)) = next()
    {
        results.push((number, desk.play(case, number).await?));
    }
    Ok(results)
}

/// Nobody reads nanoseconds.
fn rounded(took: Duration) -> Duration {
    Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], quick: bool) -> Vec<&'static str> {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        wanted(&Wanted { only, quick, jobs: 1 }).unwrap().into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn a_bug_is_run_with_its_twin_and_a_control_alone() {
        assert_eq!(names(&["lifo"], false), ["lifo", "order"]);
        assert_eq!(names(&["error-pages"], false), ["error-pages"]);
    }

    #[test]
    fn nothing_named_is_the_whole_zoo_and_quick_is_a_part_of_it() {
        assert_eq!(names(&[], false).len(), ZOO.len());
        let quick = names(&[], true);
        assert!(quick.len() < ZOO.len() && quick.len() > 10, "{quick:?}");
    }

    #[test]
    fn a_name_that_is_not_in_the_zoo_is_answered_with_the_nearest() {
        let asked = Wanted { only: vec!["lofi".into()], ..Wanted::default() };
        let told = wanted(&asked).unwrap_err().to_string();
        assert!(told.contains("`lofi`") && told.contains("--list"), "{told}");
    }
}
