//! `mxctl loadtest --url`: load alone, on a server of the test's own.

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lab::bench_server::BenchServer;
use lab::{Ended, Lab, finding};

/// Answers every request with one status, and counts them by what they said.
struct Server {
    addr: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Server {
    fn start(status: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (addr, requests) = (listener.local_addr().expect("its address"), Arc::new(AtomicU64::new(0)));
        let counted = requests.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                std::thread::spawn(move || serve(stream, status, &counted));
            }
        });
        Server { addr, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

fn serve(mut stream: std::net::TcpStream, status: &str, counted: &AtomicU64) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
        while let Some(end) = request_end(&seen) {
            let request: Vec<u8> = seen.drain(..end).collect();
            counted.fetch_add(1, Ordering::SeqCst);
            let body = if request.starts_with(b"HEAD") { "" } else { "ok" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Where the first whole request ends.
fn request_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

fn load(lab: &Lab, url: &str, more: &[&str]) -> Ended {
    lab.run_punctually(&[&["loadtest", "--url", url, "--rps", "200", "--duration", "1s"], more].concat())
}

#[test]
fn every_request_is_sent_once_and_data_is_not_assessed() {
    let (lab, server) = (Lab::new(), Server::start("200 OK"));
    let ended =
        load(&lab, &server.url("/items/{seq}?x=1"), &["-d", r#"{"n":"{seq}"}"#, "-H", "X-Trace: {seq}"]).exits_with(0);
    assert!(ended.stdout.contains("data is not assessed") && ended.stdout.contains("POST http://"), "{}", ended.stdout);
    let report = lab.report();
    let judgement = &report["judgement"];
    assert_eq!((&judgement["conservation"]["due"], &judgement["conservation"]["acked"]), (&200.into(), &200.into()));
    assert_eq!(server.requests.load(Ordering::SeqCst) % 200, 0);
    assert!(std::fs::read_to_string(lab.newest().join("latency.hlog")).expect("an HDR log").contains("Tag=response"));
    let again = lab.run(&["report", "judge", "latest", "--output", "json"]).exits_with(0);
    let again: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(again["judgement"], *judgement);
}

#[test]
fn without_a_ledger_the_same_is_counted_and_cannot_be_judged_again() {
    let (lab, server) = (Lab::new(), Server::start("200 OK"));
    load(&lab, &server.url("/"), &["--no-ledger", "-X", "HEAD"]).exits_with(0);
    assert_eq!(lab.report()["judgement"]["conservation"]["acked"], 200);
    assert_eq!(std::fs::read_dir(lab.newest().join("ledger")).expect("its folder").count(), 0);
    let refused = lab.run(&["report", "judge", "latest"]);
    assert!(refused.code == 2 && refused.stderr.contains("--no-ledger"), "{refused:#?}");
}

#[test]
fn other_statuses_are_errors_and_gates_fail_on_what_was_asked_punctually() {
    let (lab, server) = (Lab::new(), Server::start("503 Service Unavailable"));
    let ended = load(&lab, &server.url("/"), &[]);
    assert_eq!(ended.code, 3, "a run of error pages proves nothing: {ended:#?}");
    assert!(ended.stdout.contains("× status 503"), "whatever it answered is said: {ended:#?}");
    load(&lab, &server.url("/"), &["--expect", "status=503"]).exits_with(0);
    let slow = load(&lab, &server.url("/"), &["--expect", "status=5xx", "--fail-if", "p50 > 1us"]).exits_with(1);
    assert_eq!(finding(&lab.report(), "p50")["verdict"], "FAIL", "{slow:#?}");
}

/// Takes a processor until it is dropped.
struct Burner(Arc<AtomicBool>);

impl Burner {
    fn start() -> Burner {
        let over = Arc::<AtomicBool>::default();
        let told = over.clone();
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Burner(over)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Nobody answers in a microsecond.
fn too_slow(url: &str) -> [&str; 9] {
    ["loadtest", "--url", url, "--rps", "100", "--duration", "3s", "--fail-if", "p50 > 1us"]
}

#[test]
fn whoever_else_uses_the_machine_is_told_and_excuses_no_target_whose_helper_it_may_be() {
    let lab = Lab::new();
    let busy = Burner::start();
    let (own, other) = (Server::start("200 OK"), BenchServer::start(&lab, &[]));
    // What this process burns is a stranger's to the one, and the other's own.
    lab.run(&too_slow(&other.url)).exits_with(1);
    let report = lab.report();
    assert!(report["judgement"]["strangers"]["disturbed"].as_f64() > Some(0.01), "{report:#}");
    assert_eq!(finding(&report, "p50")["verdict"], "FAIL", "{report:#}");
    let again = lab.run(&["report", "judge", "latest", "--output", "json"]).exits_with(1).stdout;
    let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(again["judgement"]["strangers"], report["judgement"]["strangers"]);
    lab.run(&too_slow(&own.url("/"))).exits_with(1);
    let itself = &lab.report()["judgement"]["strangers"]["mean"];
    let strangers = &report["judgement"]["strangers"]["mean"];
    assert!(itself.as_f64().zip(strangers.as_f64()).is_some_and(|(itself, strangers)| itself < strangers - 0.3));
    drop(busy);
}

#[test]
fn nobody_who_listens_is_an_error_of_every_request() {
    let lab = Lab::new();
    // Bound, so that nobody else takes it, and never listened on.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
    let ended = load(&lab, &format!("http://{closed}/"), &[]);
    assert_eq!(ended.code, 3, "{ended:#?}");
    assert_eq!(lab.report()["judgement"]["conservation"]["refused"], 200);
    let connections = serde_json::json!({ "opened": 0, "refused": 200, "ended_by_target": 0 });
    assert_eq!(lab.report()["connections"], connections);
    assert!(ended.stdout.contains("0 connections opened, 200 refused, 0 ended by the target"), "{}", ended.stdout);
}

#[test]
fn what_was_typed_wrongly_is_said_all_at_once() {
    let lab = Lab::new();
    let wrong = [
        "loadtest",
        "--url",
        "http://127.0.0.1/",
        "--insecure",
        "--rps",
        "-1",
        "-H",
        "nocolon",
        "--expect",
        "status=9xx",
        "--strategy",
        "redis",
    ];
    let refused = lab.run(&wrong).exits_with(2).stderr;
    for word in ["--insecure", "--rps", "nocolon", "9xx", "--strategy"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let refused = lab.run(&["loadtest", "--url", "http://192.0.2.1/"]).exits_with(2).stderr;
    assert!(refused.contains("--allow host=192.0.2.1"), "{refused}");
    lab.run(&["loadtest", "--no-ledger"]).exits_with(2);
}

#[test]
fn a_closed_loop_says_what_it_hides_and_a_spike_has_its_operations() {
    let (lab, server) = (Lab::new(), Server::start("200 OK"));
    let url = server.url("/");
    let closed = ["loadtest", "--url", &url, "--closed", "4", "--duration", "1s"];
    let told = lab.run_punctually(&closed).exits_with(0).stdout;
    assert!(told.contains("coordinated") && told.contains("a closed loop of 4 at a time"), "{told}");
    let spike =
        ["loadtest", "--url", &url, "--shape", "spike 100..400 at 300ms for 200ms over 1s", "--arrivals", "even"];
    lab.run_punctually(&spike).exits_with(0);
    assert_eq!(lab.report()["judgement"]["conservation"]["due"], 160);
    let seen = lab.run(&[&spike[..], &["--dry-run"]].concat()).exits_with(0).stdout;
    assert!(seen.contains("GET http://") && seen.contains("nobody looks for") && !seen.contains("redis"), "{seen}");
    let random = lab.run(&["loadtest", "--url", &url, "--arrivals", "poisson", "--duration", "1s", "--dry-run"]);
    assert!(random.exits_with(0).stdout.contains("Poisson"));
}

/// Word for word but for the address, and for the length of the run.
#[test]
fn the_flags_are_those_that_other_tools_have_taught() {
    let (lab, server) = (Lab::new(), Server::start("201 Created"));
    let body = lab.folder().join("f");
    std::fs::write(&body, "{}").expect("a body");
    let (url, body) = (server.url("/path"), format!("@{}", body.display()));
    let flags = ["--method", "POST", "--body", &body, "--header", "X-Key: k", "--rps", "800", "--duration", "1m"];
    let more = ["--connections", "50", "--threads", "2", "--timeout", "5s", "--expect", "status=2xx"];
    let all = [&["loadtest", "--url", &url], &flags[..], &more].concat();
    let seen = lab.run(&[&all[..], &["--dry-run", "--output", "json"]].concat()).exits_with(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!((&plan["load"]["shards"], &plan["load"]["request_timeout"]["secs"]), (&2.into(), &5.into()));
    let short: Vec<&str> = all.into_iter().map(|word| if word == "1m" { "500ms" } else { word }).collect();
    lab.run_punctually(&short).exits_with(0);
    assert_eq!(lab.report()["judgement"]["conservation"]["acked"], 400);
}

#[test]
fn runs_merge_exactly_and_what_differs_is_said() {
    let (lab, server) = (Lab::new(), Server::start("200 OK"));
    let run = |rps: &str, expect: &str| {
        let expect = ["--expect", expect];
        lab.run(&[&["loadtest", "--url", &server.url("/"), "--rps", rps, "--duration", "1s"], &expect[..]].concat());
        lab.newest().file_name().expect("a name").to_str().expect("a plain name").to_owned()
    };
    let (first, second) = (run("100", "status=2xx"), run("50", "status=404"));
    let hlog = lab.folder().join("merged.hlog");
    let merge = ["report", "merge", &first, &second, "--hlog", hlog.to_str().expect("a plain path")];
    let told = lab.run(&merge).exits_with(0).stdout;
    assert!(told.contains("merged") && told.contains("differs   load: "), "{told}");
    let unproven = format!("INCONCLUSIVE  {second}: answers: ");
    assert!(told.contains(&unproven), "what a part lacks is said: {told}");
    let json = lab.run(&[&merge[..4], &["--output", "json"]].concat()).exits_with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["merged"]["service_ms"]["count"], 150, "{json:#}");
    assert_eq!((&json["conservation"]["due"], &json["conservation"]["refused"]), (&150.into(), &50.into()), "{json:#}");
    assert_eq!((&json["verdict"], &json["runs"][1]["verdict"]), (&"INCONCLUSIVE".into(), &"INCONCLUSIVE".into()));
    assert!(std::fs::read_to_string(hlog).expect("a log").contains("Tag=woke-late"));
    let refused = lab.run(&["report", "merge", &first, &first]).exits_with(2).stderr;
    assert!(refused.contains("twice"), "{refused}");
}
