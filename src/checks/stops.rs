//! Stops, one by one: what each proves.
//!
//! In: the plan's stops, the timeline's record of each, what the ledger shows around it. Out: a [`StopJudgement`] for
//! every *planned* stop. One that never fired, has no proof, struck an instance that held nothing, or had too little
//! load around it, proves nothing, and says why.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::spans::struck;
use super::windows::StopFigures;
use super::{Class, Evidence, Verdict};
use crate::clock::Offset;
use crate::plan::{PausePoint, Plan, Replaced, StopMode, StopPlan};
use crate::timeline::{Exposure, Held, StopRecord};

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

/// What a stop proves, judged along the plan.
pub(super) struct Stops<'a> {
    pub plan: &'a Plan,
    pub evidence: &'a Evidence,
    pub figures: &'a Figures,
}

impl Stops<'_> {
    pub fn judge(&self) -> Vec<StopJudgement> {
        self.plan.stops().map(|planned| self.stop(planned)).collect()
    }

    fn stop(&self, planned: &StopPlan) -> StopJudgement {
        let record = self.evidence.incidents.stop(&planned.id);
        match record.zip(self.figures.stops.iter().find(|figures| figures.id == planned.id)) {
            Some((record, figures)) => self.fired(planned, record, figures),
            None => never_fired(planned, self.why_not(planned)),
        }
    }

    fn why_not(&self, planned: &StopPlan) -> String {
        let step = self.plan.timeline.iter().find(|step| step.stops.iter().any(|stop| stop.id == planned.id));
        let recorded =
            self.evidence.incidents.steps.iter().find(|record| step.is_some_and(|step| step.id == record.id));
        match recorded.and_then(|record| record.error.as_ref()) {
            Some(error) => format!("it never fired: {error}"),
            None => "it never fired".to_owned(),
        }
    }

    fn fired(&self, planned: &StopPlan, record: &StopRecord, figures: &StopFigures) -> StopJudgement {
        let (exposure, exposure_unit) = exposure(record, figures);
        let (broken, missing) = (self.broken(record), self.missing(planned, record, figures));
        let verdict = match (broken.is_empty(), missing.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Pass,
        };
        StopJudgement {
            id: planned.id.clone(),
            mode: planned.mode,
            verdict,
            victim: Some(record.victim.name.clone()),
            at: Some(struck(record)),
            exposure,
            exposure_unit: exposure_unit.to_owned(),
            exit: exit(planned, record),
            drain: record.drain(),
            acks_after_sigterm: reached_after_sigterm(planned, figures),
            acks_in_window: figures.acks,
            failed: Some(figures.failed),
            reasons: [broken, missing].concat(),
            proof: record.proof.iter().map(|proof| (format!("{}: {}", proof.what, proof.seen), proof.holds)).collect(),
        }
    }

    /// What it takes for a stop to prove anything, and this one lacks.
    fn missing(&self, planned: &StopPlan, record: &StopRecord, figures: &StopFigures) -> Vec<String> {
        let mut missing = unproven(planned, record);
        missing.extend(no_exposure(record, exposure(record, figures).0));
        missing.extend(may_be_gone(planned, record));
        missing.extend(self.unseen(planned));
        missing.extend(self.after_the_load(record));
        missing.extend(self.too_little_load(planned, figures));
        if reached_after_sigterm(planned, figures) == Some(0) {
            missing.push("it acknowledged no write that was sent after its SIGTERM".to_owned());
        }
        missing
    }

    /// What the victim acknowledged and broke, on sound evidence.
    fn broken(&self, record: &StopRecord) -> Vec<String> {
        let sound = Class::BROKEN.into_iter().filter(|class| self.figures.soundness.void(*class).is_none());
        let told = sound.filter_map(|class| {
            let count = self.figures.classes.by_acker.get(&(class, record.victim.id))?;
            Some(format!("{count} operations that it acknowledged are {}", class.word()))
        });
        told.collect()
    }

    /// Why its checkpoint, where one is planned, says nothing.
    fn unseen(&self, planned: &StopPlan) -> Option<String> {
        let looked = self.figures.checkpoints.iter().find(|looked| looked.stop == planned.id);
        match looked {
            _ if !planned.mode.pauses() => None,
            None => Some("no checkpoint was read while it was frozen".to_owned()),
            Some(looked) if looked.void.is_none() && looked.looked_at == 0 => {
                Some("its checkpoint looked at nothing: no write had been acknowledged a deadline before".to_owned())
            }
            Some(looked) => looked.void.clone(),
        }
    }

    /// Whatever the acks before it: nobody asked anything of what it left.
    fn after_the_load(&self, record: &StopRecord) -> Option<String> {
        let (at, end) = (struck(record), Offset::from_duration(self.plan.load_end()));
        (at >= end).then(|| format!("it struck at {at}, and the load had ended at {end}"))
    }

    fn too_little_load(&self, planned: &StopPlan, figures: &StopFigures) -> Vec<String> {
        let mut reasons = Vec::new();
        let load = &self.plan.load;
        if figures.acks < planned.window_acks_min {
            let wanted = planned.window_acks_min;
            reasons.push(format!("{} acked writes within ± {:?}, fewer than {wanted}", figures.acks, planned.window));
        }
        if !figures.pace.keeps_rate(load) {
            let share = figures.pace.share() * 100.0;
            reasons.push(format!("only {share:.2} % of what was due in its window was sent in time"));
        }
        if !figures.pace.wakes_in_time(load) {
            let (lag, limit) = (figures.pace.lag_p99(), load.own_lag_limit);
            reasons.push(format!("own lag p99 was {lag:.1?} in its window, above the limit of {limit:?}"));
        }
        if figures.unexplained > 0 {
            let count = figures.unexplained;
            reasons.push(format!("{count} Unknowns sent to it were not open between the blow and its ejection"));
        }
        reasons
    }
}

fn reached_after_sigterm(planned: &StopPlan, figures: &StopFigures) -> Option<u64> {
    let asked = planned.mode == StopMode::Graceful && planned.slot.role.answers_requests();
    asked.then_some(figures.acks_after_sigterm)
}

/// Why it is not known that what was planned took effect.
fn unproven(planned: &StopPlan, record: &StopRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(record.error.as_ref().map(|error| format!("it failed to {error}")));
    if record.victim.slot != planned.slot {
        reasons.push(format!("it struck {}, and {} was planned", record.victim.name, planned.slot));
    }
    if record.mode != planned.mode {
        reasons.push(format!("it was played {}, and planned {}", record.mode.word(), planned.mode.word()));
    }
    if record.proof.is_empty() {
        reasons.push("it fired without proof".to_owned());
    }
    let failed = record.proof.iter().filter(|proof| !proof.holds);
    reasons.extend(failed.map(|proof| format!("not proven: {} ({})", proof.what, proof.seen)));
    if planned.mode.pauses() && record.frozen.is_none() {
        reasons.push("it was not seen to stand still".to_owned());
    }
    let end = if planned.mode == StopMode::Pause { not_resumed(record) } else { not_ended(planned, record) };
    reasons.extend(end);
    reasons
}

/// A paused instance goes on.
fn not_resumed(record: &StopRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    if record.resumed.is_none() {
        reasons.push("it was never told to go on".to_owned());
    }
    if record.exit.is_some() {
        reasons.push("its process ended, and it was only paused".to_owned());
    } else if record.healed.is_none() {
        reasons.push("it never answered as ready again".to_owned());
    }
    reasons
}

/// Any other one ends, and its slot is filled again where the plan says so.
fn not_ended(planned: &StopPlan, record: &StopRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    if record.signalled.is_none() {
        reasons.push("no signal was sent".to_owned());
    }
    match record.exit {
        None => reasons.push("its process was not seen to end".to_owned()),
        Some(exit) if planned.mode.kills() && exit.signal != Some(nix::libc::SIGKILL) => {
            reasons.push("its process did not end by the SIGKILL".to_owned());
        }
        Some(_) => {}
    }
    match (planned.replaced, &record.replacement) {
        (Replaced::Never, Some(new)) => reasons.push(format!("{} fills its slot, which was to stay empty", new.name)),
        (Replaced::Before | Replaced::After, None) => reasons.push("its replacement never became ready".to_owned()),
        (Replaced::Before | Replaced::After, Some(_)) if record.healed.is_none() => {
            reasons.push("its replacement never became ready".to_owned());
        }
        _ => {}
    }
    reasons
}

fn exposure(record: &StopRecord, figures: &StopFigures) -> (Option<u64>, &'static str) {
    match &record.exposure {
        Exposure::Leases { tasks } => (Some(*tasks), "leased tasks"),
        Exposure::OffersInFlight { operations } => (Some(*operations), "offers in flight"),
        Exposure::Unwritten(checkpoint) => {
            let own = checkpoint.stop == record.id && checkpoint.applied.read().is_some();
            match held_offers(record) {
                0 => (own.then_some(figures.unwritten), "acked, unwritten operations"),
                held => (own.then_some(figures.unwritten + held), "operations unwritten or in flight"),
            }
        }
        Exposure::NotRead { .. } => (None, ""),
    }
}

/// A private buffer's instance answers requests, too: an offer that is held is at stake beside what is not written.
fn held_offers(record: &StopRecord) -> u64 {
    let offer = |held: &Held| matches!(held.point, PausePoint::OfferRegistered | PausePoint::OfferStored);
    u64::from(record.held.as_ref().is_some_and(offer))
}

fn no_exposure(record: &StopRecord, exposure: Option<u64>) -> Option<String> {
    match (&record.exposure, exposure) {
        (_, Some(0)) => Some("exposure 0: it held nothing that could have been lost".to_owned()),
        (_, Some(_)) => None,
        (Exposure::NotRead { why }, None) => Some(format!("what it held was not read: {why}")),
        (Exposure::Unwritten(checkpoint), None) => {
            let why = checkpoint.applied.why_not().unwrap_or("the checkpoint belongs to another stop");
            Some(format!("what it held was not read: {why}"))
        }
        (_, None) => Some("what it held was not read".to_owned()),
    }
}

/// A victim of SIGTERM works on while it is read: only a held task is still there at the signal.
fn may_be_gone(planned: &StopPlan, record: &StopRecord) -> Option<String> {
    let why = "no task was held: what it held when it was read may have been gone at the signal";
    (planned.mode == StopMode::Graceful && record.held.is_none()).then(|| why.to_owned())
}

fn exit(planned: &StopPlan, record: &StopRecord) -> String {
    let how = match record.exit {
        None if planned.mode == StopMode::Pause => return went_on(record),
        None => return "not seen".to_owned(),
        Some(exit) => match (exit.code, exit.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        },
    };
    match record.killed_after_grace {
        true => format!("{how}, killed after its grace of {:?}", planned.grace),
        false => how,
    }
}

/// What became of a paused instance.
fn went_on(record: &StopRecord) -> String {
    if record.resumed.is_some() { "resumed" } else { "never resumed" }.to_owned()
}

fn never_fired(planned: &StopPlan, reason: String) -> StopJudgement {
    StopJudgement {
        id: planned.id.clone(),
        mode: planned.mode,
        verdict: Verdict::Inconclusive,
        victim: None,
        at: None,
        exposure: None,
        exposure_unit: String::new(),
        exit: "never stopped".to_owned(),
        drain: None,
        acks_after_sigterm: None,
        acks_in_window: 0,
        failed: None,
        reasons: vec![reason],
        proof: Vec::new(),
    }
}
