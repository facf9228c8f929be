//! What is wrong with what a person wrote: its place, what is wrong, and a remedy.
//!
//! Problems are collected, never thrown one by one: who writes a scenario sees all of them at once. A place in a
//! file carries its text, so that whoever prints a problem can show the line (`cli::problems` does).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::source::Source;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Bytes of a file.
    File { source: Arc<Source>, span: Range<usize> },
    /// Something without lines: a flag (`--rps`), a variable (`MXCTL_RPS`), a file that could not be read.
    Named(String),
}

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub fn position(&self) -> Option<Position> {
        let Place::File { source, span } = self else { return None };
        let before = &source.text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Some(Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 })
    }

    /// Whether a flag or a variable set it, rather than a file.
    pub fn is_named(&self) -> bool {
        matches!(self, Place::Named(_))
    }

    /// Files first, in the order of their text.
    fn order(&self) -> (bool, &str, usize) {
        match self {
            Place::File { source, span } => (false, &source.name, span.start),
            Place::Named(name) => (true, name, 0),
        }
    }
}

impl fmt::Display for Place {
    /// `rolling.yml:12:9` or `--rps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.position()) {
            (Place::File { source, .. }, Some(at)) => write!(f, "{}:{}:{}", source.name, at.line, at.column),
            (Place::File { source, .. }, None) => f.write_str(&source.name),
            (Place::Named(name), _) => f.write_str(name),
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    pub fn new(place: &Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Problem { place: place.clone(), message: message.into(), help: help.into() }
    }

    /// The line of the file that the problem stands in.
    pub fn excerpt(&self) -> Option<&str> {
        let Place::File { source, .. } = &self.place else { return None };
        source.text.lines().nth(self.place.position()?.line - 1)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every problem of one input, in the order of the file; those of flags follow. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` where there is any.
    pub fn check(mut found: Vec<Problem>) -> Result<(), Problems> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        Err(Problems(found))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    /// Reads after "failed to"; one line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("understand the scenario")?;
        self.0.iter().try_for_each(|p| write!(f, "\n{p} ({})", p.help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, span: Range<usize>) -> Place {
        Place::File { source: Arc::new(Source { name: "a.yml".into(), text: text.into() }), span }
    }

    #[test]
    fn a_place_in_a_file_names_line_and_column_in_characters() {
        let place = at("a: 1\nπ: ß: x\n", 9..11);
        assert_eq!(place.to_string(), "a.yml:2:4");
        assert_eq!(Problem::new(&place, "wrong", "right").excerpt(), Some("π: ß: x"));
    }

    #[test]
    fn problems_stand_in_the_order_of_the_file_and_flags_follow() {
        let flag = Problem::new(&Place::Named("--rps".into()), "flag", "");
        let late = Problem::new(&at("ab", 1..2), "late", "");
        let early = Problem::new(&at("ab", 0..1), "early", "");
        let problems = Problems::check(vec![flag, late, early]).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["early", "late", "flag"]);
    }
}
