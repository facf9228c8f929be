//! `mxctl loadtest --find-max`, in whole searches: the rate that it finds is the one that the server truly has, a limit of
//! the generator's own is told as that, and whatever ends it, the curve so far is there.

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lab::bench_server::BenchServer;
use lab::{Ended, Lab, finding};
use mxctl::archive::Environment;
use mxctl::checks::Verdict;
use mxctl::find_max::{self, Ask, Audience, Ending, Ground, Quest, Rules, Slo, Step};
use mxctl::plan::Plan;
use mxctl::run::Place;
use mxctl::scenario::Written;
use mxctl::stop::Stop;
use mxctl::watch::{Unwatched, Watch};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Serves one request after the other, each for so long, whoever asks: its capacity is known.
struct OneAtATime {
    addr: SocketAddr,
}

impl OneAtATime {
    fn start(each: Duration) -> OneAtATime {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let free_at = Arc::new(Mutex::new(Instant::now()));
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let free_at = free_at.clone();
                std::thread::spawn(move || serve(stream, each, &free_at));
            }
        });
        OneAtATime { addr }
    }
}

fn serve(mut stream: TcpStream, each: Duration, free_at: &Mutex<Instant>) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer) {
        // Its turn is reckoned, not slept: a thread that wakes late delays nobody behind it.
        let done = {
            let mut free_at = free_at.lock().expect("no thread panics with it");
            *free_at = (*free_at).max(Instant::now()) + each;
            *free_at
        };
        std::thread::sleep(done.saturating_duration_since(Instant::now()));
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// A search is disturbed by whatever else works: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn search(url: &str, more: &[&str]) -> Vec<String> {
    let arguments = ["loadtest", "--find-max", "--url", url, "--output", "json"];
    arguments.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

fn run(lab: &Lab, arguments: &[String]) -> (Ended, Value) {
    let ended = lab.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let curve = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    (ended, curve)
}

/// Until no step of it was spoiled by a machine that kept mxctl from its work.
fn run_punctually(lab: &Lab, arguments: &[String]) -> (Ended, Value) {
    let spoiled = |curve: &Value| curve["steps"].to_string().contains("own lag");
    let mut ran = run(lab, arguments);
    for _ in 0..3 {
        if !spoiled(&ran.1) {
            break;
        }
        ran = run(lab, arguments);
    }
    ran
}

fn steps(curve: &Value) -> &Vec<Value> {
    curve["steps"].as_array().expect("steps")
}

/// The stored curve is the one that was printed.
fn assert_stored(lab: &Lab, curve: &Value) {
    let text = std::fs::read(lab.reports().join(curve["file"].as_str().expect("a name"))).expect("a stored curve");
    assert_eq!(&serde_json::from_slice::<Value>(&text).expect("JSON"), curve);
}

#[test]
fn the_rate_that_it_finds_is_the_server_s_own() {
    let _alone = alone();
    let (lab, server) = (Lab::new(), OneAtATime::start(Duration::from_micros(2_100)));
    // 476 requests a second; four seconds above that by a twentieth are 200 ms of waiting.
    let url = format!("http://{}/", server.addr);
    let more = ["--slo", "p99=100ms,error=1%", "--rps", "250", "--duration", "4s", "--within", "10%"];
    let (ended, curve) = run_punctually(&lab, &search(&url, &more));
    assert_eq!(ended.code, 0, "{ended:#?}");
    let (good, broke) = (&curve["ending"]["found"]["good"], &curve["ending"]["found"]["broke"]);
    let (good, broke) = (good.as_u64().expect("a rate"), broke.as_u64().expect("a rate"));
    assert!((420..=490).contains(&good) && (470..=540).contains(&broke), "{curve:#}");
    assert!(curve["summary"].as_str().is_some_and(|told| told.contains("p99")), "{curve:#}");
    for step in steps(&curve) {
        let run = lab.reports().join(step["run"].as_str().expect("a folder"));
        assert!(run.join("run.json").is_file(), "each step is a run: {step:#}");
        assert!(step["cpu_target"].is_number() && step["cpu_generator"].is_number(), "{step:#}");
    }
    assert_stored(&lab, &curve);
}

#[test]
fn where_connections_are_the_limit_the_server_is_at_least_that_good() {
    let _alone = alone();
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &["--delay", "10ms"]);
    // Four connections, each busy for 10 ms and a little: at most 400 a second.
    let more = ["--slo", "p99=100ms", "--rps", "200", "--duration", "3s", "--connections", "4", "--within", "10%"];
    let (ended, curve) = run_punctually(&lab, &search(&server.url, &more));
    assert_eq!(ended.code, 3, "{ended:#?}");
    let (good, unknown) = (&curve["ending"]["at-least"]["good"], &curve["ending"]["at-least"]["unknown"]);
    let (good, unknown) = (good.as_u64().expect("a rate"), unknown.as_u64().expect("a rate"));
    assert!((320..=400).contains(&good) && (350..=460).contains(&unknown), "{curve:#}");
    let summary = curve["summary"].as_str().expect("a sentence");
    assert!(summary.contains("the generator is the limit") && summary.contains("`--connections`"), "{summary}");
}

#[test]
fn a_server_that_no_rate_suits_fails_and_the_table_says_why() {
    let _alone = alone();
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &["--delay", "30ms"]);
    let url = server.url.as_str();
    let command = ["loadtest", "--find-max", "--url", url, "--slo", "p50=10ms", "--rps", "40", "--duration", "1s"];
    let told = lab.run(&command).exits_with(1).stdout;
    for word in
        ["FAIL  no rate keeps p50=10ms; 5 requests/s was the lowest", "asked/s", "5  broken: p50 3", "–", "knee"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[test]
fn a_lab_of_its_own_is_judged_in_every_step() {
    let _alone = alone();
    let lab = Lab::new();
    let lab_flags = ["--backend", "in-process", "--lease", "1s", "--redrive-scan", "200ms", "--flush-interval", "50ms"];
    let search_flags = ["--slo", "p99=1s,error=1%", "--rps", "100", "--max-rps", "200", "--output", "json"];
    let arguments = [&["loadtest", "--find-max"], &lab_flags[..], &search_flags].concat();
    let ended = lab.run(&arguments);
    let curve: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    // Its ceiling is no limit of the service's; a busy machine may end it below.
    assert_eq!(ended.code, 3, "{ended:#?}");
    assert!(curve["summary"].as_str().is_some_and(|told| told.contains("200")), "{curve:#}");
    let numbers: Vec<&Value> = steps(&curve).iter().map(|step| &step["run"]).collect();
    assert!(numbers.len() >= 2 && numbers[0] != numbers[1], "{curve:#}");
    let report = lab.report();
    assert_eq!(finding(&report, "integrity")["verdict"], "PASS", "{report:#}");
    assert!(report["judgement"]["findings"].to_string().contains("backlog"), "{report:#}");
    assert!(lab.newest().join("latency.hlog").is_file());
    lab::assert_nothing_is_left(lab.folder());
    assert_stored(&lab, &curve);
}

/// Follows nothing.
struct Nobody;

impl Audience for Nobody {
    fn begins(&self, _: Ask, _: &Plan) -> Box<dyn Watch> {
        Box::new(Unwatched)
    }

    fn ended(&self, _: &Step) {}

    fn note(&self, _: &str) {}
}

/// The bug drops what does not fit between two flushes: a target that is fast, and keeps nothing.
#[tokio::test]
async fn a_step_that_loses_a_write_fails_the_whole_search() {
    let lab = Lab::new();
    let target = format!("strategy: in-memory, instances: 1, {}", lab::QUICK_TARGET);
    let mut plan = lab::inside::plan(&lab, &format!("target: {{ {target} }}\nload: {{ rps: 200, duration: 3s }}\n"));
    plan.target.seeded_bug = Some("ring-drops-oldest".to_owned());
    let (slo, rules) = (Slo::read("p50=1s").expect("a limit"), Rules { start: 200, most: 1_000, within: 0.1 });
    let environment = Environment::gather(Timestamp::now(), std::iter::empty());
    let place = Place { executable: lab::MXCTL.into(), reports: lab.reports(), environment };
    let quest = Quest { plan, slo, rules, lasts: Duration::from_secs(3) };
    let curve = find_max::search(&quest, &Ground::Lab(place), &Nobody, &Stop::new()).await.expect("it ends");
    lab::assert_nothing_is_left(lab.folder());
    assert_eq!((curve.verdict, &curve.ending), (Verdict::Fail, &Ending::LostData { at: 200 }), "{curve:#?}");
    assert!(curve.summary.contains("lost"), "{}", curve.summary);
    assert_eq!(curve.steps.len(), 1);
}

#[test]
fn whoever_interrupts_it_gets_the_curve_so_far() {
    let _alone = alone();
    let lab = Lab::new();
    let server = BenchServer::start(&lab, &[]);
    let more = ["--slo", "p50=1s", "--rps", "100", "--duration", "30s"];
    let mut command = lab.mxctl(&search(&server.url, &more).iter().map(String::as_str).collect::<Vec<_>>());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mxctl starts");
    lab.await_file("ledger/shard-0.led");
    lab::signal(&child, Signal::SIGINT);
    let ended = Ended::of(child.wait_with_output().expect("it was started here")).exits_with(130);
    let curve: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((steps(&curve).len(), &curve["verdict"]), (1, &"INCONCLUSIVE".into()), "{curve:#}");
    assert!(curve["summary"].as_str().is_some_and(|told| told.ends_with("interrupted")), "{curve:#}");
    assert_stored(&lab, &curve);
}

#[test]
fn what_makes_no_sense_together_is_refused_with_a_remedy_all_at_once() {
    let lab = Lab::new();
    let wrong = [
        "loadtest",
        "--find-max",
        "--slo",
        "p98=5ms",
        "--shape",
        "hold 5 for 1s",
        "--fail-if",
        "p99 > 5ms",
        "--keep",
        "--duration",
        "2s",
    ];
    let refused = lab.run(&wrong).exits_with(2).stderr;
    for word in ["`p98`", "--shape", "`--slo`", "--attach", "`10s`", "5 problems; nothing was started"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let url = ["loadtest", "--find-max", "--url", "http://127.0.0.1:1/", "--closed", "4"];
    let refused = lab.run(&url).exits_with(2).stderr;
    assert!(refused.contains("--closed") && refused.contains("--slo p99=50ms,error=0.1%"), "{refused}");
    let refused = lab.run(&["loadtest", "--slo", "p99=5ms"]).exits_with(2).stderr;
    assert!(refused.contains("add `--find-max`") && refused.contains("--fail-if"), "{refused}");
    assert!(!lab.reports().exists());
}
