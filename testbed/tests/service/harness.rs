//! A service in this process, with what a test needs to write to it, to look behind it, and to hold it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use testbed::{Config, ServeError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::lab::database::{Database, Sighting, StoredRow, every_database};

/// Longer than anything here may take, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks again until the answer is yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_deadline(what, asking).await;
}

pub struct Lab {
    pub database: Arc<Database>,
}

impl Lab {
    /// On SQLite: what is asked hangs on no database.
    pub fn new() -> Self {
        Lab { database: Arc::new(Database::file()) }
    }

    /// One on each database.
    pub async fn each() -> Vec<Self> {
        every_database().await.into_iter().map(|database| Lab { database: Arc::new(database) }).collect()
    }

    /// A configuration of short times; `sections` are added to it.
    pub fn config(&self, sections: &str) -> Config {
        let yaml = format!("database: {{ url: '{}', busy_timeout: 200ms }}\n{sections}\n", self.database.url);
        Config::parse(&yaml, Path::new("test.yml")).unwrap_or_else(|error| panic!("failed to {error}"))
    }

    /// A service with a control socket, listening.
    pub async fn serve(&self, sections: &str) -> Running {
        Running::start(self.config(sections), self.database.clone()).await
    }

    /// A service without a control socket, as a person starts it, on a port that was free a moment ago.
    pub async fn serve_by_hand(&self, sections: &str) -> Running {
        let mut config = self.config(sections);
        config.server.port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let addr = SocketAddr::new(config.server.host, config.server.port);
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(testbed::serve(config, None, shutdown.clone()));
        eventually("the port is bound", || async { tokio::net::TcpStream::connect(addr).await.is_ok() }).await;
        Running { caller: Caller::of(addr, self.database.clone()), control: Control::closed(), shutdown, ended }
    }
}

/// What callers and operators can do with a service, wherever it runs.
#[derive(Clone)]
pub struct Caller {
    pub addr: SocketAddr,
    database: Arc<Database>,
    http: reqwest::Client,
}

/// A service in this process.
pub struct Running {
    caller: Caller,
    pub control: Control,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<Result<(), ServeError>>,
}

impl Deref for Running {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Running {
    pub async fn start(config: Config, database: Arc<Database>) -> Self {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (shutdown, mut control) = (CancellationToken::new(), Control::over(ours));
        let ended = tokio::spawn(testbed::serve(config, Some(theirs), shutdown.clone()));
        let addr = control.listening().await;
        Running { caller: Caller::of(addr, database), control, shutdown, ended }
    }

    /// Orders the shutdown and waits for its end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        within_deadline("the shutdown", self.ended).await.unwrap().unwrap();
    }
}

impl Caller {
    pub fn of(addr: SocketAddr, database: Arc<Database>) -> Self {
        Caller { addr, database, http: reqwest::Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn post(&self, character: &str, body: String) -> Answer {
        let url = self.url(&format!("/api/v5/characters/{character}/expectation"));
        Answer::of(self.http.post(url).body(body).send()).await
    }

    pub async fn write(&self, key: u64, seq: u64) -> Answer {
        self.post(&key.to_string(), body(seq)).await
    }

    /// A write that goes on while the test does something else.
    pub fn write_aside(&self, key: u64, seq: u64) -> JoinHandle<Answer> {
        let (http, url) = (self.http.clone(), self.url(&format!("/api/v5/characters/{key}/expectation")));
        tokio::spawn(async move { Answer::of(http.post(url).body(body(seq)).send()).await })
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).send()).await
    }

    /// The status, or `None` where nobody listens any more.
    pub async fn try_get(&self, path: &str) -> Option<u16> {
        let response = within_deadline("an answer", self.http.get(self.url(path)).send()).await;
        response.ok().map(|response| response.status().as_u16())
    }

    /// A figure of `/metrics`, by its name and labels up to the blank.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let [figure] = self.metrics([name]).await;
        figure
    }

    /// Figures of one moment: a task that moves between two readings would be missed by both.
    pub async fn metrics<const N: usize>(&self, names: [&str; N]) -> [Option<f64>; N] {
        let text = self.get("/metrics").await.text;
        names.map(|name| {
            let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'))?;
            line.rsplit_once(' ')?.1.parse().ok()
        })
    }

    pub async fn rows(&self) -> Vec<StoredRow> {
        self.database.rows().await
    }

    pub async fn has_rows(&self, count: usize) {
        eventually(&format!("{}: {count} rows", self.database.word), || async { self.rows().await.len() == count })
            .await;
    }

    pub async fn witness(&self) -> Vec<Sighting> {
        self.database.witness().await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    async fn of(response: impl Future<Output = reqwest::Result<reqwest::Response>>) -> Self {
        let response = within_deadline("an answer", response).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// mxctl's end of the control socket.
pub struct Control {
    lines: Lines<BufReader<OwnedReadHalf>>,
    commands: OwnedWriteHalf,
}

impl Control {
    /// Nobody is at the other end.
    pub fn closed() -> Self {
        Self::over(std::os::unix::net::UnixStream::pair().unwrap().0)
    }

    pub fn over(socket: std::os::unix::net::UnixStream) -> Self {
        socket.set_nonblocking(true).unwrap();
        let (read, commands) = UnixStream::from_std(socket).unwrap().into_split();
        Control { lines: BufReader::new(read).lines(), commands }
    }

    /// Waits until the port is bound: which one.
    pub async fn listening(&mut self) -> SocketAddr {
        let listening = self.hears().await;
        assert_eq!(listening["event"], "listening");
        listening["addr"].as_str().unwrap().parse().unwrap()
    }

    pub async fn hears(&mut self) -> Value {
        let line = within_deadline("an event", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("an open control socket")).unwrap()
    }

    /// The next event, if it comes soon.
    pub async fn poll_event(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(Duration::from_millis(50), self.lines.next_line()).await.ok()?.unwrap();
        Some(serde_json::from_str(&line.expect("an open control socket")).unwrap())
    }

    async fn say(&mut self, command: &str, point: &str) {
        let line = format!("{{\"command\":\"{command}\",\"point\":\"{point}\"}}\n");
        self.commands.write_all(line.as_bytes()).await.unwrap();
    }

    /// Arms the point.
    pub async fn hold(&mut self, point: &str) {
        self.say("hold", point).await;
        assert_eq!(self.hears().await, serde_json::json!({"event": "holding", "point": point}));
    }

    /// Waits until something is held: how many tasks.
    pub async fn held(&mut self, point: &str) -> u64 {
        let event = self.hears().await;
        assert_eq!((&event["event"], &event["point"]), (&"held".into(), &point.into()));
        event["tasks"].as_u64().unwrap()
    }

    pub async fn release(&mut self, point: &str) {
        self.say("release", point).await;
        assert_eq!(self.hears().await, serde_json::json!({"event": "released", "point": point}));
    }
}

/// A body whose amounts say which preset and seq they are of.
pub fn body(seq: u64) -> String {
    body_with(seq, |preset| format!("{}.{:02}", seq * 10 + preset, preset))
}

/// A body whose total costs are given, a preset at a time.
pub fn body_with(seq: u64, total: impl Fn(u64) -> String) -> String {
    let preset = |preset| {
        format!(
            r#"{{"preset":{preset},"total_expected_cost":"{}","black_cube_cost":"0.04","red_cube_cost":"0.03",
                "additional_cube_cost":"0.02","starforce_cost":"0.01"}}"#,
            total(preset)
        )
    };
    format!(r#"{{"seq":{seq},"presets":[{},{},{}]}}"#, preset(1), preset(2), preset(3))
}
