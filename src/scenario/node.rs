//! A YAML document as a tree in which every key and value knows its bytes in the file.
//!
//! # Why
//! serde's derived readers stop at their first error. A tree takes any well-formed document, so that
//! [`reader`](super::reader) can go over all of it and note every problem with its place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};

use super::problem::{Place, Problem};
use super::source::Source;

/// A value and its bytes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Nothing,
    /// As it was written; without its quotes.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; a key may occur twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub span: Range<usize>,
}

/// Reads one document; text that is no YAML is one problem.
pub fn parse(source: &Arc<Source>) -> Result<Node, Problem> {
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_yaml::from_str_with_options::<Spanned<Raw>>(&source.text, options)
        .map(|root| node(&source.text, root))
        .map_err(|error| not_yaml(source, &error))
}

fn not_yaml(source: &Arc<Source>, error: &serde_yaml::Error) -> Problem {
    let start = error.location().map_or(0, |l| span(&source.text, l).start);
    let end = source.text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let why = error.without_snippet().to_string();
    // The place is printed already: the library's own ` at line 3, column 1` would say it twice.
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
    Problem::new(
        &Place::File { source: source.clone(), span: start..end },
        format!("this is not YAML: {why}"),
        "mind indentation, a space after each `:`, and closing brackets and quotes",
    )
}

/// What serde sees. Numbers and booleans are left out: their text is in the file, as it was written.
enum Raw {
    Nothing,
    Text(String),
    AsWritten,
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(text: &str, raw: Spanned<Raw>) -> Node {
    let kind = match raw.value {
        Raw::Nothing => Kind::Nothing,
        Raw::Text(s) => Kind::Scalar(s),
        Raw::AsWritten => Kind::Scalar(text[span(text, raw.defined)].trim().to_owned()),
        Raw::List(items) => Kind::List(items.into_iter().map(|i| node(text, i)).collect()),
        Raw::Map(entries) => Kind::Map(entries.into_iter().map(|(k, v)| (key(text, k), node(text, v))).collect()),
    };
    Node { span: span(text, raw.referenced), kind }
}

fn key(text: &str, raw: Spanned<Raw>) -> Key {
    let span = span(text, raw.referenced);
    let name = match raw.value {
        Raw::Text(s) => s,
        _ => text[span.clone()].trim().to_owned(),
    };
    Key { name, span }
}

/// A location's bytes, always within the text.
fn span(text: &str, location: Location) -> Range<usize> {
    let clip = |at: u64| text.floor_char_boundary(usize::try_from(at).unwrap_or(usize::MAX));
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(at), Some(len)) => clip(at)..clip(at.saturating_add(len)),
        _ => {
            let line: usize =
                text.split_inclusive('\n').take(location.line().saturating_sub(1) as usize).map(str::len).sum();
            let column: usize =
                text[line..].chars().take(location.column().saturating_sub(1) as usize).map(char::len_utf8).sum();
            line + column..line + column
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::AsWritten)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Node, Problem> {
        parse(&Arc::new(Source { name: "a.yml".into(), text: text.into() }))
    }

    /// The leaves of a document with the text that their spans cut out of it.
    fn leaves(text: &str) -> Vec<(String, String)> {
        fn walk(text: &str, node: &Node, out: &mut Vec<(String, String)>) {
            match &node.kind {
                Kind::Nothing => out.push(("(nothing)".into(), String::new())),
                Kind::Scalar(s) => out.push((s.clone(), text[node.span.clone()].to_owned())),
                Kind::List(items) => items.iter().for_each(|i| walk(text, i, out)),
                Kind::Map(entries) => entries.iter().for_each(|(k, v)| {
                    out.push((k.name.clone(), text[k.span.clone()].to_owned()));
                    walk(text, v, out);
                }),
            }
        }
        let mut out = Vec::new();
        walk(text, &tree(text).unwrap(), &mut out);
        out
    }

    #[test]
    fn every_key_and_value_keeps_its_text_and_its_bytes() {
        let text = "π: 60s   # note\nb: { c: 0.10, d: [1e3, no, .nan, -5, true] }\ne: \"q q\"\nf:\n";
        let found = leaves(text);
        let plain = ["π", "60s", "b", "c", "0.10", "d", "1e3", "no", ".nan", "-5", "true", "e"];
        for (leaf, want) in found.iter().zip(plain) {
            assert_eq!((leaf.0.as_str(), leaf.1.as_str()), (want, want));
        }
        assert_eq!(found[12], ("q q".into(), "\"q q\"".into()));
        assert_eq!(found[14].0, "(nothing)");
    }

    #[test]
    fn a_key_that_is_written_twice_comes_twice() {
        assert_eq!(leaves("a: 1\na: 2\n").len(), 4);
    }

    #[test]
    fn text_that_is_no_yaml_is_one_problem_with_its_place() {
        let problem = tree("a: 1\nb: [1, 2\nc: }\n").unwrap_err();
        assert!(problem.message.starts_with("this is not YAML: "), "{problem}");
        assert!(problem.place.position().unwrap().line >= 2, "{problem}");
    }

    #[test]
    fn an_empty_document_is_nothing() {
        assert_eq!(tree("# only a comment\n").unwrap().kind, Kind::Nothing);
    }
}
