//! `report.md`: short enough for a pull request.

use super::figures::{dash, hundredths, seconds, thousands};
use super::terminal::EXHIBITS;
use super::{RenderError, Renderer, RunReport, disturbances, evidence, scaling};
use crate::checks::{Exhibit, Judgement, LaneLatency, Percentiles, Verdict};
use crate::mask::mask;

pub struct Markdown;

/// GitHub takes 65,536 characters in a comment; what surrounds the report there needs some of them.
const LONGEST: usize = 60_000;
/// The most details that a finding shows, and the longest text; all of it is in `run.json`.
const DETAILS: usize = 8;
const LONGEST_TEXT: usize = 600;

impl Renderer for Markdown {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError> {
        let judgement = &report.judgement;
        let open = report.verdict != Verdict::Pass;
        let folded = [
            folded(&stops_title(report), open, &stops(judgement)),
            folded("Disturbances", open, &disturbed(judgement)),
            folded("Scaling", open, &scaled(judgement)),
            folded("Classes of operations (**bold**: must be 0)", false, &classes(judgement)),
            folded(&format!("Exhibits (the first {EXHIBITS} at most)"), open, &exhibits(&judgement.exhibits)),
            folded("Latency, milliseconds", false, &latency(report)),
            folded(scaling::EFFICIENCY_TITLE, false, &efficiency(judgement)),
            folded("Not assessed", false, &not_assessed(judgement)),
            folded("Check it by hand", false, &by_hand(report)),
        ];
        Ok(within_limit(vec![head(report), findings(judgement)], folded).into_bytes())
    }
}

/// What always shows, then as many of the sections as a comment takes.
fn within_limit(mut text: Vec<String>, sections: impl IntoIterator<Item = Section>) -> String {
    let mut length: usize = text.iter().map(String::len).sum();
    let mut left_out = Vec::new();
    for section in sections.into_iter().filter(|section| !section.text.is_empty()) {
        match length + section.text.len() <= LONGEST {
            true => {
                length += section.text.len();
                text.push(section.text);
            }
            false => left_out.push(section.title),
        }
    }
    if !left_out.is_empty() {
        text.push(format!("Too long for a comment, and in `run.json`: {}.\n", left_out.join("; ")));
    }
    text.join("\n")
}

struct Section {
    title: String,
    text: String,
}

/// A section that opens on a click, or is open already; nothing where it is empty.
fn folded(title: &str, open: bool, body: &str) -> Section {
    let open = if open { " open" } else { "" };
    let text = match body {
        "" => String::new(),
        body => format!("<details{open}><summary>{}</summary>\n\n{body}\n</details>\n", in_html(title)),
    };
    Section { title: title.to_owned(), text }
}

/// Markdown means nothing within a summary.
fn in_html(title: &str) -> String {
    title.replacen("**", "<b>", 1).replacen("**", "</b>", 1)
}

fn stops_title(report: &RunReport) -> String {
    evidence::capitalised(&evidence::stops_passed(report))
}

fn head(report: &RunReport) -> String {
    let plan = &report.plan;
    let interrupted = if report.interrupted { " (interrupted)" } else { "" };
    format!(
        "# {}: {}{interrupted}\n\n{}\n\n{}. {}. Run {}, seed {}.{}\n",
        report.verdict.word(),
        escaped(&plan.name),
        escaped(&evidence::paragraph(report)),
        escaped(&plan.target),
        escaped(&plan.load),
        plan.run_number,
        plan.seed,
        selftest(report)
    )
}

fn selftest(report: &RunReport) -> String {
    match report.judgement.judges_data() {
        true => format!(" Selftest: {}.", escaped(&evidence::standing(report.standing.as_ref()))),
        false => String::new(),
    }
}

/// One line for all that passed; each of the others with its reasons.
fn findings(judgement: &Judgement) -> String {
    let (passed, open): (Vec<_>, Vec<_>) =
        evidence::by_weight(judgement).into_iter().partition(|finding| finding.verdict == Verdict::Pass);
    let mut text = String::new();
    for finding in open {
        let (verdict, check) = (finding.verdict.word(), escaped(&finding.check));
        text += &format!("- **{verdict}** {check}: {}\n", escaped(&clipped(&finding.summary)));
        text.extend(finding.details.iter().take(DETAILS).map(|detail| format!("  - {}\n", escaped(&clipped(detail)))));
        if let Some(more) = finding.details.len().checked_sub(DETAILS).filter(|more| *more > 0) {
            text += &format!("  - and {more} more in `run.json`\n");
        }
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
    table(columns, "    :::: ", rows)
}

fn classes(judgement: &Judgement) -> String {
    if !judgement.judges_data() {
        return String::new();
    }
    let rows = judgement.classes.iter().map(|count| {
        let word = count.class.word();
        let word = if count.fails { format!("**{word}**") } else { word.to_owned() };
        [word, evidence::class_count(count), evidence::class_basis(count)]
    });
    let lines = [
        table(["class", "operations", "rests on"], " : ", rows),
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
            clipped(&exhibit.last_seen),
        ]
    });
    let columns = ["class", "key", "seq", "presets", "acked by", "acked at", "last seen"];
    table(columns, " ::  : ", rows)
}

fn latency(report: &RunReport) -> String {
    let whole_run = report.judgement.latency.iter().filter(|l| l.phase.is_none());
    let rows = whole_run.flat_map(|l| times(l).map(|(time, p)| latency_cells(l, time, p)));
    let columns = ["lane", "time", "operations", "p50", "p90", "p99", "p99.9", "max"];
    let table = table(columns, "  ::::::", rows);
    if table.is_empty() { table } else { format!("{table}\n{}.\n", evidence::achieved(report)) }
}

fn disturbed(judgement: &Judgement) -> String {
    let align: String = disturbances::TITLES.iter().map(|(_, right)| if *right { ':' } else { ' ' }).collect();
    let columns = disturbances::TITLES.map(|(title, _)| title);
    table(columns, &align, disturbances::rows(judgement).into_iter())
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
    table(columns, &align, scaling::efficiency(judgement).into_iter())
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
        let database = match (&report.database, &report.paths.database) {
            (Some(server), _) => format!("`{}`", server.url),
            (None, Some(path)) => format!("`{}` in the run's folder", path.display()),
            (None, None) => "the run's database".to_owned(),
        };
        let counted = evidence::counted(by_hand);
        format!("On {database}:\n\n```sql\n{}\n```\n\n{}.\n\n", by_hand.query, evidence::capitalised(&counted))
    });
    let again = "`mxctl report judge <the run's folder>` judges the archived evidence again.";
    format!("{}{again}\n", count.unwrap_or_default())
}

fn not_assessed(judgement: &Judgement) -> String {
    judgement.not_assessed.iter().map(|what| format!("- {}\n", escaped(&clipped(what)))).collect()
}

/// A table; nothing where there are no rows. `align` has a sign a column: `:` is aligned right.
fn table<const N: usize>(columns: [&str; N], align: &str, rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: String = rows.map(|cells| format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | "))).collect();
    if rows.is_empty() {
        return rows;
    }
    let rules: Vec<&str> = align.chars().map(|sign| if sign == ':' { "--:" } else { "---" }).collect();
    format!("| {} |\n| {} |\n{rows}", columns.join(" | "), rules.join(" | "))
}

/// No longer than a reader of a comment has patience for.
fn clipped(text: &str) -> String {
    let text = &mask(text);
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.clone(),
    }
}

/// Text that means nothing to Markdown: no column break, no HTML, no second line. Passwords go first: an escaped one
/// is not known as one.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in mask(text).chars() {
        match c {
            '|' | '`' | '_' | '\\' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    fn text_of(report: &RunReport) -> String {
        String::from_utf8(Markdown.render(report).unwrap()).unwrap()
    }

    /// What a reader sees before opening anything: the lines outside closed sections, and their titles.
    fn visible(text: &str) -> Vec<&str> {
        let mut closed = false;
        let seen = text.lines().filter(|line| {
            let title = line.starts_with("<details>");
            let hidden = closed && !title;
            closed = (closed || title) && *line != "</details>";
            !hidden && !line.is_empty()
        });
        seen.collect()
    }

    #[test]
    fn a_pass_shows_in_a_few_lines_and_a_fail_on_one_screen_more() {
        for (name, report) in canned::reports() {
            let text = text_of(&report);
            let most = if name == "pass" { 20 } else { 45 };
            assert!(visible(&text).len() <= most, "{name}: {:#?}", visible(&text));
            assert!(text.lines().count() < 120 && text.len() < 16 * 1024, "{name}: {text}");
        }
    }

    #[test]
    fn every_section_that_opens_is_closed_and_apart_from_the_next() {
        for (_, report) in canned::reports() {
            let text = text_of(&report);
            assert_eq!(text.matches("<details").count(), text.matches("</details>\n").count());
            assert!(text.matches("</summary>\n\n").count() == text.matches("<summary>").count(), "{text}");
        }
    }

    #[test]
    fn a_fail_with_everything_wrong_still_fits_a_comment() {
        let mut report = canned::reports().remove(1).1;
        canned::widen(&mut report);
        let judgement = &mut report.judgement;
        let (stop, exhibit) = (judgement.stops[0].clone(), judgement.exhibits[0].clone());
        judgement.stops = vec![stop; 1_000];
        judgement.exhibits = vec![exhibit; 10_000];
        judgement.exhibits.iter_mut().for_each(|exhibit| exhibit.last_seen = "seen ".repeat(10_000));
        judgement.findings.iter_mut().for_each(|finding| finding.details = vec!["reason ".repeat(2_000); 500]);
        let text = text_of(&report);
        assert!(text.len() < 65_536 && text.contains("in `run.json`: 0 of 1000 stops passed."), "{}", text.len());
        assert!(text.contains("Exhibits") && text.contains("and 492 more"));
    }

    #[test]
    fn text_from_outside_does_not_break_a_table() {
        assert_eq!(escaped("a|b\n<i>`x`"), "a\\|b &lt;i>\\`x\\`");
    }
}
