//! The control socket to one instance: pause points are armed and released over it, one JSON line a message.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plan::PausePoint;

/// How long an instance may take to confirm a command.
const CONFIRM: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Listening { addr: SocketAddr },
    Holding { point: PausePoint },
    Held { point: PausePoint, tasks: u64 },
    Released { point: PausePoint },
}

#[derive(Serialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Command {
    Hold { point: PausePoint },
    Release { point: PausePoint },
}

/// What the instance has said so far.
#[derive(Debug, Default, Clone)]
struct Said {
    listening: Option<SocketAddr>,
    /// Armed points, and how many tasks each holds.
    holds: BTreeMap<PausePoint, u64>,
    ended: bool,
}

pub(in crate::backends) struct Control {
    write: Mutex<OwnedWriteHalf>,
    said: watch::Receiver<Said>,
}

impl Control {
    pub fn new(socket: StdUnixStream, tasks: &mut JoinSet<()>, over: CancellationToken) -> Self {
        socket.set_nonblocking(true).expect("a fresh socket takes its flags");
        let socket = UnixStream::from_std(socket).expect("a runtime with I/O runs the control plane");
        let (read, write) = socket.into_split();
        let (tell, said) = watch::channel(Said::default());
        tasks.spawn(async move {
            over.run_until_cancelled(listen(read, &tell)).await;
        });
        Control { write: Mutex::new(write), said }
    }

    /// Where the instance listens, once it does.
    pub async fn listening(&self, within: Duration) -> io::Result<SocketAddr> {
        let said = self.wait(within, |said| said.listening.is_some()).await;
        said.and_then(|s| s.listening).ok_or_else(|| timed_out("its port was not announced", within))
    }

    pub async fn hold(&self, point: PausePoint) -> io::Result<()> {
        self.send(&Command::Hold { point }).await?;
        let armed = self.wait(CONFIRM, |said| said.holds.contains_key(&point)).await;
        armed.map(|_| ()).ok_or_else(|| timed_out("a hold was not confirmed", CONFIRM))
    }

    /// How many tasks are held at an armed point; `None` when nothing came.
    pub async fn held(&self, point: PausePoint, within: Duration) -> Option<u64> {
        let said = self.wait(within, |said| said.holds.get(&point).is_some_and(|tasks| *tasks > 0)).await?;
        said.holds.get(&point).copied()
    }

    pub async fn release(&self, point: PausePoint) -> io::Result<()> {
        self.send(&Command::Release { point }).await?;
        let released = self.wait(CONFIRM, |said| !said.holds.contains_key(&point)).await;
        released.map(|_| ()).ok_or_else(|| timed_out("a release was not confirmed", CONFIRM))
    }

    async fn send(&self, command: &Command) -> io::Result<()> {
        let mut line = serde_json::to_vec(command).expect("a command is plain data");
        line.push(b'\n');
        self.write.lock().await.write_all(&line).await
    }

    /// Waits until the instance has said something; `None` on a time-out, or when its end of the socket closed.
    async fn wait(&self, within: Duration, until: impl Fn(&Said) -> bool) -> Option<Said> {
        let mut said = self.said.clone();
        let heard = tokio::time::timeout(within, said.wait_for(|s| until(s) || s.ended)).await.ok()?.ok()?.clone();
        until(&heard).then_some(heard)
    }
}

async fn listen(read: OwnedReadHalf, tell: &watch::Sender<Said>) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that is no message is the service's mistake; whoever waits for it times out and says what for.
        let Ok(message) = serde_json::from_str(&line) else { continue };
        tell.send_modify(|said| match message {
            Message::Listening { addr } => said.listening = Some(addr),
            Message::Holding { point } => {
                said.holds.entry(point).or_insert(0);
            }
            Message::Held { point, tasks } => *said.holds.entry(point).or_insert(0) += tasks,
            Message::Released { point } => {
                said.holds.remove(&point);
            }
        });
    }
    tell.send_modify(|said| said.ended = true);
}

fn timed_out(what: &str, within: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {within:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: PausePoint = PausePoint::WorkerLeased;
    const LONG: Duration = Duration::from_secs(60);

    /// The instance's end of the socket.
    struct Service {
        read: tokio::io::Lines<BufReader<OwnedReadHalf>>,
        write: OwnedWriteHalf,
    }

    impl Service {
        async fn say(&mut self, line: &str) {
            self.write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }

        async fn hear(&mut self) -> String {
            self.read.next_line().await.unwrap().expect("a command")
        }
    }

    fn connected() -> (Control, Service, JoinSet<()>) {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (read, write) = UnixStream::from_std(theirs).unwrap().into_split();
        let mut tasks = JoinSet::new();
        let control = Control::new(ours, &mut tasks, CancellationToken::new());
        (control, Service { read: BufReader::new(read).lines(), write }, tasks)
    }

    #[tokio::test]
    async fn a_hold_is_armed_when_the_instance_confirms_it_and_over_when_it_is_released() {
        let (control, mut service, _tasks) = connected();
        let (held, ()) = tokio::join!(control.hold(POINT), async {
            assert_eq!(service.hear().await, r#"{"command":"hold","point":"worker.leased"}"#);
            service.say(r#"{"event":"holding","point":"worker.leased"}"#).await;
        });
        held.unwrap();
        assert_eq!(control.held(POINT, Duration::ZERO).await, None, "armed, and nothing has come");
        service.say(r#"{"event":"held","point":"worker.leased","tasks":37}"#).await;
        assert_eq!(control.held(POINT, LONG).await, Some(37));
        let (released, ()) = tokio::join!(control.release(POINT), async {
            assert_eq!(service.hear().await, r#"{"command":"release","point":"worker.leased"}"#);
            service.say(r#"{"event":"released","point":"worker.leased"}"#).await;
        });
        released.unwrap();
        assert_eq!(control.held(POINT, Duration::ZERO).await, None);
    }

    #[tokio::test]
    async fn a_line_that_is_no_message_is_passed_over() {
        let (control, mut service, _tasks) = connected();
        service.say("thread 'main' panicked").await;
        service.say(r#"{"event":"listening","addr":"127.0.0.1:4711"}"#).await;
        assert_eq!(control.listening(LONG).await.unwrap(), "127.0.0.1:4711".parse().unwrap());
    }

    #[tokio::test]
    async fn whoever_waits_for_an_instance_that_is_gone_waits_no_longer() {
        let (control, service, mut tasks) = connected();
        drop(service);
        assert_eq!(control.held(POINT, Duration::MAX).await, None);
        assert!(control.listening(Duration::MAX).await.is_err());
        assert!(control.hold(POINT).await.is_err());
        tasks.join_next().await.expect("one listener").expect("it ends in order");
    }
}
