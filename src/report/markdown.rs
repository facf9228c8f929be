//! `report.md`: short enough for a pull request.

use super::figures::{hundredths, seconds, thousands};
use super::terminal::EXHIBITS;
use super::{RenderError, Renderer, RunReport, evidence, scaling};
use crate::checks::{Exhibit, Judgement, LaneLatency, Percentiles, Verdict};

pub struct Markdown;

impl Renderer for Markdown {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError> {
        let judgement = &report.judgement;
        let sections = [
            head(report),
            findings(judgement),
            stops(judgement),
            scaled(judgement),
            classes(judgement),
            exhibits(&judgement.exhibits),
            latency(report),
            efficiency(judgement),
            not_assessed(judgement),
            by_hand(report),
        ];
        let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
        Ok(sections.join("\n").into_bytes())
    }
}

fn head(report: &RunReport) -> String {
    let plan = &report.plan;
    let interrupted = if report.interrupted { " (interrupted)" } else { "" };
    format!(
        "# {}: {}{interrupted}\n\n{}\n\n{}. {}. Run {}, seed {}.\n",
        report.verdict.word(),
        escaped(&plan.name),
        escaped(&evidence::paragraph(report)),
        escaped(&plan.target),
        escaped(&plan.load),
        plan.run_number,
        plan.seed
    )
}

/// One line for all that passed; each of the others with its reasons.
fn findings(judgement: &Judgement) -> String {
    let (passed, open): (Vec<_>, Vec<_>) =
        evidence::by_weight(judgement).into_iter().partition(|finding| finding.verdict == Verdict::Pass);
    let mut text = String::new();
    for finding in open {
        let (verdict, check) = (finding.verdict.word(), escaped(&finding.check));
        text += &format!("- **{verdict}** {check}: {}\n", escaped(&finding.summary));
        text.extend(finding.details.iter().map(|detail| format!("  - {}\n", escaped(detail))));
    }
    if !passed.is_empty() {
        let passed: Vec<String> = passed.iter().map(|finding| escaped(&finding.check)).collect();
        text += &format!("- **PASS** {}\n", passed.join(", "));
    }
    text
}

fn stops(judgement: &Judgement) -> String {
    let rows = evidence::steps(&judgement.stops).into_iter().flat_map(|(title, group)| {
        group.iter().map(move |stop| {
            [
                title.clone(),
                stop.victim.clone().unwrap_or_else(|| format!("{}: none", evidence::slot_of(&stop.id))),
                evidence::exposure(stop),
                stop.exit.clone(),
                stop.drain.map_or_else(dash, seconds),
                stop.acks_after_sigterm.map_or_else(dash, thousands),
                thousands(stop.acks_in_window),
                stop.failed.map_or_else(dash, thousands),
                stop.verdict.word().to_owned(),
            ]
        })
    });
    let columns =
        ["step", "victim", "exposure", "exit", "drain", "acks after SIGTERM", "acks in window", "failed", "verdict"];
    table("Stops", columns, "    :::: ", rows)
}

fn classes(judgement: &Judgement) -> String {
    let rows = judgement.classes.iter().map(|count| {
        let word = count.class.word();
        let word = if count.fails { format!("**{word}**") } else { word.to_owned() };
        [word, evidence::class_count(count), evidence::class_basis(count)]
    });
    let lines = [
        table("Classes of operations (**bold**: must be 0)", ["class", "operations", "rests on"], " : ", rows),
        format!("\n{}.\n\n", evidence::conservation(&judgement.conservation)),
        format!("{}.\n", escaped(&evidence::capitalised(&evidence::order(judgement.order.as_ref())))),
    ];
    lines.concat()
}

fn exhibits(exhibits: &[Exhibit]) -> String {
    let rows = exhibits.iter().take(EXHIBITS).map(|exhibit| {
        [
            exhibit.class.word().to_owned(),
            exhibit.key.to_string(),
            exhibit.seq.to_string(),
            exhibit.presets.iter().map(u8::to_string).collect::<Vec<_>>().join(" "),
            exhibit.instance.clone().unwrap_or_else(dash),
            exhibit.acked.map_or_else(dash, |at| seconds(at.as_duration())),
            exhibit.last_seen.clone(),
        ]
    });
    let columns = ["class", "key", "seq", "presets", "acked by", "acked at", "last seen"];
    table(&format!("Exhibits (the first {EXHIBITS} at most)"), columns, " ::  : ", rows)
}

fn latency(report: &RunReport) -> String {
    let whole_run = report.judgement.latency.iter().filter(|l| l.phase.is_none());
    let rows = whole_run.flat_map(|l| times(l).map(|(time, p)| latency_cells(l, time, p)));
    let columns = ["lane", "time", "operations", "p50", "p90", "p99", "p99.9", "max"];
    let table = table("Latency, milliseconds", columns, "  ::::::", rows);
    if table.is_empty() { table } else { format!("{table}\n{}.\n", evidence::achieved(report)) }
}

/// What was started, and what the checkpoints showed.
fn scaled(judgement: &Judgement) -> String {
    let told = [scaling::started(judgement), scaling::looked(judgement)];
    let told: Vec<String> = told.iter().filter(|told| !told.is_empty()).map(|told| escaped(told)).collect();
    if told.is_empty() { String::new() } else { format!("{}\n", told.join(" ")) }
}

fn efficiency(judgement: &Judgement) -> String {
    let align: String = scaling::EFFICIENCY.iter().map(|(_, right)| if *right { ':' } else { ' ' }).collect();
    let columns = scaling::EFFICIENCY.map(|(title, _)| title);
    table(scaling::EFFICIENCY_TITLE, columns, &align, scaling::efficiency(judgement).into_iter())
}

fn times(l: &LaneLatency) -> [(&'static str, &Percentiles); 3] {
    [("response", &l.response_ms), ("service", &l.service_ms), ("woke late", &l.woke_late_ms)]
}

fn latency_cells(l: &LaneLatency, time: &str, p: &Percentiles) -> [String; 8] {
    let [p50, p90, p99, p999, max] = [p.p50, p.p90, p.p99, p.p999, p.max].map(|ms| match p.count {
        0 => dash(),
        _ => hundredths(ms),
    });
    [l.lane.word().to_owned(), time.to_owned(), thousands(p.count), p50, p90, p99, p999, max]
}

fn by_hand(report: &RunReport) -> String {
    let count = report.judgement.count_by_hand.as_ref().map(|by_hand| {
        let database = match &report.paths.database {
            Some(path) => format!("`{}` in the run's folder", path.display()),
            None => "the run's database".to_owned(),
        };
        let counted = evidence::counted(by_hand);
        format!("On {database}:\n\n```sql\n{}\n```\n\n{}.\n\n", by_hand.query, evidence::capitalised(&counted))
    });
    let again = "`mxctl report judge <the run's folder>` judges the archived evidence again.";
    format!("## Check it by hand\n\n{}{again}\n", count.unwrap_or_default())
}

fn not_assessed(judgement: &Judgement) -> String {
    if judgement.not_assessed.is_empty() {
        return String::new();
    }
    let lines = judgement.not_assessed.iter().map(|what| format!("- {}\n", escaped(what)));
    format!("## Not assessed\n\n{}", lines.collect::<String>())
}

/// A table with a title; nothing where there are no rows. `align` has a sign a column: `:` is aligned right.
fn table<const N: usize>(
    title: &str,
    columns: [&str; N],
    align: &str,
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: String = rows.map(|cells| format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | "))).collect();
    if rows.is_empty() {
        return rows;
    }
    let rules: Vec<&str> = align.chars().map(|sign| if sign == ':' { "--:" } else { "---" }).collect();
    format!("## {title}\n\n| {} |\n| {} |\n{rows}", columns.join(" | "), rules.join(" | "))
}

/// Text that means nothing to Markdown: no column break, no HTML, no second line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '`' | '_' | '\\' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn dash() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    #[test]
    fn a_report_fits_a_pull_request() {
        for (_, report) in canned::reports() {
            let text = String::from_utf8(Markdown.render(&report).unwrap()).unwrap();
            assert!(text.lines().count() < 100 && text.len() < 16 * 1024, "{text}");
        }
    }

    #[test]
    fn text_from_outside_does_not_break_a_table() {
        assert_eq!(escaped("a|b\n<i>`x`"), "a\\|b &lt;i>\\`x\\`");
    }
}
