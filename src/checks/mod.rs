//! Judging: pure functions over [`Evidence`]. One claim a file; a check that crashes is INCONCLUSIVE.
//!
//! In: the plan and the evidence. Out: a [`Judgement`]: every finding, and the figures that they rest on.
//!
//! `judge` first works out the figures that several checks share (`figures`), then runs the `CHECKS` in their
//! order. Adding a check is one file and its line in that list.

mod answers;
mod asked;
mod assessed;
mod attempts;
mod backlog;
mod broker;
pub mod census;
mod checkpoints;
mod classes;
mod clocks;
mod conservation;
mod disturbances;
mod effects;
mod efficiency;
mod exhibits;
mod f1;
mod f2;
mod failures;
mod figures;
mod gates;
mod generator;
mod instances;
mod integrity;
mod interrupted;
mod latency;
mod load_alone;
mod measured;
mod metrics;
mod operations;
mod order;
mod own_lag;
mod phases;
mod reasons;
mod recovery;
mod rows;
mod sabotaged;
mod seeded;
mod seen;
mod settled;
mod sizes;
mod soundness;
mod spans;
mod starts;
mod stops;
mod strangers;
mod windows;
mod witness;

#[cfg(test)]
pub(crate) mod canned;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use checkpoints::CheckpointJudgement;
pub use disturbances::DisturbanceJudgement;
use disturbances::Disturbances;
pub use efficiency::Plateau;
use figures::Figures;
pub use generator::Punctuality;
pub use load_alone::{Basis, LoadJudgement, judge_load};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use starts::StartJudgement;
use stops::Stops;
pub use strangers::Strangers;

use crate::clock::Offset;
use crate::load::latency::LaneHistograms;
pub use crate::load::latency::Percentiles;
use crate::load::{Lane, Ledger};
use crate::plan::{Plan, RunPhase, StopMode};
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

/// FAIL (on sound evidence) outranks INCONCLUSIVE outranks PASS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    Inconclusive,
    Fail,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::Fail => "FAIL",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `integrity`, `F2`, `conservation`, `p99.steady`.
    pub check: String,
    pub verdict: Verdict,
    /// One sentence: what was found, with figures.
    pub summary: String,
    /// Further reasons, one sentence each.
    pub details: Vec<String>,
}

/// All findings over one run, and the figures that they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
    pub conservation: Conservation,
    pub classes: Vec<ClassCount>,
    /// The first writes of each failing class, in the order of the ledger.
    pub exhibits: Vec<Exhibit>,
    /// From the witness; `None` where it is not observable.
    pub order: Option<OrderCounts>,
    /// Every planned start of an instance under load.
    #[serde(default)]
    pub starts: Vec<StartJudgement>,
    pub stops: Vec<StopJudgement>,
    /// Every planned disturbance of what the service depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbances: Vec<DisturbanceJudgement>,
    /// What the database had while an instance was frozen.
    #[serde(default)]
    pub checkpoints: Vec<CheckpointJudgement>,
    /// Evidence E1: empty for a plan that never scales.
    #[serde(default)]
    pub efficiency: Vec<Plateau>,
    pub latency: Vec<LaneLatency>,
    /// `None`: a run of before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub punctuality: Option<Punctuality>,
    pub series: Vec<SeriesPoint>,
    /// What others took of the machine; `None`: it was not read.
    pub strangers: Option<Strangers>,
    /// What a person can run by hand, and what it must print.
    pub count_by_hand: Option<CountByHand>,
    /// What this run cannot show, in sentences.
    pub not_assessed: Vec<String>,
}

impl Judgement {
    /// Load alone has no classes: nobody looked for its data.
    pub fn judges_data(&self) -> bool {
        !self.classes.is_empty()
    }

    /// Of nothing.
    fn empty() -> Judgement {
        Judgement {
            verdict: Verdict::Inconclusive,
            findings: Vec::new(),
            conservation: Conservation::default(),
            classes: Vec::new(),
            exhibits: Vec::new(),
            order: None,
            starts: Vec::new(),
            stops: Vec::new(),
            disturbances: Vec::new(),
            checkpoints: Vec::new(),
            efficiency: Vec::new(),
            latency: Vec::new(),
            punctuality: None,
            series: Vec::new(),
            strangers: None,
            count_by_hand: None,
            not_assessed: Vec::new(),
        }
    }
}

/// What the plan's pacer says was due = acked + refused + unknown + not sent (all lanes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conservation {
    pub due: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub not_sent: u64,
}

impl Conservation {
    /// Another part's, on top.
    pub(crate) fn add(&mut self, other: &Conservation) {
        let Conservation { due, acked, refused, unknown, not_sent } = other;
        self.due += due;
        self.acked += acked;
        self.refused += refused;
        self.unknown += unknown;
        self.not_sent += not_sent;
    }
}

/// The classes of DESIGN §4, in the order in which the first that matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Unexpected,
    Corrupt,
    Phantom,
    Dead,
    Stranded,
    Lost,
    Stale,
    Torn,
    Applied,
    Superseded,
    Recovered,
    Unresolved,
    Refused,
    NotSent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassCount {
    pub class: Class,
    /// Operations (for `unexpected`: rows).
    pub count: u64,
    /// Fail on sight, where the evidence is sound.
    pub fails: bool,
    /// The evidence it rests on, in words.
    pub rests_on: String,
    /// Why that evidence is unsound; the count then says nothing.
    pub void: Option<String>,
}

/// One write of a failing class, as a person would look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exhibit {
    pub class: Class,
    pub op: Option<u64>,
    pub key: u64,
    pub seq: u64,
    /// Which of its presets.
    pub presets: Vec<u8>,
    /// Who acknowledged it.
    pub instance: Option<String>,
    pub acked: Option<Offset>,
    /// `acknowledged by all-1.1, not in the database at the checkpoint of 2:rolling-update/all-1, never seen again`.
    pub last_seen: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCounts {
    /// Writes seen more than once.
    pub duplicates: u64,
    /// An older seq attempted after a newer one, on one key and preset.
    pub reordered: u64,
    pub dropped_as_superseded: u64,
}

/// A planned stop, with the evidence that was found for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StopJudgement {
    pub id: String,
    pub mode: StopMode,
    pub verdict: Verdict,
    /// `None`: it never fired.
    pub victim: Option<String>,
    pub at: Option<Offset>,
    /// In `exposure_unit`; `None`: not read.
    pub exposure: Option<u64>,
    /// `leased tasks`, `offers in flight`, `acked, unwritten operations`.
    pub exposure_unit: String,
    pub exit: String,
    pub drain: Option<Duration>,
    /// Requests that the victim acknowledged although they were sent after SIGTERM (graceful api stops).
    pub acks_after_sigterm: Option<u64>,
    pub acks_in_window: u64,
    /// Requests that the victim did not acknowledge, from the stop's begin until it is over; `None`: it never fired.
    pub failed: Option<u64>,
    /// What it is not a proof of, and why; empty for a pass.
    pub reasons: Vec<String>,
    /// `what: seen`, each with whether it holds.
    pub proof: Vec<(String, bool)>,
}

/// One lane in one phase (`None`: the whole run). Milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaneLatency {
    pub lane: Lane,
    pub phase: Option<RunPhase>,
    pub response_ms: Percentiles,
    pub service_ms: Percentiles,
    /// Own lag: no connection was free.
    pub waited_ms: Percentiles,
    /// Own lag: we woke late.
    pub woke_late_ms: Percentiles,
}

/// One second of the run, by due time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesPoint {
    pub second: u64,
    pub due: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub not_sent: u64,
    pub response_ms_p50: f64,
    pub response_ms_p99: f64,
    /// Tasks in the buffer, the last reading of that second.
    pub depth: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountByHand {
    pub query: String,
    /// 3 × (applied + recovered) of the write-once keys, and of those that were stranded at a checkpoint alone.
    pub expected: u64,
    pub counted: u64,
    /// What counted, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
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
    fn told_to_stop(&self) -> bool {
        self.interrupted || self.incidents.interrupted
    }
}

fn of_state<T>(evidence: &Evidence, source: impl Fn(&FinalState) -> &Source<T>) -> Result<&T, String> {
    let state = evidence.state.as_ref().ok_or("the run ended before its state was read")?;
    let source = source(state);
    source.read().ok_or_else(|| source.why_not().unwrap_or_default().to_owned())
}

impl Finding {
    fn new(check: &str, verdict: Verdict, summary: String) -> Self {
        Finding { check: check.to_owned(), verdict, summary, details: Vec::new() }
    }

    fn pass(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Pass, summary)
    }

    fn fail(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Fail, summary)
    }

    fn inconclusive(check: &str, summary: String) -> Self {
        Self::new(check, Verdict::Inconclusive, summary)
    }

    fn because(mut self, reasons: Vec<String>) -> Self {
        self.details.extend(reasons);
        self
    }
}

impl Class {
    pub const ALL: [Class; 14] = [
        Class::Unexpected,
        Class::Corrupt,
        Class::Phantom,
        Class::Dead,
        Class::Stranded,
        Class::Lost,
        Class::Stale,
        Class::Torn,
        Class::Applied,
        Class::Superseded,
        Class::Recovered,
        Class::Unresolved,
        Class::Refused,
        Class::NotSent,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Class::Unexpected => "unexpected",
            Class::Corrupt => "corrupt",
            Class::Phantom => "phantom",
            Class::Dead => "dead",
            Class::Stranded => "stranded",
            Class::Lost => "lost",
            Class::Stale => "stale",
            Class::Torn => "torn",
            Class::Applied => "applied",
            Class::Superseded => "superseded",
            Class::Recovered => "recovered",
            Class::Unresolved => "unresolved",
            Class::Refused => "refused",
            Class::NotSent => "not sent",
        }
    }

    /// Whether one member on sound evidence fails the run.
    pub fn fails(self) -> bool {
        use Class::{Corrupt, Lost, Phantom, Stale, Stranded, Torn, Unexpected};
        matches!(self, Unexpected | Corrupt | Phantom | Stranded | Lost | Stale | Torn)
    }

    /// The evidence that a class names for itself.
    pub fn rests_on(self) -> &'static str {
        match self {
            Class::Unexpected => "untorn ledger, empty start",
            Class::Phantom => "untorn ledger",
            Class::Corrupt => "complete reader",
            Class::Dead => "queue probe",
            Class::Stranded => "queue probe, target at rest; or a checkpoint",
            Class::Lost | Class::Stale | Class::Torn => "complete reader, queue probe, target at rest",
            Class::Applied | Class::Superseded | Class::Recovered | Class::Unresolved => "rows",
            Class::Refused | Class::NotSent => "ledger",
        }
    }
}

/// What every check sees.
struct Case<'a> {
    plan: &'a Plan,
    evidence: &'a Evidence,
    figures: &'a Figures,
    starts: &'a [StartJudgement],
    stops: &'a [StopJudgement],
    disturbances: &'a [DisturbanceJudgement],
}

type Check = fn(&Case) -> Vec<Finding>;

/// Every check, in the order of the report: first whether the evidence carries a verdict, then what it says.
const CHECKS: [(&str, Check); 21] = [
    ("sabotage", sabotaged::check),
    ("seeded bug", seeded::check),
    ("interrupted", interrupted::check),
    ("settled", settled::check),
    ("instances", instances::check),
    ("evidence", soundness::check),
    ("conservation", conservation::check),
    ("clocks", clocks::check),
    ("generator", generator::check),
    ("answers", answers::check),
    ("integrity", integrity::check),
    ("broker", broker::check),
    ("attempts", attempts::check),
    ("order", order::check),
    ("F1", f1::check),
    ("F2", f2::check),
    ("redis-failure", failures::of_redis),
    ("database-failure", failures::of_database),
    ("gates", gates::check),
    ("backlog", backlog::check),
    ("metrics", metrics::check),
];

/// Judges a run.
pub fn judge(plan: &Plan, evidence: &Evidence) -> Judgement {
    let mut findings = Vec::new();
    let figures = Figures::of(plan, evidence, &mut findings);
    let stops = guarded("stops", &mut findings, Vec::new, || Stops { plan, evidence, figures: &figures }.judge());
    let starts = guarded("starts", &mut findings, Vec::new, || starts::judge(plan, evidence, &figures.classes));
    let judged = || Disturbances { plan, evidence, figures: &figures }.judge();
    let disturbances = guarded("disturbances", &mut findings, Vec::new, judged);
    let case = Case { plan, evidence, figures: &figures, starts: &starts, stops: &stops, disturbances: &disturbances };
    for (name, check) in CHECKS {
        let found = guarded(name, &mut findings, Vec::new, || check(&case));
        findings.extend(found);
    }
    let count_by_hand = guarded("count by hand", &mut findings, || None, || integrity::by_hand(&case));
    let not_assessed = guarded("not assessed", &mut findings, Vec::new, || assessed::not_assessed(&case));
    Judgement {
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive),
        findings,
        conservation: figures.conserved.counts,
        classes: figures.classes.counted(&figures.soundness),
        exhibits: figures.classes.exhibits.clone(),
        order: figures.order,
        latency: figures.timing.lanes(),
        punctuality: Some(figures.punctuality(evidence)),
        series: figures.timing.series.clone(),
        strangers: figures.strangers,
        count_by_hand,
        not_assessed,
        checkpoints: figures.checkpoints.iter().map(|looked| looked.judged(&evidence.incidents)).collect(),
        efficiency: figures.efficiency.clone(),
        starts,
        stops,
        disturbances,
    }
}

/// The histograms of a run's operations, of all lanes together: what its percentiles are of.
pub fn histograms(plan: &Plan, ledger: &Ledger) -> LaneHistograms {
    let (timeout, load_over) = (plan.load.request_timeout, ledger.issued_until().plus(plan.load.grace));
    let mut histograms = LaneHistograms::default();
    operations::operations(ledger)
        .for_each(|operation| histograms.record(&latency::aged(&operation, load_over), timeout));
    histograms
}

/// Runs a part of judging. One that crashes gives `otherwise`, and a finding that nobody can take for a pass.
fn guarded<T>(name: &str, findings: &mut Vec<Finding>, otherwise: fn() -> T, part: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let summary = format!("the check crashed: {}", said.unwrap_or("without a message"));
        findings.push(Finding::inconclusive(name, summary));
        otherwise()
    })
}
