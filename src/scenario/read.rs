//! From a source's text to a [`Scenario`]: each function reads the fields of one struct, by the names in the YAML.

use std::sync::Arc;

use crate::disturbance::Disturbance;

use super::allow::Allowance;
use super::gates::GateLine;
use super::node::{Key, Kind, Node, parse};
use super::reader::{Fields, Reader, items};
use super::shape::ShapePart;
use super::source::Source;
use super::value::{Entry, Located, Word, Written};
use super::{ClockLine, Load, Mix, Scenario, Settle, Step, StepFields, Target, nearest};

impl Scenario {
    /// Reads a scenario. Never fails: what is wrong is in `problems`.
    pub fn read(source: &Arc<Source>) -> Scenario {
        let mut reader = Reader { source: source.clone(), problems: Vec::new() };
        let root = parse(source).unwrap_or_else(|problem| {
            reader.problems.push(problem);
            Node { span: 0..0, kind: Kind::Nothing }
        });
        let mut scenario = scenario(&mut reader, root);
        scenario.stem = source.stem().to_owned();
        scenario.problems = reader.problems;
        scenario
    }
}

fn scenario(reader: &mut Reader, root: Node) -> Scenario {
    let key = Key { name: "scenario".into(), span: root.span.clone() };
    let entries = reader.entries(&key, root, "{ target: {…}, load: {…} }").unwrap_or_default();
    let mut fields = Fields::new(reader, "a scenario", entries);
    let name = fields.one("name");
    let target = section(&mut fields, "target", "{ strategy: redis, instances: 3 }", target);
    let load = section(&mut fields, "load", "{ rps: 800, duration: 60s }", load);
    let timeline = timeline(&mut fields);
    let (gates, gates_readable) = gates(&mut fields);
    let settle = section(&mut fields, "settle", "{ deadline: 30s, hard_cap: 2m }", settle);
    let allow = allow(&mut fields);
    fields.finish();
    let (stem, problems) = (String::new(), Vec::new());
    Scenario { name, stem, target, load, timeline, gates, settle, allow, gates_readable, problems }
}

/// A mapping of its own under `name`.
fn section<T: Default>(
    fields: &mut Fields<'_>,
    name: &'static str,
    example: &str,
    read: fn(&mut Fields<'_>) -> T,
) -> T {
    let Some((key, node)) = fields.take(name) else { return T::default() };
    let Some(entries) = fields.reader().entries(&key, node, example) else { return T::default() };
    let mut inner = Fields::new(fields.reader(), name, entries);
    let section = read(&mut inner);
    inner.finish();
    section
}

fn target(fields: &mut Fields<'_>) -> Target {
    Target {
        backend: fields.one("backend"),
        strategy: fields.one("strategy"),
        instances: fields.one("instances"),
        workers: fields.one("workers"),
        database: fields.one("database"),
        batch: fields.one("batch"),
        flush_interval: fields.one("flush_interval"),
        lease: fields.one("lease"),
        redrive_scan: fields.one("redrive_scan"),
        max_attempts: fields.one("max_attempts"),
        witness: fields.one("witness"),
        appendfsync: fields.one("appendfsync"),
        persistence: fields.one("persistence"),
        grace: fields.one("grace"),
        clock_offset: clock_offset(fields),
    }
}

/// One clock an entry, under the name of its instance.
fn clock_offset(fields: &mut Fields<'_>) -> Entry<Vec<ClockLine>> {
    let Some((key, node)) = fields.take("clock_offset") else { return Entry::Absent };
    let reader = fields.reader();
    let place = reader.place(&key.span);
    let Some(entries) = reader.entries(&key, node, "{ worker-2: 30s }") else { return Entry::Unreadable };
    let mut value = Vec::new();
    for (key, node) in &entries {
        let Entry::Given(ahead) = reader.value(key, node) else { return Entry::Unreadable };
        let slot = Located { value: Word(key.name.clone()), place: reader.place(&key.span) };
        value.push(ClockLine { slot, ahead });
    }
    Entry::Given(Located { value, place })
}

fn load(fields: &mut Fields<'_>) -> Load {
    Load {
        rps: fields.one("rps"),
        duration: fields.one("duration"),
        shape: shape(fields),
        mix: mix(fields),
        hot_keys: fields.one("hot_keys"),
        arrivals: fields.one("arrivals"),
        read_keys: fields.one("read_keys"),
        connections: fields.one("connections"),
        request_timeout: fields.one("request_timeout"),
        own_lag_limit: fields.one("own_lag_limit"),
        shards: fields.one("shards"),
    }
}

fn mix(fields: &mut Fields<'_>) -> Entry<Mix> {
    let Some((key, node)) = fields.take("mix") else { return Entry::Absent };
    let reader = fields.reader();
    let place = reader.place(&key.span);
    let example = "{ write-once: 80%, hot-key: 15%, read: 5% }";
    let Some(entries) = reader.entries(&key, node, example) else { return Entry::Unreadable };
    let mut lanes = Fields::new(reader, "mix", entries);
    let value = Mix {
        write_once: lanes.one("write-once"),
        hot_key: lanes.one("hot-key"),
        read: lanes.one("read"),
        poison: lanes.one("poison"),
    };
    lanes.finish();
    Entry::Given(Located { value, place })
}

fn shape(fields: &mut Fields<'_>) -> Entry<Vec<ShapePart>> {
    let Some((key, node)) = fields.take("shape") else { return Entry::Absent };
    let reader = fields.reader();
    let place = reader.place(&key.span);
    let value = items(node).into_iter().map(|item| shape_part(reader, item)).collect();
    Entry::Given(Located { value, place })
}

fn shape_part(reader: &mut Reader, node: Node) -> ShapePart {
    let span = node.span.clone();
    let mut entries = match node.kind {
        Kind::Map(entries) if entries.len() == 1 => entries,
        _ => {
            let help = "write one part an item: `- ramp: { from: 100, to: 1500, over: 30s }`";
            reader.problem(&span, "this is no part of a shape", help);
            return ShapePart::Unreadable;
        }
    };
    let (key, node) = entries.remove(0);
    if !ShapePart::WORDS.contains(&key.name.as_str()) {
        let known = ShapePart::WORDS.join(", ");
        let guess = nearest(&key.name, &ShapePart::WORDS).map(|word| format!("did you mean `{word}`?"));
        let help = guess.unwrap_or_else(|| format!("these parts exist: {known}"));
        reader.problem(&key.span, format!("a shape has no part `{}`", key.name), help);
        return ShapePart::Unreadable;
    }
    let Some(entries) = reader.entries(&key, node, "{ from: 100, to: 1500, over: 30s }") else {
        return ShapePart::Unreadable;
    };
    shape_fields(Fields::new(reader, &key.name, entries), &key)
}

fn shape_fields(mut fields: Fields<'_>, key: &Key) -> ShapePart {
    let place = fields.reader().place(&key.span);
    let part = match key.name.as_str() {
        "hold" => ShapePart::Hold { place, rps: fields.one("rps"), lasts: fields.one("for") },
        "ramp" => ShapePart::Ramp { place, from: fields.one("from"), to: fields.one("to"), over: fields.one("over") },
        "spike" => ShapePart::Spike {
            place,
            from: fields.one("from"),
            to: fields.one("to"),
            at: fields.one("at"),
            lasts: fields.one("for"),
            over: fields.one("over"),
        },
        _ => ShapePart::Steps {
            place,
            from: fields.one("from"),
            to: fields.one("to"),
            by: fields.one("by"),
            every: fields.one("every"),
        },
    };
    fields.finish();
    part
}

fn settle(fields: &mut Fields<'_>) -> Settle {
    Settle { hard_cap: fields.one("hard_cap"), deadline: fields.one("deadline") }
}

fn timeline(fields: &mut Fields<'_>) -> Vec<Step> {
    let Some((_, node)) = fields.take("timeline") else { return Vec::new() };
    items(node).into_iter().map(|item| step(fields.reader(), item)).collect()
}

/// What a step of one kind is made of.
type Make = fn(StepFields) -> Step;

/// The kinds of steps that strike instances, by their words; the others are disturbances.
const STEPS: [(&str, Make); 5] = [
    ("rolling-update", Step::RollingUpdate),
    ("kill", Step::Kill),
    ("terminate", Step::Terminate),
    ("pause", Step::Pause),
    ("scale", Step::Scale),
];

/// The words of the steps that strike instances.
pub fn step_words() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(word, _)| *word)
}

fn step(reader: &mut Reader, node: Node) -> Step {
    let span = node.span.clone();
    let mut entries = match node.kind {
        Kind::Map(entries) if entries.len() == 1 => entries,
        _ => {
            let help = "write one step an item: `- rolling-update: { at: 10s, of: [api, worker] }`";
            reader.problem(&span, "this is no step", help);
            return Step::Unreadable;
        }
    };
    let (key, node) = entries.remove(0);
    if let Some(disturbance) = Disturbance::of_word(&key.name) {
        let Some(entries) = reader.entries(&key, node, "{ at: 10s }") else { return Step::Unreadable };
        let fields = disturbance_fields(Fields::new(reader, &key.name, entries), &key, disturbance);
        return Step::Disturb(disturbance, fields);
    }
    let Some((_, make)) = STEPS.iter().find(|(word, _)| *word == key.name) else { return unknown_step(reader, &key) };
    let Some(entries) = reader.entries(&key, node, "{ at: 10s, of: [api, worker] }") else { return Step::Unreadable };
    make(step_fields(Fields::new(reader, &key.name, entries), &key))
}

fn unknown_step(reader: &mut Reader, key: &Key) -> Step {
    let words: Vec<&str> = STEPS.map(|(word, _)| word).into_iter().chain(Disturbance::all().map(|s| s.word)).collect();
    let help = match nearest(&key.name, &words) {
        Some(step) => format!("did you mean `{step}`?"),
        None => format!("these steps exist: {}", words.join(", ")),
    };
    reader.problem(&key.span, format!("there is no step `{}`", key.name), help);
    Step::Unreadable
}

fn step_fields(mut fields: Fields<'_>, key: &Key) -> StepFields {
    let kind = key.name.as_str();
    let place = fields.reader().place(&key.span);
    let (at, when, of) = (fields.one("at"), fields.one("when"), words(&mut fields, "of"));
    let step = StepFields {
        place,
        at,
        when,
        of,
        mode: of_kind(&mut fields, "mode", kind == "rolling-update"),
        grace: of_kind(&mut fields, "grace", matches!(kind, "rolling-update" | "terminate" | "scale")),
        lasts: of_kind(&mut fields, "for", kind == "pause"),
        delay: Entry::Absent,
        databases: Entry::Absent,
        then: of_kind(&mut fields, "then", kind == "pause"),
        to: of_kind(&mut fields, "to", kind == "scale"),
        window: fields.one("window"),
        window_acks: fields.one("window_acks"),
        hold: fields.one("hold"),
    };
    fields.finish();
    step
}

/// Nobody is named: there is one of what is disturbed.
fn disturbance_fields(mut fields: Fields<'_>, key: &Key, disturbance: Disturbance) -> StepFields {
    let place = fields.reader().place(&key.span);
    let sheet = disturbance.sheet();
    let databases = if sheet.databases.is_empty() { Entry::Absent } else { words(&mut fields, "database") };
    let step = StepFields {
        databases,
        at: fields.one("at"),
        when: fields.one("when"),
        lasts: of_kind(&mut fields, "for", sheet.lasts.is_some()),
        delay: of_kind(&mut fields, "delay", sheet.delay.is_some()),
        window: fields.one("window"),
        window_acks: fields.one("window_acks"),
        ..StepFields::nothing(place)
    };
    fields.finish();
    step
}

/// A field that only some kinds of steps have: elsewhere it is unknown.
fn of_kind<T: Written>(fields: &mut Fields<'_>, name: &'static str, has_it: bool) -> Entry<T> {
    if has_it { fields.one(name) } else { Entry::Absent }
}

/// A list of words, or a single one.
fn words(fields: &mut Fields<'_>, name: &'static str) -> Entry<Vec<Located<Word>>> {
    let Some((key, node)) = fields.take(name) else { return Entry::Absent };
    let reader = fields.reader();
    let place = reader.place(&key.span);
    let read: Vec<Entry<Word>> = items(node).iter().map(|item| reader.value(&key, item)).collect();
    if !read.iter().all(Entry::is_readable) {
        return Entry::Unreadable;
    }
    let value = read.iter().filter_map(|e| e.given().cloned()).collect();
    Entry::Given(Located { value, place })
}

/// The gates, and whether all of them could be read.
fn gates(fields: &mut Fields<'_>) -> (Vec<GateLine>, bool) {
    let Some((key, node)) = fields.take("gates") else { return (Vec::new(), true) };
    let reader = fields.reader();
    let example = "{ F2: pass, p99.steady: 100ms, error_rate.steady: 0.1% }";
    let Some(entries) = reader.entries(&key, node, example) else { return (Vec::new(), false) };
    let read: Vec<_> = entries.iter().map(|(key, node)| gate(reader, key, node)).collect();
    let all = read.iter().all(Option::is_some);
    (read.into_iter().flatten().collect(), all)
}

fn gate(reader: &mut Reader, key: &Key, node: &Node) -> Option<GateLine> {
    let Entry::Given(limit) = reader.value::<Word>(key, node) else { return None };
    let name = Located { value: Word(key.name.clone()), place: reader.place(&key.span) };
    Some(GateLine { name, limit })
}

/// `allow: [database, host: db.example.org]`.
fn allow(fields: &mut Fields<'_>) -> Vec<Located<Allowance>> {
    let Some((_, node)) = fields.take("allow") else { return Vec::new() };
    items(node).into_iter().filter_map(|item| allowance(fields.reader(), item)).collect()
}

fn allowance(reader: &mut Reader, item: Node) -> Option<Located<Allowance>> {
    let span = item.span.clone();
    let read = match &item.kind {
        Kind::Scalar(word) => Allowance::of(word, None),
        Kind::Map(entries) => match entries.as_slice() {
            [(key, Node { kind: Kind::Scalar(value), .. })] => Allowance::of(&key.name, Some(value)),
            [(key, _)] => Allowance::of(&key.name, Some("")),
            _ => Allowance::of("", None),
        },
        Kind::Nothing | Kind::List(_) => Allowance::of("", None),
    };
    match read {
        Ok(value) => Some(Located { value, place: reader.place(&span) }),
        Err(wrong) => {
            reader.problem(&span, wrong.message, wrong.help);
            None
        }
    }
}
