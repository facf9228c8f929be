//! Bad input and a laboratory that is not there: the documented exit code, a message with place and remedy, nothing
//! left running, and no report that looks whole.

mod lab;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use mxctl::archive::{Archive, Environment, Piece};
use mxctl::backends::UpError;
use mxctl::cli::exit::Exit;
use mxctl::plan::{Given, Plan};
use mxctl::run::{self, Place, Ran, RunError};
use mxctl::scenario::{Overrides, Scenario, Source};
use mxctl::stop::Stop;
use mxctl::watch::{Phase, Unwatched, Watch};

use lab::{Ended, Lab};

const QUICK: &str = "target: { strategy: in-memory, instances: 1 }\nload: { rps: 100, duration: 1s }\n";

/// Runs a command in the lab's folder, and gives what it says when it refuses: with stdout empty, nothing left
/// running, and no report.
#[track_caller]
fn refused(lab: &Lab, arguments: &[&str], code: i32) -> String {
    refused_as(lab, lab.mxctl(arguments), code)
}

#[track_caller]
fn refused_as(lab: &Lab, mut command: Command, code: i32) -> String {
    let ended = Ended::of(command.current_dir(lab.folder()).output().expect("it starts")).exits_with(code);
    assert_eq!(ended.stdout, "", "stdout carries results only");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    lab::assert_nothing_is_left(lab.folder());
    assert_no_report(lab.folder());
    ended.stderr
}

fn assert_no_report(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        assert_ne!(entry.file_name(), "run.json", "in {}", folder.display());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            assert_no_report(&entry.path());
        }
    }
}

/// What differs from run to run: folders, times, ports.
macro_rules! assert_message {
    ($lab:expr, $message:expr) => {
        let folder = $lab.folder().to_str().unwrap().replace('.', r"\.");
        let filters = [
            (folder.as_str(), "[lab]"),
            (r"\d{8}T\d{6}Z-([a-z-]+)-\d+", "[time]-$1-[number]"),
            (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
            (r"\d+ bytes are free", "[some] bytes are free"),
        ];
        insta::with_settings!({ filters => filters, omit_expression => true }, { insta::assert_snapshot!($message) });
    };
}

// Scenarios and flags.

#[test]
fn unknown_fields_and_wrong_units_are_shown_in_their_place() {
    let lab = Lab::new();
    lab.scenario("bad", "name: bad\ntarget: { instnaces: 2 }\nload: { rps: 100, duration: 10 }\n");
    assert_message!(lab, refused(&lab, &["loadtest", "--scenario", "bad.yml"], 2));
}

#[test]
fn contradictions_are_all_reported_at_once() {
    let lab = Lab::new();
    let yaml = "name: bad
target: { strategy: redis, workers: 0, lease: 100ms }
load: { duration: 20s, mix: { write-once: 80%, read: 30% } }
timeline:
  - kill: { at: 30s, of: worker }
gates: { F2: pass }
";
    lab.scenario("bad", yaml);
    assert_message!(lab, refused(&lab, &["chaos", "--scenario", "bad.yml"], 2));
}

#[test]
fn a_scenario_file_that_is_missing_is_named() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["chaos", "--scenario", "no/such.yml"], 2));
}

#[test]
fn an_unknown_scenario_is_answered_with_those_that_ship() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["chaos", "rolling-updates"], 2));
}

#[test]
fn flags_that_cannot_be_read_are_all_reported() {
    let lab = Lab::new();
    let flags = ["loadtest", "--rps", "many", "--duration", "5", "--strategy", "kafka", "--fail-if", "p99 < 3ms"];
    assert_message!(lab, refused(&lab, &flags, 2));
}

#[test]
fn workers_of_a_buffer_in_memory_are_refused() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["loadtest", "--workers", "2", "--strategy", "in-memory"], 2));
}

#[test]
fn chaos_that_strikes_nobody_is_refused() {
    let lab = Lab::new();
    let file = lab.scenario("calm", QUICK);
    let message = refused(&lab, &["chaos", "--scenario", &file], 2);
    assert!(message.contains("its time line strikes nobody") && message.contains("mxctl loadtest"), "{message}");
}

#[test]
fn a_flag_that_does_not_exist_is_answered_with_the_nearest() {
    let lab = Lab::new();
    let message = refused(&lab, &["loadtest", "--duraton=5s"], 2);
    assert!(message.contains("'--duraton'") && message.contains("'--duration'"), "{message}");
    let message = refused(&lab, &["loadtest", "--output", "xml"], 2);
    assert!(message.contains("[possible values: human, json]"), "{message}");
}

// The laboratory.

#[test]
fn without_a_redis_server_the_remedy_is_named() {
    let lab = Lab::new();
    let mut command = lab.mxctl(&["loadtest", "--strategy", "redis", "--quiet"]);
    command.env("PATH", lab.folder());
    assert_message!(lab, refused_as(&lab, command, 4));
}

#[tokio::test]
async fn a_key_range_that_is_not_empty_is_refused_and_the_target_goes_down_again() {
    let lab = Lab::new();
    let earlier = EarlierRow { reports: lab.reports() };
    let error = run(&lab, lab::MXCTL.into(), &earlier, &Stop::new()).await.unwrap_err();
    assert!(matches!(error, RunError::NotEmpty { rows: 1, run_number: 7, .. }), "{error}");
    assert_eq!(Exit::of_run_error(&error), Exit::Laboratory);
    assert_message!(lab, error.to_string());
    lab::assert_nothing_is_left(lab.folder());
    assert_no_report(lab.folder());
    assert_eq!(lab.run(&["heal"]).exits_with(0).stdout.matches("nothing to heal").count(), 1);
}

/// Leaves a row of this run's number in the database, before the service opens it.
struct EarlierRow {
    reports: PathBuf,
}

#[async_trait]
impl Watch for EarlierRow {
    async fn phase(&self, phase: Phase) {
        if phase != Phase::Up {
            return;
        }
        let folder = Archive::runs(&self.reports).unwrap().pop().expect("the run's folder");
        let file = folder.join("target/expectation.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
        // The table as the service makes it.
        let table = "CREATE TABLE equipment_expectation_summary (
                id INTEGER PRIMARY KEY, game_character_id INTEGER NOT NULL,
                preset_no INTEGER NOT NULL CHECK (preset_no BETWEEN 1 AND 3),
                total_expected_cost INTEGER NOT NULL, black_cube_cost INTEGER NOT NULL, red_cube_cost INTEGER NOT NULL,
                additional_cube_cost INTEGER NOT NULL, starforce_cost INTEGER NOT NULL, calculated_at TEXT NOT NULL,
                version INTEGER NOT NULL, write_seq INTEGER NOT NULL, written_by TEXT NOT NULL,
                UNIQUE (game_character_id, preset_no));
             INSERT INTO equipment_expectation_summary VALUES
                (1, 7 * 4294967296 + 12, 1, 10, 1, 2, 3, 4, '2026-11-24 00:00:00.000', 1, 1, 'earlier')";
        sqlx::raw_sql(table).execute(&mut database).await.unwrap();
        sqlx::Connection::close(database).await.unwrap();
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_service_that_has_not_come_up() {
    let lab = Lab::new();
    let silent = lab.folder().join("silent");
    std::fs::write(&silent, "#!/bin/sh\nexec tail -f /dev/null \"$3\"\n").unwrap();
    std::fs::set_permissions(&silent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stop = Stop::new();
    let interrupt = async {
        while lab::processes_of(lab.folder()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.signalled(2);
    };
    let ran = async { tokio::join!(run(&lab, silent.clone(), &Unwatched, &stop), interrupt).0 };
    let ran = tokio::time::timeout(Duration::from_secs(20), ran).await.expect("the run ends");
    assert!(matches!(ran, Err(RunError::Up(UpError::Interrupted))), "{ran:?}");
    lab::assert_nothing_is_left(lab.folder());
    assert_no_report(lab.folder());
}

async fn run(lab: &Lab, executable: PathBuf, watch: &dyn Watch, stop: &Stop) -> Result<Ran, RunError> {
    let source = Source::load(&lab.scenario("quick", QUICK)).expect("a readable file");
    let given = Given { run_number: 7, seed: 1 };
    let plan = Plan::resolve(Scenario::read(&source), Overrides::default(), given).expect("a sound scenario");
    let environment = Environment::gather(Timestamp::now(), std::iter::empty());
    let place = Place { executable, reports: lab.reports(), environment };
    run::run(plan, &place, watch, stop).await
}

// The service by hand.

fn configuration(lab: &Lab, yaml: &str) {
    std::fs::write(lab.folder().join("application.yml"), yaml).unwrap();
}

#[test]
fn a_port_in_use_is_named() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    configuration(&lab, &format!("server: {{ port: {} }}\n", taken.local_addr().unwrap().port()));
    assert_message!(lab, refused(&lab, &["serve"], 4));
}

#[test]
fn a_bench_server_whose_port_is_in_use_says_so() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_message!(lab, refused(&lab, &["bench", "server", "--port", &port], 4));
}

#[test]
fn a_log_of_arrivals_that_cannot_be_written_is_found_out_at_once() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["bench", "server", "--log", "no/such/folder/arrivals.csv"], 2));
}

#[test]
fn a_window_that_cannot_be_read_is_answered_with_one_that_can() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["bench", "server", "--stall", "14s"], 2));
}

#[test]
fn an_unknown_strategy_is_answered_with_the_known_ones() {
    let lab = Lab::new();
    configuration(&lab, "buffer: { strategy: redsi }\n");
    assert_message!(lab, refused(&lab, &["serve"], 2));
}

#[test]
fn a_configuration_that_is_missing_is_named() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["serve", "--config", "no-such.yml"], 2));
}

#[test]
fn a_redis_that_may_lose_tasks_is_refused() {
    let lab = Lab::new();
    let redis = UnsafeRedis::start();
    configuration(&lab, &format!("buffer: {{ strategy: redis, redis: {{ url: 'redis://{}' }} }}\n", redis.addr));
    assert_message!(lab, refused(&lab, &["serve"], 4));
}

#[test]
fn a_redis_that_is_not_there_is_named() {
    let lab = Lab::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    configuration(&lab, &format!("buffer: {{ strategy: redis, redis: {{ url: 'redis://{closed}' }} }}\n"));
    let message = refused(&lab, &["serve"], 4);
    assert!(message.contains("reach Redis at 127.0.0.1") && message.contains("buffer.redis.url"), "{message}");
}

/// A redis-server of the test's own, without an append-only file.
struct UnsafeRedis {
    child: Child,
    addr: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl UnsafeRedis {
    fn start() -> UnsafeRedis {
        let folder = tempfile::tempdir().unwrap();
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &addr.port().to_string(), "--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: testbed/provision redis");
        let redis = UnsafeRedis { child, addr, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        redis
    }
}

impl Drop for UnsafeRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// The reports folder.

const QUICKLY: [&str; 5] = ["loadtest", "--duration", "1s", "--quiet", "--reports"];

#[test]
fn reports_below_a_file_are_refused() {
    let lab = Lab::new();
    std::fs::write(lab.folder().join("file"), "").unwrap();
    assert_message!(lab, refused(&lab, &[&QUICKLY[..], &["file/reports"]].concat(), 2));
}

#[test]
fn reports_where_nobody_may_write_are_refused() {
    let lab = Lab::new();
    // Nobody, not even root, makes a folder there.
    assert_message!(lab, refused(&lab, &[&QUICKLY[..], &["/proc/reports"]].concat(), 2));
}

#[test]
fn a_read_only_reports_folder_is_refused() {
    let lab = Lab::new();
    std::fs::create_dir(lab.reports()).unwrap();
    let _disk = SmallDisk::mount(&lab.reports(), "ro");
    if _disk.is_none() {
        std::fs::set_permissions(lab.reports(), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    }
    let message = refused(&lab, &[&QUICKLY[..], &["reports"]].concat(), 2);
    assert!(message.contains("make the run's folder reports/"), "{message}");
    assert!(message.ends_with("make it writable, or name another folder\n"), "{message}");
}

#[test]
fn a_full_disk_is_refused_before_anything_is_started() {
    for size in ["64k", "1m"] {
        let lab = Lab::new();
        std::fs::create_dir(lab.reports()).unwrap();
        let disk = SmallDisk::mount(&lab.reports(), &format!("size={size}"));
        let message = match &disk {
            Some(_) => refused(&lab, &[&QUICKLY[..], &["reports"]].concat(), 2),
            // Who may not mount a disk can still limit the size of files.
            None => refused_as(&lab, with_small_files(&lab), 2),
        };
        assert!(message.contains("make the run's folder reports/"), "{message}");
        assert!(message.ends_with("make room there, or name another folder\n"), "{message}");
        assert_eq!(std::fs::read_dir(lab.reports()).unwrap().count(), 0, "the folder of a refused run");
    }
}

/// The same command under a limit on the size of files. A signal that the shell ignores stays ignored: what writes
/// too much gets an error, as from a full disk, instead of SIGXFSZ.
fn with_small_files(lab: &Lab) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh", lab::MXCTL]).args(QUICKLY).arg("reports");
    command.env("NO_COLOR", "1").current_dir(lab.folder());
    command
}

/// A tmpfs of the test's own; gone with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: this user may not mount.
    fn mount(at: &Path, options: &str) -> Option<SmallDisk> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

// Runs that cannot be judged, exported or healed.

/// The folder of a run that has ended, with this in its plan.
fn ended_run(lab: &Lab, plan: &str) -> String {
    let archive = Archive::create(&lab.reports(), "broken", 7, Timestamp::UNIX_EPOCH).unwrap();
    std::fs::write(archive.place(Piece::Plan), plan).unwrap();
    archive.root().to_str().unwrap().to_owned()
}

fn judge_and_export(lab: &Lab, run: &str) -> String {
    let judged = refused(lab, &["report", "judge", run], 2);
    let exported = refused(lab, &["report", "export", run, "--ledger", "csv"], 2);
    assert_eq!(judged, exported);
    judged
}

#[test]
fn what_is_no_run_is_neither_judged_nor_exported() {
    let lab = Lab::new();
    std::fs::create_dir(lab.folder().join("empty")).unwrap();
    let messages = ["empty", "no-such-run", "latest"].map(|run| judge_and_export(&lab, run));
    assert_message!(lab, messages.concat());
}

#[test]
fn a_run_without_a_readable_plan_is_neither_judged_nor_exported() {
    let lab = Lab::new();
    let run = ended_run(&lab, "{ \"name\": ");
    let corrupt = judge_and_export(&lab, &run);
    std::fs::remove_file(Path::new(&run).join("plan.json")).unwrap();
    assert_message!(lab, corrupt + &judge_and_export(&lab, &run));
}

#[test]
fn a_living_run_is_neither_judged_nor_exported_nor_healed() {
    let lab = Lab::new();
    let archive = Archive::create(&lab.reports(), "living", 7, Timestamp::UNIX_EPOCH).unwrap();
    mxctl::journal::Journal::open(archive.root(), run::TARGET).unwrap();
    let run = archive.root().to_str().unwrap();
    assert_message!(lab, judge_and_export(&lab, run));
    let healed = lab.run(&["heal", run]).exits_with(0);
    assert!(healed.stdout.contains("it is running; left alone"), "{}", healed.stdout);
}

#[test]
fn what_is_no_run_is_not_healed() {
    let lab = Lab::new();
    assert_message!(lab, refused(&lab, &["heal", "no-such-run"], 2));
}
