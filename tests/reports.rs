//! The commands about earlier runs, over one reports folder: two runs that ended, one that was killed.

mod lab;

use std::path::Path;

use jsonschema::validator_for;
use lab::Lab;
use serde_json::Value;

const QUICK: &str =
    "target: { strategy: in-memory, instances: 1, flush_interval: 50ms }\nload: { rps: 50, duration: 1s }\n";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A run that came to its end, whatever a busy machine made of it.
fn ended_run(lab: &Lab, run_number: &str) -> String {
    let file = lab.scenario("quick", QUICK);
    let ended = lab.run(&["loadtest", "--scenario", &file, "--run-number", run_number, "--quiet"]);
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    name(&lab.newest())
}

/// The folder of a run, as a mxctl that was killed before its report leaves it.
fn killed_run(lab: &Lab, of: &str) -> String {
    let name = "20991231T235959Z-killed-3";
    let (from, to) = (lab.reports().join(of), lab.reports().join(name));
    for folder in ["", "state", "ledger", "target"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
    }
    for file in ["lock", "plan.json", "environment.json", "incidents.json", "ledger/shard-0.led"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let journal = std::fs::read_to_string(from.join("journal.jsonl")).unwrap();
    std::fs::write(to.join("journal.jsonl"), journal.lines().next().unwrap().to_owned() + "\n").unwrap();
    name.to_owned()
}

#[test]
fn a_days_work_with_earlier_runs() {
    let lab = Lab::new();
    let empty = lab.run(&["report", "list"]).exits_with(0).stdout;
    assert!(empty.starts_with("no runs in "), "{empty}");
    let (a, b) = (ended_run(&lab, "1"), ended_run(&lab, "2"));
    let killed = killed_run(&lab, &a);

    lists_newest_first(&lab, [&killed, &b, &a]);
    shows_and_renders(&lab, &a);
    finds_by_a_unique_beginning(&lab, &b);
    follows_its_schema(&lab, &a);
    compares(&lab, &a, &b);
    tells_of_a_run_without_report(&lab, &killed);
    prunes(&lab, [&killed, &b, &a]);
}

fn lists_newest_first(lab: &Lab, names: [&String; 3]) {
    let listed = json(&lab.run(&["report", "list", "--output", "json"]).exits_with(0).stdout);
    let runs: Vec<_> = listed.as_array().unwrap().iter().map(|line| line["run"].as_str().unwrap()).collect();
    assert_eq!(runs, names);
    assert_eq!(listed[0]["state"], "unhealed");
    assert_eq!((&listed[2]["state"], &listed[2]["operations"]["due"]), (&"reported".into(), &50.into()));
    let table = lab.run(&["report", "list"]).exits_with(0).stdout;
    assert!(names.iter().all(|name| table.contains(*name)) && table.contains("V4 in-memory, sqlite"), "{table}");
}

fn shows_and_renders(lab: &Lab, run: &str) {
    let shown = lab.run(&["report", "show", run]).exits_with(0).stdout;
    assert!(shown.contains("Findings") && shown.contains("judge it again"), "{shown}");
    for (form, file) in [("md", "report.md"), ("junit", "junit.xml"), ("json", "run.json")] {
        let rendered = lab.run(&["report", "render", run, "--format", form]).exits_with(0).stdout;
        let stored = std::fs::read_to_string(lab.reports().join(run).join(file)).unwrap();
        assert_eq!(rendered, stored, "{form}");
    }
    let human = lab.run(&["report", "render", run, "--format", "human"]).exits_with(0).stdout;
    assert_eq!(human, shown);
    let out = lab.folder().join("out.md");
    let to_file = ["report", "render", run, "--format", "md", "-o", out.to_str().unwrap()];
    assert_eq!(lab.run(&to_file).exits_with(0).stdout, "");
    assert!(std::fs::read_to_string(out).unwrap().starts_with("# "));
}

fn finds_by_a_unique_beginning(lab: &Lab, run: &str) {
    let beginning = &run[..run.len() - 1];
    lab.run(&["report", "show", beginning]).exits_with(0);
    let many = lab.run(&["report", "show", "20"]).exits_with(2).stderr;
    assert!(many.contains("3 begin so"), "{many}");
    let none = lab.run(&["report", "judge", "1999"]).exits_with(2).stderr;
    assert!(none.contains("mxctl report list"), "{none}");
    assert!(lab.run(&["heal", beginning]).exits_with(0).stdout.contains("nothing to heal"));
    assert!(lab.run(&["report", "export", beginning, "--ledger", "csv"]).exits_with(0).stdout.starts_with("op,lane"));
}

/// A report as it was written, and one that was judged a moment ago.
fn follows_its_schema(lab: &Lab, run: &str) {
    let schema = json(&lab.run(&["report", "schema"]).exits_with(0).stdout);
    let validator = validator_for(&schema).expect("a schema by the standard");
    let judged = lab.run(&["report", "judge", run, "--output", "json"]);
    assert!(matches!(judged.code, 0 | 3), "{judged:#?}");
    let stored = std::fs::read_to_string(lab.reports().join(run).join("run.json")).unwrap();
    for report in [&judged.stdout, &stored] {
        let errors: Vec<_> = validator.iter_errors(&json(report)).map(|e| e.to_string()).collect();
        assert_eq!(errors, [] as [String; 0]);
    }
}

fn compares(lab: &Lab, a: &str, b: &str) {
    let diff = json(&lab.run(&["report", "diff", a, b, "--output", "json"]).exits_with(0).stdout);
    assert_eq!(diff["incomparable"], Value::Array(Vec::new()), "{diff:#}");
    let figures = diff["figures"].as_array().unwrap();
    let p99 = figures.iter().find(|f| f["group"] == "write-once" && f["what"] == "p99").unwrap();
    assert!(p99["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{p99}");
    let text = lab.run(&["report", "diff", a, "latest"]).exits_with(2).stderr;
    assert!(text.contains("mxctl heal"), "{text}");
    let text = lab.run(&["report", "diff", a, b]).exits_with(0).stdout;
    assert!(text.contains("B ÷ A") && text.contains("error rate"), "{text}");
}

fn tells_of_a_run_without_report(lab: &Lab, run: &str) {
    for command in ["show", "render"] {
        let mut arguments = vec!["report", command, run];
        arguments.extend((command == "render").then_some("--format=md"));
        let refused = lab.run(&arguments).exits_with(2);
        assert!(refused.stderr.contains("was killed") && refused.stderr.contains("report judge"), "{refused:#?}");
        assert_eq!(refused.stdout, "");
    }
    let judged = lab.run(&["report", "judge", run]).exits_with(3).stdout;
    assert!(judged.contains("INCONCLUSIVE"), "{judged}");
}

fn prunes(lab: &Lab, [killed, b, a]: [&String; 3]) {
    lab.run(&["report", "prune"]).exits_with(2);
    let left = || std::fs::read_dir(lab.reports()).unwrap().count();
    let planned = lab.run(&["report", "prune", "--keep", "2", "--dry-run"]).exits_with(0).stdout;
    assert!(planned.contains("would be removed") && planned.contains("1 of 3 runs") && left() == 3, "{planned}");
    let pruned = json(&lab.run(&["report", "prune", "--keep", "2", "--output", "json"]).exits_with(0).stdout);
    assert!(pruned["bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), "{pruned:#}");
    assert!(!lab.reports().join(a).exists() && lab.reports().join(b).exists());
    std::fs::create_dir(lab.reports().join("mine")).unwrap();
    let all = lab.run(&["report", "prune", "--keep", "0"]).exits_with(0).stdout;
    assert!(all.contains("unhealed") && !lab.reports().join(b).exists(), "{all}");
    assert!(lab.reports().join(killed).exists() && lab.reports().join("mine").exists());
    assert!(lab.run(&["heal", "latest"]).exits_with(0).stdout.contains("healed"));
    lab.run(&["report", "prune", "--keep", "0"]).exits_with(0);
    assert!(!lab.reports().join(killed).exists());
}

#[test]
fn doctor_finds_what_the_shipped_scenarios_need_and_says_what_is_missing() {
    let lab = Lab::new();
    let lines = json(&lab.run(&["doctor", "--output", "json"]).exits_with(0).stdout);
    let redis = lines.as_array().unwrap().iter().find(|line| line["need"] == "redis-server").unwrap();
    assert_eq!(redis["state"], "ok", "{redis}");

    let without = lab.mxctl(&["doctor"]).env("PATH", lab.folder()).output().unwrap();
    let without = lab::Ended::of(without).exits_with(4).stdout;
    assert!(without.contains("testbed/provision redis") && without.contains("missing"), "{without}");
    assert!(!lab.reports().exists(), "it only looks");
}

#[test]
fn a_reader_that_has_gone_is_no_bug() {
    let lab = Lab::new();
    for arguments in [&["scenario", "schema"][..], &["completions", "bash"], &["man"], &["report", "schema"]] {
        let mut child = lab.mxctl(arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let lab = Lab::new();
    let folder = lab.folder().join("man");
    let told = lab.run(&["man", folder.to_str().unwrap()]).exits_with(0).stdout;
    let count = std::fs::read_dir(&folder).unwrap().count();
    assert!(told.starts_with(&format!("{count} pages")) && folder.join("mxctl-report-prune.1").exists(), "{told}");
    assert!(lab.run(&["man"]).exits_with(0).stdout.contains(".TH mxctl 1"));
}
