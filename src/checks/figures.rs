//! The figures that several checks share, each worked out once.
//!
//! In: the plan and the evidence. Out: [`Figures`]. A figure whose computation crashes is replaced by one that
//! supports neither a pass nor a failure, and the crash is a finding.

use super::checkpoints::{Checkpoints, Looked};
use super::classes::Classes;
use super::conservation::Conserved;
use super::effects::{self, DisturbanceFigures};
use super::efficiency::{self, Plateau};
use super::generator::{Pace, Punctuality};
use super::latency::Timing;
use super::phases::Phases;
use super::recovery::Recoveries;
use super::soundness::Soundness;
use super::strangers::Strangers;
use super::windows::{self, StopFigures};
use super::{Evidence, Finding, OrderCounts, guarded, order};
use crate::plan::Plan;

pub(super) struct Figures {
    pub phases: Phases,
    pub conserved: Conserved,
    pub soundness: Soundness,
    pub classes: Classes,
    pub order: Option<OrderCounts>,
    pub timing: Timing,
    pub pace: Pace,
    pub stops: Vec<StopFigures>,
    pub disturbances: Vec<DisturbanceFigures>,
    pub recoveries: Recoveries,
    pub checkpoints: Vec<Looked>,
    pub efficiency: Vec<Plateau>,
    pub strangers: Option<Strangers>,
}

impl Figures {
    pub fn of(plan: &Plan, evidence: &Evidence, crashes: &mut Vec<Finding>) -> Self {
        let phases = guarded("phases", crashes, Phases::default, || Phases::of(plan, &evidence.incidents));
        let conserved = guarded("conservation", crashes, Conserved::default, || Conserved::of(plan, evidence));
        let soundness = guarded("evidence", crashes, Soundness::unknown, || Soundness::of(plan, evidence, &conserved));
        let checkpoints = guarded("checkpoints", crashes, Checkpoints::default, || Checkpoints::of(plan, evidence));
        let classes = || Classes::of(plan, evidence, &soundness, &checkpoints);
        let timing = guarded("latency", crashes, Timing::default, || Timing::of(plan, evidence, &phases));
        let recoveries = || Recoveries::of(plan, &evidence.incidents, &timing, &phases);
        Figures {
            recoveries: guarded("recovery", crashes, Recoveries::default, recoveries),
            classes: guarded("classes", crashes, Classes::default, classes),
            order: guarded("order", crashes, || None, || order::counts(plan, evidence, &soundness)),
            timing,
            pace: guarded("generator", crashes, Pace::default, || Pace::of(plan, evidence)),
            stops: guarded("stops", crashes, Vec::new, || windows::figures(plan, evidence)),
            disturbances: guarded("disturbances", crashes, Vec::new, || effects::figures(plan, evidence)),
            efficiency: guarded("efficiency", crashes, Vec::new, || efficiency::curve(plan, evidence)),
            strangers: guarded("strangers", crashes, || None, || Strangers::of(evidence)),
            checkpoints: checkpoints.into_looked(),
            phases,
            conserved,
            soundness,
        }
    }

    /// Of load alone: what speaks of data, of stops and of disturbances is left out.
    pub fn of_load(plan: &Plan, evidence: &Evidence, crashes: &mut Vec<Finding>) -> Self {
        let phases = Phases::of(plan, &evidence.incidents);
        let conserved = guarded("conservation", crashes, Conserved::default, || Conserved::of(plan, evidence));
        let timing = guarded("latency", crashes, Timing::default, || Timing::of(plan, evidence, &phases));
        let pace = guarded("generator", crashes, Pace::default, || Pace::of(plan, evidence));
        let soundness = Soundness::of(plan, evidence, &conserved);
        Figures { phases, soundness, ..Figures::counted(conserved, timing, pace) }
    }

    /// The same where operations were counted, and none was kept.
    pub fn counted(conserved: Conserved, timing: Timing, pace: Pace) -> Self {
        Figures {
            phases: Phases::default(),
            conserved,
            soundness: Soundness::default(),
            classes: Classes::default(),
            order: None,
            timing,
            pace,
            stops: Vec::new(),
            disturbances: Vec::new(),
            recoveries: Recoveries::default(),
            checkpoints: Vec::new(),
            efficiency: Vec::new(),
            strangers: None,
        }
    }

    pub fn punctuality(&self, evidence: &Evidence) -> Punctuality {
        let without_lag_ms = Some(self.timing.without_lag(None).percentiles());
        let saturated = evidence.incidents.strain.and_then(|strain| strain.share());
        Punctuality { saturated, without_lag_ms, ..self.pace.told() }
    }
}
