//! `mxctl loadtest --url` over TLS and HTTP/2: what the servers counted is what the report says.

mod lab;
mod secure;

use lab::{Ended, Lab, finding};
use secure::authority::{Authority, Certificate, GOOD, Says, TLS_1_2, TLS_1_3, Wants};
use secure::served::{self, Manner, Server};
use secure::{count, frames};
use serde_json::Value;

/// Of every load here.
const DUE: u64 = 200;

/// A load of 200 requests.
fn arguments<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["loadtest", "--url", url, "--rps", "200", "--duration", "1s"], more].concat()
}

/// A load that passes, unless this machine kept it from asking in time: the first requests wait for handshakes, which take
/// long where others build. Each is asked and answered nevertheless.
#[track_caller]
fn driven(lab: &Lab, arguments: &[&str]) -> Ended {
    let ended = lab.run(arguments);
    let busy = ended.code == 3 && finding(&lab.report(), "generator")["verdict"] != "PASS";
    if busy { ended } else { ended.exits_with(0) }
}

/// Acked, refused, unknown.
fn outcomes(report: &Value) -> [u64; 3] {
    outcomes_of(DUE, report)
}

/// What was due is their sum with what was not sent, and the plan's.
fn outcomes_of(due: u64, report: &Value) -> [u64; 3] {
    let conservation = &report["judgement"]["conservation"];
    let of = |outcome: &str| conservation[outcome].as_u64().expect("a count");
    assert_eq!(of("due"), due, "{conservation}");
    assert_eq!(of("acked") + of("refused") + of("unknown") + of("not_sent"), due, "{conservation}");
    [of("acked"), of("refused"), of("unknown")]
}

/// The CA's certificate, in a file.
fn cacert(lab: &Lab, authority: &Authority) -> String {
    let path = lab.folder().join("ca.pem");
    std::fs::write(&path, authority.pem()).expect("a file");
    path.to_str().expect("a plain path").to_owned()
}

/// The only protocol that was agreed on.
fn spoken(report: &Value) -> String {
    let spoken = report["connections"]["spoken"].as_object().expect("what was agreed on");
    assert_eq!(spoken.len(), 1, "{spoken:?}");
    spoken.keys().next().expect("one").clone()
}

#[test]
fn requests_over_tls_are_sent_once_to_whom_the_ca_vouches_for() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let server = Server::http1(authority.server(GOOD, &["http/1.1"]), Manner::Answers);
    let (url, ca) = (server.url("https"), cacert(&lab, &authority));
    let ended = driven(&lab, &arguments(&url, &["--cacert", &ca]));
    assert_eq!(outcomes(&lab.report()), [DUE, 0, 0]);
    assert_eq!((count(&server.seen.requests), count(&server.seen.answered)), (DUE, DUE));
    let spoken = spoken(&lab.report());
    assert!(spoken.starts_with("HTTP/1.1 over TLS 1.3 (TLS13_"), "{spoken}");
    assert!(ended.stdout.contains(&spoken) && ended.stdout.contains("HTTP/1.1 over TLS, expects"), "{}", ended.stdout);
    let again = lab.run(&["report", "judge", "latest", "--output", "json"]).stdout;
    assert!(again.contains("HTTP/1.1 over TLS"), "{again}");
}

#[test]
fn any_certificate_is_accepted_where_that_is_asked_for_and_the_report_says_so() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let server = Server::http1(
        authority.server(Says { name: "elsewhere.test", expired: true, authority: false }, &[]),
        Manner::Answers,
    );
    let ended = driven(&lab, &arguments(&server.url("https"), &["-k"]));
    assert_eq!(outcomes(&lab.report()), [DUE, 0, 0]);
    assert!(ended.stdout.contains("any certificate was accepted"), "{}", ended.stdout);
}

/// Nothing was asked, nothing is left, and the remedy is named.
#[track_caller]
fn refused(lab: &Lab, ended: Ended, words: &[&str]) {
    let ended = ended.exits_with(4);
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert!(!lab.reports().exists(), "a run that did not begin leaves no folder");
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_ends_a_load_before_it_begins() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let ca = cacert(&lab, &authority);
    let serving = |says| Server::http1(authority.server(says, &[]), Manner::Answers);
    let (unknown, old) = (serving(GOOD), serving(Says { expired: true, ..GOOD }));
    let other = serving(Says { name: "elsewhere.test", ..GOOD });
    let authority = serving(Says { authority: true, ..GOOD });
    let load = |server: &Server, more: &[&str]| lab.run(&arguments(&server.url("https"), more));
    refused(&lab, load(&unknown, &[]), &["127.0.0.1", "--cacert", "--insecure"]);
    refused(&lab, load(&old, &["--cacert", &ca]), &["has expired", "--insecure"]);
    refused(&lab, load(&other, &["--cacert", &ca]), &["not one for 127.0.0.1, but for elsewhere.test"]);
    refused(&lab, load(&authority, &["--cacert", &ca]), &["an authority's, not a server's", "CA:FALSE", "--insecure"]);
    for server in [unknown, old, other, authority] {
        assert_eq!(count(&server.seen.requests), 0);
    }
}

#[test]
fn a_server_that_wants_a_client_certificate_is_named_as_that() {
    let (lab, authority) = (Lab::new(), Authority::new());
    for terms in [TLS_1_2, TLS_1_3] {
        let wants = Wants { certificate: Certificate::Demanded, ..terms };
        let server = Server::http1(authority.server_that_wants(wants, GOOD, &[]), Manner::Answers);
        let ended = lab.run(&arguments(&server.url("https"), &["-k"]));
        refused(&lab, ended, &["wants a client certificate", "asks for none"]);
        let server = Server::http2(Some(authority.server_that_wants(wants, GOOD, &["h2"])));
        let ended = lab.run(&arguments(&server.url("https"), &["-k", "--http2"]));
        refused(&lab, ended, &["wants a client certificate", "asks for none"]);
    }
}

#[test]
fn a_server_that_asks_for_a_client_certificate_and_does_without_gets_its_load() {
    let (lab, authority) = (Lab::new(), Authority::new());
    for terms in [TLS_1_2, TLS_1_3] {
        let wants = Wants { certificate: Certificate::AskedFor, ..terms };
        let server = Server::http1(authority.server_that_wants(wants, GOOD, &[]), Manner::Answers);
        driven(&lab, &arguments(&server.url("https"), &["-k"]));
        assert_eq!((outcomes(&lab.report()), count(&server.seen.requests)), ([DUE, 0, 0], DUE));
    }
}

#[test]
fn a_handshake_that_fails_under_load_is_a_refusal_and_its_reason_is_reported() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let [good, expired] = [false, true].map(|expired| authority.server(Says { expired, ..GOOD }, &[]));
    // The first connection is the one that looks whether the load may begin.
    let server = Server::turning(good, expired);
    let ca = cacert(&lab, &authority);
    let ended = lab.run(&arguments(&server.url("https"), &["--cacert", &ca])).exits_with(3);
    assert_eq!((outcomes(&lab.report()), count(&server.seen.requests)), ([0, DUE, 0], 0));
    let failed = lab.report()["connections"]["failed"].clone();
    let (why, times) = failed.as_object().expect("reasons").iter().next().expect("one");
    assert!(why.contains("has expired") && *times == DUE, "{failed}");
    assert!(ended.stdout.contains("not opened") && ended.stdout.contains("has expired"), "{}", ended.stdout);
}

#[test]
fn a_port_that_speaks_something_else_is_named_as_that() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let plain = served::plain();
    refused(&lab, lab.run(&arguments(&format!("https://{plain}/"), &["-k"])), &["no TLS", "http://"]);
    refused(&lab, lab.run(&arguments(&format!("http://{plain}/"), &["--http2"])), &["no HTTP/2", "h2c", "--http2"]);
    let turned_away = frames::Server::start(frames::Manner::TurnsAway).url();
    refused(&lab, lab.run(&arguments(&turned_away, &["--http2"])), &["ended the connection before HTTP/2"]);
    for protocols in [&["http/1.1"][..], &[]] {
        let server = Server::http1(authority.server(GOOD, protocols), Manner::Answers);
        let ended = lab.run(&arguments(&server.url("https"), &["-k", "--http2"]));
        refused(&lab, ended, &["no HTTP/2", "ALPN", "leave `--http2` out"]);
    }
}

#[test]
fn what_does_not_go_together_is_said_all_at_once() {
    let lab = Lab::new();
    let wrong = ["--insecure", "--http2", "-H", "Upgrade: h2c", "-H", "Keep-Alive: 5"];
    let said = lab.run(&arguments("http://127.0.0.1:1/", &wrong)).exits_with(2).stderr;
    for word in ["--insecure", "`Upgrade: h2c`", "`Keep-Alive: 5`"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let many = [&["--http2"][..], &["-H", "X: y"].repeat(101)].concat();
    let said = lab.run(&arguments("http://127.0.0.1:1/", &many)).exits_with(2).stderr;
    assert!(said.contains("HTTP/2 cannot carry this request") && said.contains("100 headers"), "{said}");
    let said = lab.run(&arguments("http://127.0.0.1:1/", &["--cacert", "/nowhere/ca.pem"])).exits_with(2).stderr;
    assert!(said.contains("--cacert") && said.contains("https://"), "{said}");
    let said = lab.run(&arguments("https://127.0.0.1:1/", &["--cacert", "/nowhere/ca.pem"])).exits_with(2).stderr;
    assert!(said.contains("/nowhere/ca.pem"), "{said}");
    lab.run(&arguments("http://127.0.0.1:1/", &["--streams", "2"])).exits_with(2);
}

#[test]
fn a_connection_over_tls_that_ends_after_some_answers_costs_no_request_twice() {
    let (lab, authority) = (Lab::new(), Authority::new());
    for manner in [Manner::ClosesAfter(10), Manner::CutsOffAfter(10)] {
        let server = Server::http1(authority.server(GOOD, &[]), manner);
        lab.run(&arguments(&server.url("https"), &["-k", "--connections", "5"]));
        let [acked, refused, unknown] = outcomes(&lab.report());
        assert_eq!(acked, count(&server.seen.answered), "{manner:?}");
        // One that was on its way as the connection ended may have come or not; none came that was not sent.
        let came = count(&server.seen.requests);
        assert!(refused == 0 && acked + unknown == DUE && came <= DUE && unknown >= came - acked, "{manner:?}");
        assert!(matches!(manner, Manner::ClosesAfter(_)) || came > acked, "{manner:?}");
    }
}

#[test]
fn a_request_that_is_not_answered_in_time_over_tls_is_unknown_and_costs_its_connection() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let server = Server::http1(authority.server(GOOD, &[]), Manner::FallsSilentAfter(30));
    lab.run(&arguments(&server.url("https"), &["-k", "--connections", "5", "--request-timeout", "500ms"]));
    let [acked, refused, unknown] = outcomes(&lab.report());
    assert_eq!((acked, refused, acked + unknown), (count(&server.seen.answered), 0, DUE));
    assert_eq!(count(&server.seen.requests), DUE);
    assert!(unknown > 0 && count(&server.seen.connections) > unknown, "{unknown} unknown");
}

#[test]
fn http2_carries_each_request_once_over_tls_and_with_prior_knowledge() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let ca = cacert(&lab, &authority);
    let body = r#"{"id":"{seq}"}"#;
    for (scheme, more) in [("https", &["--cacert", &ca][..]), ("http", &[])] {
        let tls = (scheme == "https").then(|| authority.server(GOOD, &["http/1.1", "h2"]));
        let server = Server::http2(tls);
        let more = [&["--http2", "--streams", "5", "--connections", "2", "-d", body], more].concat();
        let ended = driven(&lab, &arguments(&server.url(scheme), &more));
        assert_eq!(outcomes(&lab.report()), [DUE, 0, 0]);
        let (answered, body_bytes) = (count(&server.seen.answered), count(&server.seen.body_bytes));
        assert_eq!((answered, body_bytes), (DUE, DUE * r#"{"id":"0000000000"}"#.len() as u64));
        let spoken = spoken(&lab.report());
        assert!(spoken.starts_with(if scheme == "https" { "HTTP/2 over TLS 1.3" } else { "HTTP/2" }), "{spoken}");
        assert!(ended.stdout.contains(&spoken), "{}", ended.stdout);
        assert!(lab.report()["connections"]["opened"].as_u64() <= Some(2), "{}", lab.report()["connections"]);
    }
}

#[test]
fn a_server_of_tls_1_2_is_spoken_to_in_that() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let ca = cacert(&lab, &authority);
    for (http2, said) in [(false, "HTTP/1.1 over TLS 1.2 ("), (true, "HTTP/2 over TLS 1.2 (")] {
        let tls = authority.server_that_wants(TLS_1_2, GOOD, if http2 { &["h2"] } else { &[] });
        let server = if http2 { Server::http2(Some(tls)) } else { Server::http1(tls, Manner::Answers) };
        let more = [&["--cacert", &ca][..], if http2 { &["--http2"] } else { &[] }].concat();
        driven(&lab, &arguments(&server.url("https"), &more));
        assert_eq!((outcomes(&lab.report()), count(&server.seen.answered)), ([DUE, 0, 0], DUE));
        let spoken = spoken(&lab.report());
        assert!(spoken.starts_with(said), "{spoken}");
    }
}

#[test]
fn a_target_may_have_an_address_of_ipv6() {
    let (lab, authority) = (Lab::new(), Authority::new());
    let ca = cacert(&lab, &authority);
    for (scheme, http2) in [("http", false), ("https", false), ("http", true), ("https", true)] {
        let says = Says { name: "::1", ..GOOD };
        let tls = (scheme == "https").then(|| authority.server(says, if http2 { &["h2"] } else { &[] }));
        let server = Server::over_ipv6(tls, http2);
        let more =
            [if scheme == "https" { &["--cacert", &ca][..] } else { &[] }, if http2 { &["--http2"] } else { &[] }];
        driven(&lab, &arguments(&server.url(scheme), &more.concat()));
        assert_eq!((outcomes(&lab.report()), count(&server.seen.answered)), ([DUE, 0, 0], DUE), "{scheme} {http2}");
    }
}

#[test]
fn threads_divide_connections_of_http2_and_lose_nothing() {
    let (lab, server) = (Lab::new(), frames::Server::start(frames::Manner::Forgets));
    let two = ["--http2", "--connections", "2", "--threads", "2", "--streams", "100", "--request-timeout", "1s"];
    lab.run(&arguments(&server.url(), &two));
    let (report, seen) = (lab.report(), &server.seen);
    // Each thread has a connection of its own, and on each of them every fifth of its requests is forgotten.
    assert_eq!(outcomes(&report), [DUE / 5 * 4, 0, DUE / 5], "{seen:?}");
    assert_eq!((count(&seen.requests), count(&seen.connections)), (DUE, 2));
    assert_eq!(report["connections"]["opened"], 2);
}

#[test]
fn a_body_larger_than_a_window_goes_both_ways() {
    // A peer allows 65,535 bytes until it says more.
    const BODY_BYTES: usize = 70_000;
    let (lab, server) = (Lab::new(), Server::http2(None));
    let file = lab.folder().join("body");
    std::fs::write(&file, vec![b'x'; BODY_BYTES]).expect("a file");
    let body = format!("@{}", file.display());
    lab.run(&arguments(&server.url("http"), &["--http2", "-d", &body, "--request-timeout", "30s"]));
    assert_eq!(outcomes(&lab.report()), [DUE, 0, 0]);
    assert_eq!(count(&server.seen.body_bytes), DUE * BODY_BYTES as u64);
}

#[test]
fn a_closed_loop_over_http2_has_its_requests_on_as_many_streams() {
    let (lab, server) = (Lab::new(), Server::http2(None));
    let url = server.url("http");
    let closed = ["loadtest", "--url", &url, "--http2", "--streams", "4", "--closed", "8", "--duration", "1s"];
    driven(&lab, &[&closed[..], &["--shards", "1"]].concat());
    let report = lab.report();
    assert_eq!(report["connections"]["opened"], 2);
    let acked = report["judgement"]["conservation"]["acked"].as_u64().expect("a count");
    assert!(acked > 8 && count(&server.seen.answered) == acked);
    let seen = lab.run(&[&closed[..], &["--dry-run"]].concat()).exits_with(0).stdout;
    assert!(seen.contains("HTTP/2") && seen.contains("4 requests at a time on each"), "{seen}");
}

/// A load on one connection of HTTP/2 at a time, by a server that misbehaves.
fn misused(lab: &Lab, manner: frames::Manner, streams: &str) -> (frames::Server, [u64; 3], Value) {
    let server = frames::Server::start(manner);
    let url = server.url();
    let one = ["--http2", "--connections", "1", "--shards", "1", "--streams", streams, "--request-timeout", "1s"];
    lab.run(&arguments(&url, &one));
    let report = lab.report();
    (server, outcomes(&report), report)
}

#[test]
fn a_stream_above_the_last_one_of_a_goaway_was_not_processed_and_is_not_sent_again() {
    let (server, [acked, refused, unknown], report) = misused(&Lab::new(), frames::Manner::GoesAway, "4");
    let seen = &server.seen;
    assert_eq!((acked, refused), (count(&seen.answered), count(&seen.unprocessed)), "{seen:?}");
    // The third of a last connection, for which no fourth came.
    assert!(unknown <= 1 && refused >= DUE / 5, "{seen:?}");
    assert_eq!(count(&seen.requests), DUE);
    let connections = &report["connections"];
    assert_eq!(connections["opened"].as_u64(), Some(count(&seen.connections)), "{connections}");
}

#[test]
fn an_idle_connection_that_its_peer_takes_leave_of_is_left_before_a_request_is_sent() {
    let (server, [acked, refused, unknown], report) = misused(&Lab::new(), frames::Manner::GoesAwayIdle, "4");
    let seen = &server.seen;
    // One that was on its way as the GOAWAY came is above its last one.
    assert_eq!([acked, refused, unknown], [count(&seen.answered), count(&seen.unprocessed), 0], "{seen:?}");
    assert!(acked > DUE / 2, "{seen:?}");
    assert!(report["connections"]["ended_by_target"].as_u64() >= Some(acked / 2), "{}", report["connections"]);
}

#[test]
fn a_peer_that_takes_leave_of_every_new_connection_refuses_each_request_once() {
    let (server, outcomes, _) = misused(&Lab::new(), frames::Manner::GoesAwayUnasked(u64::MAX), "4");
    let seen = &server.seen;
    assert_eq!((outcomes, count(&seen.answered)), ([0, DUE, 0], 0), "{seen:?}");
    // One that was sent before the GOAWAY was heard is above its last one.
    assert_eq!(count(&seen.requests), count(&seen.unprocessed));
}

#[test]
fn a_peer_that_takes_leave_of_one_new_connection_costs_no_more_than_was_placed_on_it() {
    let (server, [acked, refused, unknown], _) = misused(&Lab::new(), frames::Manner::GoesAwayUnasked(1), "4");
    let seen = &server.seen;
    assert_eq!((acked, acked + refused, unknown), (count(&seen.answered), DUE, 0), "{seen:?}");
    assert!((1..=4).contains(&refused), "{refused}");
    assert_eq!(count(&seen.requests), acked + count(&seen.unprocessed));
}

#[test]
fn a_refused_stream_was_not_processed_and_its_connection_goes_on() {
    let (server, [acked, refused, unknown], report) = misused(&Lab::new(), frames::Manner::Refuses, "4");
    let seen = &server.seen;
    assert_eq!([acked, refused, unknown], [DUE / 5 * 4, DUE / 5, 0], "{seen:?}");
    assert_eq!((count(&seen.requests), count(&seen.unprocessed)), (DUE, DUE / 5));
    assert_eq!(report["connections"]["opened"], 1);
}

#[test]
fn an_answer_that_a_reset_or_an_end_cuts_off_is_unknown() {
    let lab = Lab::new();
    let (server, outcomes, report) = misused(&lab, frames::Manner::Resets, "4");
    assert_eq!((outcomes, count(&server.seen.requests)), ([DUE / 5 * 4, 0, DUE / 5], DUE));
    assert_eq!(report["connections"]["opened"], 1);
    let (server, [acked, refused, unknown], _) = misused(&lab, frames::Manner::CutsOff, "4");
    // Whatever else was on its way as the connection ended is as unknown.
    assert_eq!((acked, refused, acked + unknown), (count(&server.seen.answered), 0, DUE), "{:?}", server.seen);
    assert!(unknown >= DUE / 5 && count(&server.seen.requests) <= DUE, "{:?}", server.seen);
}

#[test]
fn a_stream_that_is_not_answered_in_time_is_reset_and_its_connection_goes_on() {
    let (server, [acked, refused, unknown], report) = misused(&Lab::new(), frames::Manner::Forgets, "100");
    let seen = &server.seen;
    assert_eq!([acked, refused, unknown], [DUE / 5 * 4, 0, DUE / 5], "{seen:?}");
    assert_eq!((count(&seen.requests), report["connections"]["opened"].as_u64()), (DUE, Some(1)));
    assert!(count(&seen.cancelled) > 0, "{seen:?}");
}

#[test]
fn however_many_streams_are_answered_too_late_their_connection_goes_on() {
    // h2 by itself remembers 50 streams that it has reset, and ends a connection after 1,024 frames on others.
    let (lab, server) = (Lab::new(), frames::Server::start(frames::Manner::AnswersLate));
    let url = server.url();
    let load = ["loadtest", "--url", &url, "--rps", "1000", "--duration", "2s", "--request-timeout", "500ms"];
    lab.run(&[&load[..], &["--http2", "--connections", "1", "--shards", "1", "--streams", "1000"]].concat());
    let (report, seen) = (lab.report(), &server.seen);
    assert_eq!(outcomes_of(2000, &report), [200, 0, 1800], "{seen:?}");
    assert_eq!((count(&seen.answered), count(&seen.cancelled)), (200, 1800));
    let connections = &report["connections"];
    assert_eq!((&connections["opened"], &connections["ended_by_target"]), (&1.into(), &0.into()), "{connections}");
}

#[test]
fn a_connection_on_which_nothing_is_heard_any_more_is_left() {
    let (server, [acked, refused, unknown], report) = misused(&Lab::new(), frames::Manner::FallsSilent, "100");
    let seen = &server.seen;
    assert_eq!((acked, refused, acked + unknown), (count(&seen.answered), 0, DUE), "{seen:?}");
    assert_eq!((count(&seen.requests), report["connections"]["ended_by_target"].as_u64()), (DUE, Some(0)));
    assert!(count(&seen.connections) >= 2 && unknown > 0, "{seen:?}");
}

#[test]
fn no_more_streams_are_open_than_the_peer_allows() {
    let (server, outcomes, _) = misused(&Lab::new(), frames::Manner::OneAtATime, "4");
    assert_eq!((outcomes, count(&server.seen.requests)), ([DUE, 0, 0], DUE));
    assert_eq!(count(&server.seen.open_most), 1);
}

#[test]
fn requests_wait_for_a_peer_that_allows_none_at_first() {
    let (server, outcomes, report) = misused(&Lab::new(), frames::Manner::OpensLate, "4");
    assert_eq!((outcomes, count(&server.seen.requests)), ([DUE, 0, 0], DUE));
    assert!(count(&server.seen.open_most) <= 2);
    let said = finding(&report, "generator").to_string();
    assert!(said.contains("for a free connection"), "{said}");
}

#[test]
fn a_request_beyond_a_limit_that_fell_waits_and_is_not_taken_for_one_that_was_sent() {
    let (server, outcomes, report) = misused(&Lab::new(), frames::Manner::Narrows, "4");
    let seen = &server.seen;
    // The one that was sent and not answered; those that waited for its stream went over another connection.
    assert_eq!((outcomes, count(&seen.requests)), ([DUE - 1, 0, 1], DUE), "{seen:?}");
    assert_eq!((count(&seen.connections), report["connections"]["opened"].as_u64()), (2, Some(2)));
}
