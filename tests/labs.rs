//! Labs that stay between runs: they come up whole or not at all, run after run finds them as they were, and nothing
//! outlives `testbed down`.

mod lab;

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::{Ended, Lab, finding};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Short times, as flags.
const QUICK: [&str; 3] = ["--lease=1s", "--redrive-scan=200ms", "--flush-interval=50ms"];
const PATIENCE: Duration = Duration::from_secs(30);

/// A laboratory whose labs go down with the test, also with one that fails.
struct Labs(Lab);

impl Deref for Labs {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for Labs {
    fn drop(&mut self) {
        let _ = self.0.mxctl(&["testbed", "down", "--all", "--force"]).output();
    }
}

impl Labs {
    fn new() -> Labs {
        Labs(Lab::new())
    }

    fn up(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["testbed", "up"], arguments, &QUICK].concat())
    }

    fn down(&self) -> String {
        self.run(&["testbed", "down"]).exits_with(0).stdout
    }

    /// The status of the only lab.
    fn status(&self) -> Value {
        let told = self.run(&["testbed", "status", "--output", "json"]).exits_with(0).stdout;
        let all: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(all.as_array().expect("labs").len(), 1, "{told}");
        all[0].clone()
    }

    /// Names of those who are ready, in starting order.
    fn ready(&self) -> Vec<String> {
        let status = self.status();
        let instances = status["seen"]["instances"].as_array().unwrap_or_else(|| panic!("not seen: {status:#}"));
        let ready = instances.iter().filter(|instance| instance["ready"] == true);
        ready.map(|instance| instance["name"].as_str().expect("a name").to_owned()).collect()
    }

    fn pid(&self, name: &str) -> Pid {
        let status = self.status();
        let instances = status["seen"]["instances"].as_array().expect("it is up");
        let found = instances.iter().find(|instance| instance["name"] == name).expect("it lives");
        Pid::from_raw(found["process"]["pid"].as_i64().expect("a pid") as i32)
    }

    fn keeper(&self, name: &str) -> Pid {
        let text = std::fs::read(self.lab_folder(name).join("keeper.json")).expect("a keeper");
        let keeper: Value = serde_json::from_slice(&text).expect("JSON");
        Pid::from_raw(keeper["pid"].as_i64().expect("a pid") as i32)
    }

    fn lab_folder(&self, name: &str) -> PathBuf {
        self.reports().join("labs").join(name)
    }

    /// A run that nobody waits for, under load when this returns.
    fn attached(&self, scenario: &str) -> Child {
        let file = self.scenario("long", scenario);
        let mut command = self.mxctl(&["loadtest", "--attach", "--scenario", &file]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
        until("attached", || self.status()["seen"]["attached"]["pid"] == child.id());
        let ledger = self.newest().join("ledger/shard-0.led");
        until("under load", || ledger.exists());
        child
    }

    fn await_in_journal(&self, journal: &std::path::Path, what: &str) {
        until(what, || std::fs::read_to_string(journal).is_ok_and(|text| text.contains(what)));
    }
}

#[track_caller]
fn until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("it was started here"))
}

const LONG: &str = "load: { rps: 50, duration: 5m }";

#[test]
fn the_sequence_of_the_adr_works_as_written_and_each_run_counts_its_own() {
    let lab = Labs::new();
    let up = lab.up(&["--strategy", "redis", "--instances", "3"]).exits_with(0).stdout;
    assert!(up.contains("mxctl loadtest --attach") && up.contains("mxctl testbed down"), "{up}");
    let everyone = ["worker-1.1", "worker-2.1", "api-1.1", "api-2.1", "api-3.1"];
    assert_eq!(lab.ready(), everyone);

    let attached = ["loadtest", "--attach", "--rps", "100", "--duration", "2s", "--output", "json"];
    lab.run_punctually(&attached).exits_with(0);
    let first = lab.newest();
    // What the first left (rows, counts, counters) is not the second's.
    lab.run_punctually(&attached).exits_with(0);
    let report = lab.report();
    assert_ne!(lab.newest(), first);
    assert_eq!(finding(&report, "metrics")["verdict"], "PASS", "{report:#}");
    let state = std::fs::read_to_string(lab.newest().join("state/final.json")).expect("a state");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    let applied = lab::class(&report, "applied");
    assert_eq!(state["queue"]["Read"]["accepted"], 3 * applied, "{state:#}");
    lab.run(&["report", "judge", "latest"]).exits_with(0);

    assert_eq!(lab.ready(), everyone, "found as they were left");
    assert!(lab.status()["seen"]["rows"].as_u64().expect("rows") >= 2 * 3 * 150);
    let down = lab.down();
    assert!(down.contains("api-3.1      ended in order") && down.contains("drained"), "{down}");
    lab::assert_nothing_is_left(lab.folder());
    assert!(lab.down().contains("nothing of it is up"), "twice is once");
    assert_eq!(lab.status()["standing"], "down");
}

const CHAOS: &str = "
target: { strategy: redis, instances: 5 }
load: { rps: 100, duration: 10s, mix: { write-once: 80%, hot-key: 20% } }
timeline:
  - rolling-update: { at: 1s, of: [worker-1, api-1], mode: graceful, window: 1s, window_acks: 20 }
  - rolling-update: { at: 4s, of: [worker-2, api-2], mode: hard, window: 1s, window_acks: 20 }
gates: { F2: pass }
";

#[test]
fn faults_are_injected_in_a_lab_that_stays_and_it_is_whole_afterwards() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "2", "--witness"]).exits_with(0);
    let file = lab.scenario("chaos", CHAOS);
    lab.run_punctually(&["chaos", &file, "--attach"]).exits_with(0);
    let plan = std::fs::read_to_string(lab.newest().join("plan.json")).expect("a plan");
    assert!(plan.contains("instances: the scenario says 5; the lab `default` has 2, and that counts"), "{plan}");
    let slots: Vec<_> = lab.ready().iter().map(|name| name.split('.').next().unwrap().to_owned()).collect();
    let mut sorted = slots.clone();
    sorted.sort();
    assert_eq!(sorted, ["api-1", "api-2", "worker-1", "worker-2"], "each slot has one, and it is ready");
    assert_eq!(lab.run(&["heal"]).exits_with(0).stdout.matches("nothing to heal").count(), runs(&lab));
    lab.down();
    lab::assert_nothing_is_left(lab.folder());
}

const SCALING: &str = "
load: { rps: 50, duration: 8s }
timeline:
  - scale: { at: 1s, of: api, to: 3, window: 1s, window_acks: 10 }
  - pause: { at: 3s, of: api-3, window: 1s, window_acks: 10 }
";

#[test]
fn whom_a_run_added_goes_with_it_and_whom_a_killed_one_paused_goes_on() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "2"]).exits_with(0);
    let file = lab.scenario("scaling", SCALING);
    // Whatever its verdict on a busy machine: it comes to its end, and says what it put back.
    let ran = lab.run(&["chaos", &file, "--attach"]);
    assert!([0, 3].contains(&ran.code), "{ran:#?}");
    assert!(ran.stderr.contains("lab default: api-3.1 is not the lab's, and ended"), "{}", ran.stderr);
    let everyone = ["worker-1.1", "worker-2.1", "api-1.1", "api-2.1"];
    assert_eq!(lab.ready(), everyone);

    let child = lab.attached(&SCALING.replace("pause: { at: 3s, of: api-3", "pause: { at: 3s, of: api-2"));
    let journal = lab.newest().join("journal.jsonl");
    lab.await_in_journal(&journal, "{\"freezing\"");
    lab::signal(&child, Signal::SIGKILL);
    ended(child);
    until("whole again", || lab.status()["seen"]["attached"].is_null());
    assert_eq!(lab.ready(), everyone, "frozen and added ones are put back");
}

fn runs(lab: &Lab) -> usize {
    let all = std::fs::read_dir(lab.reports()).expect("a reports folder").flatten();
    all.filter(|entry| entry.path().join("lock").exists()).count()
}

#[test]
fn what_contradicts_a_lab_is_refused_with_both_values_and_so_is_a_second_lab_of_its_name() {
    let lab = Labs::new();
    let nowhere = lab.run(&["loadtest", "--attach"]).exits_with(4).stderr;
    assert!(nowhere.contains("it is not up") && nowhere.contains("testbed up"), "{nowhere}");
    lab.up(&[]).exits_with(0);
    let refused = lab.run(&["loadtest", "--attach", "--instances", "2", "--strategy", "redis"]).exits_with(2).stderr;
    assert!(refused.contains("--instances: 2 contradicts the lab `default`, where instances is 1"), "{refused}");
    assert!(refused.contains("--strategy: redis contradicts") && refused.contains("is in-memory"), "{refused}");
    lab.run(&["loadtest", "--attach", "--instances", "1", "--dry-run"]).exits_with(0);
    let again = lab.up(&[]).exits_with(4).stderr;
    assert!(again.contains("it is up already"), "{again}");
    lab.run(&["testbed", "up", "--name", "../elsewhere"]).exits_with(2);
    assert_eq!(lab.ready(), ["all-1.1"], "nobody was touched");
}

#[test]
fn one_run_at_a_time_and_what_a_killed_one_left_is_put_back_at_once() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "2"]).exits_with(0);
    let child = lab.attached(LONG);
    let second = lab.run(&["loadtest", "--attach"]).exits_with(4).stderr;
    assert!(second.contains(&format!("pid {}", child.id())) && second.contains("wait for its end"), "{second}");
    let refused = lab.run(&["testbed", "down"]).exits_with(4).stderr;
    assert!(refused.contains("a run is attached") && refused.contains("--force"), "{refused}");
    assert_eq!(lab.status()["seen"]["attached"]["pid"], child.id());

    // As if it had been struck in the middle of two faults.
    kill(lab.pid("api-1.1"), Signal::SIGSTOP).expect("it lives");
    kill(lab.pid("worker-2.1"), Signal::SIGKILL).expect("it lives");
    lab::signal(&child, Signal::SIGKILL);
    assert_eq!(ended(child).code, -1, "by a signal");
    until("whole again", || {
        let status = lab.status();
        status["seen"]["attached"].is_null() && lab.ready().len() == 4
    });
    assert!(lab.ready().contains(&"api-1.1".to_owned()), "frozen, not replaced: {:?}", lab.ready());
    assert!(lab.ready().contains(&"worker-2.2".to_owned()), "refilled: {:?}", lab.ready());

    let short = ["loadtest", "--attach", "--rps", "50", "--duration", "1s"];
    let refused = lab.run(&short).exits_with(4).stderr;
    assert!(refused.contains("unhealed") && refused.contains("mxctl heal"), "{refused}");
    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(healed.contains("nothing of it was left"), "{healed}");
    lab.run_punctually(&short).exits_with(0);
}

#[test]
fn a_hold_of_a_killed_run_is_released() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "1"]).exits_with(0);
    // One write in 20 s: the hold is armed and waits.
    let waiting = "load: { rps: 20, duration: 5m, mix: { write-once: 1%, read: 99% } }
timeline:
  - rolling-update: { at: 1s, of: [api-1], mode: hard, window: 1s, window_acks: 1 }
";
    let child = lab.attached(waiting);
    lab.await_in_journal(&lab.await_file("journal.jsonl"), "{\"holding\"");
    let journal = lab.lab_folder("default").join("journal.jsonl");
    lab.await_in_journal(&journal, "{\"holding\"");
    lab::signal(&child, Signal::SIGKILL);
    ended(child);
    lab.await_in_journal(&journal, "{\"released\"");
    until("whole again", || lab.status()["seen"]["attached"].is_null() && lab.ready().len() == 3);
}

#[test]
fn nobody_outlives_a_killed_keeper_and_down_cleans_up_after_it() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "1"]).exits_with(0);
    let child = lab.attached(LONG);
    kill(lab.keeper("default"), Signal::SIGKILL).expect("it lives");
    until("dead", || lab.status()["standing"] == "dead");
    lab::signal(&child, Signal::SIGINT);
    lab::signal(&child, Signal::SIGINT);
    let ended = ended(child);
    assert_eq!(ended.code, 130, "{ended:#?}");
    assert!(!ended.stdout.contains("PASS  "), "{}", ended.stdout);
    lab::assert_nothing_is_left(lab.folder());

    let refused = lab.run(&["loadtest", "--attach"]).exits_with(4).stderr;
    assert!(refused.contains("its keeper was killed") && refused.contains("testbed down default"), "{refused}");
    let refused = lab.up(&[]).exits_with(4).stderr;
    assert!(refused.contains("testbed down default"), "{refused}");
    assert!(lab.down().contains("lab default: down"));
    lab.run(&["heal"]).exits_with(0);
    lab.up(&[]).exits_with(0);
    lab.down();
}

#[test]
fn a_run_keeps_its_lab_and_another_one_finds_it_there() {
    let lab = Labs::new();
    let short = ["--rps", "50", "--duration", "1s"];
    let kept = lab.run(&[&["loadtest", "--keep"], &short[..], &QUICK].concat());
    assert!([0, 3].contains(&kept.code), "{kept:#?}");
    assert!(kept.stderr.contains("the lab `default` stays up") && kept.stderr.contains("testbed down"), "{kept:#?}");
    assert_eq!(lab.ready(), ["all-1.1"]);
    lab.run_punctually(&[&["loadtest", "--attach"], &short[..]].concat()).exits_with(0);
    let database = lab.report()["paths"]["database"].as_str().expect("a path").to_owned();
    assert!(std::path::Path::new(&database).starts_with(lab.lab_folder("default")), "{database}");
    lab.down();
    lab::assert_nothing_is_left(lab.folder());
}

#[test]
fn dead_letters_of_an_earlier_load_are_nobody_s_concern_and_tasks_that_wait_are() {
    let lab = Labs::new();
    lab.up(&["--strategy", "redis", "--instances", "1"]).exits_with(0);
    let queue = lab.status()["seen"]["sources"]["queue"]["Redis"].clone();
    let (url, key) = (queue["url"].as_str().expect("a URL"), queue["key"].as_str().expect("a key"));
    let mut redis = redis::Client::open(url).and_then(|client| client.get_connection()).expect("the lab's Redis");
    let letter = r#"{"cause":"poison","attempts":5,"at_ms":1,"payload":"{\"key\":1,\"seq\":1,\"preset\":1}"}"#;
    redis::cmd("LPUSH").arg(format!("{key}:dead")).arg(letter).exec(&mut redis).expect("a dead letter");
    let short = ["loadtest", "--attach", "--rps", "50", "--duration", "1s"];
    lab.run_punctually(&short).exits_with(0);

    // A lease that nobody will ever give back.
    let lease = ["ZADD", &format!("{key}:leases"), "99999999999999", "nobody-1.1#1"];
    redis::cmd(lease[0]).arg(&lease[1..]).exec(&mut redis).expect("a lease");
    let refused = lab.run(&short).exits_with(4).stderr;
    assert!(refused.contains("1 tasks of an earlier load"), "{refused}");
    assert_eq!(lab.status()["seen"]["buffer"]["leased"], 1);
    redis::cmd("ZREM").arg(&lease[1..2]).arg(lease[3]).exec(&mut redis).expect("no lease");
    lab.run_punctually(&short).exits_with(0);
}

#[test]
fn sigterm_to_the_keeper_takes_the_lab_down() {
    let lab = Labs::new();
    lab.up(&["--name", "night", "--instances", "2"]).exits_with(0);
    kill(lab.keeper("night"), Signal::SIGTERM).expect("it lives");
    lab::assert_nothing_is_left(lab.folder());
    assert_eq!(lab.status()["standing"], "down");
    assert!(lab.run(&["testbed", "down", "--all"]).exits_with(0).stdout.contains("nothing of it is up"));
}

#[test]
fn an_up_that_is_cut_off_leaves_nothing() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGKILL, -1)] {
        let lab = Labs::new();
        let arguments = ["testbed", "up", "--instances", "30"];
        let mut command = lab.mxctl(&arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
        lab.await_in_journal(&lab.lab_folder("default").join("journal.jsonl"), "all-2.1");
        lab::signal(&child, signal);
        let ended = ended(child);
        assert_eq!(ended.code, code, "{ended:#?}");
        lab::assert_nothing_is_left(lab.folder());
        assert_eq!(lab.status()["standing"], "down", "{ended:#?}");
    }
}

#[test]
fn an_up_that_fails_says_why_and_leaves_nothing() {
    let lab = Labs::new();
    let mut command = lab.mxctl(&["testbed", "up", "--strategy", "redis"]);
    let failed = Ended::of(command.env("PATH", "/nowhere").output().expect("mxctl starts")).exits_with(4);
    assert!(failed.stderr.contains("redis-server") && failed.stderr.contains("PATH"), "{}", failed.stderr);
    lab::assert_nothing_is_left(lab.folder());
    lab.up(&[]).exits_with(0);
    assert!(lab.run(&["testbed", "down", "--all"]).exits_with(0).stdout.contains("lab default: down"));
    lab::assert_nothing_is_left(lab.folder());
}
