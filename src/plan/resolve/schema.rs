//! The JSON Schema of a scenario file, for editors.
//!
//! The reader goes over a file by hand, so that it can name every problem with its place; it cannot give a schema. This
//! table says the same a second time, and the tests below hold the two together: every field of the schema is read,
//! every field that is read is in the schema, and every word is one that a plan understands.

use serde_json::{Map, Value, json};

use crate::disturbance::{Disturbance, Sheet};

use super::gates::known_names;
use super::words::{
    ARRIVALS, BACKENDS, DATABASES, FSYNC, MODES, PAUSE_POINTS, PERSISTENCE, READ_KEYS, STRATEGIES, THEN, Vocabulary,
};

/// The whole schema, draft 2020-12.
pub fn scenario_schema() -> Value {
    let mut schema = object(&[
        ("name", text("Names the run and its folder; the file's name where it is left out", "rolling-update-v5")),
        ("target", target()),
        ("load", load()),
        ("timeline", timeline()),
        ("gates", gates()),
        ("settle", settle()),
        ("allow", allow()),
    ]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Scenario of mxctl".into();
    schema
}

fn target() -> Value {
    object(&[
        ("backend", words(&BACKENDS, "How the service is run")),
        ("strategy", words(&STRATEGIES, "Where its buffer lives: in-memory is V4, redis is V5")),
        ("instances", count("Instances that answer requests")),
        ("workers", count("Workers that move tasks from a shared buffer to the database")),
        ("database", database()),
        ("batch", count("Tasks that a worker writes at once")),
        ("flush_interval", period("How long a worker waits for a full batch", "200ms")),
        ("lease", period("How long a task belongs to the worker that took it", "5s")),
        ("redrive_scan", period("How often expired leases are looked for", "1s")),
        ("max_attempts", count("Attempts before a task goes to the dead-letter queue")),
        (
            "witness",
            json!({ "type": "boolean", "description": "Log every attempted upsert by database triggers", "examples": [true] }),
        ),
        ("appendfsync", words(&FSYNC, "When Redis calls fsync")),
        ("persistence", words(&PERSISTENCE, "What Redis has on its disk: an append-only file, or nothing")),
        ("grace", period("From SIGTERM to SIGKILL", "10s")),
        ("clock_offset", clock_offset()),
    ])
}

/// Under the name of each instance.
fn clock_offset() -> Value {
    let pattern = r"^\s*[+-]?\s*([0-9]+(\.[0-9]+)?\s*[a-z]+\s*)+$";
    json!({
        "type": "object",
        "additionalProperties": { "type": "string", "pattern": pattern },
        "description": "How far the own clock of an instance is ahead of its machine's (-30s: behind)",
        "examples": [{ "worker-2": "30s" }, { "api-1": "-1m30s" }],
    })
}

/// A private one by its word, an existing one by its URL.
fn database() -> Value {
    let says = "Where it writes: a private database, or the URL of one that exists (and `allow: [database]`)";
    let url = json!({ "type": "string", "pattern": "^(postgres|postgresql|mariadb|mysql)://" });
    let word = words(&DATABASES, says);
    json!({ "anyOf": [{ "enum": word["enum"] }, url], "description": says, "examples": word["examples"] })
}

/// Consent.
fn allow() -> Value {
    let mut host = object(&[("host", text("Another machine that traffic may go to", "db.example.org"))]);
    host["type"] = "object".into();
    host["minProperties"] = 1.into();
    let examples = json!(["database", { "host": "db.example.org" }]);
    let item = json!({ "anyOf": [{ "const": "database" }, host], "examples": examples });
    list(item, "What a run may touch although it did not start it", 100)
}

fn load() -> Value {
    let share = |lane| percent(&format!("The share of {lane}"), "15%");
    let mix = object(&[
        ("write-once", share("keys that are written once")),
        ("hot-key", share("keys that are written again and again, with rising seq")),
        ("read", share("reads")),
        ("poison", share("writes whose content the database refuses")),
    ]);
    object(&[
        ("rps", rps("Operations per second, all lanes together")),
        ("duration", period("How long load is sent; settling comes after", "60s")),
        ("shape", shape()),
        ("mix", mix),
        ("hot_keys", count("Keys that the hot-key lane writes in turn")),
        ("arrivals", words(&ARRIVALS, "How operations arrive at the rate of the load")),
        ("read_keys", words(&READ_KEYS, "What the read lane asks for")),
        ("connections", count("Connections to each instance")),
        ("request_timeout", period("After which an answer counts as unknown", "2s")),
        ("own_lag_limit", period("How late mxctl may wake (p99) before the run proves nothing", "20ms")),
        ("shards", count("Threads that send")),
    ])
}

/// In place of a rate and a duration: one part an item, under its word.
fn shape() -> Value {
    let ramp = object(&[
        ("from", rate("Operations per second at its begin")),
        ("to", rate("and at its end")),
        ("over", period("How long the rate takes to change", "30s")),
    ]);
    let hold = object(&[("rps", rps("Operations per second")), ("for", period("How long the rate stays", "1m"))]);
    let steps = object(&[
        ("from", rps("The first rate")),
        ("to", rps("The last rate")),
        ("by", rps("What is added after each stay")),
        ("every", period("How long each rate stays", "10s")),
    ]);
    let spike = object(&[
        ("from", rps("The rate before and after it")),
        ("to", rps("The rate in it")),
        ("at", period("When it begins, from the begin of this part", "10s")),
        ("for", period("How long it lasts", "2s")),
        ("over", period("How long the whole part lasts", "30s")),
    ]);
    list(
        one_of(&[("ramp", ramp), ("hold", hold), ("steps", steps), ("spike", spike)]),
        "How the rate changes, part by part",
        1000,
    )
}

/// One step an item, under its word.
fn timeline() -> Value {
    let mode = ("mode", words(&MODES, "graceful: SIGTERM and the service's own shutdown; hard: SIGKILL"));
    let grace = ("grace", period("From SIGTERM to SIGKILL", "10s"));
    let points = words(&PAUSE_POINTS, "Where a task is held while the stop strikes");
    let hold = ("hold", points.clone());
    let pause = [
        ("hold", or_none(points)),
        ("for", period("How long it stays frozen; left out: until others must have taken over what it held", "8s")),
        ("then", words(&THEN, "Whether it goes on or is killed")),
    ];
    let steps = [
        ("rolling-update", step(&[mode, grace.clone(), hold.clone()])),
        ("kill", step(std::slice::from_ref(&hold))),
        ("terminate", step(&[grace.clone(), hold.clone()])),
        ("pause", step(&pause)),
        ("scale", step(&[grace, hold, ("to", count("How many instances of the role there are then"))])),
    ];
    let disturbances = Disturbance::all().map(|sheet| (sheet.word, disturbance(sheet)));
    let step = one_of(&steps.into_iter().chain(disturbances).collect::<Vec<_>>());
    list(step, "What is done to the target, in order", 1000)
}

fn step(own: &[(&str, Value)]) -> Value {
    let of = json!({
        "description": "Roles (api, worker, all) and slots (api-2)",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        "examples": [["api", "worker"], "worker-1"]
    });
    object(&[&around()[..], &[("of", of)], own].concat())
}

/// What each step has.
fn around() -> [(&'static str, Value); 4] {
    [
        ("at", period("When it starts: this long after the load began, and after the step before", "10s")),
        ("when", text("What it waits for after that", "buffer_size >= 200")),
        ("window", period("The time around it that must have enough acks", "5s")),
        ("window_acks", count("Acks that this window needs")),
    ]
}

/// Some of them.
fn databases() -> Value {
    let one = words(&DATABASES, "");
    json!({
        "description": "The databases that it is meant for; with another one it is left out",
        "anyOf": [one, { "type": "array", "items": one }],
        "examples": [["postgres", "mariadb"], "sqlite"]
    })
}

fn disturbance(sheet: &Sheet) -> Value {
    let lasts = sheet.lasts.map(|_| ("for", period("How long it lasts", "2s")));
    let delay = sheet.delay.map(|_| ("delay", period("Of every answer", "100ms")));
    let databases = (!sheet.databases.is_empty()).then(|| ("database", databases()));
    let own: Vec<_> = around().into_iter().chain(lasts).chain(delay).chain(databases).collect();
    let mut step = object(&own);
    let undo = if sheet.undo.is_empty() { String::new() } else { format!(", then {}", sheet.undo) };
    step["description"] = format!("{}{undo}", sheet.act).into();
    step
}

fn gates() -> Value {
    let gate = |name: String| {
        let (limit, says) = match name.split('.').next().unwrap_or_default() {
            claim if claim.starts_with('F') || claim.ends_with("-failure") => {
                (json!({ "const": "pass", "examples": ["pass"] }), "A claim that must hold")
            }
            "error_rate" => (percent("", "0.1%"), "(refused + unknown + not sent) ÷ due, at most"),
            "recovery" => (period("", "5m"), "From a stop until errors, p99 and backlog are back in band, at most"),
            "duplicates" => (count(""), "Writes that the witness saw more than once, at most"),
            "reordered" => (count(""), "Writes that the witness saw after a newer one of their row, at most"),
            _ => (period("", "100ms"), "Response time, at most"),
        };
        let mut limit = limit;
        limit["description"] = says.into();
        (name, limit)
    };
    let gates: Vec<(String, Value)> = known_names().into_iter().map(gate).collect();
    object(&gates.iter().map(|(name, limit)| (name.as_str(), limit.clone())).collect::<Vec<_>>())
}

fn settle() -> Value {
    object(&[
        ("hard_cap", period("How long settling may take, whatever progress there is", "2m")),
        ("deadline", period("How long nothing may move before settling gives up", "30s")),
    ])
}

fn object(properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": properties })
}

/// A mapping with a single field: its word says what the fields below it mean.
fn one_of(words: &[(&str, Value)]) -> Value {
    let mut one = object(words);
    one["type"] = "object".into();
    one["minProperties"] = 1.into();
    one["maxProperties"] = 1.into();
    one
}

fn list(items: Value, says: &str, most: usize) -> Value {
    json!({ "type": ["array", "null"], "items": items, "maxItems": most, "description": says })
}

fn text(says: &str, example: &str) -> Value {
    json!({ "type": "string", "description": says, "examples": [example] })
}

fn words<T>(vocabulary: &Vocabulary<T>, says: &str) -> Value {
    let known: Vec<&str> = vocabulary.known.iter().map(|(word, _)| *word).collect();
    json!({ "enum": known, "description": says, "examples": known })
}

/// `none`: at any moment at which it holds something.
fn or_none(mut points: Value) -> Value {
    for key in ["enum", "examples"] {
        points[key].as_array_mut().expect("a list of words").push("none".into());
    }
    points
}

fn count(says: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": says, "examples": [3] })
}

fn rps(says: &str) -> Value {
    json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1e6, "description": says, "examples": [800] })
}

/// A rate that may also be 0.
fn rate(says: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1e6, "description": says, "examples": [100, 0] })
}

/// A number and its unit, more than once if need be: `1m30s`.
fn period(says: &str, example: &str) -> Value {
    let pattern = r"^\s*([0-9]+(\.[0-9]+)?\s*[a-z]+\s*)+$";
    json!({ "type": "string", "pattern": pattern, "description": says, "examples": [example, "1m30s"] })
}

fn percent(says: &str, example: &str) -> Value {
    json!({ "type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%$", "description": says, "examples": [example] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::plan::{Given, Plan};
    use crate::scenario::{Overrides, Problem, Scenario, Source, shipped};

    /// Where a schema stands in a file: keys from the root; an empty one is an item of a list.
    type Path = Vec<String>;

    /// Every schema with its path, the root first.
    fn walk(schema: &Value, path: &Path, found: &mut Vec<(Path, Value)>) {
        found.push((path.clone(), schema.clone()));
        let below = |key: &str| [path.clone(), vec![key.to_owned()]].concat();
        if let Some(properties) = schema["properties"].as_object() {
            properties.iter().for_each(|(name, schema)| walk(schema, &below(name), found));
        }
        if schema["items"].is_object() {
            walk(&schema["items"], &below(""), found);
        }
    }

    fn everywhere() -> Vec<(Path, Value)> {
        let mut found = Vec::new();
        walk(&scenario_schema(), &Path::new(), &mut found);
        found
    }

    /// A file that holds only this value, at this path. JSON is YAML.
    fn file(path: &[String], value: Value) -> Arc<Source> {
        let whole = path.iter().rev().fold(value, |inner, key| match key.as_str() {
            "" => json!([inner]),
            key => json!({ key: inner }),
        });
        Arc::new(Source { name: "a.yml".into(), text: whole.to_string() })
    }

    fn problems(source: &Arc<Source>) -> Vec<Problem> {
        Scenario::read(source).problems
    }

    fn validator() -> jsonschema::Validator {
        jsonschema::validator_for(&scenario_schema()).expect("a schema by the standard")
    }

    fn as_json(source: &Source) -> Value {
        serde_yaml::from_str(&source.text).unwrap()
    }

    #[test]
    fn every_example_in_the_schema_is_read_and_is_valid() {
        let validator = validator();
        for (path, schema) in everywhere() {
            for example in schema["examples"].as_array().into_iter().flatten() {
                let source = file(&path, example.clone());
                assert_eq!(problems(&source), [], "{}", source.text);
                let errors: Vec<_> = validator.iter_errors(&as_json(&source)).map(|e| e.to_string()).collect();
                assert_eq!(errors, [] as [String; 0], "{}", source.text);
            }
        }
    }

    #[test]
    fn every_value_in_the_schema_has_an_example() {
        for (path, schema) in everywhere() {
            let whole = schema["properties"].is_object() || !schema["items"].is_null();
            assert!(whole || schema["examples"].is_array(), "{path:?}");
        }
    }

    /// What the reader lists where it meets a field that it does not know: `target knows: backend, strategy`.
    fn known_to_the_reader(path: &[String]) -> Option<BTreeSet<String>> {
        const NOBODYS: &str = "a-field-of-nobody-at-all";
        let found = problems(&file(path, json!({ NOBODYS: 1 })));
        let help = found.iter().find(|p| p.message.contains(NOBODYS)).map(|p| p.help.clone())?;
        let list = help.split_once("knows: ").or_else(|| help.split_once("exist: "))?.1;
        Some(list.split(", ").map(str::to_owned).collect())
    }

    #[test]
    fn the_reader_and_the_schema_know_the_same_fields() {
        for (path, schema) in everywhere() {
            // Gates are words, not fields: their names have a test of their own.
            let Some(properties) = schema["properties"].as_object().filter(|_| path != ["gates"]) else { continue };
            let known = known_to_the_reader(&path).unwrap_or_else(|| panic!("{path:?} takes any field"));
            assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), known, "{path:?}");
        }
    }

    #[test]
    fn every_word_and_gate_in_the_schema_means_something_to_a_plan() {
        let given = Given { run_number: 1, seed: 1 };
        for (path, schema) in everywhere() {
            let words = schema["enum"].as_array().into_iter().flatten();
            for word in words.chain((path.first().map(String::as_str) == Some("gates")).then(|| &schema["examples"][0]))
            {
                let source = file(&path, word.clone());
                let Err(problems) = Plan::resolve(Scenario::read(&source), Overrides::default(), given) else {
                    continue;
                };
                let unknown =
                    problems.iter().find(|p| p.message.contains("is not ") || p.message.contains("is no gate"));
                assert_eq!(unknown, None, "{}", source.text);
            }
        }
    }

    #[test]
    fn the_shipped_scenarios_follow_the_schema() {
        for (name, text) in shipped() {
            let scenario: Value = serde_yaml::from_str(text).unwrap();
            let errors: Vec<_> = validator().iter_errors(&scenario).map(|e| e.to_string()).collect();
            assert_eq!(errors, [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn what_the_reader_refuses_the_schema_refuses() {
        for (path, value) in [
            ("load.duration", json!(60)),
            ("load.rps", json!("many")),
            ("load.rpm", json!(60)),
            ("load.mix.read", json!(5)),
            ("target.instances", json!(-1)),
            ("target.witness", json!("yes")),
            ("timeline..reboot", json!({})),
        ] {
            let path: Path = path.split('.').map(str::to_owned).collect();
            let source = file(&path, value);
            assert!(!problems(&source).is_empty() && !validator().is_valid(&as_json(&source)), "{}", source.text);
        }
    }
}
