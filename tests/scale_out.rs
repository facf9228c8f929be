//! Scaling out, pauses, terminations and scaling in, whole runs: what was done is proven, what was frozen holds what it
//! is said to hold, and nobody is left frozen, whatever becomes of mxctl.

mod lab;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::powerless::Powerless;
use lab::{Ended, Lab, class, finding, inside};
use mxctl::backends::Instance;
use mxctl::clock::RunClock;
use mxctl::plan::PausePoint;
use mxctl::readback::{Applied, BufferSize, Checkpoint};
use mxctl::stop::Stop;
use mxctl::timeline::{self, Exposure, Incidents, StopRecord};
use mxctl::watch::Unwatched;
use nix::sys::signal::Signal;

/// From the freeze to the checkpoint with the times of [`lab::QUICK_TARGET`]: lease + scan + flush, and 2 s to drain.
const LASTS: Duration = Duration::from_millis(3_250);

fn incidents(run: &Path) -> Incidents {
    let text = std::fs::read(run.join("incidents.json")).expect("the run's incidents");
    serde_json::from_slice(&text).expect("incidents as JSON")
}

fn stop<'a>(incidents: &'a Incidents, id: &str) -> &'a StopRecord {
    incidents.stop(id).unwrap_or_else(|| panic!("no {id} in {:#?}", incidents.steps))
}

/// Every act took effect, and we know it.
#[track_caller]
fn assert_all_proven(incidents: &Incidents) {
    for step in &incidents.steps {
        assert_eq!(step.error, None, "{step:#?}");
        assert!(step.starts.iter().all(|start| start.proven()), "{:#?}", step.starts);
        assert!(step.stops.iter().all(StopRecord::proven), "{:#?}", step.stops);
    }
}

fn applied(checkpoint: &Checkpoint) -> &Applied {
    checkpoint.applied.read().expect("a database that can be read")
}

#[track_caller]
fn checkpoint(stop: &StopRecord) -> &Checkpoint {
    let checkpoint = stop.checkpoint.as_ref().expect("a checkpoint");
    let frozen = stop.frozen.expect("it was frozen");
    assert!(checkpoint.at.since(frozen) >= LASTS, "{stop:#?}");
    assert!(stop.resumed.or(stop.signalled).is_some_and(|end| end > checkpoint.at), "{stop:#?}");
    checkpoint
}

// What the time line does.

#[tokio::test]
async fn on_redis_others_take_over_from_the_frozen_and_a_zombie_harms_nobody() {
    let lab = Lab::new();
    let window = "window: 2s, window_acks: 50";
    let yaml = format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {} }}
load: {{ rps: 100, duration: 20s, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }} }}
timeline:
  - scale: {{ at: 1s, when: buffer_size >= 3, to: 2 }}
  - pause: {{ at: 3s, of: [api-1, worker-1], then: resume, {window} }}
  - pause: {{ at: 4s, of: [api-2, worker-2], then: kill, {window} }}
gates: {{ F1: pass, error_rate.steady: 1% }}
",
        lab::QUICK_TARGET
    );
    lab.run_punctually(&["chaos", "--scenario", &lab.scenario("v5", &yaml)]).exits_with(0);
    let incidents = incidents(&lab.newest());
    assert_all_proven(&incidents);

    let grown = &incidents.steps[0];
    assert!(grown.condition.is_some_and(|met| met.value >= 3), "{grown:#?}");
    assert_eq!(incidents.start("1:scale/api-2").and_then(|start| start.instance.clone()).unwrap().name, "api-2.1");

    for (id, victim) in [
        ("2:pause/api-1", "api-1.1"),
        ("2:pause/worker-1", "worker-1.1"),
        ("3:pause/api-2", "api-2.1"),
        ("3:pause/worker-2", "worker-2.1"),
    ] {
        let stop = stop(&incidents, id);
        assert_eq!(stop.victim.name, victim);
        let held =
            matches!(stop.exposure, Exposure::Leases { tasks: 1.. } | Exposure::OffersInFlight { operations: 1 });
        assert!(held, "{:?}", stop.exposure);
        let checkpoint = checkpoint(stop);
        assert!(applied(checkpoint).keys() > 0);
        assert_everybody_else_tells_the_shared_size(checkpoint, victim);
    }
    let killed = stop(&incidents, "3:pause/worker-2");
    assert!(killed.replacement.as_ref().is_some_and(|new| new.name == "worker-2.2"), "{killed:#?}");

    assert_cpu_was_read_throughout(&incidents);
    for failing in ["lost", "stranded", "stale", "torn", "corrupt", "phantom", "unexpected"] {
        assert_eq!(class(&lab.report(), failing), 0, "{failing}");
    }
    assert_the_zombie_wrote_late(&lab).await;
    assert_eq!(finding(&lab.report(), "F1")["verdict"], "PASS");
    lab::assert_nothing_is_left(lab.folder());
}

fn assert_everybody_else_tells_the_shared_size(checkpoint: &Checkpoint, victim: &str) {
    let told: Vec<&str> = checkpoint.sizes.iter().map(|size| size.instance.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(!told.contains(&victim), "the frozen one cannot answer: {told:?}");
    for BufferSize { scope, around, .. } in &checkpoint.sizes {
        assert!(scope == "shared" && around.is_some(), "{:?}", checkpoint.sizes);
    }
}

fn assert_cpu_was_read_throughout(incidents: &Incidents) {
    assert!(incidents.cpu.is_sorted_by_key(|reading| reading.at));
    for Instance { id, name, .. } in &incidents.roster {
        let of: Vec<_> = incidents.cpu.iter().filter(|reading| reading.instance == *id).collect();
        assert!(of.len() >= 3, "{name}: {of:?}");
        assert!(of.is_sorted_by_key(|reading| reading.used), "{name}: {of:?}");
    }
}

/// The witness saw what it held twice: from who took over, and from the zombie, whose attempts changed nothing.
async fn assert_the_zombie_wrote_late(lab: &Lab) {
    let query = "select count(*) from expectation_write_witness late join expectation_write_witness taken_over \
                 using (game_character_id, preset_no, new_seq) where late.written_by = 'worker-1.1' \
                 and taken_over.written_by <> 'worker-1.1' and late.id > taken_over.id \
                 and late.old_seq >= late.new_seq";
    assert!(lab::count(&lab.newest().join("target/expectation.db"), query).await > 0);
}

#[tokio::test]
async fn in_memory_the_checkpoint_shows_what_the_end_hides() {
    let lab = Lab::new();
    let yaml = format!(
        "target: {{ strategy: in-memory, instances: 1, witness: true, {} }}
load: {{ rps: 400, duration: 9s, mix: {{ write-once: 100% }} }}
timeline:
  - scale: {{ at: 1s, to: 2 }}
  - pause: {{ at: 3s, of: api-1, window: 2s, window_acks: 50 }}
",
        lab::QUICK_TARGET
    );
    lab.run(&["chaos", "--scenario", &lab.scenario("v4", &yaml)]).exits_with(1);
    let incidents = incidents(&lab.newest());
    assert_all_proven(&incidents);
    let stop = stop(&incidents, "2:pause/all-1");
    let checkpoint = checkpoint(stop);
    let (told, _) = checkpoint.sizes.split_first().expect("the one that is not frozen");
    assert_eq!((told.instance.as_str(), told.scope.as_str(), told.around), ("all-2.1", "instance", None));

    let unwritten = unwritten(&lab, stop, checkpoint);
    assert!(unwritten > 0, "acknowledged before it was frozen, and not in the database {LASTS:?} later");
    let report = lab.report();
    assert_eq!(class(&report, "lost"), 0, "it wrote as soon as it went on: the end shows nothing");
    let f1 = finding(&report, "F1");
    let said = f1["summary"].as_str().expect("a summary");
    assert_eq!(f1["verdict"], "FAIL");
    assert!(
        said.contains(&format!("{unwritten} acknowledged write operations of all-1.1 were not in the database")),
        "{f1:#}"
    );
    lab::assert_nothing_is_left(lab.folder());
}

/// Operations that the victim acknowledged, long enough before its checkpoint, and that the database did not have then:
/// counted from the exported ledger.
fn unwritten(lab: &Lab, stop: &StopRecord, checkpoint: &Checkpoint) -> usize {
    let early = checkpoint.at.minus(LASTS).as_secs_f64();
    let csv = lab.run(&["report", "export", "latest", "--ledger", "csv"]).exits_with(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (outcome, instance, done) = (column("outcome"), column("instance"), column("done"));
    let (key, seq, applied) = (column("key"), column("seq"), applied(checkpoint));
    let acked = reader.records().map(|record| record.unwrap());
    let acked = acked.filter(|record| &record[outcome] == "acked" && record[instance] == stop.victim.name);
    let acked = acked.filter(|record| record[done].parse::<f64>().unwrap() < early);
    acked.filter(|record| !applied.has(record[key].parse().unwrap(), record[seq].parse().unwrap())).count()
}

#[tokio::test]
async fn who_is_terminated_is_replaced_who_is_scaled_in_is_not_and_what_never_holds_never_fires() {
    let lab = Lab::new();
    let window = "window: 1s, window_acks: 20";
    let yaml = format!(
        "target: {{ strategy: redis, instances: 2, workers: 2, {} }}
load: {{ rps: 100, duration: 9s, mix: {{ write-once: 100% }} }}
timeline:
  - terminate: {{ at: 1s, of: [api-2, worker-1], {window} }}
  - scale: {{ at: 4s, to: 1, {window} }}
  - kill: {{ when: buffer_size >= 1000000, of: worker-1, {window} }}
",
        lab::QUICK_TARGET
    );
    lab.run(&["chaos", "--scenario", &lab.scenario("in", &yaml)]).exits_with(3);
    let incidents = incidents(&lab.newest());
    let [terminated, scaled, never] = incidents.steps.as_slice() else { panic!("{:#?}", incidents.steps) };
    for (stop, replacement) in terminated.stops.iter().zip(["api-2.2", "worker-1.2"]) {
        assert!(stop.proven(), "{stop:#?}");
        assert_eq!(stop.replacement.as_ref().map(|new| new.name.as_str()), Some(replacement));
        let exit = stop.exit.expect("it ended");
        assert!(exit.code == Some(0) && stop.healed.is_some_and(|healed| healed > exit.at), "{stop:#?}");
    }
    let [removed] = scaled.stops.as_slice() else { panic!("{scaled:#?}") };
    assert!(removed.proven(), "{removed:#?}");
    assert_eq!((removed.victim.name.as_str(), &removed.replacement), ("api-2.2", &None));

    let why = never.error.as_deref().expect("it never fired");
    assert!(why.starts_with("buffer_size >= 1000000 never held until the load ended at 9.000s: at most "), "{why}");
    assert_eq!(class(&lab.report(), "lost"), 0);
    lab::assert_nothing_is_left(lab.folder());
}

/// Without a pause point the plan creates the exposure all the same. (SQLite's writer lock may be frozen with it: what
/// comes of the load is not asked here.)
#[tokio::test]
async fn frozen_at_any_moment_a_victim_holds_something() {
    let lab = Lab::new();
    let yaml = format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {} }}
load: {{ rps: 100, duration: 7s, mix: {{ write-once: 100% }} }}
timeline:
  - pause: {{ at: 1s, of: worker-1, window: 1s, window_acks: 20 }}
",
        lab::QUICK_TARGET
    );
    let mut plan = inside::plan(&lab, &yaml);
    let hold = &mut plan.timeline[0].stops[0].hold;
    assert_eq!(hold.take(), Some(PausePoint::WorkerLeased));
    inside::run(&lab, plan, &Unwatched).await;

    let incidents = incidents(&inside::folder(&lab));
    assert_all_proven(&incidents);
    let stop = stop(&incidents, "1:pause/worker-1");
    assert!(matches!(stop.exposure, Exposure::Leases { tasks: 1.. }) && stop.held.is_none(), "{stop:#?}");
    checkpoint(stop);
}

// What the time line does not do.

/// Plays a time line on a target whose controls say yes and do nothing. There is no database either: what rests on it
/// is a gap.
async fn played_in_vain(timeline: &str, stop: &Stop) -> Incidents {
    let lab = Lab::new();
    let yaml = format!(
        "target: {{ strategy: in-memory, instances: 1, {} }}\nload: {{ rps: 100, duration: 9s }}\ntimeline:\n{timeline}",
        lab::QUICK_TARGET
    );
    let plan = inside::plan(&lab, &yaml);
    let target = Powerless::new(&plan, &lab.folder().join("none.db"));
    timeline::play(&plan, &target, &RunClock::starting_in(Duration::ZERO), &Unwatched, stop).await
}

#[tokio::test]
async fn a_pause_that_nobody_felt_and_a_start_that_starts_nobody_are_not_proven() {
    let window = "window: 1s, window_acks: 20";
    let steps = format!(
        "  - pause: {{ at: 0s, of: api, {window} }}\n  - pause: {{ at: 0s, of: api, then: kill, {window} }}\n  \
         - scale: {{ at: 0s, to: 2 }}\n"
    );
    let incidents = played_in_vain(&steps, &Stop::new()).await;
    let [paused, killed, scaled] = incidents.steps.as_slice() else { panic!("{:#?}", incidents.steps) };
    let held = |stop: &StopRecord| stop.proof.iter().map(|proof| proof.holds).collect::<Vec<_>>();
    let [paused] = paused.stops.as_slice() else { panic!("{paused:#?}") };
    assert_eq!(held(paused), [false, false, true, true], "this process went on, indeed: {paused:#?}");
    let [killed] = killed.stops.as_slice() else { panic!("{killed:#?}") };
    assert_eq!(held(killed)[..4], [false, false, false, false], "{killed:#?}");
    let [started] = scaled.starts.as_slice() else { panic!("{scaled:#?}") };
    assert!(!started.proven() && started.backlog.is_none(), "{started:#?}");
}

#[tokio::test]
async fn whoever_waits_for_a_condition_can_be_interrupted() {
    let stop = Stop::new();
    let steps = "  - pause: { when: buffer_size >= 1, of: api, window: 1s, window_acks: 20 }\n";
    let (incidents, ()) = tokio::join!(played_in_vain(steps, &stop), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.signalled(Signal::SIGINT as i32);
    });
    let [step] = incidents.steps.as_slice() else { panic!("{:#?}", incidents.steps) };
    assert_eq!(step.error.as_deref(), Some("the run was interrupted before buffer_size >= 1 held"));
    assert!(step.stops.is_empty() && incidents.interrupted);
}

// What becomes of mxctl while somebody is frozen.

/// A run of which the first worker is frozen at this moment, for longer than any test waits.
fn frozen(lab: &Lab) -> Child {
    let yaml = format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {} }}
load: {{ rps: 100, duration: 5m, mix: {{ write-once: 100% }} }}
timeline:
  - pause: {{ at: 1s, of: worker-1, for: 2m, window: 1s, window_acks: 20 }}
",
        lab::QUICK_TARGET
    );
    let file = lab.scenario("frozen", &yaml);
    let mut mxctl = lab.mxctl(&["chaos", "--scenario", &file]);
    let child = mxctl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
    lab.await_file("ledger/shard-0.led");
    let worker = inside::process(lab, "worker-1.1");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !worker.is_frozen() {
        assert!(Instant::now() < deadline, "not frozen within 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("it was started here"))
}

#[test]
fn sigterm_thaws_whoever_is_frozen_and_reports() {
    let lab = Lab::new();
    let child = frozen(&lab);
    lab::signal(&child, Signal::SIGTERM);
    ended(child).exits_with(143);
    lab::assert_nothing_is_left(lab.folder());

    let incidents = incidents(&lab.newest());
    let stop = stop(&incidents, "1:pause/worker-1");
    assert_eq!(stop.error.as_deref(), Some("keep worker-1.1 frozen: the run was interrupted"));
    assert!(stop.checkpoint.is_none() && stop.resumed.is_some() && stop.healed.is_some(), "{stop:#?}");
    assert_eq!(lab.report()["verdict"], "INCONCLUSIVE");
    assert_eq!(class(&lab.report(), "lost"), 0);
}

#[test]
fn a_second_signal_leaves_nobody_frozen_either() {
    let lab = Lab::new();
    let child = frozen(&lab);
    lab::signal(&child, Signal::SIGINT);
    lab::signal(&child, Signal::SIGTERM);
    let ended = ended(child);
    assert!(matches!(ended.code, 130 | 143), "the code of whichever is heard first: {ended:#?}");
    assert!(ended.stderr.contains("stopping at once"), "{}", ended.stderr);
    lab::assert_nothing_is_left(lab.folder());
    let incidents = incidents(&lab.newest());
    let stop = stop(&incidents, "1:pause/worker-1");
    // Whether the run had seen it frozen by then is a race between it and this test.
    assert!(stop.error.is_some() && !stop.proven(), "what was not done is on record: {stop:#?}");
    assert_eq!(lab.report()["verdict"], "INCONCLUSIVE", "{}", ended.stdout);
}

#[test]
fn a_killed_run_leaves_nobody_frozen_and_heals() {
    let lab = Lab::new();
    let child = frozen(&lab);
    lab::signal(&child, Signal::SIGKILL);
    ended(child).exits_with(-1);
    lab::assert_nothing_is_left(lab.folder());
    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(healed.contains("healed") && !healed.contains("NOT"), "{healed}");
    lab.run(&["report", "judge", "latest"]).exits_with(3);
}
