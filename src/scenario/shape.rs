//! The shape of a load as a person writes it: a list of parts in a file, the same words in one line after `--shape`.
//!
//! In: `ramp 100..1500 over 30s, hold 1500 for 1m, steps 200..1000 by 200 every 10s`, `spike 800..4000 at 10s for 2s over
//! 30s`. Out: [`ShapePart`]s. What they mean together is found when the plan is resolved.

use super::problem::Place;
use super::value::{Entry, Located, Period, Rate, Rps, Written, Wrong};

#[derive(Debug, Clone, PartialEq)]
pub enum ShapePart {
    /// The rate changes evenly.
    Ramp {
        place: Place,
        from: Entry<Rate>,
        to: Entry<Rate>,
        over: Entry<Period>,
    },
    /// The rate stays.
    Hold {
        place: Place,
        rps: Entry<Rps>,
        lasts: Entry<Period>,
    },
    /// The rate stays, and jumps by one amount after each stay.
    Steps {
        place: Place,
        from: Entry<Rps>,
        to: Entry<Rps>,
        by: Entry<Rps>,
        every: Entry<Period>,
    },
    /// The rate jumps from one to another, stays there for a time, and falls back.
    Spike {
        place: Place,
        from: Entry<Rps>,
        to: Entry<Rps>,
        /// From the part's beginning.
        at: Entry<Period>,
        lasts: Entry<Period>,
        /// Of the whole part.
        over: Entry<Period>,
    },
    Unreadable,
}

impl ShapePart {
    pub const WORDS: [&str; 4] = ["ramp", "hold", "steps", "spike"];

    /// Whether every field that was written could be read.
    pub fn is_readable(&self) -> bool {
        match self {
            ShapePart::Ramp { from, to, over, .. } => from.is_readable() && to.is_readable() && over.is_readable(),
            ShapePart::Hold { rps, lasts, .. } => rps.is_readable() && lasts.is_readable(),
            ShapePart::Steps { from, to, by, every, .. } => {
                from.is_readable() && to.is_readable() && by.is_readable() && every.is_readable()
            }
            ShapePart::Spike { from, to, at, lasts, over, .. } => {
                [from, to].into_iter().all(Entry::is_readable) && [at, lasts, over].into_iter().all(Entry::is_readable)
            }
            ShapePart::Unreadable => false,
        }
    }

    /// Every part of a line, or what is wrong with the first that cannot be read.
    pub fn read_line(text: &str, place: &Place) -> Result<Vec<ShapePart>, Wrong> {
        text.split(',').map(|part| read(part.trim(), place)).collect()
    }
}

fn read(part: &str, place: &Place) -> Result<ShapePart, Wrong> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let here = || place.clone();
    Ok(match words.as_slice() {
        ["ramp", range, "over", over] => {
            let (from, to) = ends(part, range, place)?;
            ShapePart::Ramp { place: here(), from, to, over: entry(over, place)? }
        }
        ["hold", rps, "for", lasts] => {
            ShapePart::Hold { place: here(), rps: entry(rps, place)?, lasts: entry(lasts, place)? }
        }
        ["steps", range, "by", by, "every", every] => {
            let (from, to) = ends(part, range, place)?;
            ShapePart::Steps { place: here(), from, to, by: entry(by, place)?, every: entry(every, place)? }
        }
        ["spike", range, "at", at, "for", lasts, "over", over] => {
            let (from, to) = ends(part, range, place)?;
            let (at, lasts, over) = (entry(at, place)?, entry(lasts, place)?, entry(over, place)?);
            ShapePart::Spike { place: here(), from, to, at, lasts, over }
        }
        ["spike", ..] => return Err(wrong(part, "write `spike 800..4000 at 10s for 2s over 30s`")),
        ["ramp", ..] => return Err(wrong(part, "write `ramp 100..1500 over 30s`")),
        ["hold", ..] => return Err(wrong(part, "write `hold 1500 for 1m`")),
        ["steps", ..] => return Err(wrong(part, "write `steps 200..1000 by 200 every 10s`")),
        _ => return Err(wrong(part, "write parts such as `ramp 100..1500 over 30s, hold 1500 for 1m`")),
    })
}

/// `100..1500`.
fn ends<T: Written>(part: &str, range: &str, place: &Place) -> Result<(Entry<T>, Entry<T>), Wrong> {
    let Some((from, to)) = range.split_once("..") else {
        return Err(wrong(part, "write the first and the last rate with two dots between them: `100..1500`"));
    };
    Ok((entry(from, place)?, entry(to, place)?))
}

fn entry<T: Written>(text: &str, place: &Place) -> Result<Entry<T>, Wrong> {
    T::read(text).map(|value| Entry::Given(Located { value, place: place.clone() }))
}

fn wrong(part: &str, help: &str) -> Wrong {
    Wrong { message: format!("`{part}` is no part of a shape"), help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(text: &str) -> Result<Vec<ShapePart>, Wrong> {
        ShapePart::read_line(text, &Place::Named("--shape".into()))
    }

    #[test]
    fn a_line_holds_its_parts_in_order() {
        let parts = read_line("ramp 0..1500 over 30s,hold 1500 for 1m, steps 200..1000 by 200 every 10s").unwrap();
        assert!(matches!(parts[..], [ShapePart::Ramp { .. }, ShapePart::Hold { .. }, ShapePart::Steps { .. }]));
        let spike = read_line("spike 800..4000 at 10s for 2s over 30s").unwrap();
        assert!(matches!(spike[..], [ShapePart::Spike { .. }]));
    }

    #[test]
    fn what_is_no_part_is_answered_with_one() {
        for (text, help) in [
            ("ramp 100-1500 over 30s", "two dots"),
            ("ramp 100..1500", "`ramp 100..1500 over 30s`"),
            ("hold 1500", "`hold 1500 for 1m`"),
            ("hold 0 for 1m", "above 0"),
            ("hold 800 for 60", "`60s`"),
            ("steps 1..2 every 3s", "by 200 every 10s"),
            ("spike 900", "at 10s for 2s over 30s"),
            ("burst 900", "write parts"),
            ("hold 1 for 1s,", "write parts"),
        ] {
            let wrong = read_line(text).unwrap_err();
            assert!(wrong.help.contains(help), "{text}: {wrong:?}");
        }
    }
}
