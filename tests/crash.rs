//! Runs that are cut short, by a signal or by a disk: what is left of them is honest, nothing of them goes on, and
//! what comes after them is told.

mod lab;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Ended, Lab, finding};
use nix::sys::signal::Signal;

/// A load that no test waits out.
const LONG: &str = "rps: 100, duration: 5m, mix: { write-once: 80%, hot-key: 20% }, hot_keys: 2";

fn in_memory(load: &str) -> String {
    format!("target: {{ strategy: in-memory, instances: 1, {} }}\nload: {{ {load} }}\n", lab::QUICK_TARGET)
}

fn on_redis() -> String {
    format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {} }}
load: {{ {LONG} }}
timeline:
  - rolling-update: {{ at: 1s, of: [worker], mode: graceful, window: 1s, window_acks: 20 }}
",
        lab::QUICK_TARGET
    )
}

/// Starts a run and waits until it is loaded: the first rows are in its database.
async fn under_load(lab: &Lab, scenario: &str) -> Child {
    let file = lab.scenario("under-load", scenario);
    let mut command = lab.mxctl(&["loadtest", "--scenario", &file]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
    while !lab.has_file("ledger/shard-0.led") {
        if child.try_wait().expect("a child of this test").is_some() {
            panic!("it ended before its load began: {:#?}", ended(child));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let database = lab.await_file("target/expectation.db");
    let deadline = Instant::now() + Duration::from_secs(20);
    while lab::count(&database, "select count(*) from equipment_expectation_summary").await == 0 {
        assert!(Instant::now() < deadline, "no row within 20 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("it was started here"))
}

/// Waits for an entry of this kind in the run's journal.
fn await_entry(lab: &Lab, kind: &str) {
    let journal = lab.await_file("journal.jsonl");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&journal).expect("a journal").contains(&format!("{{\"{kind}\"")) {
        assert!(Instant::now() < deadline, "nothing {kind} within 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A short run comes to its end: nothing is in its way. On a machine that is busy it need not pass.
#[track_caller]
fn a_new_run_ends(lab: &Lab, reports: &Path) {
    let file = lab.scenario("next", &in_memory("rps: 50, duration: 1s"));
    let reports = reports.to_str().expect("a plain path");
    let ended = lab.run(&["loadtest", "--scenario", &file, "--reports", reports, "--output", "json"]);
    assert!(matches!(ended.code, 0 | 3) && ended.stdout.contains("\"verdict\""), "{ended:#?}");
}

/// The report is whole, and says INCONCLUSIVE.
#[track_caller]
fn assert_sealed_as_interrupted(lab: &Lab) {
    let report = lab.report();
    assert_eq!(report["verdict"], "INCONCLUSIVE", "{report:#}");
    assert_eq!(finding(&report, "interrupted")["verdict"], "INCONCLUSIVE");
    lab::assert_nothing_is_left(lab.folder());
    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(healed.contains("nothing to heal"), "{healed}");
}

#[tokio::test]
async fn a_killed_run_is_judged_as_torn_and_blocks_the_next_one_until_it_is_healed() {
    let lab = Lab::new();
    let child = under_load(&lab, &on_redis()).await;
    await_entry(&lab, "holding");
    lab::signal(&child, Signal::SIGKILL);
    assert_eq!(ended(child).code, -1, "by a signal");
    lab::assert_nothing_is_left(lab.folder());
    assert!(!lab.newest().join("run.json").exists(), "a report is whole or absent");

    let judged = lab.run(&["report", "judge", "latest"]).exits_with(3).stdout;
    assert!(judged.contains("INCONCLUSIVE") && judged.contains("the ledger is torn"), "{judged}");

    let file = lab.scenario("refused", &in_memory("rps: 50, duration: 1s"));
    let refused = lab.run(&["loadtest", "--scenario", &file]).exits_with(4).stderr;
    assert!(refused.contains("mxctl heal"), "{refused}");
    a_new_run_ends(&lab, &lab.folder().join("other-reports"));

    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(healed.contains("healed") && !healed.contains("NOT"), "{healed}");
    let again = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(again.contains("nothing to heal"), "{again}");
    a_new_run_ends(&lab, &lab.reports());
}

#[tokio::test]
async fn ctrl_c_in_the_middle_of_a_stop_heals_and_reports() {
    let lab = Lab::new();
    let child = under_load(&lab, &on_redis()).await;
    await_entry(&lab, "holding");
    lab::signal(&child, Signal::SIGINT);
    let ended = ended(child).exits_with(130);
    assert!(ended.stdout.contains("INCONCLUSIVE") && ended.stdout.contains("interrupted"), "{}", ended.stdout);
    assert_sealed_as_interrupted(&lab);
    lab.run(&["report", "judge", "latest"]).exits_with(3);
}

#[tokio::test]
async fn sigterm_heals_and_reports() {
    let lab = Lab::new();
    let child = under_load(&lab, &in_memory(LONG)).await;
    lab::signal(&child, Signal::SIGTERM);
    ended(child).exits_with(143);
    assert_sealed_as_interrupted(&lab);
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_quiet() {
    let lab = Lab::new();
    // Quiet could be seen after 33 s at the earliest.
    let patient = in_memory(LONG).replace("lease: 1s", "lease: 30s") + "settle: { deadline: 60s }\n";
    let child = under_load(&lab, &patient).await;
    lab::signal(&child, Signal::SIGINT);
    // It is written before settling begins.
    lab.await_file("incidents.json");
    lab::signal(&child, Signal::SIGINT);
    let at = Instant::now();
    ended(child).exits_with(130);
    assert!(at.elapsed() < Duration::from_secs(10), "it took {:?}", at.elapsed());
    assert_sealed_as_interrupted(&lab);
    assert_eq!(finding(&lab.report(), "settled")["verdict"], "INCONCLUSIVE");
}

#[test]
fn a_ledger_that_cannot_grow_is_no_verdict_and_is_named() {
    let lab = Lab::new();
    let file = lab.scenario("no-room", &in_memory("rps: 50, duration: 2s"));
    let mxctl = lab.mxctl(&["loadtest", "--scenario", &file]);
    // Files of at most 1 MiB (2048 blocks): all but the ledger's preallocated windows are smaller.
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
    let ended = Ended::of(in_shell(script, &mxctl).output().expect("a shell")).exits_with(3);
    assert!(ended.stdout.contains("allocate space for the ledger file"), "{}", ended.stdout);
    assert_eq!(lab.report()["verdict"], "INCONCLUSIVE");
    lab::assert_nothing_is_left(lab.folder());
}

/// Runs `$@` in `$REPORTS`, and takes all room from it as soon as its ledger has some: also what is freed later, as
/// by sealing the ledger. `$KEPT` then has what is left.
const FULL_DISK: &str = r#"
if [ "$TMPFS" = yes ]; then
    mount -t tmpfs -o size=16m tmpfs "$REPORTS" || exit 99
    fill() { while kill -0 "$1"; do cat /dev/zero >> "$REPORTS/filler"; sleep 0.05; done; }
else
    trap '' XFSZ
    fill() { prlimit --pid "$1" --fsize=1; }
fi
"$@" &
run=$!
until [ "$(cat "$REPORTS"/*/ledger/shard-0.led 2>/dev/null | wc -c)" -gt 1000000 ]; do
    kill -0 $run || break
    sleep 0.05
done
fill $run 2>/dev/null &
wait $run
ended=$?
wait
rm -f "$REPORTS/filler"
cp -r "$REPORTS/." "$KEPT"
exit $ended
"#;

#[test]
fn a_disk_that_fills_up_in_mid_run_leaves_no_report_that_looks_whole() {
    let lab = Lab::new();
    let load = in_memory("rps: 50, duration: 2s").replace("lease: 1s", "grace: 1s, lease: 1s");
    let load = load + "settle: { deadline: 4s, hard_cap: 4s }\n";
    let file = lab.scenario("full-disk", &load);
    let kept = lab.folder().join("kept");
    for folder in [&kept, &lab.reports()] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let mut command = in_shell(FULL_DISK, &lab.mxctl(&["loadtest", "--scenario", &file]));
    if may_mount() {
        // A file system that goes with the namespace that it was mounted in.
        command = wrapped(&["unshare", "--user", "--map-root-user", "--mount"], &command);
        command.env("TMPFS", "yes");
    }
    command.env("REPORTS", lab.reports()).env("KEPT", &kept);
    let ended = Ended::of(command.output().expect("a shell")).exits_with(3);
    assert!(ended.stderr.contains("failed to write") && ended.stderr.contains("make room there"), "{ended:#?}");
    assert_eq!(ended.stdout, "", "no report");
    lab::assert_nothing_is_left(lab.folder());

    let run = std::fs::read_dir(&kept).expect("a folder").next().expect("a run").expect("a run").path();
    assert!(run.join("plan.json").exists() && !run.join("run.json").exists());
    lab.run(&["report", "judge", run.to_str().expect("a plain path")]).exits_with(3);
}

/// Whether this user may mount in a namespace of his own.
fn may_mount() -> bool {
    let script = "mount -t tmpfs tmpfs /mnt";
    let tried = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// A shell script whose arguments are a command, in that command's environment.
fn in_shell(script: &str, command: &Command) -> Command {
    wrapped(&["sh", "-c", script, "sh"], command)
}

fn wrapped(words: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
