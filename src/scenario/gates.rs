//! Gates as a person writes them: `p99.steady: 100ms` in a file, `p99.steady > 100ms` after `--fail-if`.

use super::problem::Place;
use super::value::{Located, Word, Wrong};

/// A gate's name and its limit; what both mean is found when the plan is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateLine {
    pub name: Located<Word>,
    pub limit: Located<Word>,
}

impl GateLine {
    /// `NAME > LIMIT`: the run fails where the measured value is above the limit.
    pub fn from_expression(text: &str, place: &Place) -> Result<GateLine, Wrong> {
        const HELP: &str = "write NAME > LIMIT, such as `p99.steady > 100ms`";
        let wrong = |message: String| Wrong { message, help: HELP.to_owned() };
        let Some((name, limit)) = text.split_once('>') else {
            return Err(wrong(format!("`{text}` has no `>`: a run fails above a limit")));
        };
        if limit.starts_with('=') {
            return Err(wrong(format!("`{text}`: a run fails above its limit, not at it")));
        }
        let word = |part: &str| Located { value: Word(part.trim().to_owned()), place: place.clone() };
        match (name.trim(), limit.trim()) {
            ("", _) | (_, "") => Err(wrong(format!("`{text}` lacks a side"))),
            _ => Ok(GateLine { name: word(name), limit: word(limit) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String), String> {
        GateLine::from_expression(text, &Place::Named("--fail-if".into()))
            .map(|g| (g.name.value.0, g.limit.value.0))
            .map_err(|w| w.message)
    }

    #[test]
    fn an_expression_is_a_name_and_a_limit() {
        assert_eq!(read("p99.steady>100ms"), Ok(("p99.steady".into(), "100ms".into())));
        for text in ["p99 < 5ms", "p99 >= 5ms", "> 5ms", "p99 >", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
