//! How long judging a run takes, and how much memory: `cargo bench --bench judge [-- OPERATIONS]`, five million by
//! default.
//!
//! In: a synthetic run ([`synthetic`]), whole, and once more with 1,000 of its writes lost. Out, for each: what
//! `mxctl report judge` found, its seconds and its peak memory as a process of its own, and the same of its peer, which
//! only reads the same files once. What is found must be what was put there: a bench that judges wrongly measures
//! nothing.

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;
use synthetic::Written;

const OPERATIONS: u64 = 5_000_000;
const LOST: u64 = 1_000;
/// Without cargo's `--bench`, as in `cargo test --all-targets`: enough to see that it works.
const TRIED: u64 = 50_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let benched = arguments.iter().any(|argument| argument == "--bench");
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let operations = asked.unwrap_or(if benched { OPERATIONS } else { TRIED });
    let reports = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    for lost in [0, LOST.min(operations / 1000)] {
        let began = Instant::now();
        let written = synthetic::write(reports.path(), operations, lost);
        println!("{operations} operations, {lost} lost; written in {:.1?}", began.elapsed());
        measure(&written, lost);
        std::fs::remove_dir_all(&written.run).expect("a folder of this bench");
    }
}

fn measure(written: &Written, lost: u64) {
    let (run, operations) = (&written.run, written.due);
    let (bytes, read) = read_once(run);
    println!("  its files, read once: {:.1} MiB in {:.2} s", mib(bytes), read.as_secs_f64());
    let (took, report) = judged(run);
    check(&report, written, lost);
    // Of every child so far: the largest.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts").max_rss() as u64 * 1024;
    println!(
        "  report judge: {}, {lost} lost found; {:.2} s, {:.0} operations/s, {:.1} × reading; peak {:.0} MiB, {:.0} bytes \
         an operation",
        report["verdict"].as_str().expect("a verdict"),
        took.as_secs_f64(),
        operations as f64 / took.as_secs_f64(),
        took.as_secs_f64() / read.as_secs_f64(),
        mib(peak),
        peak as f64 / operations as f64,
    );
}

/// The peer: every file of the archive from its first byte to its last.
fn read_once(run: &Path) -> (u64, Duration) {
    let began = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    for path in files(run) {
        let mut file = File::open(path).expect("a file of the run");
        loop {
            match file.read(&mut buffer).expect("a file of the run") {
                0 => break,
                n => bytes += n as u64,
            }
        }
    }
    (bytes, began.elapsed())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of the run").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn judged(run: &Path) -> (Duration, Value) {
    let began = Instant::now();
    let mut judge = Command::new(env!("CARGO_BIN_EXE_mxctl"));
    let judge = judge.args(["report", "judge", "--output", "json"]).arg(run).stdin(Stdio::null()).output();
    let took = began.elapsed();
    let output = judge.expect("mxctl runs");
    (took, serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}")))
}

#[track_caller]
fn check(report: &Value, written: &Written, lost: u64) {
    let classes = report["judgement"]["classes"].as_array().expect("classes");
    let found = classes.iter().find(|class| class["class"] == "lost").expect("a class of lost ones");
    let expected = if lost == 0 { "PASS" } else { "FAIL" };
    let counts = &report["judgement"]["conservation"];
    let (acked, unknown, due) = (&counts["acked"], &counts["unknown"], &counts["due"]);
    assert_eq!((acked, unknown, due), (&written.acked.into(), &written.unknown.into(), &written.due.into()));
    assert_eq!((&report["verdict"], &found["count"]), (&expected.into(), &lost.into()), "{:#}", report["judgement"]);
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
