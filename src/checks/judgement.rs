//! A judgement: what every check found, and the figures that the findings rest on. What each part of it is stands with
//! the check that works it out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CheckpointJudgement, ClassCount, Conservation, CountByHand, DisturbanceJudgement, Exhibit, Finding, LaneLatency,
    OrderCounts, Plateau, Punctuality, SeriesPoint, StartJudgement, StopJudgement, Strangers, Verdict,
};

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
    pub(super) fn empty() -> Judgement {
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
