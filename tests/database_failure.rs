//! `chaos database-failure`: every way in which a database can fail takes effect, is undone, and loses nothing that was
//! acknowledged, while the buffer goes on taking writes; one that does nothing proves nothing; and what a killed run did
//! to a database is taken back by `heal`.

mod lab;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mxctl::checks::{self, Class, DisturbanceJudgement, Verdict};
use mxctl::clock::RunClock;
use mxctl::disturbance::{Disturbance, Sheet, Subject};
use mxctl::journal::{Entry, Found};
use mxctl::plan::Plan;
use mxctl::rejudge::{self, Recovered};
use mxctl::report::RunReport;
use mxctl::stop::Stop;
use mxctl::timeline;
use mxctl::watch::Unwatched;
use nix::unistd::geteuid;

use lab::powerless::{Powerless, PowerlessDatabase};
use lab::{Lab, class, inside};

const FROM_START_TO_FAILURE: Duration = Duration::from_secs(60);

/// A lease that MariaDB, which counts in seconds, can keep its locks below.
const QUICK: &str = "lease: 2s, redrive_scan: 200ms, flush_interval: 50ms";

/// What can be done to it here: a file system is root's to mount.
fn failures_of(database: &str) -> Vec<&'static Sheet> {
    let here = |sheet: &&Sheet| geteuid().is_root() || !sheet.in_a_room;
    let of_it = |sheet: &&Sheet| sheet.subject == Subject::Database && sheet.databases.contains(&database);
    Disturbance::all().filter(of_it).filter(here).collect()
}

/// Every failure of it for a short time, one after the other.
fn every_failure(database: &str, lasts: &str) -> String {
    let step = |sheet: &&Sheet| {
        let lasts = sheet.lasts.map_or_else(String::new, |_| format!("for: {lasts}, "));
        format!("  - {}: {{ at: 1s, {lasts}window: 1s, window_acks: 20 }}\n", sheet.word)
    };
    let steps: String = failures_of(database).iter().map(step).collect();
    let seconds = 4 + 5 * failures_of(database).len();
    format!(
        "target: {{ strategy: redis, instances: 2, workers: 2, database: {database}, {QUICK} }}
load: {{ rps: 100, duration: {seconds}s, mix: {{ write-once: 80%, hot-key: 20% }}, hot_keys: 2, connections: 100 }}
timeline:
{steps}"
    )
}

fn of(report: &RunReport, disturbance: Disturbance) -> &DisturbanceJudgement {
    let found = report.judgement.disturbances.iter().find(|one| one.disturbance == disturbance);
    found.unwrap_or_else(|| panic!("{} was not judged", disturbance.word()))
}

/// Whether a process of the machine had time for this one is not what is tested here: lateness apart, all is proven.
async fn takes_effect_is_undone_and_loses_nothing(database: &str) {
    let lab = Lab::new();
    let ran = inside::run(&lab, inside::plan(&lab, &every_failure(database, "1500ms")), &Unwatched).await;
    let report = ran.report;
    assert_ne!(report.verdict, Verdict::Fail, "{:#?}", report.judgement.findings);
    for sheet in failures_of(database) {
        let one = of(&report, sheet.disturbance);
        let holds = one.proof.len() >= 4 && one.proof.iter().all(|(_, holds)| *holds);
        assert!(holds && one.lasted.is_some(), "{}: {one:#?}", sheet.word);
        assert!(one.exposure > Some(0) && one.broken == Some(0), "{}: {one:#?}", sheet.word);
        let without_acks = one.reasons.iter().any(|why| why.contains("no write was acknowledged"));
        assert!(!without_acks, "{}: the buffer takes writes meanwhile: {one:#?}", sheet.word);
        assert_eq!(one.cost.refused + one.cost.unknown, 0, "{}: writes go on: {one:#?}", sheet.word);
    }
    let count = |class| report.judgement.classes.iter().find(|count| count.class == class).unwrap().count;
    assert_eq!([Class::Lost, Class::Stranded, Class::Stale, Class::Phantom, Class::Dead].map(count), [0; 5]);
    let journal = Found::read(&ran.folder).unwrap().unwrap();
    assert_eq!(journal.changed(), [], "every change was changed back");
    assert!(journal.mounted().is_empty() && journal.fillers().is_empty(), "{journal:#?}");
}

#[tokio::test]
async fn every_failure_of_sqlite_takes_effect_is_undone_and_loses_nothing() {
    takes_effect_is_undone_and_loses_nothing("sqlite").await;
}

#[tokio::test]
async fn every_failure_of_postgres_takes_effect_is_undone_and_loses_nothing() {
    takes_effect_is_undone_and_loses_nothing("postgres").await;
}

#[tokio::test]
async fn every_failure_of_mariadb_takes_effect_is_undone_and_loses_nothing() {
    takes_effect_is_undone_and_loses_nothing("mariadb").await;
}

/// A short run without a failure, whose database stays well whatever is done to it; and the plan of every failure of a
/// database of this kind, played on that.
async fn played_in_vain(database: &str) -> Vec<DisturbanceJudgement> {
    let lab = Lab::new();
    let planned = inside::plan(&lab, &every_failure(database, "200ms"));
    let mut calm = Plan { timeline: Vec::new(), claims: Vec::new(), ..planned.clone() };
    calm.target.database_setup = Default::default();
    calm.target.database = mxctl::plan::Database::Sqlite;
    calm.load.shape = mxctl::plan::Shape::constant(100.0, Duration::from_secs(1));
    let folder = inside::run(&lab, calm.clone(), &Unwatched).await.folder;
    let mut played = planned.clone();
    for step in &mut played.timeline {
        step.disturbance.as_mut().unwrap().hold_within = Duration::ZERO;
    }
    played.load.shape = mxctl::plan::Shape::constant(100.0, Duration::from_secs(600));
    let file = folder.join("target/expectation.db");
    let target = Powerless::new(&played, &file).with_database(PowerlessDatabase::over(&file));
    let clock = RunClock::starting_in(Duration::ZERO);
    let Recovered { mut evidence, .. } = rejudge::recover(&folder).expect("a whole run");
    evidence.incidents.steps = timeline::play(&played, &target, &clock, &Unwatched, &Stop::new()).await.steps;
    let plan = Plan { timeline: played.timeline, claims: planned.claims, ..calm };
    let judgement = checks::judge(&plan, &evidence);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{:#?}", judgement.findings);
    judgement.disturbances
}

#[tokio::test]
async fn a_failure_that_does_nothing_proves_nothing() {
    for database in ["sqlite", "postgres"] {
        let judged = played_in_vain(database).await;
        for sheet in failures_of(database) {
            let one = judged.iter().find(|one| one.disturbance == sheet.disturbance).unwrap();
            assert_eq!(one.verdict, Verdict::Inconclusive, "{one:#?}");
            assert!(one.at.is_some(), "{} was played: {one:#?}", sheet.word);
            let says = |reason: &str| one.reasons.iter().any(|why| why.starts_with(&format!("not proven: {reason}")));
            assert!(says(mechanism_of(sheet.disturbance)), "{}: {:#?}", sheet.word, one.reasons);
            assert!(sheet.lasts.is_none() || says("own writes: "), "{}: {:#?}", sheet.word, one.reasons);
        }
    }
}

fn mechanism_of(disturbance: Disturbance) -> &'static str {
    match disturbance {
        Disturbance::DatabasePause => "every process of it stands still",
        Disturbance::DatabaseRestart => "the server ended in order",
        Disturbance::DatabaseKill => "the server was ended by SIGKILL",
        Disturbance::DatabaseDisconnect => "nobody who was connected is",
        Disturbance::DatabaseSlow => "the proxy delays answers",
        Disturbance::DatabaseLocked => "nobody else can begin a transaction",
        Disturbance::DatabaseFull => "nothing is free where the database is",
        of_redis => panic!("{} strikes no database", of_redis.word()),
    }
}

#[test]
fn a_failure_that_a_database_cannot_have_is_refused_in_its_place_and_one_for_others_is_left_out() {
    let lab = Lab::new();
    let file = lab.scenario("paused", &one_failure("database-pause", "sqlite"));
    let told = lab.run(&["chaos", &file, "--dry-run"]).exits_with(2).stderr;
    assert!(told.contains("`database-pause` cannot be done to SQLite"), "{told}");
    assert!(told.contains("`--database postgres`") && told.contains("left out elsewhere"), "{told}");
    let told = lab.run(&["chaos", &file, "--dry-run", "--database", "mariadb"]).exits_with(0).stdout;
    assert!(told.contains("SIGSTOP of every process"), "{told}");
    let told = lab.run(&["chaos", "database-failure", "--dry-run"]).exits_with(0).stdout;
    assert!(told.contains("3:database-kill is left out") && told.contains("takes root"), "{told}");
    let told = lab.run(&["chaos", &file, "--database", "postgres", "--keep"]).exits_with(2).stderr;
    assert!(told.contains("its database is its keeper's"), "{told}");
}

fn one_failure(word: &str, database: &str) -> String {
    format!(
        "target: {{ strategy: redis, instances: 1, workers: 1, database: {database}, {QUICK} }}
load: {{ rps: 50, duration: 60s, mix: {{ write-once: 100% }} }}
timeline:
  - {word}: {{ at: 1s, for: 30s, window: 1s, window_acks: 20 }}
"
    )
}

/// Whether the journal of a run tells of something.
fn tells(folder: &Path, wanted: impl Fn(&Entry) -> bool) -> bool {
    Found::read(folder).unwrap().is_some_and(|found| found.entries.iter().any(wanted))
}

/// Starts a run with this one failure, and kills mxctl as soon as it shows in the run's folder that it is being done.
/// What `heal` then says.
fn killed_in(lab: &Lab, word: &str, database: &str, begun: impl Fn(&Path) -> bool) -> String {
    let file = lab.scenario("killed", &one_failure(word, database));
    let mut run = lab.mxctl(&["chaos", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let folder = lab.await_file("journal.jsonl").parent().unwrap().to_owned();
    let deadline = Instant::now() + FROM_START_TO_FAILURE;
    while !begun(&folder) {
        assert!(Instant::now() < deadline, "{word} does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let told = lab.run(&["chaos", &file]).exits_with(4).stderr;
    assert!(told.contains("unhealed run"), "{told}");
    let told = lab.run(&["heal"]).exits_with(0).stdout;
    lab::assert_nothing_is_left(lab.folder());
    assert!(Found::read(&folder).unwrap().unwrap().at_rest());
    told
}

/// PostgreSQL's processes hear nothing of the end of mxctl while they stand still.
#[test]
fn a_database_that_a_killed_run_left_frozen_ends_with_heal() {
    for database in ["postgres", "mariadb"] {
        let lab = Lab::new();
        let freezing = |entry: &Entry| matches!(entry, Entry::Freezing { .. });
        killed_in(&lab, "database-pause", database, |run| tells(run, freezing));
    }
}

#[test]
fn the_full_disk_of_a_killed_run_is_taken_away_by_heal() {
    if !geteuid().is_root() {
        let lab = Lab::new();
        let file = lab.scenario("full", &one_failure("database-full", "sqlite"));
        let told = lab.run(&["chaos", &file]).exits_with(4).stderr;
        assert!(told.contains("run mxctl as root"), "{told}");
        return;
    }
    for (database, rescued) in
        [("sqlite", "expectation.db"), ("postgres", "postgres/data/PG_VERSION"), ("mariadb", "mariadb/data/ibdata1")]
    {
        let lab = Lab::new();
        let told = killed_in(&lab, "database-full", database, |run| run.join("target/room/filler").exists());
        assert!(told.contains("removed the filler") && told.contains("unmounted"), "{told}");
        lab::assert_no_file_system_is_left(lab.folder());
        let rescued = lab.newest().join("target").join(rescued);
        assert!(rescued.exists(), "the data of the killed run is beside where it was: {}", rescued.display());
    }
}

/// One that locks a file ends with mxctl, and so does its lock.
#[tokio::test]
async fn the_lock_of_a_killed_run_ends_with_it() {
    let lab = Lab::new();
    let locking = |entry: &Entry| matches!(entry, Entry::Changing { .. });
    let told = killed_in(&lab, "database-locked", "sqlite", |run| tells(run, locking));
    assert!(told.contains("`the write lock held` ended with mxctl"), "{told}");
    let file = lab.newest().join("target/expectation.db");
    let mut connection = lab::database(&file).await;
    sqlx::raw_sql("begin immediate; rollback").execute(&mut connection).await.expect("nobody holds its lock");
}

/// The whole of the shipped scenario's SQLite part, shortened: what it says of itself.
#[test]
fn a_report_tells_failure_by_failure_what_was_done_and_that_nothing_was_lost() {
    let lab = Lab::new();
    let yaml = one_failure("database-locked", "sqlite").replace("for: 30s", "for: 1s").replace("60s", "6s");
    let ended = lab.run_punctually(&["chaos", &lab.scenario("locked", &yaml)]).exits_with(0);
    let line =
        "1:database-locked: its write lock held by another, then let go; seen: nobody else can begin a transaction";
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(line), "{}", ended.stdout);
    assert_eq!(class(&lab.report(), "lost"), 0);
}
