//! What a search found: the curve from rate to response times, its knee, and how it ended. Plain data, as it is stored
//! and printed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::search::{Ending, Rate, Said};
use super::step::Step;
use crate::archive::{ArchiveError, put_beside_runs};
use crate::checks::Verdict;
use crate::mask::mask;

/// Rises when a field changes its meaning or goes; a new field does not raise it.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Curve {
    pub schema: u32,
    pub verdict: Verdict,
    /// One sentence: what was found.
    pub summary: String,
    pub started_at: Timestamp,
    pub target: String,
    /// `p99=50ms,error=0.1%`.
    pub slo: String,
    /// How narrow the bracket was to be, as a share.
    pub within: f64,
    pub ending: Ending,
    pub knee: Option<Rate>,
    /// In the order in which they were taken.
    pub steps: Vec<Step>,
    /// Its own file.
    pub file: String,
}

/// What a search was for.
#[derive(Debug, Clone)]
pub struct Sought {
    pub started_at: Timestamp,
    pub run_number: u32,
    pub target: String,
    pub slo: String,
    pub within: f64,
}

impl Curve {
    pub fn new(sought: Sought, ending: Ending, steps: Vec<Step>) -> Curve {
        let Sought { started_at, run_number, target, slo, within } = sought;
        Curve {
            schema: SCHEMA,
            verdict: verdict(&ending),
            summary: summary(&ending, &steps, &slo),
            file: format!("{}-find-max-{run_number}.json", started_at.strftime("%Y%m%dT%H%M%SZ")),
            knee: knee(&ending, &steps),
            started_at,
            target: mask(&target),
            slo,
            within,
            ending,
            steps,
        }
    }

    /// By rate; steps of one rate in the order in which they were taken.
    pub fn by_rate(&self) -> Vec<&Step> {
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.asked);
        steps
    }

    /// Writes it into the reports folder: whole, or not at all.
    pub fn store(&self, reports: &Path) -> Result<PathBuf, ArchiveError> {
        let text = serde_json::to_string_pretty(self).expect("plain data with string keys and finite numbers") + "\n";
        put_beside_runs(reports, &self.file, &text)
    }
}

/// The JSON Schema of a stored curve.
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Curve>();
    schema.insert("title".into(), format!("curve of mxctl loadtest --find-max, schema {SCHEMA}").into());
    schema
}

fn verdict(ending: &Ending) -> Verdict {
    match ending {
        Ending::Found { .. } => Verdict::Pass,
        Ending::NoneGood { .. } | Ending::LostData { .. } => Verdict::Fail,
        Ending::AtLeast { .. } | Ending::Ceiling { .. } | Ending::Unknown { .. } | Ending::CutShort { .. } => {
            Verdict::Inconclusive
        }
    }
}

fn summary(ending: &Ending, steps: &[Step], slo: &str) -> String {
    match ending {
        Ending::Found { good, broke } => {
            format!("{good} requests/s keep {slo}; {broke} do not: {}", why(steps, *broke, Said::Broke))
        }
        Ending::AtLeast { good, unknown } => {
            format!("at least {good} requests/s keep {slo}; at {unknown} {}", why(steps, *unknown, Said::Nothing))
        }
        Ending::Ceiling { good } => {
            format!("at least {good} requests/s keep {slo}; no higher rate was to be tried (`--max-rps`)")
        }
        Ending::NoneGood { lowest } => {
            let why = why(steps, *lowest, Said::Broke);
            format!("no rate keeps {slo}; {lowest} requests/s was the lowest one tried: {why}")
        }
        Ending::Unknown { lowest } => {
            let why = why(steps, *lowest, Said::Nothing);
            format!("no step says anything of the target; at {lowest} requests/s, the lowest one tried, {why}")
        }
        Ending::LostData { at } => format!("at {at} requests/s {}", why(steps, *at, Said::LostData)),
        Ending::CutShort { good: Some(good), why } => format!("at least {good} requests/s keep {slo}; {why}"),
        Ending::CutShort { good: None, why } => format!("no rate was seen to keep {slo}; {why}"),
    }
}

/// The first reason of the last step at a rate that said so; of whichever, where none did.
fn why(steps: &[Step], rate: Rate, said: Said) -> String {
    let at: Vec<&Step> = steps.iter().filter(|step| step.asked == rate).collect();
    let told = at.iter().rev().find(|step| step.said == said).or(at.last());
    told.and_then(|step| step.why.first()).cloned().unwrap_or_else(|| "no reason was noted".to_owned())
}

/// The good rate with the most throughput for its response time: the highest `reached ÷ p99`, Kleinrock's power (*Power and
/// deterministic rules of thumb*, ICC 1979; Jain, *The Art of Computer Systems Performance Analysis*, §3.3, calls that
/// point the knee), here with the p99, which is what limits are set on. `None` of fewer than three good rates. A good step at a
/// rate above the found one was outvoted.
fn knee(ending: &Ending, steps: &[Step]) -> Option<Rate> {
    let highest = ending.good()?;
    let kept = |step: &&Step| step.said == Said::Good && step.asked <= highest && step.response_ms.p99 > 0.0;
    let good = steps.iter().filter(kept);
    let power = |step: &&Step| step.reached / step.response_ms.p99;
    let mut rates: Vec<Rate> = good.clone().map(|step| step.asked).collect();
    rates.sort_unstable();
    rates.dedup();
    let best = good.max_by(|a, b| power(a).total_cmp(&power(b)))?;
    (rates.len() >= 3).then_some(best.asked)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::Percentiles;

    fn step(asked: Rate, p99: f64, said: Said) -> Step {
        Step {
            asked,
            lasted: Duration::from_secs(10),
            reached: asked as f64,
            response_ms: Percentiles { count: 1_000, p99, ..Percentiles::default() },
            p99_ms_from: p99,
            p99_ms_to: None,
            service_ms_mean: p99,
            errors: 0.0,
            cpu_target: None,
            cpu_generator: Some(0.1),
            said,
            why: if said == Said::Good { Vec::new() } else { vec![format!("p99 {p99} ms, limit 50 ms")] },
            run: "a-run".to_owned(),
        }
    }

    fn curve(ending: Ending, steps: Vec<Step>) -> Curve {
        let (target, slo) = ("http://user:hunter2@127.0.0.1/".to_owned(), "p99=50ms".to_owned());
        let started_at = Timestamp::constant(1_795_478_400, 0);
        Curve::new(Sought { started_at, run_number: 7, target, slo, within: 0.05 }, ending, steps)
    }

    fn steps() -> Vec<Step> {
        vec![
            step(100, 3.0, Said::Good),
            step(200, 3.1, Said::Good),
            step(400, 4.0, Said::Good),
            step(800, 30.0, Said::Good),
            step(1_600, 900.0, Said::Broke),
        ]
    }

    #[test]
    fn the_knee_is_where_more_throughput_begins_to_cost_more_time() {
        let found = |good| Ending::Found { good, broke: 1_600 };
        assert_eq!(knee(&found(800), &steps()), Some(400));
        assert_eq!(knee(&found(200), &steps()[..2]), None);
        assert_eq!(knee(&found(200), &steps()), None, "what was outvoted is no good rate");
    }

    #[test]
    fn only_a_found_rate_is_a_pass() {
        let of = |ending| curve(ending, steps()).verdict;
        assert_eq!(of(Ending::Found { good: 800, broke: 1_600 }), Verdict::Pass);
        assert_eq!(of(Ending::AtLeast { good: 800, unknown: 1_600 }), Verdict::Inconclusive);
        assert_eq!(of(Ending::Ceiling { good: 800 }), Verdict::Inconclusive);
        assert_eq!(of(Ending::NoneGood { lowest: 12 }), Verdict::Fail);
        assert_eq!(of(Ending::LostData { at: 12 }), Verdict::Fail);
        assert_eq!(of(Ending::CutShort { good: Some(800), why: String::new() }), Verdict::Inconclusive);
    }

    #[test]
    fn the_summary_names_the_reason_and_no_password_stays() {
        let curve = curve(Ending::Found { good: 800, broke: 1_600 }, steps());
        assert_eq!(curve.summary, "800 requests/s keep p99=50ms; 1600 do not: p99 900 ms, limit 50 ms");
        assert!(!curve.target.contains("hunter2"));
    }

    #[test]
    fn a_stored_curve_reads_back_and_follows_its_schema() {
        let reports = tempfile::tempdir().unwrap();
        let curve = curve(Ending::CutShort { good: None, why: "interrupted".to_owned() }, steps());
        let stored = curve.store(reports.path()).unwrap();
        assert_eq!(stored.file_name().unwrap(), "20261124T000000Z-find-max-7.json");
        let text = std::fs::read(stored).unwrap();
        assert_eq!(serde_json::from_slice::<Curve>(&text).unwrap(), curve);
        let validator = jsonschema::validator_for(schema().as_value()).unwrap();
        assert!(validator.is_valid(&serde_json::from_slice(&text).unwrap()));
    }
}
