//! The curve as a person reads it.

use std::path::Path;

use crate::find_max::{Curve, Said, Step};
use crate::report::figures::{dash, hundredths, percent, thousands};
use crate::report::table::{Table, left, right};
use crate::report::text::{Ink, wrap};

pub fn rendered(curve: &Curve, file: &Path, colour: bool) -> String {
    let (ink, word) = (Ink { colour }, curve.verdict.word());
    let head = wrap(&format!("{word}  "), &curve.summary).replacen(word, &ink.verdict(curve.verdict, word), 1);
    [
        head,
        wrap("  target    ", &curve.target),
        wrap("  knee      ", &knee(curve)),
        format!("\n{}\n", ink.title("Rate and response, milliseconds")),
        table(curve),
        String::from("\n"),
        reasons(curve),
        wrap(
            "  ",
            "A rate that broke once is good, or broken, by two steps of three. CPU: processors of the target's instances, and of \
             mxctl, over the load; –: not known. Each step is a run: `mxctl report list`",
        ),
        wrap("  curve     ", &file.display().to_string()),
    ]
    .concat()
}

fn knee(curve: &Curve) -> String {
    match curve.knee {
        Some(rate) => format!("{rate} requests/s: of the good rates, the most requests/s for a millisecond of p99"),
        None => "too few good rates to say".to_owned(),
    }
}

fn table(curve: &Curve) -> String {
    let mut table = Table::new(&[
        right("asked/s"),
        right("reached/s"),
        right("p50"),
        right("p99"),
        right("its 95 %"),
        right("p99.9"),
        right("errors"),
        right("CPU\ntarget"),
        right("CPU\nmxctl"),
        left("it is"),
    ]);
    curve.by_rate().into_iter().for_each(|step| table.row(cells(step)));
    table.render()
}

fn cells(step: &Step) -> [String; 10] {
    let p = &step.response_ms;
    let up_to = step.p99_ms_to.map_or_else(|| "?".to_owned(), hundredths);
    let errors = (step.errors * 1e6).round() as u64;
    [
        thousands(step.asked),
        hundredths(step.reached),
        hundredths(p.p50),
        hundredths(p.p99),
        format!("{}..{up_to}", hundredths(step.p99_ms_from)),
        hundredths(p.p999),
        percent(errors, 1_000_000),
        step.cpu_target.map_or_else(dash, hundredths),
        step.cpu_generator.map_or_else(dash, hundredths),
        word(step).to_owned(),
    ]
}

fn word(step: &Step) -> &'static str {
    match step.said {
        Said::Good => "good",
        Said::Broke => "broken",
        Said::Nothing => "unknown",
        Said::Open { .. } => "open",
        Said::LostData => "LOST DATA",
    }
}

/// The word, and why.
pub fn told(step: &Step) -> String {
    match step.why.is_empty() {
        true => word(step).to_owned(),
        false => format!("{}: {}", word(step), step.why.join("; ")),
    }
}

/// Of every rate that is not good, as its last step told them.
fn reasons(curve: &Curve) -> String {
    let steps = curve.by_rate();
    let last =
        steps.iter().enumerate().filter(|(i, step)| steps.get(i + 1).is_none_or(|next| next.asked != step.asked));
    let other = last.filter(|(_, step)| step.said != Said::Good);
    let told: String = other.map(|(_, step)| wrap(&format!("  {:>9}  ", thousands(step.asked)), &told(step))).collect();
    if told.is_empty() { told } else { told + "\n" }
}
