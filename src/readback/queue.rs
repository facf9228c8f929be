//! The shared queue as the oracle reads it: Redis itself, every place of the buffer in one atomic call.
//!
//! # Why one call
//! A task moves between places. Read one after the other, the places could each look empty while the task passes
//! behind the reader's back. And a probe that never saw anything may be looking at the wrong key: the counter that
//! the push script keeps comes with the same call, so "empty" is believed only after it was seen above zero.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use serde::Deserialize;

use super::{Place, QueueState, QueuedItem};
use crate::content::COLUMNS;
use crate::watch::Depth;

const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("read the queue: {0}")]
pub struct QueueError(#[from] RedisError);

/// What one look saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    pub depth: Depth,
    /// Tasks that the push script has counted.
    pub accepted: u64,
}

impl Look {
    pub fn saw_something(&self) -> bool {
        self.accepted > 0 || self.depth != Depth::default()
    }
}

/// A probe of one buffer in one Redis.
pub struct Queue {
    client: redis::Client,
    key: String,
    connection: Option<MultiplexedConnection>,
}

impl Queue {
    /// Fails on a URL that is none; nothing is asked of the server yet.
    pub fn new(url: &str, key: &str) -> Result<Self, QueueError> {
        Ok(Queue { client: redis::Client::open(url)?, key: key.to_owned(), connection: None })
    }

    /// How many tasks are where.
    pub async fn look(&mut self) -> Result<Look, QueueError> {
        let mut ask = redis::pipe();
        ask.atomic();
        ask.llen(&self.key).zcard(self.sub("leases")).zcard(self.sub("delayed")).llen(self.sub("dead"));
        ask.hget(self.sub("counters"), "accepted");
        let (ready, leased, delayed, dead, accepted): (u64, u64, u64, u64, Option<u64>) = self.ask(&ask).await?;
        Ok(Look { depth: Depth { ready, leased, delayed, dead }, accepted: accepted.unwrap_or(0) })
    }

    /// How many tasks this instance holds under its receipts.
    pub async fn leases_of(&mut self, instance: &str) -> Result<u64, QueueError> {
        let mut ask = redis::pipe();
        ask.zrange(self.sub("leases"), 0, -1);
        let (receipts,): (Vec<String>,) = self.ask(&ask).await?;
        Ok(receipts.iter().filter(|receipt| holder(receipt) == Some(instance)).count() as u64)
    }

    /// Every task, in every place.
    pub async fn read(&mut self) -> Result<QueueState, QueueError> {
        let mut ask = redis::pipe();
        ask.atomic();
        ask.lrange(&self.key, 0, -1).zrange(self.sub("leases"), 0, -1).zrange(self.sub("delayed"), 0, -1);
        ask.hgetall(self.sub("items")).lrange(self.sub("dead"), 0, -1).hget(self.sub("counters"), "accepted");
        ask.cmd("DBSIZE");
        let found: Found = self.ask(&ask).await?;
        Ok(found.into_state())
    }

    fn sub(&self, name: &str) -> String {
        format!("{}:{name}", self.key)
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, pipe: &redis::Pipeline) -> Result<T, QueueError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = pipe.query_async(&mut connection).await?;
        // Kept only after a good answer: a broken connection is dropped, and the next call makes a new one.
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// What the one call brings, in its order.
type Raw = (Vec<Vec<u8>>, Vec<String>, Vec<String>, HashMap<String, Vec<u8>>, Vec<Vec<u8>>, Option<u64>, u64);

struct Found(Raw);

impl redis::FromRedisValue for Found {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        Raw::from_redis_value(value).map(Found)
    }
}

impl Found {
    fn into_state(self) -> QueueState {
        let (ready, leases, delayed, items, dead, accepted, keys) = self.0;
        let nothing = Vec::new();
        let under_receipt = |place: Place| {
            let items = &items;
            let nothing = &nothing;
            move |receipt: &String| QueuedItem {
                task: task_of_envelope(items.get(receipt).unwrap_or(nothing)),
                place,
                holder: holder(receipt).filter(|_| place == Place::Leased).map(str::to_owned),
                cause: None,
                costs: None,
            }
        };
        let mut all: Vec<QueuedItem> = ready
            .iter()
            .map(|e| {
                let (task, place) = (task_of_envelope(e), Place::Ready);
                QueuedItem { task, place, holder: None, cause: None, costs: None }
            })
            .collect();
        all.extend(leases.iter().map(under_receipt(Place::Leased)));
        all.extend(delayed.iter().map(under_receipt(Place::Delayed)));
        all.extend(dead.iter().map(|letter| dead_item(letter)));
        QueueState { items: all, accepted: accepted.unwrap_or(0), keys: Some(keys) }
    }
}

/// A receipt is `<instance>#<number>`.
fn holder(receipt: &str) -> Option<&str> {
    receipt.rsplit_once('#').map(|(instance, _)| instance)
}

/// An envelope is `<failed attempts>:<offered at, ms>:<task as JSON>`.
fn task_of_envelope(envelope: &[u8]) -> Option<(u64, u64, u8)> {
    let text = std::str::from_utf8(envelope).ok()?;
    task_of_json(text.splitn(3, ':').nth(2)?)
}

/// The oracle's own reading of a task: what identifies it, and nothing else.
fn task_of_json(text: &str) -> Option<(u64, u64, u8)> {
    #[derive(Deserialize)]
    struct Task {
        key: u64,
        seq: u64,
        preset: u8,
    }
    let task: Task = serde_json::from_str(text).ok()?;
    Some((task.key, task.seq, task.preset))
}

/// The amounts of a task, where all five can be read.
fn costs_of_json(text: &str) -> Option<[i64; 5]> {
    #[derive(Deserialize)]
    struct Task {
        costs: HashMap<String, String>,
    }
    let task: Task = serde_json::from_str(text).ok()?;
    let mut costs = [0; 5];
    for (cost, column) in costs.iter_mut().zip(COLUMNS) {
        *cost = hundredths(task.costs.get(column)?)?;
    }
    Some(costs)
}

/// `-1234.56`: a decimal with exactly two places.
fn hundredths(text: &str) -> Option<i64> {
    let (sign, amount) = text.strip_prefix('-').map_or((1, text), |amount| (-1, amount));
    let (whole, cents) = amount.split_once('.').filter(|(_, cents)| cents.len() == 2)?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten();
    Some(sign * digits(whole)?.checked_mul(100)?.checked_add(digits(cents)?)?)
}

fn dead_item(letter: &[u8]) -> QueuedItem {
    #[derive(Deserialize)]
    struct Letter {
        cause: String,
        payload: String,
    }
    let letter: Option<Letter> = serde_json::from_slice(letter).ok();
    QueuedItem {
        task: letter.as_ref().and_then(|l| task_of_json(&l.payload)),
        place: Place::Dead,
        holder: None,
        costs: letter.as_ref().and_then(|l| costs_of_json(&l.payload)),
        cause: letter.map(|l| l.cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_from_its_envelope_and_a_receipt_names_its_holder() {
        let envelope = br#"2:1700000000000:{"key":4294967297,"preset":3,"seq":9,"costs":{"a":"1:2"}}"#;
        assert_eq!(task_of_envelope(envelope), Some((4_294_967_297, 9, 3)));
        assert_eq!(holder("worker-1.2#77"), Some("worker-1.2"));
    }

    #[test]
    fn what_cannot_be_read_is_an_item_all_the_same() {
        assert_eq!(task_of_envelope(b"no envelope"), None);
        let item = dead_item(b"\xff");
        assert_eq!((item.place, item.task), (Place::Dead, None));
    }

    #[test]
    fn a_dead_letter_keeps_its_cause() {
        let letter =
            br#"{"cause":"lease expired","attempts":5,"at_ms":1,"payload":"{\"key\":1,\"seq\":2,\"preset\":1}"}"#;
        let item = dead_item(letter);
        assert_eq!((item.task, item.cause.as_deref()), (Some((1, 2, 1)), Some("lease expired")));
    }

    #[test]
    fn a_dead_letter_shows_the_content_of_its_payload() {
        let letter = |costs: &str| {
            let payload = format!(r#"{{"key":1,"preset":1,"seq":2,"costs":{{{costs}}}}}"#);
            serde_json::json!({ "cause": "refused", "attempts": 5, "at_ms": 1, "payload": payload }).to_string()
        };
        let whole = r#""total_expected_cost":"5.00","black_cube_cost":"-1.05","red_cube_cost":"2.10",
                      "additional_cube_cost":"99999999999999.99","starforce_cost":"0.04""#;
        let item = dead_item(letter(whole).as_bytes());
        assert_eq!(item.costs, Some([500, -105, 210, 9_999_999_999_999_999, 4]));
        for wrong in [whole.replace("-1.05", "1e3"), whole.replace("starforce", "stars"), whole.replace("5.00", "5.0")]
        {
            assert_eq!(dead_item(letter(&wrong).as_bytes()).costs, None, "{wrong}");
        }
    }

    const KEY: &str = "{buffer}";
    const DEADLINE: Duration = Duration::from_secs(20);

    /// A private redis-server behind a socket in a folder of its own. Ended with the value that owns it.
    struct Server {
        process: std::process::Child,
        folder: tempfile::TempDir,
    }

    impl Server {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut command = std::process::Command::new("redis-server");
            command.args([
                "--port",
                "0",
                "--save",
                "",
                "--logfile",
                "redis.log",
                "--unixsocket",
                "redis.sock",
                "--dir",
            ]);
            let process = command.arg(folder.path()).spawn();
            let process = process.unwrap_or_else(|e| panic!("start redis-server: {e}; run `testbed/provision redis`"));
            let server = Server { process, folder };
            let deadline = std::time::Instant::now() + DEADLINE;
            while server.queue().look().await.is_err() {
                assert!(std::time::Instant::now() < deadline, "redis-server not ready within {DEADLINE:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            server
        }

        fn queue(&self) -> Queue {
            Queue::new(&format!("unix://{}/redis.sock", self.folder.path().display()), KEY).unwrap()
        }

        /// One command, as a person at `redis-cli` would give it.
        async fn ask(&self, words: &[&str]) {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            let mut connection = self.queue().connect().await.unwrap();
            command.exec_async(&mut connection).await.unwrap_or_else(|e| panic!("{words:?}: {e}"));
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn envelope(seq: u64) -> String {
        format!(r#"0:1700000000000:{{"key":1,"preset":1,"seq":{seq}}}"#)
    }

    #[tokio::test]
    async fn every_place_of_the_buffer_is_read_in_one_call() {
        let server = Server::start().await;
        let mut queue = server.queue();
        assert!(!queue.look().await.unwrap().saw_something(), "an empty buffer proves nothing yet");

        server.ask(&["RPUSH", "{buffer}", &envelope(1)]).await;
        server.ask(&["ZADD", "{buffer}:leases", "5", "worker-1.1#1", "6", "worker-11.1#2"]).await;
        server.ask(&["ZADD", "{buffer}:delayed", "7", "worker-1.1#3"]).await;
        let (two, three, four) = (envelope(2), envelope(3), envelope(4));
        let items = ["worker-1.1#1", &two, "worker-11.1#2", &three, "worker-1.1#3", &four];
        server.ask(&[&["HSET", "{buffer}:items"], &items[..]].concat()).await;
        let letter = r#"{"cause":"poison","payload":"{\"key\":1,\"preset\":1,\"seq\":5}"}"#;
        server.ask(&["RPUSH", "{buffer}:dead", letter]).await;
        server.ask(&["HSET", "{buffer}:counters", "accepted", "9"]).await;

        let look = queue.look().await.unwrap();
        assert_eq!(look, Look { depth: Depth { ready: 1, leased: 2, delayed: 1, dead: 1 }, accepted: 9 });
        assert_eq!(queue.leases_of("worker-1.1").await.unwrap(), 1, "worker-11.1 is another instance");

        let QueueState { items, accepted, keys } = queue.read().await.unwrap();
        assert!(keys > Some(3), "its places and what else is there: {keys:?}");
        let places: Vec<_> = items.iter().map(|item| (item.place, item.task.map(|(_, seq, _)| seq))).collect();
        let (leased, delayed) = (Place::Leased, Place::Delayed);
        let expected =
            [(Place::Ready, Some(1)), (leased, Some(2)), (leased, Some(3)), (delayed, Some(4)), (Place::Dead, Some(5))];
        assert_eq!((places, accepted), (expected.to_vec(), 9));
        let holders: Vec<_> = items.iter().filter_map(|item| item.holder.as_deref()).collect();
        assert_eq!(holders, ["worker-1.1", "worker-11.1"], "nobody holds what is delayed");
    }

    #[tokio::test]
    async fn an_emptied_buffer_was_seen_and_a_server_that_is_gone_is_an_error() {
        let mut server = Server::start().await;
        let mut queue = server.queue();
        server.ask(&["HSET", "{buffer}:counters", "accepted", "9"]).await;
        let look = queue.look().await.unwrap();
        assert_eq!((look.depth, look.saw_something()), (Depth::default(), true));
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        assert!(queue.look().await.is_err());
        assert!(queue.read().await.is_err());
    }
}
