//! The tables of `mxctl bench peers`: one a rate, one of all truth cases, one of goals.

use super::peers_report::{GoalLine, PeersReport};
use crate::bench::peers::figures::Figures;
use crate::bench::peers::goals::{Bound, Outcome, Unit, off};
use crate::bench::peers::tools::{LEDGER, NO_LEDGER, TOOLS};
use crate::bench::peers::{Compared, Pace, TruthCase};
use crate::report::figures::{hundredths, thousands};
use crate::report::table::{Column, Table, left, right};
use crate::report::text::wrap;
use crate::scenario::{Period, Written};

/// More than this of the machine went to others: figures beside it are no evidence.
const STRANGERS: f64 = 0.05;

pub fn tables(report: &PeersReport, compared: &Compared) -> String {
    let (truth, paces): (Vec<&str>, Vec<&str>) =
        compared.cases().into_iter().partition(|case| TruthCase::named(case).is_some());
    let mut text = head(report);
    text += &doubts(report, compared);
    for case in paces {
        text += &at_a_pace(case, compared);
    }
    let truth: Vec<_> = truth.into_iter().filter_map(TruthCase::named).collect();
    if !truth.is_empty() {
        text += &of_truth(&truth, compared);
    }
    text += &goals(&report.goals);
    text + &missing(report)
}

fn head(report: &PeersReport) -> String {
    let PeersReport { environment, cores, connections, rounds, seconds, .. } = report;
    let text = format!(
        "mxctl {}; {connections} connections; medians of {rounds} × {seconds} s; server on core {}, generators on core {}",
        environment.mxctl, cores.server, cores.generator
    );
    text + "\n"
}

/// Why the figures may be none.
fn doubts(report: &PeersReport, compared: &Compared) -> String {
    let mut doubts = Vec::new();
    if report.debug_build {
        doubts
            .push("this executable is not optimised: its figures are no evidence (build it with --release)".to_owned());
    }
    if !report.cores.are_apart() {
        doubts.push("server and generator shared a core: these figures compare nothing".to_owned());
    }
    if let Some(share) = compared.strangers().filter(|share| *share > STRANGERS) {
        let percent = share * 100.0;
        doubts.push(format!(
            "others used up to {percent:.0} % of this machine during a run: its figures are no evidence"
        ));
    }
    doubts.extend(undecided(compared));
    doubts.extend(compared.failed().map(|(run, why)| {
        format!("round {} of {} at {} failed, and counts in no figure: {why}", run.round, run.tool, run.case)
    }));
    doubts.iter().map(|doubt| wrap("  ! ", doubt)).collect()
}

/// A tool that judges its own run may say that it proves nothing.
fn undecided(compared: &Compared) -> impl Iterator<Item = String> {
    compared.runs.iter().filter_map(|run| {
        let verdict = run.record()?.told.verdict.as_deref().filter(|verdict| *verdict != "PASS")?;
        Some(format!("{} calls its own run in round {} at {} {verdict}", run.tool, run.round, run.case))
    })
}

/// Tools of a case in the order of the list, with what they reached.
fn reached(case: &str, compared: &Compared) -> Vec<(&'static str, Figures)> {
    let figures = TOOLS.iter().map(|tool| (tool.name(), compared.figures(case, tool.name())));
    figures.filter(|(_, figures)| figures.runs > 0).collect()
}

/// Whom the others are compared with: the first one there that is no mxctl.
fn base(reached: &[(&'static str, Figures)]) -> Option<(&'static str, Figures)> {
    reached.iter().find(|(name, _)| ![LEDGER, NO_LEDGER].contains(name)).cloned()
}

fn at_a_pace(case: &str, compared: &Compared) -> String {
    let reached = reached(case, compared);
    let base = base(&reached);
    let asked = Pace::read(case).unwrap_or(Pace::Max);
    let [first, second] = rate_titles(asked);
    let mut table = Table::new(&[
        left("tool"),
        right("CPU s per\nmillion"),
        right("×"),
        right("peak RSS\nMB"),
        first,
        second,
        right("variance\n/mean"),
        right("server\nCPU"),
        right("p99\nms"),
        right("p99.9\nms"),
        right("max\nms"),
        right("errors"),
    ]);
    for (name, figures) in &reached {
        let cpu = |figures: &Figures| figures.cpu_seconds_per_million;
        let [first, second] = rate(asked, figures, base.as_ref().map(|(_, base)| base));
        table.row([
            (*name).to_owned(),
            told(cpu(figures), |cpu| format!("{cpu:.1}")),
            times(cpu(figures), base.as_ref().and_then(|(_, base)| cpu(base))),
            told(figures.peak_rss_bytes, |bytes| format!("{:.1}", bytes / 1e6)),
            first,
            second,
            told(figures.variance_to_mean_per_ms, |ratio| format!("{ratio:.2}")),
            told(figures.server_cpu, |share| format!("{:.0} %", share * 100.0)),
            told(figures.p99_ms, hundredths),
            told(figures.p999_ms, hundredths),
            told(figures.max_ms, hundredths),
            told(figures.errors, whole),
        ]);
    }
    format!("\n{}\n{}", title(asked, base.map(|(name, _)| name)), table.render())
}

fn title(asked: Pace, base: Option<&str>) -> String {
    let against = base.map_or_else(|| "nobody to compare with".to_owned(), |name| format!("× against {name}"));
    match asked {
        Pace::Rate(rps) => format!("{} requests/s ({against})", thousands(rps.into())),
        Pace::Max => format!("As fast as it can ({against})"),
    }
}

fn rate_titles(asked: Pace) -> [Column; 2] {
    match asked {
        Pace::Rate(_) => [right("arrived"), right("rate\nkept")],
        Pace::Max => [right("requests\n/s"), right("×")],
    }
}

/// What arrived, and the share of the rate that was asked for; at the most, requests a second, and so many times the
/// base's.
fn rate(asked: Pace, figures: &Figures, base: Option<&Figures>) -> [String; 2] {
    let rate = figures.requests_per_second;
    match asked {
        Pace::Rate(rps) => [told(figures.requests, whole), told(rate, |rate| percent(rate / f64::from(rps)))],
        Pace::Max => [told(rate, whole), times(rate, base.and_then(|base| base.requests_per_second))],
    }
}

fn of_truth(cases: &[TruthCase], compared: &Compared) -> String {
    let mut table = Table::new(&[
        left("tool"),
        right("p99\nms"),
        right("off"),
        right("p99.9\nms"),
        right("off"),
        right("max\nms"),
        right("off"),
        right("errors"),
        right("arrived"),
    ]);
    for case in cases {
        let truth = case.truth();
        table.heading(heading(case));
        let [p99, p999, max] = [truth.p99, truth.p999, truth.max].map(hundredths);
        let nothing = String::new;
        table.row([
            "the truth".to_owned(),
            p99,
            nothing(),
            p999,
            nothing(),
            max,
            nothing(),
            "0".to_owned(),
            whole(truth.count as f64),
        ]);
        for (name, figures) in reached(case.name, compared) {
            let off = off(&figures, [truth.p99, truth.p999, truth.max]).map(|off| told(off, signed_percent));
            let [p99, p999, max] = off;
            table.row([
                name.to_owned(),
                told(figures.p99_ms, hundredths),
                p99,
                told(figures.p999_ms, hundredths),
                p999,
                told(figures.max_ms, hundredths),
                max,
                told(figures.errors, whole),
                told(figures.requests, whole),
            ]);
        }
    }
    format!("\nThe truth, and what each says\n{}", table.render())
}

fn heading(case: &TruthCase) -> String {
    let TruthCase { name, about, rps, lasts, stall } = case;
    let (lasts, at, stalls) = (Period(*lasts), Period(stall.at), Period(stall.lasts));
    format!("{name}: {rps} requests/s for {lasts}, a stall of {stalls} after {at} ({about})")
}

fn goals(goals: &[GoalLine]) -> String {
    let mut table =
        Table::new(&[left("goal"), right("reached"), right("to reach"), right("fails\nbeyond"), left("outcome")]);
    for GoalLine { goal, outcome } in goals {
        let figure = |value: f64| in_unit(goal.unit, value);
        let (sign, to_reach, fails) = match goal.bound {
            Bound::AtMost { goal, fails } => ("≤", goal, fails),
            Bound::AtLeast { goal, fails } => ("≥", goal, fails),
        };
        table.row([
            goal.about.clone(),
            told(goal.reached, figure),
            format!("{sign} {}", figure(to_reach)),
            figure(fails),
            word(*outcome).to_owned(),
        ]);
    }
    format!("\nGoals\n{}", table.render())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Missed => "missed",
        Outcome::Fails => "FAILS",
        Outcome::NotMeasured => "not measured",
    }
}

fn missing(report: &PeersReport) -> String {
    let mut table = Table::new(&[left("peer"), left("how to get it")]);
    let missing: Vec<_> = report.tools.iter().filter(|tool| tool.program.is_none()).collect();
    for tool in &missing {
        table.row([tool.name.to_owned(), tool.source.to_owned()]);
    }
    if missing.is_empty() { String::new() } else { format!("\nNot on the PATH\n{}", table.render()) }
}

fn told(value: Option<f64>, figure: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

fn times(one: Option<f64>, other: Option<f64>) -> String {
    told(one.zip(other).map(|(one, other)| one / other), |ratio| format!("{ratio:.2}"))
}

fn whole(value: f64) -> String {
    thousands(value.round() as u64)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn signed_percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

fn in_unit(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Times => format!("{value:.2} ×"),
        Unit::Share => percent(value),
        Unit::Megabytes => format!("{value:.1} MB"),
        Unit::Milliseconds => format!("{value:.2} ms"),
        Unit::Plain => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Environment;
    use crate::bench::peers::Cores;
    use crate::bench::peers::canned::compared;
    use crate::bench::peers::goals;
    use crate::cli::bench::peers_report::ToolLine;

    fn report(compared: &Compared) -> PeersReport {
        let goals = goals::goals(compared).into_iter().map(|goal| GoalLine { outcome: goal.outcome(), goal });
        let tools = TOOLS.iter().map(|tool| {
            let program = (!["k6", "oha"].contains(&tool.name())).then(|| tool.name().into());
            ToolLine { name: tool.name(), program, source: tool.source() }
        });
        PeersReport {
            environment: Environment {
                mxctl: "0.1.0".to_owned(),
                ..Environment::gather(jiff::Timestamp::UNIX_EPOCH, Vec::new())
            },
            debug_build: true,
            cores: Cores { server: 0, generator: 1 },
            connections: 50,
            rounds: 3,
            truth_rounds: 1,
            seconds: 10,
            tools: tools.collect(),
            runs: compared.runs.clone(),
            figures: Vec::new(),
            goals: goals.collect(),
        }
    }

    #[test]
    fn a_table_for_each_rate_one_of_the_truth_and_one_of_goals() {
        let compared = compared();
        insta::assert_snapshot!(tables(&report(&compared), &compared));
    }

    #[test]
    fn what_makes_figures_no_evidence_stands_above_them() {
        let compared = Compared { runs: Vec::new() };
        let mut report = report(&compared);
        report.cores.generator = report.cores.server;
        let text = doubts(&report, &compared);
        assert!(text.contains("not optimised") && text.contains("shared a core"), "{text}");
    }
}
