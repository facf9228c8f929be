//! What every whole-run test needs: a reports folder of its own, the executable, and a look at what is left.

#![expect(dead_code, reason = "each test binary uses its own part of the laboratory")]

pub mod bench_server;
pub mod inside;
pub mod load;
pub mod powerless;
pub mod scribe;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Process, all_processes};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// The executable under test.
pub const MXCTL: &str = env!("CARGO_BIN_EXE_mxctl");

/// Short times, so that a settled target is quiet after 3.5 s instead of 8.
pub const QUICK_TARGET: &str = "lease: 1s, redrive_scan: 200ms, flush_interval: 50ms";

/// A reports folder that goes with the test.
pub struct Lab {
    folder: TempDir,
}

impl Lab {
    pub fn new() -> Lab {
        // Where mxctl is root, a database server runs as another user, who must be able to come here.
        let everybody = Permissions::from_mode(0o755);
        Lab { folder: tempfile::Builder::new().permissions(everybody).tempdir().expect("a temporary folder") }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn reports(&self) -> PathBuf {
        self.folder.path().join("reports")
    }

    /// Writes a scenario file and gives its path.
    pub fn scenario(&self, name: &str, yaml: &str) -> String {
        let path = self.folder.path().join(format!("{name}.yml"));
        std::fs::write(&path, yaml).expect("a scenario file");
        path.to_str().expect("a plain path").to_owned()
    }

    /// The command, without the variables of whoever runs the tests.
    pub fn mxctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(MXCTL);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MXCTL_")) {
            command.env_remove(name);
        }
        command.env("MXCTL_REPORTS", self.reports()).env("NO_COLOR", "1").args(arguments).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.mxctl(arguments).output().expect("mxctl starts"))
    }

    /// Runs until the machine let mxctl ask what the plan asks for: a generator that was kept from its work proves
    /// nothing either way, and is no fault of what is tested here. Any other outcome is the outcome.
    pub fn run_punctually(&self, arguments: &[&str]) -> Ended {
        let mut ended = self.run(arguments);
        for _ in 0..5 {
            if ended.code != 3 {
                break;
            }
            // Over the whole run, or around a stop; or somebody else used the machine.
            let spoiled = ["sent in time", "void, as other processes", "try again on a calm one", "woke late (own lag"];
            let late = finding(&self.report(), "generator")["verdict"] != "PASS"
                || spoiled.iter().any(|why| ended.stdout.contains(why));
            if !late {
                break;
            }
            ended = self.run(arguments);
        }
        ended
    }

    /// The newest run's folder.
    pub fn newest(&self) -> PathBuf {
        let mut runs: Vec<_> =
            std::fs::read_dir(self.reports()).expect("a reports folder").map(|e| e.unwrap().path()).collect();
        // Labs that stay lie there, too.
        runs.retain(|path| path.join("lock").exists());
        runs.sort();
        runs.pop().expect("a run")
    }

    /// The newest run's `run.json`.
    pub fn report(&self) -> Value {
        let text = std::fs::read(self.newest().join("run.json")).expect("a sealed report");
        serde_json::from_slice(&text).expect("run.json is JSON")
    }

    /// Whether some run's folder holds a file.
    pub fn has_file(&self, name: &str) -> bool {
        let runs = std::fs::read_dir(self.reports()).into_iter().flatten().flatten();
        runs.into_iter().any(|run| run.path().join(name).exists())
    }

    /// Waits for the folder of a run that is under way to hold a file.
    pub fn await_file(&self, name: &str) -> PathBuf {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let runs = std::fs::read_dir(self.reports()).into_iter().flatten().flatten();
            if let Some(found) = runs.map(|run| run.path().join(name)).find(|path| path.exists()) {
                return found;
            }
            assert!(Instant::now() < deadline, "{name} did not appear within 30 s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: Output) -> Ended {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Fails with everything that was printed unless the exit code is this one.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// How many operations a report counts in a class.
pub fn class(report: &Value, name: &str) -> u64 {
    let classes = report["judgement"]["classes"].as_array().expect("classes");
    let found = classes.iter().find(|c| c["class"] == name).unwrap_or_else(|| panic!("no class {name}"));
    found["count"].as_u64().expect("a count")
}

/// The finding of one check.
pub fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["judgement"]["findings"].as_array().expect("findings");
    findings.iter().find(|f| f["check"] == check).unwrap_or_else(|| panic!("no finding of {check}: {findings:#?}"))
}

/// A connection of the test's own to a run's database.
pub async fn database(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.expect("the run's database")
}

/// A figure counted by hand.
pub async fn count(path: &Path, query: &str) -> i64 {
    let mut connection = database(path).await;
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.expect("a figure")
}

/// Processes that a run with this folder started: its name is on their command line, or they work in it (Redis
/// rewrites its command line).
pub fn processes_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in all_processes().expect("/proc").flatten() {
        let Ok(command) = process.cmdline().map(|words| words.join(" ")) else { continue };
        let works_in_it = process.cwd().is_ok_and(|cwd| cwd.starts_with(folder));
        if works_in_it || command.contains(folder.to_str().expect("a plain path")) {
            found.push(command);
        }
    }
    found
}

/// Waits until nothing that a run started is left.
#[track_caller]
pub fn assert_nothing_is_left(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !processes_of(folder).is_empty() {
        assert!(Instant::now() < deadline, "left running: {:#?}", processes_of(folder));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// None that a run mounted.
#[track_caller]
pub fn assert_no_file_system_is_left(folder: &Path) {
    let mounts = Process::myself().and_then(|own| own.mountinfo()).expect("every Linux tells its mounts");
    let left: Vec<_> = mounts.into_iter().filter(|mount| mount.mount_point.starts_with(folder)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

pub fn signal(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("the child is alive");
}
