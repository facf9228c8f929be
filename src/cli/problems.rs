//! Prints the problems of a scenario or of flags for people: excerpt, caret, remedy.

use std::io::IsTerminal;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::exit::Exit;
use crate::mask::{mask, mask_in_place};
use crate::scenario::{Place, Problem, Problems};

/// Everything wrong with one input, ready to print; ends with how many problems there are.
pub fn render(problems: &Problems, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_context_lines(1);
    let mut text = String::new();
    for problem in problems.iter() {
        handler.render_report(&mut text, &Shown::of(problem)).expect("a String takes all that is written to it");
        text.push('\n');
    }
    let count = problems.iter().len();
    text + &format!("{count} problem{}; nothing was started\n", if count == 1 { "" } else { "s" })
}

/// Prints them to stderr; the exit code is that of bad input.
pub fn refuse(problems: &Problems) -> Exit {
    eprint!("{}", render(problems, colour_on_stderr()));
    Exit::BadInput
}

/// Whether stderr should have colours: a terminal, and no `NO_COLOR`.
pub fn colour_on_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A problem as miette wants it. Passwords are masked before it wraps lines: a password on two of them would not be
/// known as one.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: Option<NamedSource<String>>,
}

impl<'a> Shown<'a> {
    fn of(problem: &'a Problem) -> Self {
        let source = match &problem.place {
            Place::File { source, .. } => Some(NamedSource::new(&source.name, mask_in_place(&source.text))),
            Place::Named(_) => None,
        };
        Shown { problem, source }
    }
}

impl std::error::Error for Shown<'_> {}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem.place {
            Place::File { .. } => f.write_str(&mask(&self.problem.message)),
            Place::Named(name) => write!(f, "{}", mask(&format!("{name}: {}", self.problem.message))),
        }
    }
}

impl Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        (!self.problem.help.is_empty()).then(|| Box::new(mask(&self.problem.help)) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Place::File { span, .. } = &self.problem.place else { return None };
        // An empty span would have no caret.
        let length = span.len().max(1);
        Some(Box::new(std::iter::once(LabeledSpan::underline((span.start, length)))))
    }
}
