//! From one connection to 10,000 and from one request a second to 100,000: the rate is kept, or the run is INCONCLUSIVE and
//! names the reason and the remedy. Never silence, and never a PASS of a load that was not asked.

mod lab;

use lab::bench_server::BenchServer;
use lab::{Ended, Lab, finding};
use serde_json::Value;

fn load(lab: &Lab, url: &str, rps: &str, connections: &str, more: &[&str]) -> Ended {
    let all = ["loadtest", "--url", url, "--rps", rps, "--connections", connections, "--timeout", "1s", "--quiet"];
    lab.run(&[&all, more].concat())
}

/// Every operation has one outcome; a PASS asked what was to be asked; whatever else it is has a reason that says what
/// to do.
#[track_caller]
fn assert_kept_or_told(lab: &Lab, ended: &Ended, due: u64) {
    let report = lab.report();
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    assert_eq!(report["judgement"]["conservation"]["due"], due, "{ended:#?}");
    assert_eq!(finding(&report, "conservation")["verdict"], "PASS", "{ended:#?}");
    let punctual = &report["judgement"]["punctuality"];
    let share = punctual["on_time"].as_f64().expect("a count") / due as f64;
    match ended.code {
        0 => assert!(share >= 0.99, "{punctual:#}"),
        _ => assert_names_a_remedy(&report, ended),
    }
}

#[track_caller]
fn assert_names_a_remedy(report: &Value, ended: &Ended) {
    let findings = report["judgement"]["findings"].as_array().expect("findings");
    let open: Vec<String> =
        findings.iter().filter(|f| f["verdict"] == "INCONCLUSIVE").map(|f| f["details"].to_string()).collect();
    let remedies = ["more `--threads`", "`--connections ", "the target stalled meanwhile", "a lower rate"];
    assert!(remedies.iter().any(|remedy| open.concat().contains(remedy)), "{ended:#?}");
    assert!(ended.stdout.contains("INCONCLUSIVE"), "{ended:#?}");
}

#[test]
fn every_rate_on_any_number_of_connections_is_kept_or_the_report_says_why_not() {
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &[]);
    for connections in ["1", "50", "10000"] {
        for (rps, duration, due) in [("1", "1s", 1), ("1000", "500ms", 500), ("100000", "200ms", 20_000)] {
            let ended = load(&lab, &server.url, rps, connections, &["--duration", duration]);
            assert_kept_or_told(&lab, &ended, due);
        }
    }
}

#[test]
fn ten_thousand_connections_that_are_all_busy_are_opened_or_the_report_says_why_not() {
    let lab = Lab::new();
    // Answers take so long that every operation needs a connection of its own.
    let server = BenchServer::start(&lab, &["--delay", "1500ms"]);
    let more = ["--duration", "1s", "--timeout", "5s", "--threads", "2", "--no-ledger"];
    let url = server.url.as_str();
    let all = ["loadtest", "--url", url, "--rps", "10000", "--connections", "10000", "--quiet"];
    let ended = lab.run(&[&all[..], &more].concat());
    assert_kept_or_told(&lab, &ended, 10_000);
    let opened = lab.report()["connections"]["opened"].as_u64().expect("a count");
    assert!(opened >= 5_000, "{opened} were opened: {ended:#?}");
}

#[test]
fn too_few_descriptors_are_named_with_the_remedy() {
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &["--delay", "1s"]);
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -n 64 && exec \"$0\" \"$@\"";
    command.args(["-c", script, lab::MXCTL, "loadtest", "--url", &server.url, "--rps", "500", "--connections", "500"]);
    command.args(["--duration", "1s", "--reports"]).arg(lab.reports()).env("NO_COLOR", "1");
    let ended = Ended::of(command.output().expect("a shell")).exits_with(3);
    assert!(ended.stderr.contains("ulimit -n") && ended.stderr.contains("--connections"), "{}", ended.stderr);
}

/// The thread that sends looks at its schedule in time even where it has no time for its connections: that must not look
/// like a slow target.
#[test]
fn a_thread_that_has_no_time_left_accuses_no_target() {
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &[]);
    let more = ["--duration", "4s", "--no-ledger", "--fail-if", "p99 > 1ms"];
    let ended = load(&lab, &server.url, "400000", "50", &more).exits_with(3);
    let report = lab.report();
    assert!(finding(&report, "generator")["details"].to_string().contains("no processor time left"), "{ended:#?}");
    assert!(finding(&report, "generator")["details"].to_string().contains("more `--threads`"), "{ended:#?}");
    let saturated = report["judgement"]["punctuality"]["saturated"].as_f64().expect("a share");
    assert!(saturated > 0.5, "{saturated}");
}
