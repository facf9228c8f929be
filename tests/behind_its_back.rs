//! What happens to the database between settling and read-back must be named for what it is.
//!
//! Each test holds a real run there, as the pass itself offers it (a watch is awaited at the beginning of each
//! stage), changes the SQLite file by hand, and reads the verdict.

mod lab;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use mxctl::archive::Environment;
use mxctl::checks::{Class, Judgement, Verdict};
use mxctl::plan::{Given, Plan};
use mxctl::run::{self, Place};
use mxctl::scenario::{Overrides, Scenario, Source};
use mxctl::stop::Stop;
use mxctl::watch::{Phase, Watch};
use sqlx::AssertSqlSafe;

use lab::{Lab, database};

const SCENARIO: &str = "
name: behind-its-back
target: { strategy: in-memory, instances: 1, database: sqlite, lease: 1s, redrive_scan: 200ms, flush_interval: 50ms, witness: true }
load: { rps: 100, duration: 2s, mix: { write-once: 80%, hot-key: 20% }, hot_keys: 2 }
";

/// Runs SQL on the run's database between settling and read-back.
struct Intruder {
    reports: PathBuf,
    sql: &'static str,
}

#[async_trait]
impl Watch for Intruder {
    async fn phase(&self, phase: Phase) {
        if phase != Phase::ReadBack {
            return;
        }
        let run = std::fs::read_dir(&self.reports).unwrap().next().unwrap().unwrap().path();
        let mut connection = database(&run.join("target/expectation.db")).await;
        let done = sqlx::raw_sql(AssertSqlSafe(self.sql)).execute(&mut connection).await.expect("the intruder's SQL");
        assert!(done.rows_affected() > 0 || self.sql.contains("drop"), "the intruder changed nothing");
    }
}

fn plan(lab: &Lab) -> Plan {
    let source = Source::load(&lab.scenario("behind-its-back", SCENARIO)).expect("a readable file");
    let given = Given { run_number: 7, seed: 1 };
    Plan::resolve(Scenario::read(&source), Overrides::default(), given).expect("a sound scenario")
}

async fn judged_after(sql: &'static str) -> Judgement {
    let lab = Lab::new();
    let environment = Environment::gather(Timestamp::now(), std::iter::empty());
    let place = Place { executable: lab::MXCTL.into(), reports: lab.reports(), environment };
    let intruder = Intruder { reports: lab.reports(), sql };
    let ran = run::run(plan(&lab), &place, &intruder, &Stop::new()).await.expect("the run ends");
    assert_nothing_left(lab.folder());
    ran.report.judgement
}

fn assert_nothing_left(folder: &Path) {
    lab::assert_nothing_is_left(folder);
}

fn count(judgement: &Judgement, class: Class) -> u64 {
    judgement.classes.iter().find(|c| c.class == class).expect("every class is counted").count
}

#[track_caller]
fn assert_fails_as(judgement: &Judgement, class: Class, operations: u64) {
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.findings);
    assert_eq!(count(judgement, class), operations, "{:#?}", judgement.classes);
    assert!(judgement.exhibits.iter().any(|e| e.class == class), "{:#?}", judgement.exhibits);
}

/// The first ten write-once keys.
macro_rules! ten_keys {
    () => {
        "(select distinct game_character_id from equipment_expectation_summary \
          where game_character_id & 4294967295 >= 2 order by game_character_id limit 10)"
    };
}

#[tokio::test]
async fn nothing_done_is_a_pass() {
    let judgement =
        judged_after("select 1; create table a_table_of_its_own (x); insert into a_table_of_its_own values (1)").await;
    // A machine that was too busy to ask on time keeps a run from passing; it is not what this test is about.
    let others = judgement.findings.iter().filter(|finding| finding.check != "generator");
    assert!(
        others.clone().count() > 5 && others.clone().all(|f| f.verdict == Verdict::Pass),
        "{:#?}",
        judgement.findings
    );
}

#[tokio::test]
async fn deleted_rows_are_lost() {
    let sql = concat!("delete from equipment_expectation_summary where game_character_id in ", ten_keys!());
    assert_fails_as(&judged_after(sql).await, Class::Lost, 10);
}

#[tokio::test]
async fn preset_2_removed_is_lost_since_it_was_acknowledged_whole() {
    let sql =
        concat!("delete from equipment_expectation_summary where preset_no = 2 and game_character_id in ", ten_keys!());
    assert_fails_as(&judged_after(sql).await, Class::Lost, 10);
}

#[tokio::test]
async fn a_changed_cost_is_corrupt() {
    let sql = concat!(
        "update equipment_expectation_summary set red_cube_cost = red_cube_cost + 1 \
         where preset_no = 3 and game_character_id in ",
        ten_keys!()
    );
    assert_fails_as(&judged_after(sql).await, Class::Corrupt, 10);
}

#[tokio::test]
async fn swapped_columns_are_corrupt() {
    let sql = concat!(
        "update equipment_expectation_summary set red_cube_cost = black_cube_cost, black_cube_cost = red_cube_cost \
         where game_character_id in ",
        ten_keys!()
    );
    assert_fails_as(&judged_after(sql).await, Class::Corrupt, 10);
}

#[tokio::test]
async fn a_row_that_nobody_wrote_is_unexpected() {
    let sql = "insert into equipment_expectation_summary (game_character_id, preset_no, total_expected_cost, \
               black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost, calculated_at, version, \
               write_seq, written_by) \
               select max(game_character_id) + 1, 1, 1, 2, 3, 4, 5, max(calculated_at), 1, 1, 'nobody' \
               from equipment_expectation_summary";
    assert_fails_as(&judged_after(sql).await, Class::Unexpected, 1);
}

#[tokio::test]
async fn a_hot_key_set_back_is_stale() {
    let sql = "update equipment_expectation_summary set write_seq = write_seq - 1 \
               where game_character_id & 4294967295 = 0";
    let judgement = judged_after(sql).await;
    assert_eq!(judgement.verdict, Verdict::Fail, "{:#?}", judgement.findings);
    assert!(count(&judgement, Class::Stale) + count(&judgement, Class::Corrupt) > 0, "{:#?}", judgement.classes);
}

#[tokio::test]
async fn a_table_that_is_gone_is_no_verdict() {
    let judgement = judged_after("drop table equipment_expectation_summary").await;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{:#?}", judgement.findings);
}
