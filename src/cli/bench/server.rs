//! `mxctl bench server`: what load generators are compared on.

use std::fs::File;
use std::io::BufWriter;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::written;
use crate::bench::server::{Arrivals, CloseAfter, Drip, Script, Served, Server, ServerError, Stopper, Window};
use crate::cli::exit::Exit;
use crate::cli::fail;
use crate::cli::output::{json, print};
use crate::scenario::{Percent, Period};

pub const EXAMPLES: &str = "Examples:
  mxctl bench server --port 8080 --log arrivals.csv          until Ctrl-C or SIGTERM
  mxctl bench server --requests 100000 --body-bytes 1024
  mxctl bench server --delay 5ms --stall 14s:1s              answers nothing for the 15th second
  mxctl bench server --refuse 5s:2s --blackhole 10s:10s      is gone, and then is deaf
  mxctl bench server --slow-drip 10/50ms --close-after 100
  mxctl bench server --error-rate 1% --seed 7

A window AT:FOR begins AT after the arrival of the first request. HTTP/1.1, keep-alive and pipelining; any
method, any path. stdout carries the line `listening 127.0.0.1:PORT`, and at the end the summary as JSON.

The log is CSV, `arrived_ns,answered_ns,connection,status`, in nanoseconds since the server's start. A request
has arrived when the read that completed its head returned (several in one read: together), and is answered
when its last byte is written. One thread: pin it with `taskset -c CORE mxctl bench server …`.

Exit codes: 0 ended as asked, by signal too; 2 bad input; 4 it could not listen, or take connections";

#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// Where on 127.0.0.1 it listens; 0: on a port that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// The status of its answers
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
    /// The length of their bodies
    #[arg(long, value_name = "N", default_value_t = 2)]
    body_bytes: usize,
    /// Answer so long after each request; none waits for another
    #[arg(long, value_name = "TIME", value_parser = written::<Period>)]
    delay: Option<Period>,
    /// Read and log requests, and answer them at the end; may be repeated
    #[arg(long, value_name = "AT:FOR", value_parser = written::<Window>)]
    stall: Vec<Window>,
    /// Take connections, and read and answer nothing; may be repeated
    #[arg(long, value_name = "AT:FOR", value_parser = written::<Window>)]
    blackhole: Vec<Window>,
    /// Reset open connections, and refuse new ones; may be repeated
    #[arg(long, value_name = "AT:FOR", value_parser = written::<Window>)]
    refuse: Vec<Window>,
    /// Write so many bytes of an answer at once, and the next after so long
    #[arg(long, value_name = "BYTES/TIME", value_parser = written::<Drip>)]
    slow_drip: Option<Drip>,
    /// Close each connection after so many answers; the last says `Connection: close`
    #[arg(long, value_name = "N")]
    close_after: Option<NonZeroU64>,
    /// It does not say so
    #[arg(long, requires = "close_after")]
    close_abruptly: bool,
    /// Answer this share of the requests with 503
    #[arg(long, value_name = "SHARE", value_parser = written::<Percent>)]
    error_rate: Option<Percent>,
    /// Decides which ones: the same for the same number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End when so many requests are answered
    #[arg(long, value_name = "N")]
    requests: Option<NonZeroU64>,
    /// End so long after the start
    #[arg(long, value_name = "TIME", value_parser = written::<Period>)]
    duration: Option<Period>,
    /// Write the log of arrivals into this file, at the end
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl ServerArgs {
    fn script(&self) -> Script {
        let abruptly = self.close_abruptly;
        Script {
            status: self.status,
            body_bytes: self.body_bytes,
            delay: self.delay.map_or(Duration::ZERO, |delay| delay.0),
            drip: self.slow_drip,
            stalls: self.stall.clone(),
            blackholes: self.blackhole.clone(),
            refusals: self.refuse.clone(),
            close: self.close_after.map(|answers| CloseAfter { answers, abruptly }),
            errors: self.error_rate.map_or(0.0, Percent::share),
            seed: self.seed,
            requests: self.requests,
            duration: self.duration.map(|duration| duration.0),
        }
    }
}

pub async fn run(args: &ServerArgs) -> Exit {
    // Before the first request: a log that nobody can write is found out now.
    let log = match args.log.as_deref().map(create).transpose() {
        Ok(log) => log,
        Err(e) => return fail(&e, Exit::BadInput),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let served = match Server::start(args.script(), address) {
        Ok(server) => serve(server).await,
        Err(e) => Err(e),
    };
    match served {
        Ok(served) => tell(&served, log),
        Err(e) => fail(&e, Exit::Laboratory),
    }
}

async fn serve(server: Server) -> Result<Served, ServerError> {
    // Heard from before it can be found.
    let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(heard);
    let signals = tokio::spawn(stop_on_signal(terminate, interrupt, server.stopper()));
    // Without this line nobody could find it.
    if print(format!("listening {}\n", server.address())) != Exit::Pass {
        server.stopper().stop();
    }
    let served = tokio::task::spawn_blocking(|| server.join()).await;
    signals.abort();
    served.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn heard(kind: SignalKind) -> Signal {
    signal(kind).expect("a process may listen for signals")
}

async fn stop_on_signal(mut terminate: Signal, mut interrupt: Signal, stopper: Stopper) {
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    stopper.stop();
}

/// A file, and its name for messages.
struct Log<'a> {
    path: &'a Path,
    file: File,
}

fn create(path: &Path) -> Result<Log<'_>, String> {
    let created = File::create(path).map_err(|e| unwritten(path, &e))?;
    Ok(Log { path, file: created })
}

fn unwritten(path: &Path, e: &std::io::Error) -> String {
    format!("write the log of arrivals {}: {e}; name a file that can be written with `--log`", path.display())
}

/// The summary is told even where the log cannot be written.
fn tell(served: &Served, log: Option<Log>) -> Exit {
    let told = print(json(&served.summary));
    match log.map(|log| write(&served.arrivals, &log)).transpose() {
        Ok(_) => told,
        Err(e) => fail(&e, Exit::BadInput),
    }
}

fn write(arrivals: &Arrivals, log: &Log) -> Result<(), String> {
    arrivals.write(&mut BufWriter::new(&log.file)).map_err(|e| unwritten(log.path, &e))
}
