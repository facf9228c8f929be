//! `chaos redis-failure`: every way in which Redis can fail takes effect, is undone, and loses nothing that was
//! acknowledged; one that does nothing proves nothing; a Redis without persistence loses, and the run says how much.

mod lab;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mxctl::checks::{self, Class, DisturbanceJudgement, Verdict};
use mxctl::clock::RunClock;
use mxctl::disturbance::{Disturbance, Sheet, Subject};
use mxctl::journal::{Entry, Found, SENTINELS};
use mxctl::plan::Plan;
use mxctl::rejudge::{self, Recovered};
use mxctl::report::RunReport;
use mxctl::stop::Stop;
use mxctl::timeline;
use mxctl::watch::Unwatched;

use serde_json::Value;

use lab::powerless::{Powerless, PowerlessRedis};
use lab::{Lab, class, inside};

const FROM_START_TO_JOURNAL: Duration = Duration::from_secs(30);

fn every() -> impl Iterator<Item = &'static Sheet> {
    Disturbance::all().filter(|sheet| sheet.subject == Subject::Redis)
}

/// Those that a service can do something about. What a replica lacks when it is promoted is lost whatever a service does.
fn harmless() -> impl Iterator<Item = &'static Sheet> {
    every().filter(|sheet| sheet.disturbance != Disturbance::RedisFailoverLagging)
}

/// Disturbances for a short time, one after the other.
fn failures(sheets: impl Iterator<Item = &'static Sheet>, lasts: &str) -> String {
    let step = |sheet: &Sheet| {
        let lasts = sheet.lasts.map_or_else(String::new, |_| format!("for: {lasts}, "));
        format!("  - {}: {{ at: 1s, {lasts}window: 1s, window_acks: 20 }}\n", sheet.word)
    };
    let steps: Vec<String> = sheets.map(step).collect();
    // Each with the time that the leases take whose holder never heard of them.
    let (seconds, steps) = (3 * steps.len(), steps.concat());
    format!(
        "target: {{ strategy: redis, instances: 2, workers: 1, {} }}
load: {{ rps: 100, duration: {seconds}s, mix: {{ write-once: 80%, hot-key: 20% }}, hot_keys: 2, connections: 200 }}
timeline:
{steps}",
        lab::QUICK_TARGET
    )
}

fn of(report: &RunReport, disturbance: Disturbance) -> &DisturbanceJudgement {
    let found = report.judgement.disturbances.iter().find(|one| one.disturbance == disturbance);
    found.unwrap_or_else(|| panic!("{} was not judged", disturbance.word()))
}

/// Whether a process of the machine had time for this one is not what is tested here: lateness apart, all is proven.
#[tokio::test]
async fn every_failure_takes_effect_is_undone_and_loses_nothing() {
    let lab = Lab::new();
    // Longer than the service waits for Redis: a shorter silence costs time, and no answers.
    let ran = inside::run(&lab, inside::plan(&lab, &failures(harmless(), "1200ms")), &Unwatched).await;
    let report = ran.report;
    assert_ne!(report.verdict, Verdict::Fail, "{:#?}", report.judgement.findings);
    for sheet in harmless() {
        let one = of(&report, sheet.disturbance);
        let holds = one.proof.len() >= 4 && one.proof.iter().all(|(_, holds)| *holds);
        assert!(holds && one.lasted.is_some(), "{}: {one:#?}", sheet.word);
        assert!(one.exposure > Some(0) && one.broken == Some(0), "{}: {one:#?}", sheet.word);
        assert!(!one.reasons.iter().any(|why| why.contains("kept elsewhere")), "{}: {one:#?}", sheet.word);
        let outage = sheet.takes_no_write;
        assert!(
            !outage || one.cost.refused + one.cost.unknown > 0,
            "{}: an outage costs answers: {one:#?}",
            sheet.word
        );
    }
    // Applied, and the answer lost: nobody could know, and it is there.
    assert!(of(&report, Disturbance::RedisDropReply).cost.unknown > 0);
    let count = |class| report.judgement.classes.iter().find(|count| count.class == class).unwrap().count;
    assert!(count(Class::Recovered) > 0 && count(Class::Phantom) == 0 && count(Class::Lost) == 0);

    let journal = Found::read(&ran.folder).unwrap().unwrap();
    assert_eq!(journal.changed(), [], "every change was changed back");
    let changes = journal.entries.iter().filter(|entry| matches!(entry, Entry::Changing { .. })).count();
    assert!(changes >= 10, "each change is in the journal: {changes}");
}

/// The same load, healthy in every other way, with failures that were played on a Redis that is well throughout.
#[tokio::test]
async fn a_failure_that_does_nothing_proves_nothing() {
    let lab = Lab::new();
    let planned = inside::plan(&lab, &failures(every(), "200ms"));
    let mut calm = Plan { timeline: Vec::new(), claims: Vec::new(), ..planned.clone() };
    calm.load.shape = mxctl::plan::Shape::constant(100.0, Duration::from_secs(1));
    let folder = inside::run(&lab, calm.clone(), &Unwatched).await.folder;
    let mut played = planned.clone();
    for step in &mut played.timeline {
        step.disturbance.as_mut().unwrap().hold_within = Duration::ZERO;
    }
    played.load.shape = mxctl::plan::Shape::constant(100.0, Duration::from_secs(600));
    let redis = PowerlessRedis::start().await;
    let target = Powerless::with_redis(&played, &folder.join("target/expectation.db"), redis);
    let clock = RunClock::starting_in(Duration::ZERO);
    let Recovered { mut evidence, .. } = rejudge::recover(&folder).expect("a whole run");
    evidence.incidents.steps = timeline::play(&played, &target, &clock, &Unwatched, &Stop::new()).await.steps;

    let plan = Plan { timeline: played.timeline, claims: planned.claims, ..calm };
    let judgement = checks::judge(&plan, &evidence);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{:#?}", judgement.findings);
    for sheet in every() {
        let one = judgement.disturbances.iter().find(|one| one.disturbance == sheet.disturbance).unwrap();
        assert_eq!(one.verdict, Verdict::Inconclusive, "{one:#?}");
        assert!(one.at.is_some(), "{} was played: {one:#?}", sheet.word);
        let says = |reason: &str| one.reasons.iter().any(|why| why.starts_with(&format!("not proven: {reason}")));
        assert!(says(mechanism_of(sheet.disturbance)), "{}: {:#?}", sheet.word, one.reasons);
        assert!(sheet.lasts.is_none() || says("own writes: "), "{}: {:#?}", sheet.word, one.reasons);
    }
}

fn mechanism_of(disturbance: Disturbance) -> &'static str {
    match disturbance {
        Disturbance::RedisKill => "the process was ended by SIGKILL",
        Disturbance::RedisRestart => "the process ended after SIGTERM",
        Disturbance::RedisPause => "the process stands still",
        Disturbance::RedisReadonly => "it is the replica of nobody",
        Disturbance::RedisOom => "it uses more memory than it may",
        Disturbance::RedisMisconf => "its last snapshot failed",
        Disturbance::RedisEvict => "it evicts keys",
        Disturbance::RedisScriptFlush => "an own script is forgotten",
        Disturbance::RedisClientKill => "nobody who was connected is",
        Disturbance::RedisLatency => "the proxy delays answers",
        Disturbance::RedisReset => "the proxy resets connections",
        Disturbance::RedisBlackhole => "the proxy holds back what passes",
        Disturbance::RedisDropReply => "the proxy loses answers",
        Disturbance::RedisDropRequest => "the proxy loses requests",
        Disturbance::RedisFailover | Disturbance::RedisFailoverLagging => "the replica is the primary",
        Disturbance::RedisFailoverSentinel => "the primary was ended by SIGKILL",
        of_the_database => panic!("{} does not strike Redis", of_the_database.word()),
    }
}

/// One kill, while more than 33 operations wait for a flush that is two seconds away.
fn killed(target: &str) -> String {
    format!(
        "target: {{ strategy: redis, instances: 2, workers: 1, flush_interval: 2s, batch: 5000, lease: 3s{target} }}
load: {{ rps: 200, duration: 8s, mix: {{ write-once: 100% }}, connections: 300 }}
timeline:
  - redis-kill: {{ at: 2s, when: buffer_size >= 100, for: 500ms, window: 1s, window_acks: 50 }}
settle: {{ deadline: 10s }}
"
    )
}

#[test]
fn a_redis_without_persistence_loses_what_was_queued_and_the_run_says_how_much() {
    let lab = Lab::new();
    let file = lab.scenario("none", &killed(", persistence: none"));
    lab.run(&["chaos", &file]).exits_with(1);
    let report = lab.report();
    let lost = class(&report, "lost");
    let one = &report["judgement"]["disturbances"][0];
    // Three tasks an operation; those that came between the look and the blow are lost as well.
    assert!(lost > 33 && 3 * lost >= one["exposure"].as_u64().unwrap(), "{lost} lost; {one:#}");
    assert_eq!((one["verdict"].as_str(), one["broken"].as_u64()), (Some("FAIL"), Some(lost)));
    assert_eq!(class(&report, "applied") + lost, report["judgement"]["conservation"]["acked"].as_u64().unwrap());
}

/// What waited and was not on the replica is gone; what was there is not.
#[test]
fn a_failover_to_a_replica_that_lags_loses_what_it_had_not_got_and_the_run_says_how_much() {
    let lab = Lab::new();
    let failover = killed("").replace("redis-kill", "redis-failover-lagging").replace("for: 500ms, ", "");
    let file = lab.scenario("lagging", &failover);
    lab.run(&["chaos", &file]).exits_with(1);
    let report = lab.report();
    let (lost, one) = (class(&report, "lost"), &report["judgement"]["disturbances"][0]);
    assert!(lost >= 10, "thirty tasks were not on the replica: {lost} lost; {one:#}");
    assert_eq!((one["verdict"].as_str(), one["broken"].as_u64()), (Some("FAIL"), Some(lost)));
    assert_eq!(class(&report, "applied") + lost, report["judgement"]["conservation"]["acked"].as_u64().unwrap());
    let proof = one["proof"].as_array().unwrap();
    assert!(proof.len() >= 6 && proof.iter().all(|shown| shown[1] == true), "{one:#}");
}

/// There and back, so that each of the two servers is both: the queue is read where it is now, and nothing is missed.
#[test]
fn after_a_failover_the_new_primary_is_looked_at_and_nothing_is_lost() {
    let lab = Lab::new();
    let step = "  - redis-failover: { at: 5s, when: buffer_size >= 100, window: 1s, window_acks: 50 }\n";
    let there = killed("").replace("redis-kill", "redis-failover").replace("for: 500ms, ", "");
    let file = lab.scenario("back", &there.replace("settle:", &format!("{step}settle:")));
    lab.run_punctually(&["chaos", &file]).exits_with(0);
    let report = lab.report();
    let acked = report["judgement"]["conservation"]["acked"].as_u64().unwrap();
    assert_eq!((class(&report, "lost"), class(&report, "applied")), (0, acked));
    let both = report["judgement"]["disturbances"].as_array().unwrap();
    assert!(both.len() == 2 && both.iter().all(|one| one["verdict"] == "PASS"), "{both:#?}");
    let journal = Found::read(&lab.newest()).unwrap().unwrap();
    let started = |wanted: &str| {
        journal.entries.iter().filter(|entry| matches!(entry, Entry::Started { name, .. } if name == wanted)).count()
    };
    assert_eq!((started("redis"), started("redis-replica")), (1, 1));
    assert!(journal.leftovers().is_empty() && journal.changed().is_empty(), "{journal:#?}");
}

/// Twice, so that each of the two servers is promoted, and comes back as a replica.
#[test]
fn sentinels_promote_the_replica_and_whoever_connects_is_led_to_whom_they_name() {
    let lab = Lab::new();
    let step = |at: &str| format!("  - redis-failover-sentinel: {{ at: {at}, window: 1s, window_acks: 20 }}\n");
    let scenario = "target: { strategy: redis, instances: 2, workers: 1, lease: 3s }
load: { rps: 100, duration: 20s, mix: { write-once: 100% }, connections: 300 }
timeline:
";
    let file = lab.scenario("sentinels", &[scenario, &step("2s"), &step("10s")].concat());
    lab.run_punctually(&["chaos", &file]).exits_with(0);
    let report = lab.report();
    let acked = report["judgement"]["conservation"]["acked"].as_u64().unwrap();
    assert_eq!((class(&report, "lost"), class(&report, "stranded")), (0, 0), "of {acked}");
    let [there, back] = &report["judgement"]["disturbances"].as_array().unwrap()[..] else {
        panic!("two were planned")
    };
    for one in [there, back] {
        let proof = one["proof"].as_array().unwrap();
        assert!(one["verdict"] == "PASS" && proof.len() >= 9 && proof.iter().all(|shown| shown[1] == true), "{one:#}");
    }
    // Whom they named in the end, they name in the beginning: they were told by whoever starts them, and found it so.
    assert_eq!(named(there, 1), named(back, 0));
    assert_eq!(named(there, 0), named(back, 1), "and back again");

    let (journal, target) = (Found::read(&lab.newest()).unwrap().unwrap(), lab.newest().join("target"));
    assert!(journal.leftovers().is_empty() && journal.changed().is_empty(), "{journal:#?}");
    for name in SENTINELS {
        let lives =
            journal.entries.iter().filter(|e| matches!(e, Entry::Started { name: of, .. } if of == name)).count();
        assert_eq!(lives, 2, "{name}");
        assert!(!target.join(name).exists() && target.join(format!("{name}-2.log")).exists(), "{name}");
    }
}

/// Whom the sentinels named before (0), and after (1).
fn named(one: &Value, when: usize) -> String {
    let proof = one["proof"].as_array().unwrap().iter().filter_map(|shown| shown[0].as_str());
    let told = proof.into_iter().find(|told| told.starts_with("sentinels name another primary")).unwrap();
    told.split(' ').filter(|word| word.starts_with("127.0.0.1:")).nth(when).unwrap().to_owned()
}

#[test]
fn with_an_fsync_before_each_answer_a_kill_loses_nothing() {
    let lab = Lab::new();
    let file = lab.scenario("always", &killed(", appendfsync: always"));
    lab.run_punctually(&["chaos", &file]).exits_with(0);
    assert_eq!(class(&lab.report(), "lost"), 0);
}

#[test]
fn an_fsync_a_second_says_whether_one_was_pending() {
    let lab = Lab::new();
    let file = lab.scenario("everysec", &killed(", appendfsync: everysec"));
    let ended = lab.run(&["chaos", &file]);
    assert!(matches!(ended.code, 0 | 3), "a kill of the process alone leaves what the kernel has: {ended:#?}");
    let report = lab.report();
    let facts = report["judgement"]["disturbances"][0]["facts"][0].as_str().expect("what was read before the kill");
    assert!(facts.contains("appendfsync everysec") && facts.contains("aof_pending_bio_fsync"), "{facts}");
}

#[test]
fn where_there_is_no_redis_of_its_own_a_run_refuses_to_strike_one() {
    let lab = Lab::new();
    let file = lab.scenario("killed", &killed(""));
    let told = lab.run(&["chaos", &file, "--strategy", "in-memory"]).exits_with(2).stderr;
    assert!(told.contains("with strategy in-memory there is none"), "{told}");
    let told = lab.run(&["chaos", &file, "--keep"]).exits_with(2).stderr;
    assert!(told.contains("its Redis is its keeper's"), "{told}");
}

/// Waits until the journal of the run that is under way tells of something.
fn await_entry(folder: &Path, wanted: impl Fn(&Entry) -> bool) {
    let deadline = Instant::now() + FROM_START_TO_JOURNAL;
    while !Found::read(folder).unwrap().is_some_and(|found| found.entries.iter().any(&wanted)) {
        assert!(Instant::now() < deadline, "the journal does not tell of it");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Killed while Redis stands still, while it has a setting that is not its own, while another one takes its place, and
/// while sentinels decide who does.
#[test]
fn what_a_killed_run_did_to_redis_ends_with_it() {
    let set = "`CONFIG SET maxmemory 1` ended with redis";
    for (step, lasts, healed) in [
        ("redis-pause", "for: 20s, ", ""),
        ("redis-oom", "for: 20s, ", set),
        ("redis-failover-lagging", "", ""),
        ("redis-failover-sentinel", "", "target/sentinel-3"),
    ] {
        let (lab, frozen, killed_first) = (Lab::new(), step == "redis-pause", step == "redis-failover-sentinel");
        let file = lab.scenario("killed", &killed("").replace("redis-kill", step).replace("for: 500ms, ", lasts));
        let mut run = lab.mxctl(&["chaos", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let folder = lab.await_file("journal.jsonl").parent().unwrap().to_owned();
        await_entry(&folder, |entry| match entry {
            Entry::Freezing { name, .. } => frozen && name == "redis",
            Entry::Ending { name, .. } => killed_first && name == "redis",
            Entry::Changing { name, .. } => !frozen && !killed_first && name == "redis",
            _ => false,
        });
        run.kill().unwrap();
        run.wait().unwrap();
        lab::assert_nothing_is_left(lab.folder());
        let told = lab.run(&["chaos", &file]).exits_with(4).stderr;
        assert!(told.contains("unhealed run"), "{told}");
        let told = lab.run(&["heal"]).exits_with(0).stdout;
        assert!(told.contains(healed), "{told}");
        assert!(Found::read(&folder).unwrap().unwrap().at_rest());
        assert!(SENTINELS.iter().all(|name| !folder.join("target").join(name).exists()), "{told}");
    }
}
