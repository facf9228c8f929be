//! Prometheus text exposition, as far as the oracle needs it: samples by name and labels.
//!
//! Source of the grammar: the Prometheus text format 0.0.4 and OpenMetrics 1.0 (`# …` lines, `name{label="value"} number
//! [timestamp] [# exemplar]`, with `\\`, `\"` and `\n` escaped in label values).

use std::collections::BTreeMap;

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read metrics: line {line}: {what}")]
pub struct ExpositionError {
    pub line: usize,
    pub what: &'static str,
}

/// Every sample of a scrape, in order.
pub fn parse(text: &str) -> Result<Vec<Sample>, ExpositionError> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| sample(line).map_err(|what| ExpositionError { line: at, what }))
        .collect()
}

/// The sum over every sample of this name whose labels include these.
pub fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted = |s: &&Sample| {
        s.name == name && labels.iter().all(|(key, value)| s.labels.get(*key).is_some_and(|v| v == value))
    };
    samples.iter().filter(wanted).map(|s| s.value).sum()
}

fn sample(line: &str) -> Result<Sample, &'static str> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace()).ok_or("a name without a value")?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().ok_or("no value")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Labels up to and with the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = rest.split_once('=').ok_or("a label without `=`")?;
        let quoted = after.trim_start().strip_prefix('"').ok_or("a label value without quotes")?;
        let (value, after) = quoted_value(quoted)?;
        labels.insert(name.trim().to_owned(), value);
        rest = after;
    }
}

fn quoted_value(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next().ok_or("a label value that does not end")?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    Err("a label value that does not end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_labels_and_values_are_read_and_comments_passed_over() {
        let text = "# TYPE buffer_size gauge\nbuffer_size{buffer=\"redis\",scope=\"shared\"} 12\n\nup 1 1700000000000\n# EOF\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(sum(&samples, "buffer_size", &[("scope", "shared")]), 12.0);
        assert_eq!(sum(&samples, "buffer_size", &[("scope", "instance")]), 0.0);
    }

    #[test]
    fn a_broken_line_is_named() {
        assert_eq!(
            parse("a 1\nb{x=1} 2").unwrap_err(),
            ExpositionError { line: 2, what: "a label value without quotes" }
        );
        assert!(parse("lonely").is_err());
    }

    proptest! {
        #[test]
        fn any_label_value_survives_escaping(value in r"[\n\PC&&[^\x{2028}\x{2029}]]{0,20}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let samples = parse(&format!("m{{a=\"{escaped}\",b=\"x\"}} 1.5e3")).unwrap();
            prop_assert_eq!(&samples[0].labels["a"], &value);
            prop_assert_eq!(samples[0].value, 1500.0);
        }

        #[test]
        fn garbage_never_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
