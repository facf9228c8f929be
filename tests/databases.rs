//! Runs whose database is a server, on a real PostgreSQL and a real MariaDB: private ones, whose rows are judged as
//! SQLite's are, and existing ones, which take consent and keep their password to themselves.

mod lab;

use std::path::Path;

use async_trait::async_trait;
use lab::{Ended, Lab, class, finding, inside};
use mxctl::checks::{Class, Verdict};
use mxctl::readback::{FinalState, Source};
use mxctl::watch::{Phase, Watch};
use serde_json::Value;
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

const SERVERS: [&str; 2] = ["postgres", "mariadb"];

/// As [`lab::QUICK_TARGET`], with a lease that MariaDB, which counts in seconds, can keep its locks below.
const QUICK: &str = "lease: 2s, redrive_scan: 200ms, flush_interval: 50ms";

/// Runs SQL as somebody who is neither the service nor the oracle: how many rows it touched.
async fn sql(url: &str, sql: &str) -> u64 {
    let statement = AssertSqlSafe(sql.to_owned());
    if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.expect("a PostgreSQL that answers");
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("SQL").rows_affected()
    } else {
        let mut connection = MySqlConnection::connect(url).await.expect("a MariaDB that answers");
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("SQL").rows_affected()
    }
}

/// The URL that the service was given: it stands in the configuration of any instance.
fn url_of_the_run(run: &Path) -> String {
    let files = std::fs::read_dir(run.join("target")).expect("the target's folder").flatten();
    let configuration = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "yml"));
    let text = std::fs::read_to_string(configuration.expect("a configuration")).expect("a text");
    let url = text
        .lines()
        .map(str::trim)
        .find_map(|line| line.strip_prefix("url: ").filter(|url| url.contains("expectation")));
    url.expect("a URL").trim_matches('"').to_owned()
}

#[test]
fn a_rolling_update_loses_nothing_there_either() {
    for server in SERVERS {
        let lab = Lab::new();
        let window = "window: 2s, window_acks: 50";
        let yaml = format!(
            "target: {{ strategy: redis, instances: 2, workers: 2, database: {server}, {QUICK} }}
load: {{ rps: 100, duration: 16s, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }} }}
timeline:
  - rolling-update: {{ at: 2s, of: [api, worker], mode: graceful, {window} }}
  - rolling-update: {{ at: 8s, of: [api, worker], mode: hard, {window} }}
gates: {{ F2: pass }}
"
        );
        let ended = lab.run_punctually(&["chaos", "--scenario", &lab.scenario(server, &yaml)]).exits_with(0);
        assert!(ended.stdout.contains("over the data that it left"), "how to count by hand: {}", ended.stdout);
        let report = lab.report();
        assert_eq!(finding(&report, "F2")["verdict"], "PASS", "{server}");
        assert!(class(&report, "applied") > 1000 && class(&report, "superseded") > 100, "{server}: {report:#}");
        assert!(report["judgement"]["order"]["duplicates"].is_u64(), "the witness was read: {:#}", report["judgement"]);
        lab::assert_nothing_is_left(lab.folder());
        lab.run(&["report", "judge", "latest"]).exits_with(0);
    }
}

/// F1: what is frozen holds up nobody, at whatever moment it was struck; and what a frozen memory holds is missing.
#[test]
fn whoever_is_frozen_at_any_moment_holds_up_nobody_unless_the_buffer_is_his_own() {
    for server in SERVERS {
        let lab = Lab::new();
        let window = "window: 2s, window_acks: 50";
        let yaml = format!(
            "target: {{ strategy: redis, instances: 1, workers: 2, database: {server}, {QUICK} }}
load: {{ rps: 100, duration: 16s, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }}, connections: 150 }}
timeline:
  - scale: {{ at: 1s, when: buffer_size >= 3, to: 2 }}
  - pause: {{ at: 3s, of: worker-1, hold: none, {window} }}
  - pause: {{ at: 4s, of: [api-2], {window} }}
gates: {{ F1: pass }}
"
        );
        lab.run_punctually(&["chaos", "--scenario", &lab.scenario("v5", &yaml)]).exits_with(0);
        assert_eq!(finding(&lab.report(), "F1")["verdict"], "PASS", "{server}");

        let yaml = format!(
            "target: {{ strategy: in-memory, instances: 1, database: {server}, {QUICK} }}
load: {{ rps: 200, duration: 9s, mix: {{ write-once: 100% }} }}
timeline:
  - scale: {{ at: 1s, to: 2 }}
  - pause: {{ at: 2s, of: api-1, {window} }}
gates: {{ F1: pass }}
"
        );
        lab.run(&["chaos", "--scenario", &lab.scenario("v4", &yaml)]).exits_with(1);
        let report = lab.report();
        assert!(class(&report, "stranded") > 0 && class(&report, "lost") == 0, "{server}: {:#}", report["judgement"]);
        let said = finding(&report, "F1")["summary"].as_str().expect("a summary");
        assert!(said.contains("operations of all-1.1 were not in the database"), "{server}: {said}");
        lab::assert_nothing_is_left(lab.folder());
    }
}

/// Runs SQL on the run's database between settling and read-back.
struct Intruder<'l> {
    lab: &'l Lab,
    sql: &'static str,
}

#[async_trait]
impl Watch for Intruder<'_> {
    async fn phase(&self, phase: Phase) {
        if phase == Phase::ReadBack {
            let url = url_of_the_run(&inside::folder(self.lab));
            assert!(sql(&url, self.sql).await > 0, "the intruder changed nothing");
        }
    }
}

/// The newest ten keys. MariaDB does not read a table that it changes, unless by a detour.
macro_rules! last_ten {
    () => {
        "game_character_id > (select * from (select max(game_character_id) - 10 from equipment_expectation_summary) as newest)"
    };
}

#[tokio::test]
async fn what_is_done_behind_its_back_is_named_for_what_it_is() {
    let done: [(&str, Class, u64); 3] = [
        (concat!("delete from equipment_expectation_summary where ", last_ten!()), Class::Lost, 10),
        (
            concat!(
                "update equipment_expectation_summary set red_cube_cost = red_cube_cost + 0.01 where ",
                last_ten!()
            ),
            Class::Corrupt,
            10,
        ),
        (
            "insert into equipment_expectation_summary (game_character_id, preset_no, total_expected_cost, \
             black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost, calculated_at, version, write_seq, \
             written_by) select max(game_character_id) + 1, 1, 1, 2, 3, 4, 99999999999999.99, max(calculated_at), 1, 1, \
             'nobody \"\\\\ at all' from equipment_expectation_summary",
            Class::Unexpected,
            1,
        ),
    ];
    for server in SERVERS {
        for (sql, wanted, operations) in done {
            let lab = Lab::new();
            let yaml = format!(
                "target: {{ strategy: in-memory, instances: 1, database: {server}, witness: true, {QUICK} }}
load: {{ rps: 100, duration: 2s, mix: {{ write-once: 100% }} }}
"
            );
            let ran = inside::run(&lab, inside::plan(&lab, &yaml), &Intruder { lab: &lab, sql }).await;
            let judgement = ran.report.judgement;
            assert_eq!(judgement.verdict, Verdict::Fail, "{server}: {:#?}", judgement.findings);
            let counted = judgement.classes.iter().find(|c| c.class == wanted).expect("every class").count;
            assert_eq!(counted, operations, "{server}: {:#?}", judgement.classes);
        }
    }
}

/// A server that is up and that no run started: that of a lab which stays.
struct Existing {
    lab: Lab,
    /// With a user whose password is [`SECRET`].
    url: String,
    /// With one who may do everything.
    admin: String,
}

const SECRET: &str = "hunter2-S3cr3t_Pass";

impl Drop for Existing {
    fn drop(&mut self) {
        let _ = self.lab.mxctl(&["testbed", "down", "--all", "--force"]).output();
    }
}

impl Existing {
    async fn start(server: &str) -> Existing {
        // Whatever fails from here on, its lab goes down.
        let mut existing = Existing { lab: Lab::new(), url: String::new(), admin: String::new() };
        let lab = &existing.lab;
        lab.run(&["testbed", "up", "--database", server, "--lease", "2s"]).exits_with(0);
        let told = lab.run(&["testbed", "status", "--output", "json"]).exits_with(0).stdout;
        let status: Value = serde_json::from_str(&told).expect("JSON");
        let own = status[0]["seen"]["sources"]["database"]["Server"]["url"].as_str().expect("a URL").to_owned();
        let (admin, user) = match server {
            "postgres" => (own.clone(), "mxctl"),
            _ => {
                let socket = lab.reports().join("labs/default/target/mariadb/data/socket");
                (format!("mysql://root@localhost/mysql?socket={}", socket.display()), "app")
            }
        };
        sql(&admin, "create database shop").await;
        if server == "mariadb" {
            sql(&admin, &format!("create user app@127.0.0.1 identified by '{SECRET}'")).await;
            sql(&admin, "grant all on shop.* to app@127.0.0.1").await;
        }
        existing.url = own.replace("mxctl@", &format!("{user}:{SECRET}@")).replace("/expectation", "/shop");
        existing.admin = admin;
        existing
    }

    fn run(&self, more: &[&str]) -> Ended {
        let quick = ["loadtest", "--rps=50", "--duration=2s", "--lease=2s", "--redrive-scan=200ms", "--quiet"];
        self.lab.run(&[&quick, more].concat())
    }
}

#[tokio::test]
async fn an_existing_database_takes_consent_an_empty_range_and_a_place_to_write() {
    for server in SERVERS {
        let existing = Existing::start(server).await;
        let database = format!("--database={}", existing.url);
        let refused = existing.run(&[&database]).exits_with(2).stderr;
        assert!(refused.contains("exists already") && refused.contains("`--allow database`"), "{refused}");

        let consent = [database.as_str(), "--allow=database", "--run-number=77", "--witness"];
        let ended = existing.run(&[&consent[..], &["--keep=second"]].concat());
        assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
        let report = existing.lab.report();
        assert!(class(&report, "applied") > 80 && class(&report, "lost") == 0, "{report:#}");
        let attached = existing.run(&["--attach=second", "--run-number=78"]);
        assert!(matches!(attached.code, 0 | 3), "the keeper told the password to its visitor: {attached:#?}");
        existing.lab.run(&["testbed", "down", "second"]).exits_with(0);

        let again = existing.run(&consent).exits_with(4).stderr;
        assert!(again.contains("rows of run number 77 already"), "{again}");
        sql(&existing.url, "delete from equipment_expectation_summary").await;
        let seen = existing.run(&consent).exits_with(4).stderr;
        assert!(seen.contains("or sightings of them"), "the witness outlives the rows: {seen}");
        sql(&existing.url, "delete from expectation_write_witness").await;
        let claimed = existing.run(&consent).exits_with(4).stderr;
        assert!(claimed.contains("another run has claimed it"), "{claimed}");

        sql(&existing.url, "alter table equipment_expectation_summary rename to elsewhere").await;
        sql(&existing.url, "create view equipment_expectation_summary as select * from elsewhere").await;
        let masked = existing.run(&[&database, "--allow=database", "--run-number=80"]).exits_with(4).stderr;
        assert!(masked.contains("is no table"), "{masked}");
        sql(&existing.url, "drop view equipment_expectation_summary").await;
        sql(&existing.url, "alter table elsewhere rename to equipment_expectation_summary").await;

        let read_only = match server {
            "postgres" => "alter database shop set default_transaction_read_only = on",
            _ => "set global read_only = 1",
        };
        sql(&existing.admin, read_only).await;
        let closed = existing.run(&[&database, "--allow=database", "--run-number=79"]).exits_with(4);
        assert!(closed.stderr.contains("read-only") || closed.stderr.contains("read_only"), "{closed:#?}");
        assert_nobody_tells(&existing.lab, &[&refused, &again, &ended.stdout, &ended.stderr, &closed.stderr]);
    }
}

/// The password is in no file of any run, and was printed nowhere.
#[track_caller]
fn assert_nobody_tells(lab: &Lab, printed: &[&str]) {
    assert!(printed.iter().all(|text| !text.contains(SECRET)), "{printed:#?}");
    let mut folders = vec![lab.reports()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            // The data of the server whose user it is has it, as it must.
            if path.is_dir() && !path.ends_with("postgres") && !path.ends_with("mariadb") {
                folders.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).expect("a file");
                let told = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                assert!(!told, "{} tells the password", path.display());
            }
        }
    }
}

#[test]
fn a_url_that_is_far_away_or_wrong_is_refused_at_check() {
    let lab = Lab::new();
    for (yaml, message) in [
        ("database: 'postgres://u:hunter2@db.example.org/d'", "is on another machine"),
        ("database: 'postgres://u:hunter2@127.0.0.1'", "names no database"),
        ("database: 'oracle://u:hunter2@127.0.0.1/d'", "has the scheme `oracle`"),
        ("database: 'postgres://u@127.0.0.1/d?host=/tmp'", "has the parameter `host`"),
        ("database: mariadb, lease: 1s, flush_interval: 50ms", "a lease of 1s is too short"),
        ("database: 'postgres://u:hunter2@127.0.0.1/d', backend: in-process", "takes no existing database"),
    ] {
        let file = lab.scenario("wrong", &format!("target: {{ {yaml} }}\nallow: [database]\n"));
        let told = lab.run(&["scenario", "check", &file]).exits_with(2).stderr;
        assert!(told.contains(message) && !told.contains("hunter2"), "{told}");
    }
    let yaml = "target: { database: 'postgres://u@db.example.org/d' }\nallow: [database, host: db.example.org]\n";
    lab.run(&["scenario", "check", &lab.scenario("right", yaml)]).exits_with(0);
}

#[test]
fn a_database_that_is_not_there_is_a_laboratory_error() {
    let lab = Lab::new();
    let url = "--database=postgres://u:hunter2@127.0.0.1:1/d";
    let ended = lab.run(&["loadtest", url, "--allow=database", "--duration=1s", "--quiet"]).exits_with(4);
    assert!(ended.stderr.contains("refused") && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
    lab::assert_nothing_is_left(lab.folder());
}

/// Reading back is in packs of 4,096 lines.
#[tokio::test]
async fn rows_of_many_packs_come_whole() {
    for server in SERVERS {
        let lab = Lab::new();
        let yaml = format!(
            "target: {{ backend: in-process, strategy: in-memory, instances: 1, database: {server}, witness: true, {QUICK} }}
load: {{ rps: 600, duration: 4s, mix: {{ write-once: 90%, hot-key: 10% }} }}
"
        );
        inside::run(&lab, inside::plan(&lab, &yaml), &mxctl::watch::Unwatched).await;
        let archive = mxctl::archive::Archive::open(&inside::folder(&lab)).unwrap();
        let state = FinalState::load(&archive).unwrap().whole().expect("a final state");
        let (Source::Read(set), Source::Read(log)) = (&state.rows, &state.witness) else { panic!("{state:#?}") };
        assert!(set.marker_seen && set.counted > 4096 && set.rows.len() == set.counted, "{server}");
        assert!(log.sightings.len() >= set.counted, "{server}");
    }
}
