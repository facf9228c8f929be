//! `kill -9` of mxctl at random moments of the scenarios that ship: nothing it started lives on, the next run on that
//! target is refused with the reason until `heal`, and a run on another lab beside it does not care.

mod lab;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::process::{Child, Stdio};
use std::time::Duration;

use lab::{Ended, Lab, class};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

/// What is killed, in turn. A failure of a database takes root, for the file system that is filled up.
const RUNS: [&[&str]; 8] = [
    &["chaos", "rolling-update"],
    &["loadtest", "--strategy", "in-memory"],
    &["chaos", "scale-out"],
    &["chaos", "rolling-update", "--strategy", "in-memory", "--database", "postgres"],
    &["chaos", "scale-curve", "--database", "mariadb"],
    &["chaos", "redis-failure"],
    &["chaos", "database-failure"],
    &["chaos", "database-failure", "--database", "postgres"],
];
const MOMENTS: u64 = 16;
/// Long enough to be at any stage of coming up, and in the first stop of a time line.
const LATEST: Duration = Duration::from_secs(14);

fn runs() -> Vec<&'static [&'static str]> {
    let here = |run: &&'static [&'static str]| geteuid().is_root() || !run.contains(&"database-failure");
    RUNS.into_iter().filter(here).collect()
}

fn started(lab: &Lab, arguments: &[&str]) -> Child {
    let mut command = lab.mxctl(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts")
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("it was started here"))
}

/// A moment that nobody chose. It is told, so that a failure can be looked into.
fn moment(turn: u64) -> Duration {
    let random = RandomState::new().hash_one(turn) % LATEST.as_millis() as u64;
    Duration::from_millis(random)
}

/// Kills a run of `arguments` after `moment`, and looks at what it left.
fn kill_and_heal(arguments: &[&str], moment: Duration) {
    let lab = Lab::new();
    let child = started(&lab, arguments);
    std::thread::sleep(moment);
    lab::signal(&child, Signal::SIGKILL);
    ended(child);
    lab::assert_nothing_is_left(lab.folder());

    let begun = lab.has_file("journal.jsonl");
    let quick = ["--lease", "1s", "--redrive-scan", "200ms", "--flush-interval", "50ms"];
    let next = [&["loadtest", "--rps", "20", "--duration", "1s", "--quiet"][..], &quick].concat();
    if begun {
        let refused = lab.run(&next).exits_with(4).stderr;
        assert!(refused.contains("was killed before it could clean up; `mxctl heal`"), "{refused}");
    }
    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(!healed.contains("NOT") && (!begun || healed.contains("healed")), "{healed}");
    lab::assert_no_file_system_is_left(lab.folder());
    let ended = lab.run(&next);
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    lab::assert_nothing_is_left(lab.folder());
}

#[test]
fn killed_at_any_moment_a_run_leaves_nothing_that_heal_does_not_revert() {
    let beside = Lab::new();
    let neighbour =
        started(&beside, &["loadtest", "--strategy", "redis", "--rps", "50", "--duration", "2m", "--quiet"]);
    let runs = runs();
    for turn in 0..MOMENTS {
        let (run, moment) = (runs[turn as usize % runs.len()], moment(turn));
        println!("{} killed after {moment:?}", run.join(" "));
        kill_and_heal(run, moment);
    }
    let ended = ended(neighbour);
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    let report = beside.report();
    assert_eq!((class(&report, "lost"), class(&report, "stranded")), (0, 0));
}
