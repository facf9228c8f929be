//! `mxctl bench server`, over real sockets: what it answers, and that its log tells when.
//!
//! Times are asserted one way only: nothing is answered *before* the script lets it. How long after is the machine's.

mod lab;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mxctl::bench::server::{Arrival, Arrivals, CloseAfter, Drip, Ending, Script, Served, Server, Summary, Window};
use mxctl::clock::Offset;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::Lab;

const GET: &str = "GET /any?path HTTP/1.1\r\nHost: x\r\n\r\n";

fn start(script: Script) -> Server {
    Server::start(script, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn window(at: u64, lasts: u64) -> Vec<Window> {
    vec![Window { at: ms(at), lasts: ms(lasts) }]
}

fn arrivals(served: &Served) -> Vec<Arrival> {
    served.arrivals.iter().copied().collect()
}

/// One connection.
struct Client(BufReader<TcpStream>);

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    says_close: bool,
    length: usize,
}

impl Client {
    fn of(address: SocketAddr) -> Client {
        Client::try_of(address).unwrap()
    }

    fn try_of(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        // A server that never answers fails the test.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let answer = self.head();
        let mut body = vec![0; answer.length];
        self.0.read_exact(&mut body).unwrap();
        assert!(body.iter().all(|byte| *byte == b'x'), "no other answer within the body");
        answer
    }

    fn head(&mut self) -> Answer {
        let mut lines = std::iter::from_fn(|| {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            (line != "\r\n").then_some(line)
        });
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, says_close: false, length: 0 };
        for line in lines {
            match line.trim().split_once(": ").unwrap() {
                ("Content-Length", length) => answer.length = length.parse().unwrap(),
                ("Connection", "close") => answer.says_close = true,
                other => panic!("{other:?}"),
            }
        }
        answer
    }

    fn ask(&mut self) -> Answer {
        self.say(GET);
        self.answer()
    }

    /// Nothing follows but the end.
    fn ends(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b""),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionReset),
        }
    }
}

const OK: Answer = Answer { status: 200, says_close: false, length: 2 };

// What it answers.

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = start(Script { errors: 0.5, ..Script::default() });
    let script = Script { errors: 0.5, ..Script::default() };
    let mut client = Client::of(server.address());
    client.say(&GET.repeat(500));
    for nth in 0..500 {
        assert_eq!(client.answer().status, if script.is_error(nth) { 503 } else { 200 });
    }
    let served = server.stop().unwrap();
    assert_eq!((served.summary.requests, served.summary.answered, served.summary.connections), (500, 500, 1));
    let errors = arrivals(&served).iter().filter(|arrival| arrival.status == 503).count();
    assert_eq!(served.summary.errors, errors as u64);
}

#[test]
fn heads_and_bodies_may_be_cut_anywhere() {
    let server = start(Script::default());
    let mut client = Client::of(server.address());
    let post = "POST /a HTTP/1.1\r\nContent-Length: 21\r\n\r\nGET / HTTP/1.1\r\n\r\n...";
    for cut in 0..post.len() {
        let (one, other) = post.split_at(cut);
        client.say(one);
        client.say(&format!("{other}{GET}"));
        assert_eq!((client.answer(), client.answer()), (OK, OK), "cut at {cut}");
    }
    for byte in post.chars() {
        client.say(&byte.to_string());
    }
    assert_eq!(client.answer(), OK);
    assert_eq!(server.stop().unwrap().summary.requests, 2 * post.len() as u64 + 1);
}

#[test]
fn a_long_body_is_read_to_its_end_and_a_long_answer_written_to_its_own() {
    let body_bytes = 20_000_000;
    let server = start(Script { body_bytes, ..Script::default() });
    let mut client = Client::of(server.address());
    client.say(&format!("PUT / HTTP/1.1\r\nContent-Length: {body_bytes}\r\n\r\n{}", "y".repeat(body_bytes)));
    // The second one before the first answer is read: both wait in the server, for there is no room.
    client.say(GET);
    assert_eq!((client.answer().length, client.answer().length), (body_bytes, body_bytes));
    assert_eq!(server.stop().unwrap().summary.answered, 2);
}

#[test]
fn a_head_is_answered_without_a_body() {
    let server = start(Script { body_bytes: 100, ..Script::default() });
    let mut client = Client::of(server.address());
    client.say("HEAD / HTTP/1.1\r\n\r\n");
    assert_eq!(client.head().length, 100);
    // Were there a body, it would stand before this one's head.
    assert_eq!(client.ask().length, 100);
    server.stop().unwrap();
}

#[test]
fn a_connection_ends_where_the_client_asks_for_it_and_where_it_makes_no_sense() {
    let server = start(Script::default());
    for (text, status) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("this is no request\r\n\r\n", 400),
    ] {
        let mut client = Client::of(server.address());
        // What follows is not answered.
        client.say(&format!("{text}{GET}"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.says_close), (status, true));
        client.ends();
    }
    let summary = server.stop().unwrap().summary;
    assert_eq!((summary.requests, summary.bad_requests), (2, 1));
}

#[test]
fn a_connection_ends_after_so_many_answers() {
    for abruptly in [false, true] {
        let close = Some(CloseAfter { answers: NonZeroU64::new(3).unwrap(), abruptly });
        let server = start(Script { close, ..Script::default() });
        for _ in 0..2 {
            let mut client = Client::of(server.address());
            assert_eq!((client.ask(), client.ask()), (OK, OK));
            assert_eq!(client.ask(), Answer { says_close: !abruptly, ..OK });
            client.ends();
        }
        let summary = server.stop().unwrap().summary;
        assert_eq!((summary.requests, summary.answered, summary.connections), (6, 6, 2));
    }
}

#[test]
fn two_thousand_connections_are_served_at_once() {
    let server = start(Script::default());
    let mut clients: Vec<Client> = (0..2000).map(|_| Client::of(server.address())).collect();
    for _ in 0..2 {
        clients.iter_mut().for_each(|client| client.say(GET));
        clients.iter_mut().for_each(|client| assert_eq!(client.answer(), OK));
    }
    let served = server.stop().unwrap();
    assert_eq!((served.summary.connections, served.summary.answered), (2000, 4000));
    let mut numbers: Vec<u32> = arrivals(&served).iter().map(|arrival| arrival.connection).collect();
    numbers.sort_unstable();
    assert!(numbers.chunks(2).enumerate().all(|(index, pair)| pair == [index as u32 + 1; 2]));
}

// When it answers.

#[test]
fn a_delay_holds_every_answer_and_nobody_else() {
    let server = start(Script { delay: ms(50), ..Script::default() });
    let mut clients: Vec<Client> = (0..20).map(|_| Client::of(server.address())).collect();
    clients.iter_mut().for_each(|client| client.say(&GET.repeat(2)));
    clients.iter_mut().for_each(|client| assert_eq!((client.answer(), client.answer()), (OK, OK)));
    let arrivals = arrivals(&server.stop().unwrap());
    assert!(arrivals.iter().all(|arrival| arrival.answered() >= Some(arrival.arrived.plus(ms(50)))));
    // One after the other they would take 2 s, and the last would have arrived after the first was answered.
    assert!(arrivals[39].arrived < arrivals[0].answered().unwrap());
}

#[test]
fn in_a_stall_requests_arrive_and_are_answered_at_its_end() {
    let server = start(Script { stalls: window(0, 500), ..Script::default() });
    let mut clients: Vec<Client> = (0..10).map(|_| Client::of(server.address())).collect();
    clients.iter_mut().for_each(|client| client.say(&GET.repeat(3)));
    clients.iter_mut().for_each(|client| (0..3).for_each(|_| assert_eq!(client.answer(), OK)));
    assert_eq!(clients[0].ask(), OK);
    let arrivals = arrivals(&server.stop().unwrap());
    let end = arrivals[0].arrived.plus(ms(500));
    let (stalled, after): (Vec<Arrival>, Vec<Arrival>) = arrivals.iter().partition(|a| a.arrived < end);
    assert!(
        stalled.len() >= 3 && !after.is_empty(),
        "the first three arrive in one read, the last one after an answer"
    );
    assert!(stalled.iter().all(|arrival| arrival.answered() >= Some(end)));
}

#[test]
fn a_drip_is_one_answer_in_many_pieces() {
    let drip = Some(Drip { bytes: 10, every: ms(1) });
    let server = start(Script { drip, body_bytes: 300, ..Script::default() });
    let mut client = Client::of(server.address());
    client.say(&GET.repeat(2));
    assert_eq!((client.answer().length, client.answer().length), (300, 300));
    let arrivals = arrivals(&server.stop().unwrap());
    // 300 bytes and a head are more than 30 pieces: 30 pauses between them.
    assert!(arrivals[0].answered() >= Some(arrivals[0].arrived.plus(ms(30))));
    assert!(arrivals[1].answered() >= Some(arrivals[1].arrived.plus(ms(60))));
}

#[test]
fn a_refusal_resets_who_is_there_turns_others_away_and_ends() {
    let server = start(Script { refusals: window(0, 1000), ..Script::default() });
    let mut bystander = Client::of(server.address());
    let mut client = Client::of(server.address());
    assert_eq!(client.ask(), OK);
    for struck in [&mut client, &mut bystander] {
        let read = struck.0.read(&mut [0]);
        assert_eq!(read.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    }
    let (mut refused, deadline) = (0, Instant::now() + Duration::from_secs(30));
    let mut returned = loop {
        match Client::try_of(server.address()) {
            Ok(client) => break client,
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionRefused),
        }
        refused += 1;
        assert!(Instant::now() < deadline, "it did not come back within 30 s");
        std::thread::sleep(ms(1));
    };
    assert_eq!(returned.ask(), OK);
    let arrivals = arrivals(&server.stop().unwrap());
    assert!(refused > 0 && arrivals[1].arrived >= arrivals[0].arrived.plus(ms(1000)), "{refused} {arrivals:?}");
}

#[test]
fn a_blackhole_reads_nothing_until_its_end() {
    let server = start(Script { blackholes: window(100, 500), ..Script::default() });
    let mut client = Client::of(server.address());
    assert_eq!(client.ask(), OK);
    let answered = Instant::now();
    while answered.elapsed() < ms(600) {
        assert_eq!(client.ask(), OK);
    }
    // Beyond the end, whatever held up this thread before.
    assert_eq!(client.ask(), OK);
    let arrivals = arrivals(&server.stop().unwrap());
    let [begin, end] = [100, 600].map(|at| arrivals[0].arrived.plus(ms(at)));
    // One may have been on its way in when it began.
    let within = arrivals.iter().filter(|arrival| (begin..end).contains(&arrival.arrived)).count();
    assert!(within <= 1 && arrivals.iter().any(|arrival| arrival.arrived >= end), "{within} within");
}

// How it ends.

#[test]
fn it_ends_by_itself_when_it_has_answered_enough() {
    let server = start(Script { requests: NonZeroU64::new(5), ..Script::default() });
    let mut client = Client::of(server.address());
    (0..5).for_each(|_| assert_eq!(client.ask(), OK));
    client.ends();
    let summary = server.join().unwrap().summary;
    assert_eq!((summary.ended, summary.answered), (Ending::Requests, 5));
    assert!(summary.first_arrival_ns < summary.last_arrival_ns && summary.requests_per_second.is_some());
}

#[test]
fn it_ends_by_itself_when_its_time_is_over_and_what_is_open_stays_unanswered() {
    let server = start(Script { duration: Some(ms(200)), stalls: window(0, 60_000), ..Script::default() });
    let mut client = Client::of(server.address());
    client.say(GET);
    client.ends();
    let served = server.join().unwrap();
    assert_eq!((served.summary.ended, served.summary.requests, served.summary.answered), (Ending::Duration, 1, 0));
    assert_eq!(arrivals(&served)[0].answered(), None);
}

// As a process.

/// `mxctl bench server`, and the first line that it prints.
fn process(lab: &Lab, arguments: &[&str]) -> (Child, BufReader<ChildStdout>, SocketAddr) {
    let mut command: Command = lab.mxctl(&[&["bench", "server"], arguments].concat());
    let mut child = command.current_dir(lab.folder()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening ").expect("where it listens").parse().unwrap();
    (child, stdout, address)
}

fn ends(mut child: Child, stdout: BufReader<ChildStdout>) -> Summary {
    let summary = serde_json::from_reader(stdout).unwrap();
    assert!(child.wait().unwrap().success());
    summary
}

#[test]
fn a_signal_ends_it_with_its_summary_and_its_log() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let lab = Lab::new();
        let (child, stdout, address) = process(&lab, &["--log", "arrivals.csv", "--status", "202"]);
        let mut client = Client::of(address);
        (0..3).for_each(|_| assert_eq!(client.ask().status, 202));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let summary = ends(child, stdout);
        assert_eq!((summary.ended, summary.requests, summary.answered), (Ending::Stopped, 3, 3));
        let file = File::open(lab.folder().join("arrivals.csv")).unwrap();
        let arrivals = Arrivals::read(BufReader::new(file)).unwrap();
        let first = arrivals.iter().next().unwrap();
        assert_eq!((arrivals.len(), Some(first.arrived), first.status), (3, summary.first_arrival_ns, 202));
        assert!(arrivals.iter().all(|arrival| arrival.answered() > Some(Offset::ZERO)));
    }
}

#[test]
fn flags_are_the_script() {
    let lab = Lab::new();
    let flags = "--delay 1ms --stall 10s:1s --stall 20s:1s --blackhole 30s:1s --refuse 40s:1s --slow-drip 10/1ms \
                 --close-after 2 --close-abruptly --error-rate 100% --seed 7 --body-bytes 9 --requests 2 --duration 60s";
    let (child, stdout, address) = process(&lab, &flags.split_whitespace().collect::<Vec<_>>());
    let mut client = Client::of(address);
    for _ in 0..2 {
        assert_eq!(client.ask(), Answer { status: 503, says_close: false, length: 0 });
    }
    client.ends();
    let summary = ends(child, stdout);
    assert_eq!((summary.ended, summary.answered, summary.errors), (Ending::Requests, 2, 2));
}
