//! What a person sees on stdout at the end of a run: the verdict, then its evidence, at most 120 columns wide.

use std::path::Path;

use super::by_hand::{self, quoted};
use super::figures::{dash, gibibytes, hundredths, seconds, span, thousands};
use super::scaling::{self, Title};
use super::table::{Table, left, right};
use super::text::{Ink, wrap};
use super::{RenderError, Renderer, RunReport, disturbances, evidence};
use crate::archive::Environment;
use crate::checks::{CountByHand, Exhibit, Finding, Judgement, LaneLatency, Percentiles, StopJudgement, Verdict};
use crate::clock::Offset;
use crate::mask::mask;

/// The most exhibits that are shown; all of them are in `run.json`.
pub const EXHIBITS: usize = 10;

pub struct Terminal<'a> {
    pub colour: bool,
    /// The run's folder, as a person would type it.
    pub folder: &'a Path,
}

impl Renderer for Terminal<'_> {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError> {
        let ink = Ink { colour: self.colour };
        let judgement = &report.judgement;
        let sections = [
            ("Findings", findings(ink, judgement)),
            ("Starts under load", starts(ink, judgement)),
            ("Evidence per stop", stops(ink, &judgement.stops)),
            ("Evidence per disturbance", disturbed(ink, judgement)),
            ("Checkpoints", table_of(scaling::CHECKPOINTS, scaling::checkpoints(judgement))),
            ("Classes of operations", classes(judgement)),
            ("Exhibits", exhibits(&judgement.exhibits)),
            ("Latency, milliseconds", latency(report)),
            (scaling::EFFICIENCY_TITLE, efficiency(judgement)),
            ("Count by hand", self.count_by_hand(report)),
            ("Not assessed", judgement.not_assessed.iter().map(|what| wrap("  - ", what)).collect()),
            ("Folder", self.folder()),
        ];
        let mut text = head(ink, report);
        for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
            text += &format!("\n{}\n{body}", ink.title(title));
        }
        // Once more: the first line has left the screen by now.
        text += &format!("\n{}", verdict(ink, report));
        Ok(mask(&text).into_bytes())
    }
}

fn head(ink: Ink, report: &RunReport) -> String {
    let plan = &report.plan;
    let run = report.environment.as_ref().map_or_else(|| "environment not recorded".to_owned(), environment);
    let took = report.duration.map_or_else(|| "not measured".to_owned(), span);
    [
        verdict(ink, report),
        "\n".to_owned(),
        wrap("  target    ", &plan.target),
        wrap("  load      ", &format!("{}; seed {}", plan.load, plan.seed)),
        wrap("  run       ", &run),
        wrap("  duration  ", &took),
        report.harness.iter().map(|took| wrap("  harness   ", &evidence::harness(took))).collect(),
        report.connections.iter().map(|they| wrap("  sockets   ", &evidence::connections(they))).collect(),
        handshakes(report),
        if report.judgement.judges_data() { of_data(report) } else { String::new() },
        report.judgement.strangers.map_or_else(String::new, |s| wrap("  machine   ", &evidence::strangers(s))),
        plan.notes.iter().map(|note| wrap("  note      ", note)).collect(),
    ]
    .concat()
}

/// What the connections of load alone speak, or why there are none.
fn handshakes(report: &RunReport) -> String {
    let lines = report.connections.iter().flat_map(evidence::handshakes);
    lines.map(|line| wrap("  protocol  ", &line)).collect()
}

/// What a judgement of data rests on besides its findings.
fn of_data(report: &RunReport) -> String {
    let standing = wrap("  selftest  ", &evidence::standing(report.standing.as_ref()));
    standing + &wrap("  settle    ", &evidence::settled(report.settle.as_ref()))
}

/// The word, of what, and why.
fn verdict(ink: Ink, report: &RunReport) -> String {
    let word = report.verdict.word();
    let indent = format!("{:1$}  ", "", word.len());
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    [
        format!("{}  ", ink.verdict(report.verdict, word)),
        format!("{}, run {}{interrupted}\n", report.plan.name, report.plan.run_number),
        wrap(&indent, &evidence::headline(report)),
    ]
    .concat()
}

fn environment(e: &Environment) -> String {
    let known = [
        Some(format!("started {}", e.started_at.strftime("%Y-%m-%d %H:%M:%S UTC"))),
        Some(format!("mxctl {}", e.mxctl)),
        e.executable_sha256.as_ref().map(|digest| format!("sha256 {}…", digest.get(..12).unwrap_or(digest))),
        e.kernel.clone(),
        e.cpus.map(|n| format!("{n} cpus")),
        e.memory_bytes.map(|bytes| format!("{} of memory", gibibytes(bytes))),
    ];
    let servers = e.servers.iter().map(|(name, version)| format!("{name} {version}"));
    known.into_iter().flatten().chain(servers).collect::<Vec<_>>().join(", ")
}

fn findings(ink: Ink, judgement: &Judgement) -> String {
    let name = judgement.findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let verdict = judgement.findings.iter().map(|finding| finding.verdict.word().len()).max().unwrap_or(0);
    let lines = evidence::by_weight(judgement).into_iter().map(|f| {
        let word = format!("{:verdict$}", f.verdict.word());
        let plain = wrap(&format!("  {word}  {:name$}  ", f.check), &f.summary);
        // Coloured after wrapping: an escape sequence has no width.
        let first = plain.replacen(&word, &ink.verdict(f.verdict, &word), 1);
        first + &details(f, 2 + verdict + 2 + name + 2)
    });
    lines.collect()
}

fn details(finding: &Finding, indent: usize) -> String {
    finding.details.iter().map(|detail| wrap(&format!("{:indent$}- ", ""), detail)).collect()
}

fn starts(ink: Ink, judgement: &Judgement) -> String {
    let open = judgement.starts.iter().filter(|start| start.verdict != Verdict::Pass);
    let doubts: String =
        open.map(|start| doubt(ink, &start.id, start.verdict, (&start.reasons, &start.proof))).collect();
    let table = table_of(scaling::STARTS, scaling::starts(judgement));
    if doubts.is_empty() { table } else { format!("{table}\n{doubts}") }
}

fn disturbed(ink: Ink, judgement: &Judgement) -> String {
    let open = judgement.disturbances.iter().filter(|one| one.verdict != Verdict::Pass);
    let doubts: String = open.map(|one| doubt(ink, &one.id, one.verdict, (&one.reasons, &one.proof))).collect();
    let table = table_of(disturbances::TITLES, disturbances::rows(judgement));
    if doubts.is_empty() { table } else { format!("{table}\n{doubts}") }
}

fn efficiency(judgement: &Judgement) -> String {
    match table_of(scaling::EFFICIENCY, scaling::efficiency(judgement)) {
        table if table.is_empty() => table,
        table => format!("{table}\n{}", wrap("  ", scaling::EFFICIENCY_NOTE)),
    }
}

/// Nothing where there are no rows.
fn table_of<const N: usize>(titles: [Title; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(&titles.map(|(title, aligned_right)| if aligned_right { right(title) } else { left(title) }));
    rows.into_iter().for_each(|row| table.row(row));
    table.render()
}

fn stops(ink: Ink, stops: &[StopJudgement]) -> String {
    if stops.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        left("slot"),
        left("victim"),
        right("at"),
        left("exposure"),
        left("exit"),
        right("drain"),
        right("acks after\nSIGTERM"),
        right("acks in\nwindow"),
        right("failed"),
        left("verdict"),
    ]);
    for (title, group) in evidence::steps(stops) {
        table.heading(title);
        group.iter().for_each(|stop| table.row(stop_cells(stop)));
    }
    let open = stops.iter().filter(|stop| stop.verdict != Verdict::Pass);
    let doubts: String = open.map(|stop| doubt(ink, &stop.id, stop.verdict, (&stop.reasons, &stop.proof))).collect();
    if doubts.is_empty() { table.render() } else { format!("{}\n{doubts}", table.render()) }
}

fn stop_cells(stop: &StopJudgement) -> [String; 10] {
    [
        format!("  {}", evidence::slot_of(&stop.id)),
        stop.victim.clone().unwrap_or_else(|| "none".to_owned()),
        stop.at.map_or_else(dash, at),
        evidence::exposure(stop),
        stop.exit.clone(),
        stop.drain.map_or_else(dash, seconds),
        stop.acks_after_sigterm.map_or_else(dash, thousands),
        thousands(stop.acks_in_window),
        stop.failed.map_or_else(dash, thousands),
        stop.verdict.word().to_owned(),
    ]
}

/// Why a start or a stop did not pass: its reasons, and the proofs that do not hold.
fn doubt(ink: Ink, id: &str, verdict: Verdict, (reasons, proof): (&[String], &[(String, bool)])) -> String {
    let reasons = reasons.iter().cloned();
    let proofs = proof.iter().filter(|(_, holds)| !holds).map(|(what, _)| format!("does not hold: {what}"));
    let title = format!("  {id}  {}\n", ink.verdict(verdict, verdict.word()));
    reasons.chain(proofs).fold(title, |text, reason| text + &wrap("    - ", &reason))
}

fn classes(judgement: &Judgement) -> String {
    if !judgement.judges_data() {
        return String::new();
    }
    let mut table = Table::new(&[left("class"), right("operations"), left("must be"), left("rests on")]);
    for count in &judgement.classes {
        table.row([
            count.class.word().to_owned(),
            evidence::class_count(count),
            if count.fails { "0" } else { "" }.to_owned(),
            evidence::class_basis(count),
        ]);
    }
    [
        table.render(),
        "\n".to_owned(),
        wrap("  conservation  ", &evidence::conservation(&judgement.conservation)),
        wrap("  order         ", &evidence::order(judgement.order.as_ref())),
    ]
    .concat()
}

fn exhibits(exhibits: &[Exhibit]) -> String {
    if exhibits.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        left("class"),
        right("key"),
        right("seq"),
        left("presets"),
        left("acked by"),
        right("acked at"),
        left("last seen"),
    ]);
    exhibits.iter().take(EXHIBITS).for_each(|exhibit| table.row(exhibit_cells(exhibit)));
    let more = match exhibits.len().saturating_sub(EXHIBITS) {
        0 => String::new(),
        n => format!("  and {} more in run.json\n", thousands(n as u64)),
    };
    table.render() + &more
}

/// Keys and seqs without separators: a person copies them into a query.
fn exhibit_cells(exhibit: &Exhibit) -> [String; 7] {
    [
        exhibit.class.word().to_owned(),
        exhibit.key.to_string(),
        exhibit.seq.to_string(),
        exhibit.presets.iter().map(u8::to_string).collect::<Vec<_>>().join(" "),
        exhibit.instance.clone().unwrap_or_else(dash),
        exhibit.acked.map_or_else(dash, at),
        exhibit.last_seen.clone(),
    ]
}

fn latency(report: &RunReport) -> String {
    let mut table = Table::new(&[
        left("lane"),
        left("time"),
        right("operations"),
        right("p50"),
        right("p90"),
        right("p99"),
        right("p99.9"),
        right("max"),
    ]);
    for lane in report.judgement.latency.chunk_by(|a, b| a.lane == b.lane) {
        for (i, (time, p)) in times(lane).into_iter().enumerate() {
            let lane = if i == 0 { lane[0].lane.word() } else { "" };
            table.row(latency_cells(lane, time, p));
        }
    }
    table.render() + "\n" + &wrap("  achieved  ", &evidence::achieved(report))
}

/// Response times, of the whole run and of its phases, then what they are made of.
fn times(lane: &[LaneLatency]) -> Vec<(String, &Percentiles)> {
    let response = lane.iter().map(|l| match l.phase {
        None => ("response".to_owned(), &l.response_ms),
        Some(phase) => (format!("response, {}", phase.word()), &l.response_ms),
    });
    let parts = lane.iter().filter(|l| l.phase.is_none()).flat_map(|l| {
        [
            ("service".to_owned(), &l.service_ms),
            ("own lag: no free connection".to_owned(), &l.waited_ms),
            ("own lag: we woke late".to_owned(), &l.woke_late_ms),
        ]
    });
    response.chain(parts).collect()
}

fn latency_cells(lane: &str, time: String, p: &Percentiles) -> [String; 8] {
    let [p50, p90, p99, p999, max] = [p.p50, p.p90, p.p99, p.p999, p.max].map(|ms| match p.count {
        0 => dash(),
        _ => hundredths(ms),
    });
    [lane.to_owned(), time, thousands(p.count), p50, p90, p99, p999, max]
}

impl Terminal<'_> {
    fn count_by_hand(&self, report: &RunReport) -> String {
        let Some(by_hand) = &report.judgement.count_by_hand else { return String::new() };
        self.query(report, by_hand) + &wrap("  ", &evidence::counted(by_hand))
    }

    /// One line, however long: it is there to be copied.
    fn query(&self, report: &RunReport, by_hand: &CountByHand) -> String {
        match by_hand::commands(report, self.folder, &by_hand.query) {
            Some(commands) => commands.iter().map(|line| format!("  {line}\n")).collect(),
            None => wrap("  ", &by_hand.query),
        }
    }

    fn folder(&self) -> String {
        let folder = self.folder.display().to_string();
        format!("  {folder}\n  judge it again: mxctl report judge {}\n", quoted(&folder))
    }
}

fn at(offset: Offset) -> String {
    seconds(offset.as_duration())
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::super::text::columns;
    use super::*;

    fn text_of(report: &RunReport, colour: bool) -> String {
        let folder = Path::new("reports/20261124T001203Z-rolling-update-v5-17");
        String::from_utf8(Terminal { colour, folder }.render(report).unwrap()).unwrap()
    }

    fn assert_narrow(text: &str) {
        for line in text.lines().filter(|line| !line.contains("select count(*)")) {
            assert!(columns(line) <= 120, "{} columns: {line}", columns(line));
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn no_line_but_the_one_to_copy_is_wider_than_120_columns() {
        for (_, mut report) in canned::reports() {
            assert_narrow(&text_of(&report, false));
            canned::widen(&mut report);
            assert_narrow(&text_of(&report, false));
        }
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        for (_, report) in canned::reports() {
            let (plain, coloured) = (text_of(&report, false), text_of(&report, true));
            assert!(!plain.contains('\x1b') && coloured.contains('\x1b'));
            let stripped = coloured.split("\x1b[").enumerate().map(|(i, part)| match i {
                0 => part,
                _ => part.split_once('m').unwrap().1,
            });
            assert_eq!(stripped.collect::<String>(), plain);
        }
    }

    #[test]
    fn a_query_and_a_path_can_be_copied_into_a_shell() {
        assert_eq!(quoted("reports/a-1.2"), "reports/a-1.2");
        assert_eq!(quoted("select 'x'"), r"'select '\''x'\'''");
    }
}
