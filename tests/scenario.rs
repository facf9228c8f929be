//! From files and flags to plans and messages: everything that a person sees before a run starts.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use mxctl::cli::OutputFormat;
use mxctl::cli::problems::render;
use mxctl::cli::scenario::{Command, answer, plan, shown};
use mxctl::cli::target_flags::PlanFlags;
use mxctl::plan::{Claim, Given, Plan, Role, Strategy, Subject};
use mxctl::scenario::{Overrides, Problems, Scenario, Source, shipped};
use proptest::prelude::*;

const GIVEN: Given = Given { run_number: 7, seed: 42 };

fn flags(line: &[&str]) -> PlanFlags {
    let command = PlanFlags::augment_args(clap::Command::new("mxctl").no_binary_name(true));
    PlanFlags::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap()
}

fn resolve(name: &str, line: &[&str]) -> Result<Plan, Problems> {
    plan(name, &flags(line), GIVEN)
}

fn resolve_text(text: &str) -> Result<Plan, Problems> {
    resolve_text_with(text, &[])
}

fn resolve_text_with(text: &str, line: &[&str]) -> Result<Plan, Problems> {
    let source = Arc::new(Source { name: "test.yml".into(), text: text.into() });
    Plan::resolve(Scenario::read(&source), flags(line).overrides(), GIVEN)
}

/// The one problem of a scenario, as `line:column message`.
fn only_problem(text: &str, line: &[&str]) -> String {
    let problems = resolve_text_with(text, line).expect_err("the scenario has a problem");
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].replace("test.yml:", "")
}

const STEP: &str = "timeline: [ { rolling-update: { at: 1s } } ]";

// What ships.

fn words(plan: &Plan) -> String {
    shown(plan, OutputFormat::Human)
}

#[test]
fn every_shipped_scenario_resolves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files.len(), shipped().len());
    for file in files {
        let path = file.to_str().unwrap();
        let plan = resolve(path, &[]).unwrap_or_else(|p| panic!("{}", render(&p, false)));
        assert_eq!(plan.name, file.file_stem().unwrap().to_str().unwrap());
        let needs_redis = plan.disturbances().any(|one| one.disturbance.subject() == Subject::Redis);
        for strategy in Strategy::ALL.into_iter().filter(|strategy| strategy.shared() || !needs_redis) {
            resolve(path, &["--strategy", strategy.word()]).unwrap_or_else(|p| panic!("{}", render(&p, false)));
        }
    }
}

#[test]
fn redis_failure_is_explained() {
    insta::assert_snapshot!(words(&resolve("redis-failure", &[]).unwrap()));
}

#[test]
fn database_failure_is_explained() {
    insta::assert_snapshot!(words(&resolve("database-failure", &[]).unwrap()));
}

#[test]
fn database_failure_of_a_server_is_explained() {
    insta::assert_snapshot!(words(&resolve("database-failure", &["--database", "postgres"]).unwrap()));
}

#[test]
fn a_buffer_in_memory_has_no_redis_that_could_be_struck() {
    let problems = resolve("redis-failure", &["--strategy", "in-memory"]).unwrap_err();
    insta::assert_snapshot!(render(&problems, false));
}

#[test]
fn rolling_update_is_explained() {
    insta::assert_snapshot!(words(&resolve("rolling-update", &[]).unwrap()));
}

#[test]
fn rolling_update_in_memory_is_explained() {
    insta::assert_snapshot!(words(&resolve("rolling-update", &["--strategy", "in-memory"]).unwrap()));
}

#[test]
fn scale_out_is_explained() {
    insta::assert_snapshot!(words(&resolve("scale-out", &[]).unwrap()));
}

#[test]
fn scale_curve_is_explained() {
    insta::assert_snapshot!(words(&resolve("scale-curve", &["--strategy", "in-memory"]).unwrap()));
}

#[test]
fn loadtest_is_explained() {
    insta::assert_snapshot!(words(&resolve("loadtest", &[]).unwrap()));
}

#[test]
fn rolling_update_as_a_plan() {
    insta::assert_json_snapshot!(resolve("rolling-update", &[]).unwrap());
}

#[test]
fn an_empty_scenario_is_the_loadtest_of_the_defaults() {
    let (empty, shipped) = (resolve_text("name: loadtest\n").unwrap(), resolve("loadtest", &[]).unwrap());
    assert_eq!(empty, shipped);
}

// Problems.

const TEN_MISTAKES: &str = "\
name: ten mistakes
target:
  backend: docker
  instnaces: 3
  database: sqlight
load:
  rps: 0
  duration: 60
  duration: 90s
  mix: { write-once: 80%, hot-key: 15%, read: 10% }
  hot_keys: 0
timeline:
  - rolling-update: { at: 10s, of: [api-9, worker], grace: 0s }
  - rolling-update: { of: [api], hold: worker.leased }
gates: { F3: pass, p99.steadi: 100ms, error_rate.steady: 0.1 }
allow: [redis.kill]
";

#[test]
fn ten_mistakes_and_more_are_reported_at_once() {
    let problems = resolve_text_with(TEN_MISTAKES, &["--lease", "5", "--fail-if", "p99 < 3ms"]).unwrap_err();
    insta::assert_snapshot!(render(&problems, false));
}

#[test]
fn a_late_step_and_a_backend_to_come_are_reported() {
    let text = "target: { backend: docker }\nload: { duration: 20s }\ntimeline:\n  - kill: { at: 20s, of: worker }\n";
    insta::assert_snapshot!(render(&resolve_text(text).unwrap_err(), false));
}

#[test]
fn broken_yaml_is_one_problem() {
    let problems = resolve_text("name: x\nload: { rps: 800\ntarget: {}\n").unwrap_err();
    insta::assert_snapshot!(render(&problems, false));
}

#[test]
fn flags_are_reported_like_files_but_without_a_line() {
    let line =
        ["--rps=-1", "--run-number", "4294967296", "--strategy", "in-memory", "--workers", "2", "--mix", "reed=5%"];
    insta::assert_snapshot!(render(&resolve("rolling-update", &line).unwrap_err(), false));
}

#[test]
fn a_missing_scenario_is_a_problem() {
    insta::assert_snapshot!(render(&resolve("rolling-updates", &[]).unwrap_err(), false));
}

#[test]
fn contradictions_are_found_where_they_are_written() {
    let cases = [
        ("gates: { F2: pass }", "1:10: F2 needs a stop in the time line"),
        ("gates: { p99.fault: 1s }", "1:10: `p99.fault` is measured around stops, and the time line has none"),
        ("target: { strategy: redis, workers: 0 }", "1:37: 0 workers with strategy redis"),
        ("target: { instances: 0 }", "1:22: 0 instances cannot be"),
        ("load: { connections: 2, shards: 4 }", "1:22: 4 shards share 2 connections to an instance"),
        ("settle: { deadline: 5s }", "1:21: the deadline (5s) is over before anything can count as quiet"),
        ("settle: { hard_cap: 10s }", "1:21: the hard cap (10s) comes before the deadline (30s)"),
        ("target: { lease: 100ms }", "1:18: the lease (100ms) ends before a batch of tasks is flushed (200ms)"),
        ("load: { mix: { write-once: 99.95%, read: 0.05% } }", "1:28: `99.95%` is finer than a mix can be"),
        (
            "load: { mix: { write-once: 99%, poison: 1% } }",
            "1:9: poison ends in the dead-letter queue, and that of a buffer in memory cannot be read from outside",
        ),
        ("load: { read_keys: hot }", "1:20: reads ask for hot keys, and this load writes none"),
        ("load: { read_keys: newest }", "1:20: `newest` is not a choice of keys to read"),
        ("name: a/b", "1:7: the name `a/b` cannot name a folder"),
    ];
    for (text, want) in cases {
        let first = resolve_text(text).expect_err(text).iter().next().unwrap().to_string();
        assert_eq!(first.replace("test.yml:", ""), want, "{text}");
    }
}

#[test]
fn contradictions_of_steps_are_found() {
    let step = |fields: &str| format!("timeline:\n  - rolling-update: {{ at: 1s, {fields} }}");
    let cases = [
        (step("of: [api-2, api]"), "2:43: api-2 is struck twice in one step"),
        (step("of: api, hold: worker.leased"), "2:46: api-1 never passes worker.leased: it is an api instance"),
        (step("of: wroker"), "2:35: `wroker` is neither a role nor a slot"),
        (step("grace: 400ms"), "2:38: a grace of 400ms is over before the endpoint lag of 400ms"),
        (step("mode: soft"), "2:37: `soft` is not a mode"),
        ("timeline: [ { kill: { at: 1s } } ]".into(), "1:15: nothing says what this step strikes"),
        ("timeline: [ { kill: { of: api } } ]".into(), "1:15: nothing says when this step begins"),
        ("timeline:\n  - reboot: {}".into(), "2:5: there is no step `reboot`"),
        ("timeline:\n  - kill:\n    at: 1s".into(), "2:5: this is no step"),
    ];
    for (text, want) in cases {
        assert_eq!(only_problem(&text, &[]), want, "{text}");
    }
}

#[test]
fn a_window_that_cannot_hold_its_acks_is_refused_unless_the_step_says_so() {
    let problem = only_problem(STEP, &["--rps", "10"]);
    assert!(
        problem.ends_with("a stop's window of ±5s holds 100 operations at 10 a second, and needs 200 acks"),
        "{problem}"
    );
    let lower = "timeline: [ { rolling-update: { at: 1s, window_acks: 50 } } ]";
    let plan = resolve_text_with(lower, &["--rps", "10"]).unwrap();
    assert!(plan.stops().all(|stop| stop.window_acks_min == 50));
}

#[test]
fn a_window_in_a_ramp_holds_what_is_due_around_its_step() {
    let text = |at: &str| {
        format!(
            "load: {{ shape: [ {{ ramp: {{ from: 0, to: 100, over: 60s }} }} ] }}\n\
             timeline: [ {{ rolling-update: {{ at: {at} }} }} ]"
        )
    };
    assert!(resolve_text(&text("40s")).is_ok());
    let problem = only_problem(&text("6s"), &[]);
    assert!(problem.ends_with("a stop's window of ±5s holds 100 operations at 10 a second, and needs 200 acks"));
}

// The shape of a load.

const SHAPE: &str = "\
load:
  shape:
    - ramp: { from: 100, to: 1500, over: 30s }
    - hold: { rps: 1500, for: 60s }
    - steps: { from: 1000, to: 200, by: 200, every: 10s }
    - ramp: { from: 200, to: 0, over: 5s }
";

#[test]
fn a_shape_is_explained() {
    let line = ["--mix", "write-once=80%,hot-key=10%,read=8%,poison=2%", "--read-keys", "recent"];
    let plan = resolve_text_with(SHAPE, &[&["--strategy", "redis"], &line[..]].concat()).unwrap();
    insta::assert_snapshot!(words(&plan));
}

#[test]
fn a_flag_says_a_shape_in_the_words_in_which_it_is_shown() {
    let shape = resolve_text(SHAPE).unwrap().load.shape;
    let shown = shape.to_string();
    assert_eq!(
        shown,
        "ramp 100..1500 over 30s, hold 1500 for 1m, steps 1000..200 by 200 every 10s, ramp 200..0 over 5s"
    );
    assert_eq!(resolve_text_with("load: { rps: 5, duration: 1s }", &["--shape", &shown]).unwrap().load.shape, shape);
}

#[test]
fn a_shape_and_a_rate_contradict_each_other_unless_a_flag_brings_the_shape() {
    let both = "load: { rps: 300, shape: [ { hold: { rps: 5, for: 1m } } ] }";
    assert_eq!(only_problem(both, &[]), "1:14: `rps` and `shape` both say how the load runs");
    let problems = resolve_text_with(SHAPE, &["--rps", "300", "--duration", "5s"]).unwrap_err();
    let all: Vec<_> = problems.iter().map(|p| (p.place.to_string(), p.help.as_str())).collect();
    let help = "replace the scenario's shape as a whole, such as `--shape 'hold 800 for 60s'`";
    assert_eq!(all, [("--duration".to_owned(), help), ("--rps".to_owned(), help)]);
    let flags = resolve_text_with("", &["--rps", "300", "--shape", "hold 5 for 1m"]).unwrap_err();
    assert!(flags.iter().next().unwrap().help.starts_with("leave `rps` out"));
}

#[test]
fn mistakes_in_a_shape_are_shown_in_their_place() {
    let text = "\
load:
  shape:
    - rmap: { from: 1, to: 2, over: 3s }
    - ramp: { from: 100, over: 30 }
    - ramp: { from: 0, to: 0, over: 30s }
    - hold: { rps: 0, for: 1m, until: 5s }
    - hold 800 for 60s
    - steps: { from: 200, to: 1000, by: 300, every: 10s }
";
    insta::assert_snapshot!(render(&resolve_text_with(text, &[]).unwrap_err(), false));
    assert_eq!(only_problem("load: { shape: [] }", &[]), "1:9: this shape has no parts");
    assert_eq!(only_problem("", &["--shape", "ramp 1-5 over 3s"]), "--shape: `ramp 1-5 over 3s` is no part of a shape");
}

#[test]
fn a_shape_that_cannot_be_read_draws_no_contradiction() {
    let text = "load: { shape: [ { hold: { rps: 5, for: 60 } } ] }\ntimeline: [ { kill: { at: 80s, of: api } } ]\n";
    assert!(only_problem(text, &[]).contains("`60` has no unit"));
}

#[test]
fn a_plan_comes_back_from_its_archive_and_so_does_one_from_before_there_were_shapes() {
    let plan = resolve_text(SHAPE).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    let plan = resolve("loadtest", &[]).unwrap();
    let mut archived = serde_json::to_value(&plan).unwrap();
    let load = archived["load"].as_object_mut().unwrap();
    load.remove("stages");
    load.remove("read_keys");
    load["mix"].as_object_mut().unwrap().remove("poison");
    load.insert("rps".into(), 800.0.into());
    load.insert("duration".into(), serde_json::json!({ "secs": 30, "nanos": 0 }));
    assert_eq!(serde_json::from_value::<Plan>(archived).unwrap(), plan);
}

#[test]
fn a_value_that_cannot_be_read_draws_no_contradiction() {
    let text = "load: { duration: 60 }\ntimeline: [ { kill: { at: 80s, of: api-9 } } ]\ntarget: { instances: many }\n";
    let problems = resolve_text(text).unwrap_err();
    assert_eq!(problems.iter().len(), 2, "{problems}");
}

// A backend inside mxctl.

#[test]
fn a_loadtest_inside_mxctl_is_explained_as_a_trial() {
    insta::assert_snapshot!(words(&resolve("loadtest", &["--backend", "in-process"]).unwrap()));
}

#[test]
fn a_step_that_takes_a_process_is_refused_where_it_is_written_with_every_other_mistake() {
    let text = "\
target: { backend: in-process, instances: 0 }
timeline:
  - pause: { at: 1s, of: worker, hold: none }
  - kill: { at: 2s, of: worker-1, hold: worker.committed }
";
    insta::assert_snapshot!(render(&resolve_text(text).unwrap_err(), false));
}

#[test]
fn a_flag_that_brings_the_backend_is_what_one_changes() {
    let problems = resolve_text_with("timeline: [ { kill: { at: 1s, of: api } } ]", &["--backend", "in-process"]);
    let problems = problems.unwrap_err();
    let only = problems.iter().next().unwrap();
    assert_eq!((only.place.to_string().as_str(), only.help.as_str()), ("test.yml:1:15", "use `--backend process`"));
}

#[test]
fn a_lab_that_stays_takes_processes() {
    let source = |text: &str| Arc::new(Source { name: "test.yml".into(), text: text.into() });
    let read = |text: &str| Scenario::read(&source(text));
    let text = "target: { backend: in-process }";
    let problems = Plan::resolve_to_keep(read(text), Overrides::default(), GIVEN).unwrap_err();
    let only = problems.iter().next().unwrap().to_string();
    assert!(only.starts_with("test.yml:1:20: a lab of backend in-process cannot stay"), "{only}");
    assert!(Plan::resolve_to_keep(read(""), Overrides::default(), GIVEN).is_ok());
}

// Meaning.

#[test]
fn a_buffer_in_memory_has_no_workers_and_worker_steps_fall_away() {
    let plan = resolve("rolling-update", &["--strategy", "in-memory"]).unwrap();
    assert!(plan.target.slots.iter().all(|slot| slot.role == Role::All));
    let struck: Vec<_> = plan.stops().map(|stop| stop.id.as_str()).collect();
    let want = ["1:rolling-update/all-1", "1:rolling-update/all-2", "1:rolling-update/all-3"];
    assert_eq!(struck[..3], want);
    assert_eq!(struck.len(), 6);
    assert_eq!(plan.notes.len(), 3, "the scenario's own workers, and those of two steps: {:?}", plan.notes);
}

#[test]
fn f2_is_refused_where_no_step_is_left() {
    let text = "timeline: [ { kill: { at: 1s, of: worker } } ]\ngates: { F2: pass }";
    assert!(resolve_text(text).is_ok());
    let problem = only_problem(text, &["--strategy", "in-memory"]);
    assert_eq!(problem, "2:10: F2 needs a stop in the time line, and with strategy in-memory none is left");
}

/// The run is then INCONCLUSIVE: no stop is planned for the claim.
#[test]
fn a_time_line_of_which_no_step_is_left_still_claims_f2() {
    let text = "timeline: [ { kill: { at: 1s, of: worker } } ]";
    let plan = resolve_text_with(text, &["--strategy", "in-memory"]).unwrap();
    assert_eq!(plan.stops().count(), 0);
    assert_eq!(plan.claims, [Claim::F2]);
}

#[test]
fn a_kill_of_a_role_strikes_its_first_slot_only() {
    let text = "timeline: [ { kill: { at: 1s, of: [api-2, worker], hold: worker.committed } } ]";
    assert_eq!(only_problem(text, &[]), "1:58: api-2 never passes worker.committed: it is an api instance");
    let text = "timeline: [ { kill: { at: 1s, of: [api-2, worker] } } ]";
    let struck: Vec<_> = resolve_text(text).unwrap().stops().map(|stop| stop.id.clone()).collect();
    assert_eq!(struck, ["1:kill/api-2", "1:kill/worker-1"]);
}

#[test]
fn a_time_line_brings_the_chaos_defaults_and_the_claim() {
    let plan = resolve_text(STEP).unwrap();
    assert_eq!((plan.target.strategy, plan.target.slots.len()), (Strategy::Redis, 5));
    assert!(plan.target.witness);
    assert_eq!(plan.claims, [Claim::F2]);
    let load = resolve_text("").unwrap();
    assert!(!load.target.witness && load.claims.is_empty());
}

#[test]
fn a_gate_of_a_flag_replaces_that_of_the_file() {
    let line = ["--fail-if", "p99.steady > 50ms", "--fail-if", "p99.9 > 1s"];
    let plan = resolve("rolling-update", &line).unwrap();
    let limits: Vec<_> = plan.gates.iter().map(|g| (g.name(), g.limit)).collect();
    let want = [("error_rate.steady", 0.001), ("recovery", 300.0), ("p99.steady", 0.05), ("p99.9", 1.0)];
    assert_eq!(limits, want.map(|(name, limit)| (name.to_owned(), limit)));
}

#[test]
fn two_gates_of_one_name_are_refused() {
    assert!(only_problem("gates: { p99: 1s, p99: 2s }", &[]).ends_with("`p99` is written twice"));
    let line = ["--fail-if", "p99 > 1s", "--fail-if", "p99 > 2s"];
    assert_eq!(only_problem("", &line), "--fail-if: there are two gates `p99`");
}

#[test]
fn the_later_of_witness_and_no_witness_counts() {
    let witness = |line: &[&str]| resolve("rolling-update", line).unwrap().target.witness;
    assert!(!witness(&["--no-witness"]));
    assert!(!witness(&["--witness", "--no-witness"]));
    assert!(witness(&["--no-witness", "--witness"]));
    assert!(!witness(&["--witness=false"]));
}

#[test]
fn a_flag_counts_more_than_the_file_and_the_file_more_than_the_default() {
    let text = "load: { rps: 300 }";
    assert_eq!(resolve_text("").unwrap().load.shape.mean_rps(), 800.0);
    assert_eq!(resolve_text(text).unwrap().load.shape.mean_rps(), 300.0);
    assert_eq!(resolve_text_with(text, &["--rps", "200"]).unwrap().load.shape.mean_rps(), 200.0);
}

/// Variables belong to a process: this test starts itself again with one set, and there runs the test below.
#[test]
fn a_variable_stands_between_the_flag_and_the_file() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "with_variables_set", "--ignored", "--nocapture"])
        .env("MXCTL_RPS", "250")
        .env("MXCTL_LEASE", "5")
        .env("MXCTL_WITNESS", "true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
#[ignore = "runs inside a_variable_stands_between_the_flag_and_the_file"]
fn with_variables_set() {
    let text = "load: { rps: 300 }";
    let rps = |line: &[&str]| resolve_text_with(text, line).unwrap().load.shape.mean_rps();
    assert_eq!(only_problem(text, &[]), "MXCTL_LEASE: `5` has no unit");
    assert_eq!(rps(&["--lease", "5s"]), 250.0);
    assert_eq!(rps(&["--lease", "5s", "--rps", "200"]), 200.0);
    assert!(!resolve_text_with(text, &["--lease", "5s", "--no-witness"]).unwrap().target.witness);
}

#[test]
fn the_same_input_gives_the_same_plan_byte_by_byte() {
    let json = || serde_json::to_string(&resolve("rolling-update", &["--seed", "9"]).unwrap()).unwrap();
    assert_eq!(json(), json());
    let back: Plan = serde_json::from_str(&json()).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json());
}

#[test]
fn flags_of_the_run_replace_what_the_caller_gives() {
    let plan = resolve("loadtest", &["--seed", "9", "--run-number", "8"]).unwrap();
    assert_eq!((plan.run.number, plan.run.seed), (8, 9));
    let source = Source::load("loadtest").unwrap();
    let too_large = Given { run_number: u32::MAX, seed: 1 };
    assert!(Plan::resolve(Scenario::read(&source), Overrides::default(), too_large).is_err());
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[test]
fn scenario_and_its_flags_are_helped() {
    let mut cli = Cli::command().term_width(110);
    let check = cli.find_subcommand_mut("check").unwrap();
    insta::assert_snapshot!(check.clone().term_width(110).render_help().to_string());
}

#[test]
fn check_says_what_is_planned_and_explain_prints_the_plan_as_json() {
    let run = |output, line: &[&str]| answer(&Cli::parse_from(line).command, output).unwrap();
    let text = run(OutputFormat::Human, &["mxctl", "check", "rolling-update", "--strategy", "in-memory"]);
    assert!(text.starts_with("rolling-update: no problems, 6 stops planned\nnote: "), "{text}");
    let json = run(OutputFormat::Json, &["mxctl", "explain", "loadtest", "--run-number", "7", "--seed", "42"]);
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), resolve("loadtest", &[]).unwrap());
}

proptest! {
    /// Half-written files are the normal case: whatever stands in one, the answer is a plan or problems with places.
    #[test]
    fn no_text_makes_reading_panic(cut in 0usize..1200, length in 0usize..12, junk in "[ -~ß\n\u{1F980}]{0,12}") {
        let shipped = shipped()[2].1;
        let at = shipped.floor_char_boundary(cut);
        let end = shipped.floor_char_boundary(at + length);
        let text = format!("{}{junk}{}", &shipped[..at], &shipped[end..]);
        if let Err(problems) = resolve_text(&text) {
            prop_assert!(!render(&problems, false).is_empty());
        }
    }
}
