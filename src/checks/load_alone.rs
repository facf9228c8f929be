//! Judging load alone: the answers of a URL, and how punctually it was asked. No data is judged.
//!
//! In: the plan, and a ledger, or what a [`Census`](super::census::Census) counted. Out: a [`Judgement`] by the same
//! checks as any other, those of them that speak of load.

use super::census::Counted;
use super::conservation::Conserved;
use super::figures::Figures;
use super::{Case, Check, Evidence, Judgement, Verdict, answers, conservation, gates, generator, guarded, interrupted};
use crate::load::Ledger;
use crate::load::latency::LaneHistograms;
use crate::load::ledger::Soundness;
use crate::plan::Plan;
use crate::timeline::Incidents;

/// What is known of a load that is over.
pub enum Basis {
    Ledger(Ledger),
    Counted(Box<Counted>),
}

/// The judgement, and the histograms that its percentiles are of.
pub struct LoadJudgement {
    pub judgement: Judgement,
    pub histograms: LaneHistograms,
}

const CHECKS: [(&str, Check); 5] = [
    ("interrupted", interrupted::check),
    ("conservation", conservation::check),
    ("generator", generator::check),
    ("answers", answers::check),
    ("gates", gates::check),
];

const NOT_ASSESSED: &str = "Data: what became of it in the target is not assessed; this was load alone";
const WITHOUT_LEDGER: &str = "Single requests: they were counted and not recorded (`--no-ledger`)";

pub fn judge_load(plan: &Plan, basis: Basis, interrupted: bool) -> LoadJudgement {
    let (mut findings, mut not_assessed) = (Vec::new(), vec![NOT_ASSESSED.to_owned()]);
    let (evidence, figures) = match basis {
        Basis::Ledger(ledger) => {
            let evidence = evidence(ledger, interrupted);
            let figures = Figures::of_load(plan, &evidence, &mut findings);
            (evidence, figures)
        }
        Basis::Counted(counted) => {
            not_assessed.push(WITHOUT_LEDGER.to_owned());
            let evidence = evidence(Ledger::canned(Vec::new(), Soundness::Sealed, counted.issued_until), interrupted);
            let conserved = Conserved::counted(plan, &evidence, counted.counts);
            (evidence, Figures::counted(conserved, counted.timing, counted.pace))
        }
    };
    let case = Case { plan, evidence: &evidence, figures: &figures, starts: &[], stops: &[], disturbances: &[] };
    for (name, check) in CHECKS {
        let found = guarded(name, &mut findings, Vec::new, || check(&case));
        findings.extend(found);
    }
    let judgement = Judgement {
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive),
        findings,
        conservation: figures.conserved.counts,
        latency: figures.timing.lanes(),
        punctuality: Some(figures.punctuality()),
        series: figures.timing.series.clone(),
        not_assessed,
        ..Judgement::empty()
    };
    LoadJudgement { judgement, histograms: figures.timing.histograms() }
}

fn evidence(ledger: Ledger, interrupted: bool) -> Evidence {
    Evidence { ledger, incidents: Incidents::default(), state: None, interrupted }
}
