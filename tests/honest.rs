//! Honest when it cannot know: every run here lacks evidence, each in its own way, and ends INCONCLUSIVE with the
//! reason. Never a PASS, and never a FAIL on evidence that the test itself has spoilt.

mod lab;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use mxctl::checks::{self, Finding, Judgement, StopJudgement, Verdict};
use mxctl::clock::RunClock;
use mxctl::plan::{PausePoint, Plan, StopMode};
use mxctl::rejudge::{self, Recovered};
use mxctl::stop::Stop;
use mxctl::timeline;
use mxctl::watch::{Phase, Unwatched, Watch};
use nix::sys::signal::Signal;
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use lab::powerless::Powerless;
use lab::{Lab, inside};

/// Nothing but load, on a buffer in memory.
const LOAD_ALONE: &str = "
target: { strategy: in-memory, instances: 1, lease: 1s, redrive_scan: 200ms, flush_interval: 50ms, witness: true }
load: { rps: 100, duration: 1s, mix: { write-once: 80%, hot-key: 20% }, hot_keys: 2 }
settle: { deadline: 4s, hard_cap: 4s }
";

/// A scenario on Redis with this time line.
fn on_redis(duration: &str, timeline: &str) -> String {
    format!(
        "target: {{ strategy: redis, instances: 2, workers: 2, {} }}
load: {{ rps: 100, duration: {duration}, mix: {{ write-once: 80%, hot-key: 20% }}, hot_keys: 2 }}
timeline:
{timeline}
settle: {{ deadline: 4s, hard_cap: 8s }}
gates: {{ F2: pass }}
",
        lab::QUICK_TARGET
    )
}

fn finding<'a>(judgement: &'a Judgement, check: &str) -> &'a Finding {
    let found = judgement.findings.iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("no finding of {check}: {:#?}", judgement.findings))
}

/// The whole is INCONCLUSIVE, and this check says so, for this reason.
#[track_caller]
fn assert_inconclusive(judgement: &Judgement, check: &str, reason: &str) {
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{:#?}", judgement.findings);
    let Finding { verdict, summary, details, .. } = finding(judgement, check);
    assert_eq!(*verdict, Verdict::Inconclusive, "{check}: {summary}");
    let said = [std::slice::from_ref(summary), details].concat().join("\n");
    assert!(said.contains(reason), "{check} does not say {reason:?}:\n{said}");
}

fn stop<'a>(judgement: &'a Judgement, id: &str) -> &'a StopJudgement {
    judgement.stops.iter().find(|stop| stop.id == id).expect("every planned stop is judged")
}

#[tokio::test]
async fn a_victim_that_held_nothing_proves_nothing() {
    let lab = Lab::new();
    let step = "  - rolling-update: { at: 1s, of: [api-1], mode: graceful, window: 1s, window_acks: 20 }";
    let mut plan = inside::plan(&lab, &on_redis("4s", step));
    // No request ever comes to this point of an api instance, so none is held there.
    (plan.timeline[0].stops[0].hold, plan.timeline[0].stops[0].hold_within) =
        (Some(PausePoint::WorkerLeased), Duration::from_millis(100));
    let judgement = inside::run(&lab, plan, &Unwatched).await.report.judgement;

    assert_inconclusive(&judgement, "F2", "exposure 0");
    let stop = stop(&judgement, "1:rolling-update/api-1");
    assert_eq!(stop.exposure, Some(0));
    assert!(!stop.proof.is_empty() && stop.proof.iter().all(|(_, holds)| *holds), "it took effect: {stop:#?}");
}

#[tokio::test]
async fn a_step_that_the_load_did_not_wait_for_never_fired() {
    let lab = Lab::new();
    let steps = "  - kill: { at: 500ms, of: [worker-1], window: 1s, window_acks: 20 }
  - kill: { at: 1s, of: [api-1], window: 1s, window_acks: 20 }";
    let mut plan = inside::plan(&lab, &on_redis("2s", steps));
    // The first step waits for a request in a worker, longer than the load lasts.
    (plan.timeline[0].stops[0].hold, plan.timeline[0].stops[0].hold_within) =
        (Some(PausePoint::OfferRegistered), Duration::from_secs(2));
    let judgement = inside::run(&lab, plan, &Unwatched).await.report.judgement;

    assert_inconclusive(&judgement, "F2", "2:kill/api-1: it never fired");
    assert_inconclusive(&judgement, "F2", "the load had ended at 2.000s");
    assert_eq!(stop(&judgement, "2:kill/api-1").victim, None);
}

/// Ends a process of the run when its load begins.
struct Killer<'a> {
    lab: &'a Lab,
    victim: &'static str,
}

#[async_trait]
impl Watch for Killer<'_> {
    async fn phase(&self, phase: Phase) {
        if phase == Phase::Load {
            inside::process(self.lab, self.victim).signal(Signal::SIGKILL).expect("it was alive");
        }
    }
}

#[tokio::test]
async fn a_victim_that_died_by_another_hand_is_no_stop_of_ours() {
    let lab = Lab::new();
    let step = "  - kill: { at: 1s, of: [worker-2], window: 1s, window_acks: 20 }";
    let plan = inside::plan(&lab, &on_redis("2s", step));
    let killer = Killer { lab: &lab, victim: "worker-2.1" };
    let judgement = inside::run(&lab, plan, &killer).await.report.judgement;

    assert_inconclusive(&judgement, "F2", "it never fired: ");
    assert_inconclusive(&judgement, "F2", "find an instance in worker-2: the slot is empty");
}

/// Every step that strikes instances, and what is then not proven of it where nothing is done. (Those that disturb Redis
/// are in `redis_failure.rs`.)
const STEPS: [(&str, &str, &str); 8] = [
    ("kill", "of: all-1", "the process was ended by SIGKILL"),
    ("terminate", "of: all-1", "the process ended after SIGTERM"),
    ("pause", "of: all-1", "it stood still (state T) until its checkpoint was read"),
    ("pause", "of: all-1, then: kill", "the process was ended by SIGKILL"),
    ("rolling-update", "of: all-1, mode: graceful", "another process fills the slot"),
    ("rolling-update", "of: all-1, mode: hard", "the process was ended by SIGKILL"),
    ("scale", "to: 3", "a process of its own fills the slot"),
    ("scale", "to: 1", "the slot is empty"),
];

/// A plan with this step alone, of which nothing is waited for.
fn struck(lab: &Lab, load: &str, (word, fields, _): (&str, &str, &str)) -> Plan {
    let step = format!("timeline: [{{ {word}: {{ at: 1ms, {fields}, window: 1s, window_acks: 20 }} }}]");
    let mut plan = inside::plan(lab, &format!("{load}{step}"));
    plan.timeline[0].stops.iter_mut().for_each(|stop| stop.lasts = stop.lasts.min(Duration::from_millis(100)));
    plan
}

#[tokio::test]
async fn a_fault_that_does_nothing_proves_nothing() {
    let words: BTreeSet<&str> = STEPS.iter().map(|(word, ..)| *word).collect();
    assert_eq!(words, mxctl::scenario::step_words().collect(), "every step that strikes instances is played here");
    let lab = Lab::new();
    let load = LOAD_ALONE.replace("instances: 1", "instances: 2");
    let calm = inside::plan(&lab, &load);
    let folder = inside::run(&lab, calm.clone(), &Unwatched).await.folder;

    // The same load, healthy in every other way, with a time line that was played on nothing.
    let Recovered { mut evidence, .. } = rejudge::recover(&folder).expect("a whole run");
    let sound = checks::judge(&calm, &evidence);
    for check in ["evidence", "settled", "integrity"] {
        assert_eq!(finding(&sound, check).verdict, Verdict::Pass, "{:#?}", sound.findings);
    }
    let mut modes = BTreeSet::new();
    for step in STEPS {
        let struck = struck(&lab, &load, step);
        let plan = Plan { timeline: struck.timeline, claims: struck.claims, ..calm.clone() };
        let target = Powerless::new(&plan, &folder.join("target/expectation.db"));
        let clock = RunClock::starting_in(Duration::ZERO);
        evidence.incidents.steps = timeline::play(&plan, &target, &clock, &Unwatched, &Stop::new()).await.steps;
        let judgement = checks::judge(&plan, &evidence);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{step:?}: {:#?}", judgement.findings);
        assert_unproven(&judgement, step);
        modes.extend(plan.stops().map(|stop| stop.mode));
    }
    assert_eq!(modes, BTreeSet::from(StopMode::ALL), "every way to stop an instance is played here");
}

/// The one stop, or the one start, of this step fired, and lacks the proof that is named for it.
#[track_caller]
fn assert_unproven(judgement: &Judgement, step: (&str, &str, &str)) {
    let stops = judgement.stops.iter().map(|stop| (stop.verdict, stop.victim.is_some(), &stop.reasons));
    let starts = judgement.starts.iter().map(|start| (start.verdict, start.instance.is_some(), &start.reasons));
    let all: Vec<_> = stops.chain(starts).collect();
    let [(Verdict::Inconclusive, true, reasons)] = all.as_slice() else { panic!("{step:?}: {all:#?}") };
    let says = format!("not proven: {}", step.2);
    assert!(reasons.iter().any(|why| why.starts_with(&says)), "{step:?}: {reasons:#?}");
}

#[tokio::test]
async fn a_generator_below_its_rate_asked_something_else() {
    let lab = Lab::new();
    let load = LOAD_ALONE.replace("rps: 100,", "rps: 30000, connections: 2, request_timeout: 500ms,");
    let judgement = inside::run(&lab, inside::plan(&lab, &load), &Unwatched).await.report.judgement;

    assert_inconclusive(&judgement, "generator", "the generator did not ask what the plan asks for");
    assert_inconclusive(&judgement, "generator", "below the floor of 99 %");
}

/// Overwrites the database and its log, just before they are read.
struct Garbage<'a>(&'a Lab);

#[async_trait]
impl Watch for Garbage<'_> {
    async fn phase(&self, phase: Phase) {
        if phase != Phase::ReadBack {
            return;
        }
        let database = inside::folder(self.0).join("target/expectation.db");
        for file in [database.clone(), database.with_extension("db-wal")] {
            overwrite(&file);
        }
    }
}

fn overwrite(path: &Path) {
    let Ok(file) = File::options().write(true).open(path) else { return };
    let length = file.metadata().expect("a file").len();
    file.write_all_at(&vec![0xa5; length as usize], 0).expect("a writable file");
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_no_verdict() {
    let lab = Lab::new();
    let plan = inside::plan(&lab, LOAD_ALONE);
    let judgement = inside::run(&lab, plan, &Garbage(&lab)).await.report.judgement;

    assert_inconclusive(&judgement, "evidence", "the rows were not read");
}

#[tokio::test]
async fn answers_that_are_all_errors_prove_nothing() {
    let lab = Lab::new();
    let yaml = on_redis("2s", "  - kill: { at: 1s, of: [worker-2], window: 1s, window_acks: 20 }");
    let plan = Plan { timeline: vec![], claims: vec![], ..inside::plan(&lab, &yaml) };
    let killer = Killer { lab: &lab, victim: "redis" };
    let judgement = inside::run(&lab, plan, &killer).await.report.judgement;

    assert_inconclusive(&judgement, "answers", "0 of 200 operations were acknowledged");
    assert_eq!(judgement.conservation.acked, 0);
}

/// Holds the database's write lock from the beginning of the load until the state is read: nothing can be written.
struct Locker<'a> {
    lab: &'a Lab,
    lock: Mutex<Option<SqliteConnection>>,
}

#[async_trait]
impl Watch for Locker<'_> {
    async fn phase(&self, phase: Phase) {
        let mut lock = self.lock.lock().await;
        if phase == Phase::Load {
            let mut connection = lab::database(&inside::folder(self.lab).join("target/expectation.db")).await;
            sqlx::raw_sql("begin immediate").execute(&mut connection).await.expect("the write lock");
            *lock = Some(connection);
        }
        if phase == Phase::ReadBack {
            // The lock goes with its connection.
            let connection = lock.take().expect("the lock that was taken before the load");
            sqlx::Connection::close(connection).await.expect("a connection ends");
        }
    }
}

#[tokio::test]
async fn rows_that_still_drain_at_the_hard_cap_are_no_verdict() {
    let lab = Lab::new();
    let yaml = on_redis("1s", "  - kill: { at: 1ms, of: [worker-2], window: 1s, window_acks: 20 }");
    let yaml = yaml.replace("hard_cap: 8s", "hard_cap: 4s");
    let plan = Plan { timeline: vec![], claims: vec![], ..inside::plan(&lab, &yaml) };
    let locker = Locker { lab: &lab, lock: Mutex::new(None) };
    let judgement = inside::run(&lab, plan, &locker).await.report.judgement;

    assert_inconclusive(&judgement, "settled", "still draining");
    assert_inconclusive(&judgement, "evidence", "still draining at the hard cap");
}

#[test]
fn a_ledger_that_was_cut_is_no_ledger() {
    let lab = Lab::new();
    let file = lab.scenario("cut", &LOAD_ALONE.replace("rps: 100,", "rps: 100, shards: 2,"));
    let ended = lab.run(&["loadtest", "--scenario", &file]);
    assert!(matches!(ended.code, 0 | 3) && !ended.stdout.contains("the ledger is torn"), "{ended:#?}");
    let shard = lab.newest().join("ledger/shard-1.led");
    let whole = fs::metadata(&shard).expect("a second shard").len();

    for (left, reason) in [(whole - 1, "bytes long"), (whole - 64, "bytes long"), (10, "shorter than its header")] {
        File::options().write(true).open(&shard).and_then(|file| file.set_len(left)).expect("a shorter file");
        assert_judged_as_torn(&lab, reason);
    }
    fs::remove_file(&shard).expect("a file that was there");
    assert_judged_as_torn(&lab, "shard-1.led");
}

#[track_caller]
fn assert_judged_as_torn(lab: &Lab, reason: &str) {
    let told = lab.run(&["report", "judge", "latest"]).exits_with(3).stdout;
    assert!(told.contains("INCONCLUSIVE") && told.contains("the ledger is torn"), "{told}");
    assert!(told.contains(reason), "it does not say {reason:?}:\n{told}");
}
