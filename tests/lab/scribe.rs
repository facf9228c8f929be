//! A server that writes down which request came when, by the number that is its path. It can be shut, and made to swallow
//! whatever comes; what it swallowed it reads when it is fair again, as a target does that stood still.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Connections are reset, and new ones refused.
    Shut,
    /// Connections are taken, and nothing is read from them.
    Swallows,
    /// For ever.
    Over,
}

/// A request that came whole.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub number: u64,
    pub at: Instant,
}

type Book = Arc<Mutex<Vec<Entry>>>;

pub struct Scribe {
    pub addr: SocketAddr,
    weather: watch::Sender<Weather>,
    book: Book,
    thread: JoinHandle<()>,
}

impl Scribe {
    pub fn start() -> Scribe {
        let (weather, seen) = watch::channel(Weather::Fair);
        let book = Book::default();
        let (addr_out, addr_in) = std::sync::mpsc::channel();
        let written = book.clone();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                // It keeps the port while nobody listens there.
                let berth = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
                let addr = berth.local_addr().expect("its address");
                let door = bound(addr).listen(1024).expect("a port of ours");
                addr_out.send(addr).expect("somebody waits for it");
                serve(door, seen, written).await;
            });
        });
        Scribe { addr: addr_in.recv().expect("it listens"), weather, book, thread }
    }

    pub fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// What came, in that order.
    pub fn end(self) -> Vec<Entry> {
        self.turn(Weather::Over);
        self.thread.join().expect("it does not panic");
        std::mem::take(&mut self.book.lock().expect("nobody panics with it"))
    }
}

fn bound(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option that every kernel knows");
    socket.bind(addr).expect("a free port");
    socket
}

async fn serve(mut door: TcpListener, mut weather: watch::Receiver<Weather>, book: Book) {
    let addr = door.local_addr().expect("its address");
    loop {
        take_in(&door, weather.clone(), &book).await;
        drop(door);
        let next = *weather.wait_for(|weather| *weather != Weather::Shut).await.expect("its sender ends it");
        if next == Weather::Over {
            return;
        }
        door = bound(addr).listen(1024).expect("a port of ours");
    }
}

/// Until it is shut: then all connections end.
async fn take_in(door: &TcpListener, mut weather: watch::Receiver<Weather>, book: &Book) {
    let mut served = JoinSet::new();
    let shut = weather.clone();
    loop {
        tokio::select! {
            _ = weather.wait_for(|weather| matches!(weather, Weather::Shut | Weather::Over)) => break,
            taken = door.accept() => {
                let (stream, _) = taken.expect("descriptors enough");
                // However it ends, its end is a reset.
                stream.set_zero_linger().expect("an option that every kernel knows");
                served.spawn(write_down(stream, shut.clone(), book.clone()));
                while served.try_join_next().is_some() {}
            }
        }
    }
    served.shutdown().await;
}

async fn write_down(mut stream: TcpStream, mut weather: watch::Receiver<Weather>, book: Book) {
    let mut inbox = Vec::new();
    loop {
        if weather.wait_for(|weather| *weather != Weather::Swallows).await.is_err() {
            return;
        }
        tokio::select! {
            biased;
            _ = weather.changed() => continue,
            ready = stream.readable() => if ready.is_err() { return },
        }
        match stream.try_read_buf(&mut inbox) {
            Ok(0) => return,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        while let Some(number) = next_number(&mut inbox) {
            book.lock().expect("nobody panics with it").push(Entry { number, at: Instant::now() });
            // Who asked may be gone.
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
    }
}

/// Takes the next whole request, `GET /0000000042 …`.
fn next_number(inbox: &mut Vec<u8>) -> Option<u64> {
    let end = inbox.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let request: Vec<u8> = inbox.drain(..end).collect();
    let text = String::from_utf8(request).expect("a request of the load's");
    let number = text.strip_prefix("GET /").and_then(|text| text.split(' ').next()).expect("a number as its path");
    Some(number.parse().expect("a number as its path"))
}
