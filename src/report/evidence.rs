//! What the renderers for people say in the same words: headline, evidence paragraph, counts in a sentence.

use std::collections::BTreeMap;

use super::RunReport;
use super::figures::{dash, hundredths, mebibytes, percent, seconds, span, thousands};
use crate::backends::{SettleEnd, SettleOutcome};
use crate::checks::{
    Class, ClassCount, Conservation, CountByHand, Finding, Judgement, OrderCounts, StopJudgement, Strangers, Verdict,
};
use crate::harness::Harness;
use crate::load::Connections;
use crate::proven::Standing;

/// Failures first, then what could not be decided, then what passed; each in the order in which it was judged.
pub fn by_weight(judgement: &Judgement) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = judgement.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    findings
}

/// Why the verdict is what it is, in one sentence.
pub fn headline(report: &RunReport) -> String {
    let of_verdict: Vec<&Finding> =
        report.judgement.findings.iter().filter(|finding| finding.verdict == report.verdict).collect();
    match (report.verdict, of_verdict.as_slice()) {
        (Verdict::Pass, all) => format!("{} of {} checks passed; {}", all.len(), all.len(), stops_passed(report)),
        (_, []) => "no finding says why".to_owned(),
        (_, [only]) => format!("{}: {}", only.check, only.summary),
        (_, [first, others @ ..]) => {
            let others: Vec<&str> = others.iter().map(|finding| finding.check.as_str()).collect();
            format!("{}: {} (also: {})", first.check, first.summary, others.join(", "))
        }
    }
}

/// The evidence in a paragraph: what was acknowledged, what became of it, what was at stake in each stop.
pub fn paragraph(report: &RunReport) -> String {
    let judgement = &report.judgement;
    let Conservation { due, acked, .. } = judgement.conservation;
    let sentences = [
        format!(
            "Of {} operations due, {} were acknowledged ({}).",
            thousands(due),
            thousands(acked),
            percent(acked, due)
        ),
        fates(&judgement.classes),
        stakes(report),
        format!("{}.", capitalised(&settled(report.settle.as_ref()))),
    ];
    sentences.join(" ")
}

/// `Acknowledged write operations that the database has: 38,452 applied, …. Classes that must be empty: lost 0, …`.
fn fates(classes: &[ClassCount]) -> String {
    let must_be_empty: Vec<&ClassCount> = classes.iter().filter(|count| count.fails).collect();
    let (empty, found): (Vec<_>, Vec<_>) = must_be_empty.into_iter().partition(|c| c.count == 0 && c.void.is_none());
    let fates: Vec<String> = found.into_iter().chain(empty).map(fate).collect();
    let of = |class| classes.iter().find(|count| count.class == class).map_or_else(|| "0".to_owned(), class_count);
    format!(
        "Acknowledged write operations that the database has: {} applied, {} superseded. \
         Classes that must be empty: {}.",
        of(Class::Applied),
        of(Class::Superseded),
        fates.join(", ")
    )
}

fn fate(count: &ClassCount) -> String {
    format!("{} {}", count.class.word(), class_count(count))
}

fn stakes(report: &RunReport) -> String {
    let mut ranges: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for stop in &report.judgement.stops {
        if let Some(n) = stop.exposure {
            let (low, high) = ranges.entry(&stop.exposure_unit).or_insert((n, n));
            (*low, *high) = ((*low).min(n), (*high).max(n));
        }
    }
    let ranges: Vec<String> =
        ranges.iter().map(|(unit, (low, high))| format!("{} {unit}", range(*low, *high))).collect();
    match ranges.as_slice() {
        [] => format!("{}.", capitalised(&stops_passed(report))),
        ranges => format!(
            "{}; the victims held, each when it was struck: {}.",
            capitalised(&stops_passed(report)),
            ranges.join(", ")
        ),
    }
}

fn range(low: u64, high: u64) -> String {
    if low == high { thousands(low) } else { format!("{} to {}", thousands(low), thousands(high)) }
}

pub fn stops_passed(report: &RunReport) -> String {
    if !report.judgement.judges_data() {
        return "load alone: what became of data is not assessed".to_owned();
    }
    let Judgement { stops, disturbances, .. } = &report.judgement;
    let stopped: Vec<Verdict> = stops.iter().map(|stop| stop.verdict).collect();
    let disturbed: Vec<Verdict> = disturbances.iter().map(|one| one.verdict).collect();
    let told = [passed("stops", &stopped), passed("disturbances", &disturbed)];
    match told.into_iter().flatten().collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => "no stop was planned".to_owned(),
        told => format!("{told} passed"),
    }
}

/// `8 of 10 stops`; `None`: none was planned.
fn passed(what: &str, verdicts: &[Verdict]) -> Option<String> {
    let passed = verdicts.iter().filter(|verdict| **verdict == Verdict::Pass).count();
    (!verdicts.is_empty()).then(|| format!("{passed} of {} {what}", verdicts.len()))
}

pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What others took of the machine.
pub fn strangers(strangers: Strangers) -> String {
    let Strangers { mean, peak, disturbed } = strangers;
    let verdict = if strangers.disturb() {
        format!("; in {:.0} % of the time half of one or more", disturbed * 100.0)
    } else {
        String::new()
    };
    format!("other processes took {mean:.2} processors during the load, {peak:.2} at most{verdict}")
}

/// Whether the executable has shown that it can fail, and by what this run's scenario does.
pub fn standing(standing: Option<&Standing>) -> String {
    let Some(Standing { started_at, caught, bugs, false_alarms, covered, .. }) = standing else {
        return "none of this executable: nobody has shown that it can fail (`mxctl selftest`)".to_owned();
    };
    let of_these = match covered.as_slice() {
        [] => "none of them by what this scenario does on its strategy".to_owned(),
        covered => format!("by what this scenario does on its strategy: {}", covered.join(", ")),
    };
    format!(
        "{}: caught {caught} of {bugs} seeded bugs, {false_alarms} false alarms; {of_these}",
        started_at.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

/// How long mxctl took for each phase, and its memory over the load.
pub fn harness(harness: &Harness) -> String {
    let phases: Vec<String> =
        harness.phases.iter().map(|phase| format!("{} {}", phase.phase, span(phase.took))).collect();
    let memory = match (harness.memory.as_slice(), harness.memory_peak) {
        ([(_, first), .., (_, last)], Some(peak)) => format!(
            "; memory {} as the load began, {} at its end, at most {}",
            mebibytes(*first),
            mebibytes(*last),
            mebibytes(peak)
        ),
        (_, Some(peak)) => format!("; memory at most {}", mebibytes(peak)),
        (_, None) => String::new(),
    };
    phases.join(", ") + &memory
}

/// What became of the connections of load alone.
pub fn connections(connections: &Connections) -> String {
    let [opened, refused, ended] =
        [connections.opened, connections.refused, connections.ended_by_target].map(thousands);
    format!("{opened} connections opened, {refused} refused, {ended} ended by the target")
}

/// What was agreed on with whom, and what was not: a line for each.
pub fn handshakes(connections: &Connections) -> Vec<String> {
    let spoken = connections.spoken.iter().map(|(what, count)| format!("{what}: {} opened", thousands(*count)));
    let failed = connections.failed.iter().map(|(why, count)| format!("{} not opened: {why}", thousands(*count)));
    spoken.chain(failed).collect()
}

/// How the wait for quiet ended.
pub fn settled(settle: Option<&SettleOutcome>) -> String {
    let Some(settle) = settle else { return "never settled: the run ended before".to_owned() };
    let (drain, waited) = (seconds(settle.drain), seconds(settle.waited));
    match settle.end {
        SettleEnd::Quiet => {
            format!("quiet: the last movement was {drain} after the end of the load, watched until {waited} after it")
        }
        SettleEnd::Stuck => {
            format!("stuck: something is left, and nothing has moved since {drain} after the end of the load")
        }
        SettleEnd::Undrained => format!("undrained: still moving {waited} after the end of the load"),
        SettleEnd::Blind => format!("blind: a probe failed until the deadline, {waited} after the end of the load"),
        SettleEnd::Aborted => format!("aborted {waited} after the end of the load"),
    }
}

/// `48,000 due = 47,988 acked + 0 refused + 12 unknown + 0 not sent`.
pub fn conservation(c: &Conservation) -> String {
    let sign = if c.due == c.acked + c.refused + c.unknown + c.not_sent { "=" } else { "≠" };
    format!(
        "{} due {sign} {} acked + {} refused + {} unknown + {} not sent",
        thousands(c.due),
        thousands(c.acked),
        thousands(c.refused),
        thousands(c.unknown),
        thousands(c.not_sent)
    )
}

/// `48,000 of 48,000 operations given to a connection (100 %): 800.00 operations/s of 800 asked`.
pub fn achieved(report: &RunReport) -> String {
    let Conservation { due, not_sent, .. } = report.judgement.conservation;
    let sent = due.saturating_sub(not_sent);
    let rate = match report.plan.load_duration.as_secs_f64() {
        s if s > 0.0 => hundredths(sent as f64 / s),
        _ => dash(),
    };
    let asked = if report.plan.rps > 0.0 { format!("{} asked", report.plan.rps) } else { "none asked".to_owned() };
    format!(
        "{} of {} operations given to a connection ({}): {rate} operations/s of {asked}",
        thousands(sent),
        thousands(due),
        percent(sent, due)
    )
}

/// What the witness saw.
pub fn order(order: Option<&OrderCounts>) -> String {
    match order {
        None => "duplicates and order are not observable: no witness".to_owned(),
        Some(o) => format!(
            "{} duplicate writes, {} out of order, {} dropped as superseded, as the witness saw them",
            thousands(o.duplicates),
            thousands(o.reordered),
            thousands(o.dropped_as_superseded)
        ),
    }
}

pub fn counted(by_hand: &CountByHand) -> String {
    let sign = if by_hand.expected == by_hand.counted { "=" } else { "≠" };
    let by = by_hand.software.as_ref().map_or_else(String::new, |software| format!(" in {software}"));
    format!("expected {} rows {sign} {} rows counted{by}", thousands(by_hand.expected), thousands(by_hand.counted))
}

/// The stops of one step and mode, under a title; in the order of the plan.
pub fn steps(stops: &[StopJudgement]) -> Vec<(String, &[StopJudgement])> {
    let same = |a: &StopJudgement, b: &StopJudgement| step_of(&a.id) == step_of(&b.id) && a.mode == b.mode;
    let title = |group: &[StopJudgement]| format!("{}, {}", step_of(&group[0].id), group[0].mode.word());
    stops.chunk_by(same).map(|group| (title(group), group)).collect()
}

/// `1:rolling-update/api-2` → `1:rolling-update`.
fn step_of(stop: &str) -> &str {
    stop.split_once('/').map_or(stop, |(step, _)| step)
}

/// `1:rolling-update/api-2` → `api-2`.
pub fn slot_of(stop: &str) -> &str {
    stop.split_once('/').map_or(stop, |(_, slot)| slot)
}

/// `118 leased tasks`, `1 offer in flight`.
pub fn exposure(stop: &StopJudgement) -> String {
    let unit = &stop.exposure_unit;
    match stop.exposure {
        None => "not read".to_owned(),
        Some(1) => format!("1 {}", unit.split(' ').map(singular).collect::<Vec<_>>().join(" ")),
        Some(n) => format!("{} {unit}", thousands(n)),
    }
}

fn singular(word: &str) -> &str {
    match word {
        "tasks" | "offers" | "operations" => &word[..word.len() - 1],
        _ => word,
    }
}

/// `1,312`, `0 rows`; `void` where the evidence is unsound: the count then says nothing.
pub fn class_count(count: &ClassCount) -> String {
    match (count.class, &count.void) {
        (_, Some(_)) => "void".to_owned(),
        (Class::Unexpected, None) => format!("{} rows", thousands(count.count)),
        (_, None) => thousands(count.count),
    }
}

/// What the count rests on, or why it says nothing.
pub fn class_basis(count: &ClassCount) -> String {
    match &count.void {
        Some(why) => why.clone(),
        None => count.rests_on.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conservation_that_does_not_add_up_shows() {
        let whole = Conservation { due: 48_000, acked: 47_988, refused: 0, unknown: 12, not_sent: 0 };
        assert_eq!(conservation(&whole), "48,000 due = 47,988 acked + 0 refused + 12 unknown + 0 not sent");
        assert!(conservation(&Conservation { unknown: 11, ..whole }).starts_with("48,000 due ≠ "));
    }

    #[test]
    fn a_standing_says_what_was_caught_by_what_the_scenario_does() {
        assert!(standing(None).starts_with("none of this executable"));
        let started_at = "2026-11-24T00:00:00Z".parse().expect("a time");
        let of = |covered: &[&str]| {
            let covered = covered.iter().map(|bug| (*bug).to_owned()).collect();
            standing(Some(&Standing { started_at, caught: 23, bugs: 24, false_alarms: 0, covered, by_acts: None }))
        };
        assert_eq!(
            of(&["lifo", "no-redrive"]),
            "2026-11-24 00:00:00Z: caught 23 of 24 seeded bugs, 0 false alarms; by what this scenario does on its strategy: \
             lifo, no-redrive"
        );
        assert!(of(&[]).ends_with("none of them by what this scenario does on its strategy"));
    }

    #[test]
    fn a_void_class_shows_no_count() {
        let void = Some("the ledger is torn".to_owned());
        let count = ClassCount { class: Class::Lost, count: 7, fails: true, rests_on: "complete reader".into(), void };
        assert_eq!((class_count(&count), class_basis(&count)), ("void".into(), "the ledger is torn".into()));
        assert_eq!(fate(&count), "lost void");
    }
}
