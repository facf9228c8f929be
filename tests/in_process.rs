//! The in-process backend, in whole runs: load alone passes, on either buffer, and says what kind of figures it has; what
//! would need a process is refused at once; and nothing outlives the run.

mod lab;

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use lab::{Ended, Lab, class, count, finding};
use mxctl::archive::Environment;
use mxctl::run::{self, Place};
use mxctl::stop::Stop;
use mxctl::watch::Unwatched;
use nix::sys::signal::Signal;
use serde_json::Value;

fn scenario(strategy: &str, duration: &str) -> String {
    format!(
        "name: trial
target: {{ backend: in-process, strategy: {strategy}, instances: 2, workers: 1, witness: true, {} }}
load: {{ rps: 200, duration: {duration}, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }} }}
",
        lab::QUICK_TARGET
    )
}

fn incidents(lab: &Lab) -> Value {
    let text = std::fs::read(lab.newest().join("incidents.json")).expect("incidents");
    serde_json::from_slice(&text).expect("JSON")
}

/// A run of load alone that passes, and all that must be true of it whatever its buffer is.
async fn passes(strategy: &str, names: &[&str]) -> Lab {
    let lab = Lab::new();
    let file = lab.scenario("trial", &scenario(strategy, "3s"));
    let ended = lab.run_punctually(&["loadtest", "--scenario", &file]).exits_with(0);
    lab::assert_nothing_is_left(lab.folder());
    let report = lab.report();
    assert_says_what_its_figures_are(&ended.stdout, &report);

    // The query that the report prints, run by hand.
    let by_hand = &report["judgement"]["count_by_hand"];
    let rows = count(&lab.newest().join("target/expectation.db"), by_hand["query"].as_str().expect("a query")).await;
    assert_eq!(by_hand["expected"].as_i64(), Some(rows));
    assert!(rows > 0 && class(&report, "lost") == 0, "{report:#}");
    assert_eq!(finding(&report, "integrity")["verdict"], "PASS");

    let incidents = incidents(&lab);
    let roster = incidents["roster"].as_array().expect("a roster");
    assert_eq!(roster.iter().map(|instance| instance["name"].as_str().unwrap()).collect::<Vec<_>>(), names);
    for instance in roster {
        assert_lived_inside_mxctl(&lab, instance);
    }
    assert_eq!(incidents["cpu"].as_array().map(Vec::len), Some(0), "nobody's processor time is not 0 of it");
    let again = lab.run(&["report", "judge", "latest"]).exits_with(0);
    assert!(again.stdout.contains("PASS"), "{}", again.stdout);
    lab
}

fn assert_says_what_its_figures_are(stdout: &str, report: &Value) {
    assert!(report["plan"]["target"].as_str().expect("a target").ends_with(", in-process"), "{report:#}");
    for told in
        ["generator and service share one process", "Not assessed", "Processor time and memory of each instance"]
    {
        assert!(stdout.contains(told), "it does not say {told:?}:\n{stdout}");
    }
    let findings = report["judgement"]["findings"].as_array().expect("findings");
    assert!(findings.iter().all(|finding| finding["check"] != "instances"), "{findings:#?}");
}

/// It has no process, its log is its own, its shutdown came to its end, and its port is closed.
fn assert_lived_inside_mxctl(lab: &Lab, instance: &Value) {
    assert!(instance.get("process").is_none(), "{instance:#}");
    let name = instance["name"].as_str().expect("a name");
    let log = std::fs::read_to_string(lab.newest().join(format!("target/{name}.log"))).expect("a log of its own");
    assert!(log.contains(&format!("instance=\"{name}\"")), "{log}");
    assert!(log.ends_with("the service ended in order\n"), "{log}");
    let addr: SocketAddr = instance["addr"].as_str().expect("an address").parse().expect("host and port");
    assert!(log.contains(&format!("listening on http://{addr}")), "{log}");
    let refused = TcpStream::connect(addr).expect_err("nobody listens there any more");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn load_alone_passes_on_a_buffer_in_memory() {
    let lab = passes("in-memory", &["all-1.1", "all-2.1"]).await;
    let healed = lab.run(&["heal"]).exits_with(0);
    assert!(!healed.stdout.contains("killed"), "there was nothing to revert: {healed:#?}");
}

#[tokio::test]
async fn load_alone_passes_on_redis_which_is_a_process_of_its_own() {
    let lab = passes("redis", &["worker-1.1", "api-1.1", "api-2.1"]).await;
    let journal = std::fs::read_to_string(lab.newest().join("journal.jsonl")).expect("a journal");
    assert!(journal.contains("redis"), "{journal}");
    assert!(!journal.contains("api-1.1"), "an instance without a process is nothing that could be left: {journal}");
}

/// Its clock overflows with its first look for expired leases, so that a task of its own panics.
#[tokio::test]
async fn an_instance_that_crashes_as_it_starts_is_a_laboratory_that_broke() {
    let lab = Lab::new();
    let mut plan = lab::inside::plan(&lab, &scenario("in-memory", "1s"));
    plan.target.worker.redrive_scan = Duration::from_secs(i64::MAX as u64);
    let environment = Environment::gather(jiff::Timestamp::now(), std::iter::empty());
    let place = Place { executable: lab::MXCTL.into(), reports: lab.reports(), environment };
    let failed = run::run(plan, &place, &Unwatched, &Stop::new()).await.expect_err("nobody serves").to_string();

    let why = "start all-1.1: it failed to go on: the redrive task ended unexpectedly (log: ";
    assert!(failed.starts_with(why), "{failed}");
    let log = std::fs::read_to_string(lab.newest().join("target/all-1.1.log")).expect("its log");
    assert!(log.ends_with("the service failed to go on: the redrive task ended unexpectedly\n"), "{log}");
    lab.run(&["heal"]).exits_with(0);
}

#[test]
fn a_buffer_in_memory_needs_no_program_and_redis_needs_its_own() {
    let lab = Lab::new();
    let file = lab.scenario("trial", &scenario("in-memory", "1s"));
    let blocked = lab.folder().join("no-such-folder");
    let ended = lab.mxctl(&["loadtest", "--scenario", &file]).env("PATH", &blocked).output().expect("mxctl starts");
    // On a machine that is busy it need not pass.
    assert!(matches!(Ended::of(ended).code, 0 | 3));
    let file = lab.scenario("shared", &scenario("redis", "1s"));
    let ended = lab.mxctl(&["loadtest", "--scenario", &file]).env("PATH", &blocked).output().expect("mxctl starts");
    let ended = Ended::of(ended).exits_with(4);
    assert!(ended.stderr.contains("redis-server: not on the PATH"), "{}", ended.stderr);
    lab::assert_nothing_is_left(lab.folder());
}

const EVERY_STEP: &str = "target: { backend: in-process, instances: 2 }
load: { rps: 100, duration: 60s }
timeline:
  - rolling-update: { at: 5s }
  - kill: { at: 10s, of: api, hold: offer.stored }
  - terminate: { at: 15s, of: api }
  - pause: { at: 20s, of: worker }
  - scale: { at: 40s, of: api, to: 3 }
";

#[test]
fn what_would_need_a_process_is_refused_all_at_once_and_nothing_is_started() {
    let lab = Lab::new();
    let file = lab.scenario("steps", EVERY_STEP);
    let check = lab.run(&["scenario", "check", &file]).exits_with(2);
    let chaos = lab.run(&["chaos", "--scenario", &file]).exits_with(2);
    assert_eq!(check.stderr, chaos.stderr);
    for (line, column) in [(4, 5), (5, 5), (5, 37), (6, 5), (7, 5), (8, 5)] {
        assert!(check.stderr.contains(&format!("steps.yml:{line}:{column}]")), "{line}:{column}\n{}", check.stderr);
    }
    assert!(check.stderr.ends_with("6 problems; nothing was started\n"), "{}", check.stderr);
    let shipped = lab.run(&["chaos", "rolling-update", "--backend", "in-process"]).exits_with(2);
    assert!(shipped.stderr.contains("use `--backend process`"), "{}", shipped.stderr);
    assert!(!lab.reports().exists());
}

#[test]
fn a_lab_that_stays_cannot_live_inside_the_command_that_brings_it_up() {
    let lab = Lab::new();
    let file = lab.scenario("trial", &scenario("in-memory", "1s"));
    let commands: [&[&str]; 3] = [
        &["testbed", "up", "--backend", "in-process"],
        &["testbed", "up", &file],
        &["loadtest", "--keep", "--backend", "in-process"],
    ];
    for command in commands {
        let ended = lab.run(command).exits_with(2);
        let why = "backend in-process cannot stay: its instances end with the command";
        assert!(ended.stderr.contains(why), "{command:?}: {}", ended.stderr);
    }
    assert!(lab.run(&["testbed", "status"]).exits_with(0).stdout.starts_with("no labs"));
    lab::assert_nothing_is_left(lab.folder());
}

/// A run on Redis, under load when this returns.
fn under_load(lab: &Lab) -> Child {
    let file = lab.scenario("long", &scenario("redis", "5m"));
    let mut command = lab.mxctl(&["loadtest", "--scenario", &file, "--quiet"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
    lab.await_file("ledger/shard-0.led");
    child
}

#[test]
fn a_run_that_is_killed_leaves_nothing_but_its_journal_which_heal_closes() {
    let lab = Lab::new();
    let mut child = under_load(&lab);
    lab::signal(&child, Signal::SIGKILL);
    child.wait().expect("it was started here");
    lab::assert_nothing_is_left(lab.folder());
    let file = lab.scenario("next", &scenario("in-memory", "1s"));
    let refused = lab.run(&["loadtest", "--scenario", &file]).exits_with(4);
    assert!(refused.stderr.contains("mxctl heal"), "{}", refused.stderr);
    lab.run(&["heal"]).exits_with(0);
    lab.run_punctually(&["loadtest", "--scenario", &file]).exits_with(0);
}

#[test]
fn a_run_that_is_told_to_stop_shuts_its_instances_down_and_reports() {
    let lab = Lab::new();
    let child = under_load(&lab);
    lab::signal(&child, Signal::SIGTERM);
    Ended::of(child.wait_with_output().expect("it was started here")).exits_with(143);
    lab::assert_nothing_is_left(lab.folder());
    assert_ne!(lab.report()["verdict"], "PASS");
    let log = std::fs::read_to_string(lab.newest().join("target/worker-1.1.log")).expect("a log");
    assert!(log.ends_with("the service ended in order\n"), "{log}");
}
