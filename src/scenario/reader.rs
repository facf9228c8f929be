//! Reads a YAML tree field by field, and notes every problem on the way instead of stopping at the first.

use std::ops::Range;
use std::sync::Arc;

use super::nearest;
use super::node::{Key, Kind, Node};
use super::problem::{Place, Problem};
use super::source::Source;
use super::value::{Entry, Located, Written};

/// The text that is read, and the problems found in it so far.
pub struct Reader {
    pub source: Arc<Source>,
    pub problems: Vec<Problem>,
}

impl Reader {
    pub fn place(&self, span: &Range<usize>) -> Place {
        Place::File { source: self.source.clone(), span: span.clone() }
    }

    pub fn problem(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let place = self.place(span);
        self.problems.push(Problem::new(&place, message, help));
    }

    /// One value; `name` and the key's span serve where nothing is written after the colon.
    pub fn value<T: Written>(&mut self, key: &Key, node: &Node) -> Entry<T> {
        let text = match &node.kind {
            Kind::Scalar(text) => text,
            Kind::Nothing => {
                let help = format!("write `{}: {}`, or leave the line out", key.name, T::EXAMPLE);
                self.problem(&key.span, format!("`{}` has no value", key.name), help);
                return Entry::Unreadable;
            }
            Kind::List(_) | Kind::Map(_) => {
                let help = format!("write `{}: {}`", key.name, T::EXAMPLE);
                self.problem(&key.span, format!("`{}` takes a single value", key.name), help);
                return Entry::Unreadable;
            }
        };
        match T::read(text) {
            Ok(value) => Entry::Given(Located { value, place: self.place(&node.span) }),
            Err(wrong) => {
                self.problem(&node.span, format!("{}: {}", key.name, wrong.message), wrong.help);
                Entry::Unreadable
            }
        }
    }

    /// The entries of a mapping, each name once; `None`, with a problem, where the node is no mapping.
    pub fn entries(&mut self, key: &Key, node: Node, example: &str) -> Option<Vec<(Key, Node)>> {
        match node.kind {
            Kind::Map(entries) => Some(self.without_repeats(entries)),
            Kind::Nothing => Some(Vec::new()),
            Kind::Scalar(_) | Kind::List(_) => {
                let help = format!("write `{}: {example}`", key.name);
                self.problem(&key.span, format!("`{}` takes fields by name", key.name), help);
                None
            }
        }
    }

    fn without_repeats(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut once: Vec<(Key, Node)> = Vec::new();
        for (key, node) in entries {
            match once.iter().find(|(k, _)| k.name == key.name) {
                Some((first, _)) => {
                    let line = self.place(&first.span).position().map_or(0, |p| p.line);
                    let help = format!("keep one of them; the first is on line {line}");
                    self.problem(&key.span, format!("`{}` is written twice", key.name), help);
                }
                None => once.push((key, node)),
            }
        }
        once
    }
}

/// The items of a list; a single value is a list of one.
pub fn items(node: Node) -> Vec<Node> {
    match node.kind {
        Kind::List(items) => items,
        Kind::Nothing => Vec::new(),
        Kind::Scalar(_) | Kind::Map(_) => vec![node],
    }
}

/// The fields of one mapping: taken by name, and whatever nobody took is unknown.
pub struct Fields<'a> {
    reader: &'a mut Reader,
    /// `target`, `rolling-update`: where these fields stand, for messages.
    within: &'a str,
    left: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn new(reader: &'a mut Reader, within: &'a str, entries: Vec<(Key, Node)>) -> Self {
        Fields { reader, within, left: entries, known: Vec::new() }
    }

    pub fn take(&mut self, name: &'static str) -> Option<(Key, Node)> {
        self.known.push(name);
        let at = self.left.iter().position(|(key, _)| key.name == name)?;
        Some(self.left.remove(at))
    }

    /// A field of one value.
    pub fn one<T: Written>(&mut self, name: &'static str) -> Entry<T> {
        match self.take(name) {
            Some((key, node)) => self.reader.value(&key, &node),
            None => Entry::Absent,
        }
    }

    pub fn reader(&mut self) -> &mut Reader {
        self.reader
    }

    /// Every field that is left is unknown.
    pub fn finish(self) {
        for (key, _) in self.left {
            let known = self.known.join(", ");
            let help = match nearest(&key.name, &self.known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("{} knows: {known}", self.within),
            };
            self.reader.problem(&key.span, format!("{} has no field `{}`", self.within, key.name), help);
        }
    }
}
