//! The histograms of several runs as those of one: several generators on one target, or one run again and again.
//!
//! In: runs' folders. Out: [`Merged`]. Histograms of equal bounds and precision add up exactly: the sum is what one
//! recorder of all values would have. Percentiles never do, which is why they are of the sum.
//!
//! The verdict of a sum is the worst of its parts': times of a run that proved nothing prove nothing in company.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::archive::{Archive, ArchiveError, Piece, Stored};
use crate::checks::{Conservation, Finding, Verdict};
use crate::load::hlog::{HdrLog, HdrLogError};
use crate::load::latency::Durations;
use crate::plan::Plan;
use crate::report::{PlanSummary, RunReport};

#[derive(Debug)]
pub struct Merged {
    /// In the order in which they were named.
    pub parts: Vec<Part>,
    pub all: HdrLog,
    /// What makes one sum of unequal things, one sentence each.
    pub differences: Vec<String>,
}

/// One run's.
#[derive(Debug)]
pub struct Part {
    pub run: String,
    pub judged: Judged,
    folder: PathBuf,
    pub log: HdrLog,
    aspects: BTreeMap<&'static str, String>,
}

/// What its report says of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// INCONCLUSIVE where there is no report.
    pub verdict: Verdict,
    pub interrupted: bool,
    /// `None`: there is no report.
    pub conservation: Option<Conservation>,
    /// What is not a pass, one sentence each.
    pub why: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("merge {run}: {why}; runs of before histograms were kept have none")]
    NoHistograms { run: String, why: String },
    #[error("merge {run}: {source}")]
    Histograms { run: String, source: HdrLogError },
    #[error("merge {0} with itself: its requests would count twice; name each run once")]
    Twice(String),
}

pub fn merge(runs: &[PathBuf]) -> Result<Merged, MergeError> {
    let parts = runs.iter().map(|run| Part::read(run)).collect::<Result<Vec<Part>, _>>()?;
    if let Some(twice) = parts.iter().enumerate().find(|(i, part)| parts[..*i].iter().any(|p| p.folder == part.folder))
    {
        return Err(MergeError::Twice(twice.1.run.clone()));
    }
    let differences = parts.iter().skip(1).flat_map(|part| parts[0].differs_from(part)).collect();
    Ok(Merged { all: sum(&parts), parts, differences })
}

impl Merged {
    /// The worst of its parts'.
    pub fn verdict(&self) -> Verdict {
        self.parts.iter().map(|part| part.judged.verdict).max().unwrap_or(Verdict::Inconclusive)
    }

    /// Of all requests; `None`: of some parts nobody knows.
    pub fn conservation(&self) -> Option<Conservation> {
        self.parts.iter().try_fold(Conservation::default(), |mut sum, part| {
            sum.add(&part.judged.conservation?);
            Some(sum)
        })
    }
}

impl Judged {
    fn of(report: Stored<RunReport>) -> Judged {
        match report {
            Stored::Whole(RunReport { verdict, interrupted, judgement, .. }) => {
                let open = judgement.findings.into_iter().filter(|finding| finding.verdict != Verdict::Pass);
                let why = open.map(|Finding { check, summary, .. }| format!("{check}: {summary}")).collect();
                Judged { verdict, interrupted, conservation: Some(judgement.conservation), why }
            }
            Stored::Missing { why } => {
                Judged { verdict: Verdict::Inconclusive, interrupted: true, conservation: None, why: vec![why] }
            }
        }
    }

    /// `INCONCLUSIVE, interrupted`.
    pub fn in_words(&self) -> String {
        self.verdict.word().to_owned() + if self.interrupted { ", interrupted" } else { "" }
    }
}

impl Part {
    fn read(folder: &Path) -> Result<Part, MergeError> {
        let archive = Archive::open(folder)?;
        let run = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        let log = match archive.get_bytes(Piece::Histograms)? {
            Stored::Whole(bytes) => {
                HdrLog::read(&bytes).map_err(|source| MergeError::Histograms { run: run.clone(), source })?
            }
            Stored::Missing { why } => return Err(MergeError::NoHistograms { run, why }),
        };
        let judged = Judged::of(archive.get_json(Piece::Run)?);
        let plan: Option<Plan> = archive.get_json(Piece::Plan)?.whole();
        let aspects = aspects(plan.as_ref(), &log);
        // Runs of two machines may have one name, and one run may be reached by two.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Ok(Part { run, judged, folder, log, aspects })
    }

    fn differs_from(&self, other: &Part) -> Vec<String> {
        let both = self.aspects.iter().zip(other.aspects.values());
        let unequal = both.filter(|((_, own), others)| own != others);
        unequal
            .map(|((what, own), others)| format!("{what}: {own} in {}, {others} in {}", self.run, other.run))
            .collect()
    }
}

/// What has to be equal for a sum to mean something.
fn aspects(plan: Option<&Plan>, log: &HdrLog) -> BTreeMap<&'static str, String> {
    let told = plan.map(PlanSummary::of);
    let of_plan =
        |pick: fn(&PlanSummary) -> &String| told.as_ref().map_or_else(|| "not kept".to_owned(), |p| pick(p).clone());
    let histogram = &log.histograms.response.0;
    BTreeMap::from([
        ("scenario", of_plan(|plan| &plan.name)),
        ("target", of_plan(|plan| &plan.target)),
        ("load", of_plan(|plan| &plan.load)),
        ("highest value", format!("{:?}", Duration::from_nanos(histogram.high()))),
        ("precision", format!("{} digits", histogram.sigfig())),
    ])
}

/// From the first begin to the last end.
fn sum(parts: &[Part]) -> HdrLog {
    let [first, others @ ..] = parts else { panic!("a merge is of some runs") };
    let mut all = first.log.clone();
    let mut end = ended(&first.log);
    for Part { log, .. } in others {
        for ((_, Durations(sum)), (_, Durations(one))) in
            all.histograms.named_mut().into_iter().zip(log.histograms.named())
        {
            add(sum, one);
        }
        all.started_at = all.started_at.min(log.started_at);
        end = end.max(ended(log));
    }
    all.duration = end.duration_since(all.started_at).unsigned_abs();
    all
}

fn ended(log: &HdrLog) -> Timestamp {
    let lasted = SignedDuration::try_from(log.duration).unwrap_or(SignedDuration::MAX);
    log.started_at.checked_add(lasted).unwrap_or(Timestamp::MAX)
}

fn add(sum: &mut Histogram<u64>, one: &Histogram<u64>) {
    // Only where the other one has higher bounds does it grow.
    sum.auto(true);
    sum.add(one).expect("a histogram that grows takes any value");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::LaneHistograms;
    use crate::report::canned;

    const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);

    fn log(values_ms: impl Iterator<Item = u64>) -> HdrLog {
        let mut histograms = LaneHistograms::default();
        for ms in values_ms {
            let value = Duration::from_micros(ms * 1_000 + 7);
            histograms.named_mut().into_iter().for_each(|(_, durations)| durations.record(value));
        }
        HdrLog { histograms, started_at: NOW, duration: Duration::from_secs(30) }
    }

    fn run(reports: &Path, number: u32, log: &HdrLog, plan: &Plan) -> PathBuf {
        unsealed(reports, number, log, plan).root().to_owned()
    }

    fn unsealed(reports: &Path, number: u32, log: &HdrLog, plan: &Plan) -> Archive {
        let archive = Archive::create(reports, "a", number, NOW).unwrap();
        archive.put_json(Piece::Plan, plan).unwrap();
        archive.put_bytes(Piece::Histograms, &log.written()).unwrap();
        archive
    }

    #[test]
    fn two_merged_are_what_one_would_have_recorded_of_all() {
        let reports = tempfile::tempdir().unwrap();
        let later = HdrLog { started_at: NOW + SignedDuration::from_secs(10), ..log(501..=2_000) };
        let runs =
            [(1, log(1..=500)), (2, later)].map(|(number, log)| run(reports.path(), number, &log, &canned::plan()));
        let Merged { parts, all, differences, .. } = merge(&runs).unwrap();
        let of_all = log(1..=2_000);
        for ((tag, Durations(merged)), (_, Durations(one))) in
            all.histograms.named().into_iter().zip(of_all.histograms.named())
        {
            assert_eq!(merged, one, "{tag}");
        }
        assert_eq!((all.started_at, all.duration), (NOW, Duration::from_secs(40)));
        assert_eq!((parts.len(), differences), (2, Vec::new()));
    }

    #[test]
    fn a_sum_is_no_better_than_the_worst_of_its_parts() {
        let reports = tempfile::tempdir().unwrap();
        let folder = |number, report: Option<RunReport>| {
            let archive = unsealed(reports.path(), number, &log(1..=10), &canned::plan());
            report.iter().for_each(|report| archive.seal(&report.files().unwrap()).unwrap());
            archive.root().to_owned()
        };
        let report = |name| canned::reports().into_iter().find(|(of, _)| *of == name).expect("it is a sample").1;
        let (pass, fail): (RunReport, RunReport) = (report("pass"), report("fail"));
        let cut = RunReport { interrupted: true, verdict: Verdict::Inconclusive, ..pass.clone() };
        let [good, bad] = [folder(1, Some(pass)), folder(2, Some(fail))];
        let [cut, unreported] = [folder(3, Some(cut)), folder(4, None)];
        let verdict =
            |runs: &[&PathBuf]| merge(&runs.iter().map(|run| run.to_path_buf()).collect::<Vec<_>>()).unwrap().verdict();
        assert_eq!(verdict(&[&good, &bad]), Verdict::Fail);
        assert_eq!([verdict(&[&good, &cut]), verdict(&[&good, &unreported])], [Verdict::Inconclusive; 2]);
        let parts = merge(&[good, bad, cut, unreported]).unwrap().parts;
        let told: Vec<String> = parts.iter().map(|part| part.judged.in_words()).collect();
        assert_eq!(told, ["PASS", "FAIL", "INCONCLUSIVE, interrupted", "INCONCLUSIVE, interrupted"]);
        assert!(parts[0].judged.why.is_empty() && parts[1].judged.why.iter().any(|why| why.starts_with("integrity: ")));
        assert!(parts[3].judged.why[0].contains("run.json is not there"), "{:?}", parts[3].judged);
    }

    #[test]
    fn a_run_is_known_by_its_place_whatever_its_name() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let runs = [&one, &other].map(|reports| run(reports.path(), 1, &log(1..=10), &canned::plan()));
        assert_eq!(merge(&runs).unwrap().all.histograms.response.0.len(), 20, "one name on two machines");
        let link = one.path().join("another-name");
        std::os::unix::fs::symlink(&runs[0], &link).unwrap();
        assert!(matches!(merge(&[runs[0].clone(), link]), Err(MergeError::Twice(_))));
    }

    #[test]
    fn what_differs_is_told() {
        let reports = tempfile::tempdir().unwrap();
        let finer = || Durations(Histogram::new_with_bounds(1_000, 7_200_000_000_000, 2).unwrap());
        let mut other = log(1..=10);
        other.histograms = LaneHistograms { response: finer(), ..other.histograms };
        other.histograms.response.record(Duration::from_secs(6_000));
        let mut plan = canned::plan();
        plan.load.shape = crate::plan::Shape::constant(7.0, Duration::from_secs(9));
        let runs = [run(reports.path(), 1, &log(1..=10), &canned::plan()), run(reports.path(), 2, &other, &plan)];
        let merged = merge(&runs).unwrap();
        let told = merged.differences.join("\n");
        for what in ["load: ", "highest value: 3600s in ", "precision: 3 digits in "] {
            assert!(told.contains(what), "{told}");
        }
        assert_eq!((merged.differences.len(), merged.all.histograms.response.0.len()), (3, 11));
    }

    #[test]
    fn a_run_without_histograms_or_named_twice_is_refused() {
        let reports = tempfile::tempdir().unwrap();
        let whole = run(reports.path(), 1, &log(1..=10), &canned::plan());
        let bare = Archive::create(reports.path(), "b", 2, NOW).unwrap().root().to_owned();
        assert!(matches!(merge(&[whole.clone(), bare]), Err(MergeError::NoHistograms { .. })));
        assert!(matches!(merge(&[whole.clone(), whole]), Err(MergeError::Twice(_))));
    }
}
