//! What a step waits for, as a person writes it: `when: buffer_size >= 200`.

use super::value::{Count, Word, Written, Wrong};

/// A metric's name and the value that it must reach; what the name means is found when the plan is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionText {
    pub metric: Word,
    pub at_least: u64,
}

impl Written for ConditionText {
    const EXAMPLE: &'static str = "buffer_size >= 200";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = |message: String| Wrong { message, help: format!("write `{}`", Self::EXAMPLE) };
        let at = text.find(['<', '>', '=', '!']);
        let at = at.ok_or_else(|| wrong(format!("`{text}` compares nothing")))?;
        let (metric, comparison) = (text[..at].trim(), &text[at..]);
        let end = comparison.find(|c| !"<>=!".contains(c)).unwrap_or(comparison.len());
        let (sign, number) = comparison.split_at(end);
        if metric.is_empty() || number.trim().is_empty() {
            return Err(wrong(format!("`{text}` lacks a side")));
        }
        let Count(number) = Count::read(number.trim())?;
        let at_least = match sign {
            ">=" => number,
            ">" => number.saturating_add(1),
            _ => return Err(wrong(format!("`{sign}`: a step waits until a value is reached, by `>=` or `>`"))),
        };
        Ok(ConditionText { metric: Word(metric.to_owned()), at_least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, u64), String> {
        ConditionText::read(text).map(|c| (c.metric.0, c.at_least)).map_err(|w| w.message)
    }

    #[test]
    fn a_condition_is_a_metric_and_the_value_that_it_reaches() {
        assert_eq!(read("buffer_size >= 200"), Ok(("buffer_size".into(), 200)));
        assert_eq!(read("buffer_size>200"), Ok(("buffer_size".into(), 201)));
    }

    #[test]
    fn what_is_no_condition_is_said_to_lack_something() {
        assert_eq!(read("buffer_size"), Err("`buffer_size` compares nothing".into()));
        assert_eq!(read("buffer_size >="), Err("`buffer_size >=` lacks a side".into()));
        assert_eq!(read(">= 4"), Err("`>= 4` lacks a side".into()));
        for text in ["buffer_size < 4", "buffer_size == 4", "buffer_size <= 4", "a => 4", "a >== 4"] {
            assert!(read(text).unwrap_err().contains("waits until a value is reached"), "{text}");
        }
        assert!(read("buffer_size >= many").is_err());
    }
}
