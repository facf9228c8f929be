//! Pause points: named places where one task can be held while the process goes on.
//!
//! In: commands over a Unix socket that the service inherited, one JSON object a line. Out: events over the same
//! socket. Without a socket, [`PausePoints::never`]: every point is passed at once.
//!
//! ```text
//! hold ──► armed ──first arrival──► held ──release, or the arrival gives up──► open
//!            └──────────────────release───────────────────────────────────────►─┘
//! ```
//!
//! A hold catches the first arrival and lets later ones pass. The end of the socket opens every point for good.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Point {
    /// An offer is counted as in flight; the buffer has not been asked.
    #[serde(rename = "offer.registered")]
    OfferRegistered,
    /// The buffer has taken the offer; the answer is not sent.
    #[serde(rename = "offer.stored")]
    OfferStored,
    /// A batch is leased; no transaction is open.
    #[serde(rename = "worker.leased")]
    WorkerLeased,
    /// The transaction is committed; the lease is not acknowledged.
    #[serde(rename = "worker.committed")]
    WorkerCommitted,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
enum Command {
    Hold { point: Point },
    Release { point: Point },
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Listening { addr: SocketAddr },
    Holding { point: Point },
    Held { point: Point, tasks: usize },
    Released { point: Point },
}

/// How many events may wait for the other side to read them: a command leads to two at most.
const EVENT_BACKLOG: usize = 64;

/// What the service asks at its pause points. Clones share their holds.
#[derive(Debug, Clone)]
pub struct PausePoints(Option<Arc<Holds>>);

impl PausePoints {
    /// No socket: nothing is ever held.
    pub fn never() -> Self {
        PausePoints(None)
    }

    /// Pause points driven over `socket`, and the conversation, which the caller runs until it ends.
    pub fn over(socket: std::os::unix::net::UnixStream) -> std::io::Result<(Self, Conversation)> {
        socket.set_nonblocking(true)?;
        let (commands, replies) = UnixStream::from_std(socket)?.into_split();
        let (events, queued) = mpsc::channel(EVENT_BACKLOG);
        let holds = Arc::new(Holds { by_point: Mutex::default(), events });
        Ok((PausePoints(Some(holds.clone())), Conversation { holds, commands, replies, queued }))
    }

    /// Waits here while the point is held and this is its first arrival.
    pub async fn at(&self, point: Point, tasks: usize) {
        let Some(holds) = &self.0 else { return };
        let Some(arrival) = holds.arrive(point, tasks) else { return };
        arrival.released.cancelled().await;
    }

    /// Tells the other side that the port is bound.
    pub fn listening(&self, addr: SocketAddr) {
        if let Some(holds) = &self.0 {
            holds.tell(Event::Listening { addr });
        }
    }
}

#[derive(Debug)]
struct Holds {
    by_point: Mutex<BTreeMap<Point, Hold>>,
    events: mpsc::Sender<Event>,
}

#[derive(Debug, Default)]
struct Hold {
    /// How many tasks the arrival carries; `None` while nothing has arrived.
    tasks: Option<usize>,
    released: CancellationToken,
}

/// What is held. Dropping it before its release (the request gave up) opens the point and says so: the other side must
/// never believe that something is held which is gone.
struct Arrival<'a> {
    holds: &'a Holds,
    point: Point,
    released: CancellationToken,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut by_point = self.holds.lock();
        // Under the lock: once released, the point may already be armed anew.
        if !self.released.is_cancelled() {
            by_point.remove(&self.point);
            self.holds.tell(Event::Released { point: self.point });
        }
    }
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Point, Hold>> {
        self.by_point.lock().expect("no holder of this lock panics")
    }

    fn tell(&self, event: Event) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            warn!("the control socket is not read: {event:?} is not told");
        }
    }

    fn arrive(&self, point: Point, tasks: usize) -> Option<Arrival<'_>> {
        let mut by_point = self.lock();
        let hold = by_point.get_mut(&point).filter(|hold| hold.tasks.is_none())?;
        hold.tasks = Some(tasks);
        let released = hold.released.clone();
        drop(by_point);
        self.tell(Event::Held { point, tasks });
        Some(Arrival { holds: self, point, released })
    }

    fn obey(&self, command: Command) {
        match command {
            Command::Hold { point } => self.hold(point),
            Command::Release { point } => self.release(point),
        }
    }

    /// A second hold of one point changes nothing and is told how things stand.
    fn hold(&self, point: Point) {
        let tasks = self.lock().entry(point).or_default().tasks;
        self.tell(tasks.map_or(Event::Holding { point }, |tasks| Event::Held { point, tasks }));
    }

    fn release(&self, point: Point) {
        let mut by_point = self.lock();
        if let Some(hold) = by_point.remove(&point) {
            hold.released.cancel();
        }
        self.tell(Event::Released { point });
    }

    fn release_all(&self) {
        let points: Vec<Point> = self.lock().keys().copied().collect();
        points.into_iter().for_each(|point| self.release(point));
    }
}

/// Both directions of the socket.
#[derive(Debug)]
pub struct Conversation {
    holds: Arc<Holds>,
    commands: OwnedReadHalf,
    replies: OwnedWriteHalf,
    queued: mpsc::Receiver<Event>,
}

impl Conversation {
    /// Ends, and opens every point, when the other side goes away.
    pub async fn run(self) {
        let Conversation { holds, commands, replies, queued } = self;
        tokio::select! {
            ended = obey_commands(&holds, commands) => report("read from", ended),
            ended = send_events(queued, replies) => report("write to", ended),
        }
        holds.release_all();
    }
}

fn report(direction: &str, ended: std::io::Result<()>) {
    if let Err(error) = ended {
        warn!("failed to {direction} the control socket: {error}");
    }
}

async fn obey_commands(holds: &Holds, commands: OwnedReadHalf) -> std::io::Result<()> {
    let mut lines = BufReader::new(commands).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(command) => holds.obey(command),
            Err(error) => warn!("failed to understand the control line {line:?}: {error}"),
        }
    }
    Ok(())
}

async fn send_events(mut queued: mpsc::Receiver<Event>, mut replies: OwnedWriteHalf) -> std::io::Result<()> {
    while let Some(event) = queued.recv().await {
        let mut line = serde_json::to_vec(&event).expect("an event has string keys only");
        line.push(b'\n');
        replies.write_all(&line).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Controller {
        points: PausePoints,
        conversation: tokio::task::JoinHandle<()>,
        lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
        write: OwnedWriteHalf,
    }

    impl Controller {
        fn new() -> Self {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let (points, conversation) = PausePoints::over(theirs).unwrap();
            ours.set_nonblocking(true).unwrap();
            let (read, write) = UnixStream::from_std(ours).unwrap().into_split();
            let conversation = tokio::spawn(conversation.run());
            Controller { points, conversation, lines: BufReader::new(read).lines(), write }
        }

        async fn say(&mut self, line: &str) {
            self.write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }

        async fn hears(&mut self) -> String {
            let line = tokio::time::timeout(Duration::from_secs(5), self.lines.next_line()).await;
            line.expect("an event within 5 s").unwrap().expect("an open socket")
        }
    }

    const HOLD: &str = r#"{"command":"hold","point":"worker.leased"}"#;
    const RELEASE: &str = r#"{"command":"release","point":"worker.leased"}"#;
    const HELD: &str = r#"{"event":"held","point":"worker.leased","tasks":37}"#;
    const RELEASED: &str = r#"{"event":"released","point":"worker.leased"}"#;

    async fn with_one_held() -> (Controller, tokio::task::JoinHandle<()>) {
        let mut controller = Controller::new();
        controller.say(HOLD).await;
        assert_eq!(controller.hears().await, r#"{"event":"holding","point":"worker.leased"}"#);
        let points = controller.points.clone();
        let held = tokio::spawn(async move { points.at(Point::WorkerLeased, 37).await });
        assert_eq!(controller.hears().await, HELD);
        (controller, held)
    }

    #[tokio::test]
    async fn without_a_socket_every_point_is_passed_at_once() {
        PausePoints::never().at(Point::OfferStored, 3).await;
        assert_eq!(size_of::<PausePoints>(), size_of::<usize>());
    }

    #[tokio::test]
    async fn a_hold_catches_the_first_arrival_and_lets_later_ones_pass() {
        let (mut controller, held) = with_one_held().await;
        controller.points.at(Point::WorkerLeased, 5).await;
        controller.points.at(Point::OfferStored, 5).await;
        assert!(!held.is_finished());
        controller.say(RELEASE).await;
        held.await.unwrap();
        assert_eq!(controller.hears().await, RELEASED);
        controller.points.at(Point::WorkerLeased, 5).await;
    }

    #[tokio::test]
    async fn a_second_hold_is_told_what_is_held() {
        let (mut controller, held) = with_one_held().await;
        controller.say(HOLD).await;
        assert_eq!(controller.hears().await, HELD);
        assert!(!held.is_finished());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_is_not_reported_as_held() {
        let (mut controller, held) = with_one_held().await;
        held.abort();
        assert_eq!(controller.hears().await, RELEASED);
    }

    #[tokio::test]
    async fn the_end_of_the_socket_releases_everything() {
        let (controller, held) = with_one_held().await;
        drop((controller.lines, controller.write));
        held.await.unwrap();
        controller.conversation.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_is_no_command_changes_nothing() {
        let (mut controller, held) = with_one_held().await;
        controller.say("hold everything").await;
        controller.say(HOLD).await;
        assert_eq!(controller.hears().await, HELD);
        assert!(!held.is_finished());
    }

    #[tokio::test]
    async fn releasing_what_is_not_held_disarms_it() {
        let mut controller = Controller::new();
        controller.say(HOLD).await;
        controller.hears().await;
        controller.say(RELEASE).await;
        assert_eq!(controller.hears().await, RELEASED);
        controller.points.at(Point::WorkerLeased, 1).await;
    }
}
