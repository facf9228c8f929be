//! The highest rate that a target sustains within limits: steps of load at one rate each, until the bracket between the
//! last good rate and the first other one is narrow.
//!
//! In: a plan of load alone, limits ([`Slo`]), and where to run. Out: a [`Curve`]. `search.rs` says which rate comes next,
//! `step.rs` what a step says of its rate, `interval.rs` how sure that is.
//!
//! # Why each step is a whole run of its own
//! It has its own lab, ledger, report and judgement: a write that a step loses is found as in any run, a step can be
//! judged again, and none inherits the queue of the one before. A URL of somebody's own, and a lab that stays, go
//! on from step to step: there the next step waits until the target answers as it did.
//!
//! # How long a step lasts
//! As long as `lasts` says, and longer where its rate needs more time for ten expected values beyond its highest
//! quantile, or for as many requests as can show its share of errors ([`Slo::requests_needed`]); twice as long where the
//! first try left it open. Nothing of it is left out as warm-up: what a target does in its first second counts.

mod cpu;
mod curve;
mod interval;
mod search;
mod slo;
mod step;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use curve::{Curve, schema};
pub use search::{Ask, Ending, Rate, Rules, Said};
pub use slo::Slo;
pub use step::Step;

use cpu::{Cpu, Meter};
use curve::Sought;
use search::{Next, Search};
use step::Trial;

use crate::archive::{Archive, ArchiveError, Environment, Piece, Stored};
use crate::load::hlog::{HdrLog, HdrLogError};
use crate::plan::{Plan, Shape};
use crate::report::PlanSummary;
use crate::run::{self, Ran, RunError};
use crate::stop::Stop;
use crate::timeline::Incidents;
use crate::url_load::{self, UrlLoadError};
use crate::watch::Watch;

/// How long a target may take to answer as before, after a step that it did not carry.
const RECOVERS_WITHIN: Duration = Duration::from_secs(15);
/// What it is asked meanwhile.
const LOOK_RPS: f64 = 20.0;
const LOOK_LASTS: Duration = Duration::from_secs(1);
/// It has recovered when it takes at most so many times as long as in its quickest step.
const RECOVERED: f64 = 2.0;

/// What is sought.
#[derive(Debug, Clone)]
pub struct Quest {
    /// Of load alone; its rate, its duration and its gates are the search's.
    pub plan: Plan,
    pub slo: Slo,
    pub rules: Rules,
    /// The least that a step lasts.
    pub lasts: Duration,
}

/// Where the steps are run.
#[derive(Debug, Clone)]
pub enum Ground {
    Url(url_load::Place),
    Lab(run::Place),
}

/// Who follows the search.
pub trait Audience {
    /// A step begins: its own watch.
    fn begins(&self, ask: Ask, plan: &Plan) -> Box<dyn Watch>;

    fn ended(&self, step: &Step);

    /// A sentence about the search.
    fn note(&self, note: &str);
}

#[derive(Debug, thiserror::Error)]
pub enum FindMaxError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Url(#[from] UrlLoadError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Histograms(#[from] HdrLogError),
}

impl Ground {
    pub fn reports(&self) -> &Path {
        match self {
            Ground::Url(place) => &place.reports,
            Ground::Lab(place) => &place.reports,
        }
    }
}

/// Takes steps until the search is over. The error is that of the first step; a later one that fails cuts the search
/// short, and the curve so far is the answer.
pub async fn search(
    quest: &Quest,
    ground: &Ground,
    audience: &dyn Audience,
    stop: &Stop,
) -> Result<Curve, FindMaxError> {
    let started_at = Timestamp::now();
    let (mut search, mut steps) = (Search::new(quest.rules), Vec::<Step>::new());
    let ending = loop {
        let ask = match search.next() {
            Next::Over(ending) => break ending,
            Next::Try(_) if stop.interrupt.is_cancelled() => break search.cut_short("interrupted".to_owned()),
            Next::Try(ask) => ask,
        };
        let plan = quest.plan_of(ask, steps.len() as u32);
        let step = match take(quest, ask, &plan, (ground, audience, stop), quickest(&steps)).await {
            Err(e) if steps.is_empty() => return Err(e),
            Err(e) => break search.cut_short(format!("the step at {} failed to {e}", ask.rate)),
            Ok(step) => step,
        };
        audience.ended(&step);
        let said = step.said;
        steps.push(step);
        search.saw(ask, said);
        if said != Said::Good
            && let Err(e) = recover(&plan, quickest(&steps), audience, stop).await
        {
            break search.cut_short(format!("after the step at {} mxctl failed to {e}", ask.rate));
        }
    };
    let sought = Sought {
        started_at,
        run_number: quest.plan.run.number,
        target: PlanSummary::of(&quest.plan).target,
        slo: quest.slo.to_string(),
        within: quest.rules.within,
    };
    Ok(Curve::new(sought, ending, steps))
}

impl Quest {
    /// The `nth` step's plan: its keys are its own.
    pub fn plan_of(&self, ask: Ask, nth: u32) -> Plan {
        let mut plan = self.plan.clone();
        plan.run.number = (plan.run.number + nth).min(i32::MAX as u32);
        plan.load.shape = Shape::constant(ask.rate as f64, self.lasts(ask));
        plan.gates = self.slo.gates().to_vec();
        plan
    }

    /// In whole seconds.
    fn lasts(&self, ask: Ask) -> Duration {
        let needed = Duration::from_secs_f64((self.slo.requests_needed() / ask.rate as f64).ceil());
        self.lasts.max(needed) * if ask.longer { 2 } else { 1 }
    }
}

/// Milliseconds; `None` before the first step.
fn quickest(steps: &[Step]) -> Option<f64> {
    steps.iter().map(|step| step.service_ms_mean).filter(|ms| *ms > 0.0).min_by(f64::total_cmp)
}

/// One step: a run to its end, and what its folder says of it.
async fn take(
    quest: &Quest,
    ask: Ask,
    plan: &Plan,
    (ground, audience, stop): (&Ground, &dyn Audience, &Stop),
    quickest: Option<f64>,
) -> Result<Step, FindMaxError> {
    let watch = audience.begins(ask, plan);
    let meter = Meter::beside(&*watch);
    let Ran { report, folder } = drive(plan, ground, &meter, stop).await?;
    let archive = Archive::open(&folder)?;
    let incidents: Stored<Incidents> = archive.get_json(Piece::Incidents)?;
    let target = incidents.whole().as_ref().and_then(cpu::of_target);
    let trial = Trial {
        ask,
        plan,
        slo: &quest.slo,
        report: &report,
        histograms: &histograms(&archive)?.histograms,
        cpu: Cpu { target, generator: meter.generator() },
        quickest,
        run: name(folder),
    };
    Ok(trial.step())
}

async fn drive(plan: &Plan, ground: &Ground, watch: &dyn Watch, stop: &Stop) -> Result<Ran, FindMaxError> {
    let started_at = Timestamp::now();
    match ground {
        Ground::Url(place) => {
            let place = url_load::Place { started_at, ..place.clone() };
            Ok(url_load::run(plan, &place, watch, stop).await?)
        }
        Ground::Lab(place) => {
            let environment = Environment { started_at, ..place.environment.clone() };
            let place = run::Place { environment, ..place.clone() };
            Ok(run::run(plan.clone(), &place, watch, stop).await?)
        }
    }
}

fn histograms(archive: &Archive) -> Result<HdrLog, FindMaxError> {
    match archive.get_bytes(Piece::Histograms)? {
        Stored::Whole(bytes) => Ok(HdrLog::read(&bytes)?),
        Stored::Missing { why } => Err(ArchiveError::Corrupt { place: archive.place(Piece::Histograms), why }.into()),
    }
}

fn name(folder: PathBuf) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// Waits until a URL's target answers as it did in its quickest step, or for as long as it may take. A run's own
/// settling waits for every other target.
async fn recover(plan: &Plan, quickest: Option<f64>, audience: &dyn Audience, stop: &Stop) -> Result<(), UrlLoadError> {
    if plan.url.is_none() {
        return Ok(());
    }
    let mut plan = plan.clone();
    plan.load.shape = Shape::constant(LOOK_RPS, LOOK_LASTS);
    let deadline = Instant::now() + RECOVERS_WITHIN;
    while !stop.interrupt.is_cancelled() {
        let seen = url_load::look(&plan, stop).await?;
        let counts = seen.judgement.conservation;
        let took = seen.histograms.service.0.mean() / 1e6;
        if counts.acked == counts.due && quickest.is_none_or(|quickest| took <= RECOVERED * quickest) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            audience.note(&format!("the target does not answer as before within {RECOVERS_WITHIN:?}; going on"));
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::canned;
    use crate::scenario::Written;

    #[test]
    fn a_step_lasts_long_enough_for_its_error_bar_and_has_keys_of_its_own() {
        let quest = Quest {
            plan: canned::plan(),
            slo: Slo::read("p99.9=50ms").unwrap(),
            rules: Rules { start: 100, most: 10_000, within: 0.05 },
            lasts: Duration::from_secs(10),
        };
        let plan = |rate, longer| quest.plan_of(Ask { rate, longer }, 3);
        let lasts = |rate, longer| plan(rate, longer).load.duration().as_secs();
        assert_eq!([lasts(100, false), lasts(100, true), lasts(3_000, false), lasts(3_000, true)], [100, 200, 10, 20]);
        assert_eq!(plan(100, false).run.number, quest.plan.run.number + 3);
        assert_eq!(plan(100, false).gates, quest.slo.gates());
    }
}
