//! Each toxic, measured by a client of its own against a server that answers a line with a line.

use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(150);

/// Answers every line with itself, and tells which it got.
struct Echo {
    addr: SocketAddr,
    got: watch::Receiver<Vec<String>>,
    _serving: JoinSet<()>,
}

impl Echo {
    async fn start() -> Echo {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, got) = watch::channel(Vec::new());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, tell.clone()));
            }
        });
        Echo { addr, got, _serving: serving }
    }

    async fn has_got(&mut self, line: &str) {
        let got = self.got.wait_for(|all| all.iter().any(|got| got == line));
        tokio::time::timeout(PATIENCE, got).await.unwrap_or_else(|_| panic!("{line} never arrived")).unwrap();
    }
}

async fn answer(mut stream: TcpStream, tell: watch::Sender<Vec<String>>) {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tell.send_modify(|got| got.push(line.clone()));
        if write.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn lab() -> (Echo, Proxy, TcpStream) {
    let echo = Echo::start().await;
    let proxy = Proxy::start(echo.addr).unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    (echo, proxy, client)
}

/// The answer, and how long it took; an error where the connection ended.
async fn ask(client: &mut TcpStream, line: &str) -> io::Result<(String, Duration)> {
    let asked = Instant::now();
    client.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = vec![0; line.len() + 1];
    let read = tokio::time::timeout(PATIENCE, client.read_exact(&mut answer)).await;
    read.unwrap_or_else(|_| panic!("no answer to {line}"))?;
    Ok((String::from_utf8(answer).unwrap().trim_end().to_owned(), asked.elapsed()))
}

#[tokio::test]
async fn without_a_toxic_every_byte_passes_as_it_came() {
    let (_echo, proxy, mut client) = lab().await;
    let long = "x".repeat(300_000);
    assert_eq!(ask(&mut client, &long).await.unwrap().0, long);
    assert_eq!(proxy.passed(), Passed { connections: 1, ..Passed::default() });
    proxy.end();
    assert!(ask(&mut client, "after the end").await.is_err());
}

#[tokio::test]
async fn latency_delays_each_answer_and_ends_with_its_toxic() {
    let (_echo, proxy, mut client) = lab().await;
    proxy.put("slow", Direction::ToClient, Toxic::Latency(SOON));
    let (answer, took) = ask(&mut client, "a").await.unwrap();
    assert!(answer == "a" && took >= SOON, "{took:?}");
    proxy.take("slow");
    let (_, took) = ask(&mut client, "b").await.unwrap();
    assert!(took < SOON, "{took:?}");
    assert_eq!(proxy.passed().delayed, 1);
}

#[tokio::test]
async fn reset_breaks_open_connections_and_new_ones() {
    let (_echo, proxy, mut client) = lab().await;
    ask(&mut client, "a").await.unwrap();
    proxy.put("reset", Direction::ToClient, Toxic::Reset);
    let broken = client.read_u8().await.unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    // As soon as at its connect, or at its first word.
    let another = async { ask(&mut TcpStream::connect(proxy.addr()).await?, "b").await };
    assert!(another.await.is_err());
    proxy.take("reset");
    let mut last = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut last, "c").await.unwrap().0, "c");
    assert_eq!(proxy.passed().reset, 2);
}

#[tokio::test]
async fn a_blackhole_holds_what_is_sent_and_lets_it_arrive_late() {
    let (mut echo, proxy, mut client) = lab().await;
    ask(&mut client, "a").await.unwrap();
    proxy.put("hole", Direction::ToServer, Toxic::Blackhole);
    client.write_all(b"late\n").await.unwrap();
    let silent = tokio::time::timeout(SOON, client.read_u8()).await;
    assert!(silent.is_err() && !echo.got.borrow().iter().any(|got| got == "late"));
    // Its sender gives up: what it had sent arrives all the same.
    drop(client);
    proxy.take("hole");
    echo.has_got("late").await;
    assert_eq!(proxy.passed().held, 1);
}

#[tokio::test]
async fn an_answer_is_swallowed_after_the_server_has_acted_and_only_to_the_word_that_is_meant() {
    let (mut echo, proxy, mut client) = lab().await;
    proxy.put("swallow", Direction::ToClient, Toxic::SwallowAnswerTo("EVAL"));
    assert_eq!(ask(&mut client, "PING").await.unwrap().0, "PING");
    let broken = ask(&mut client, "EVAL 1").await.unwrap_err();
    assert!(matches!(broken.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof), "{broken}");
    echo.has_got("EVAL 1").await;
    assert_eq!(proxy.passed().swallowed, 1);
}

#[tokio::test]
async fn a_request_is_swallowed_for_good_and_its_connection_reset_when_the_toxic_is_out() {
    let (echo, proxy, mut client) = lab().await;
    proxy.put("swallow", Direction::ToServer, Toxic::SwallowRequestWith("EVAL"));
    assert_eq!(ask(&mut client, "PING").await.unwrap().0, "PING");
    client.write_all(b"EVAL 1\nPING 2\n").await.unwrap();
    let silent = tokio::time::timeout(SOON, client.read_u8()).await;
    assert!(silent.is_err(), "{silent:?}");
    proxy.take("swallow");
    let broken = tokio::time::timeout(PATIENCE, client.read_u8()).await.expect("it is reset").unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    // A line of a later connection has come, and none of those.
    let mut another = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut another, "EVAL 3").await.unwrap().0, "EVAL 3");
    assert_eq!(*echo.got.borrow(), ["PING", "EVAL 3"]);
    assert_eq!((proxy.passed().swallowed, proxy.passed().reset), (1, 1));
}

#[tokio::test]
async fn who_connects_after_a_change_of_servers_reaches_the_other_one_and_who_was_there_stays() {
    let (mut first, proxy, mut client) = lab().await;
    let mut second = Echo::start().await;
    ask(&mut client, "a").await.unwrap();
    proxy.lead_to(second.addr);
    ask(&mut client, "b").await.unwrap();
    ask(&mut TcpStream::connect(proxy.addr()).await.unwrap(), "c").await.unwrap();
    first.has_got("b").await;
    second.has_got("c").await;
    assert!(!first.got.borrow().iter().any(|got| got == "c"));
}

#[tokio::test]
async fn a_server_that_is_gone_is_the_end_of_a_connection() {
    let unused = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::start(unused).unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(ask(&mut client, "a").await.is_err());
}
