//! A diff for people.

use super::super::figures::{dash, hundredths, thousands};
use super::super::table::{Table, left, right};
use super::super::text::wrap;
use super::{ClassChange, Diff, Figure, FindingChange, Pair};
use crate::checks::Verdict;
use crate::mask::mask;

impl Diff {
    pub fn to_text(&self) -> String {
        let Pair { a, b } = &self.runs;
        let verdict = Pair { a: Some(self.verdict.a), b: Some(self.verdict.b) };
        let mut text = format!("{}\n  A  {a}\n  B  {b}\n", change(&verdict));
        let sections = [
            ("Not comparable", self.unequal()),
            ("Findings that differ", self.findings.iter().map(finding).collect()),
            ("Classes of operations", self.class_table()),
            ("Figures", self.figure_table()),
        ];
        for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
            text += &format!("\n{title}\n{body}");
        }
        mask(&text)
    }

    fn unequal(&self) -> String {
        let lines = self.incomparable.iter().map(|unequal| {
            let title = format!("  {}\n", unequal.what);
            title + &wrap("    A  ", &unequal.a) + &wrap("    B  ", &unequal.b)
        });
        let lines: String = lines.collect();
        match lines.as_str() {
            "" => lines,
            _ => lines + "  the figures below stand side by side; their differences say nothing of the service\n",
        }
    }

    fn class_table(&self) -> String {
        if self.classes.is_empty() {
            return String::new();
        }
        let mut table = Table::new(&[left("class"), right("A"), right("B"), right("B − A"), left("must be")]);
        self.classes.iter().for_each(|class| table.row(class_cells(class)));
        table.render()
    }

    fn figure_table(&self) -> String {
        let mut table =
            Table::new(&[left("what"), left("unit"), right("A"), right("B"), right("B − A"), right("B ÷ A")]);
        for group in self.figures.chunk_by(|a, b| a.group == b.group) {
            table.heading(group[0].group.clone());
            group.iter().for_each(|figure| table.row(figure_cells(figure)));
        }
        table.render()
    }
}

fn change(verdict: &Pair<Option<Verdict>>) -> String {
    let word = |verdict: Option<Verdict>| verdict.map_or("not judged", Verdict::word);
    match (word(verdict.a), word(verdict.b)) {
        (a, b) if a == b => format!("{a} in both"),
        (a, b) => format!("{a} → {b}"),
    }
}

fn finding(changed: &FindingChange) -> String {
    let title = format!("  {}: {}\n", changed.check, change(&changed.verdict));
    let side = |name: &str, summary: &Option<String>| summary.as_ref().map(|s| wrap(&format!("    {name}  "), s));
    let sides = [side("A", &changed.summary.a), side("B", &changed.summary.b)];
    title + &sides.into_iter().flatten().collect::<String>()
}

fn class_cells(class: &ClassChange) -> [String; 5] {
    let count = |n: Option<u64>| n.map_or_else(|| "void".to_owned(), thousands);
    let difference = class.a.zip(class.b).map(|(a, b)| match b.checked_sub(a) {
        Some(more) => format!("+{}", thousands(more)),
        None => format!("-{}", thousands(a - b)),
    });
    let must_be = if class.fails { "0" } else { "" };
    let difference = difference.unwrap_or_else(dash);
    [class.class.word().to_owned(), count(class.a), count(class.b), difference, must_be.to_owned()]
}

fn figure_cells(figure: &Figure) -> [String; 6] {
    let shown = |value: Option<f64>| value.map_or_else(dash, |value| number(figure.unit, value));
    let sign = |value: f64| if value >= 0.0 { "+" } else { "" };
    [
        format!("  {}", figure.what),
        figure.unit.to_owned(),
        shown(figure.a),
        shown(figure.b),
        figure.difference.map_or_else(dash, |d| format!("{}{}", sign(d), number(figure.unit, d))),
        figure.ratio.map_or_else(dash, hundredths),
    ]
}

/// A count has no decimals; a rate of errors needs three of them.
fn number(unit: &str, value: f64) -> String {
    match unit {
        "" if value < 0.0 => format!("-{}", thousands(value.abs() as u64)),
        "" => thousands(value as u64),
        "%" => format!("{value:.3}"),
        _ => hundredths(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::canned;
    use super::super::super::text::{WIDTH, columns};
    use super::*;

    fn text(a: usize, b: usize) -> String {
        let reports = canned::reports();
        let runs =
            Pair { a: "20261124T001203Z-rolling-update-17".into(), b: "20261124T011203Z-rolling-update-18".into() };
        Diff::of(runs, &reports[a].1, &reports[b].1).to_text()
    }

    #[test]
    fn a_pass_and_a_fail_side_by_side() {
        let text = text(0, 1);
        assert!(text.lines().all(|line| columns(line) <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_against_itself_shows_no_difference() {
        let text = text(0, 0);
        assert!(text.starts_with("PASS in both\n") && !text.contains("Not comparable"), "{text}");
    }
}
