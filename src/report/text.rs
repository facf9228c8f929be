//! Text for a terminal: words wrapped to a width, and colour where it is wanted.

use crate::checks::Verdict;
use crate::mask::mask;

/// The widest line that a renderer writes, in columns.
pub const WIDTH: usize = 120;

/// Words of `text`, without passwords, in lines of at most [`WIDTH`] columns, the first one after `first`, the others
/// indented to its width. A word that is longer than a line, such as a path, stays whole.
pub fn wrap(first: &str, text: &str) -> String {
    let indent = columns(first);
    let mut lines = first.to_owned();
    let mut used = indent;
    for (i, word) in mask(text).split_whitespace().enumerate() {
        let space = usize::from(used > indent);
        if i > 0 && used + space + columns(word) > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        } else if space == 1 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += columns(word);
    }
    lines.trim_end().to_owned() + "\n"
}

/// How many columns it takes: one a character, as all that this crate prints.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Puts colour around words, or leaves them as they are.
#[derive(Debug, Clone, Copy)]
pub struct Ink {
    pub colour: bool,
}

impl Ink {
    pub fn verdict(self, verdict: Verdict, text: &str) -> String {
        self.paint(
            text,
            match verdict {
                Verdict::Pass => "1;32",
                Verdict::Inconclusive => "1;33",
                Verdict::Fail => "1;31",
            },
        )
    }

    pub fn title(self, text: &str) -> String {
        self.paint(text, "1")
    }

    /// ANSI "select graphic rendition".
    fn paint(self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_under_each_other_and_long_ones_stay_whole() {
        let text = format!("one {} two", "x".repeat(WIDTH));
        assert_eq!(wrap("  a  ", &text), format!("  a  one\n     {}\n     two\n", "x".repeat(WIDTH)));
        assert!(wrap("- ", &"word ".repeat(100)).lines().all(|line| columns(line) <= WIDTH));
        assert_eq!(wrap("- ", ""), "-\n");
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        assert_eq!(Ink { colour: false }.verdict(Verdict::Fail, "FAIL"), "FAIL");
        assert_eq!(Ink { colour: true }.verdict(Verdict::Fail, "FAIL"), "\x1b[1;31mFAIL\x1b[0m");
    }
}
