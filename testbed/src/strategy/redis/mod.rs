//! V5: the buffer is a Redis list that every instance shares. In: offers, batched. Out: leased deliveries.
//!
//! ```text
//! offer ─ batcher ─ pusher ══ push.lua ══╗                     own connection: a slow worker delays no offer
//!                                        K  ─ poll.lua ─► K:leases + K:items ─ ack.lua ─► gone
//!                                        ▲                    │ nack.lua, lease expired
//!                                        ╚═ redrive.lua ═ K:delayed          └─► K:dead, after too many attempts
//! ```
//! LPUSH in, RPOP out. Each operation is one script; the only clock is that of Redis.

mod batcher;
mod connection;
mod envelope;
mod pusher;
mod scripts;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::FromRedisValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::batcher::Batcher;
use self::connection::{Connector, Failure, Link};
use self::envelope::Undecodable;
use self::pusher::{Known, Pusher};
use self::scripts::{Call, Keys};
pub(crate) use self::scripts::{DEAD_SOURCE, Lazy, PUSH_SOURCE, REDRIVE_SOURCE, SCRIPTS, Script, Scripts};
use super::config::{BufferConfig, RedisConfig, masked};
use super::registry::{Building, Strategy, StrategyContext, StrategyError};
use super::{
    BufferError, BufferType, Capabilities, Cause, DeadLetter, Delivery, Durability, Offered, Receipt, Size,
    WriteBackBufferStrategy,
};
use crate::task::ExpectationWriteTask;

pub(super) const STRATEGY: Strategy = Strategy { word: "redis", build };

fn build<'a>(config: &'a BufferConfig, context: &'a StrategyContext) -> Building<'a> {
    Box::pin(async move { Ok(Arc::new(RedisBufferStrategy::connect(config, context).await?) as _) })
}

/// How often a waiting worker asks for the number of ready tasks.
const READY_INTERVAL: Duration = Duration::from_millis(20);

pub struct RedisBufferStrategy {
    context: StrategyContext,
    keys: Keys,
    scripts: Scripts,
    offers: Batcher,
    worker: Link,
    durability: watch::Receiver<Durability>,
    closed: AtomicBool,
}

impl RedisBufferStrategy {
    /// Refuses a Redis that cannot be reached, is too old, or may lose tasks without this being accepted.
    pub async fn connect(config: &BufferConfig, context: &StrategyContext) -> Result<Self, StrategyError> {
        Self::connect_with(config, context, SCRIPTS).await
    }

    /// The same, with what its operations do in Redis.
    pub(crate) async fn connect_with(
        config: &BufferConfig,
        context: &StrategyContext,
        scripts: Scripts,
    ) -> Result<Self, StrategyError> {
        let connector = Arc::new(connector(&config.redis)?);
        let known = examine(&connector, config.redis.accept_data_loss).await?;
        let (durability, promised) = watch::channel(known.settings().durability());
        let keys = Keys::of(&config.redis.key);
        let pusher = Pusher {
            connector: Arc::clone(&connector),
            keys: keys.clone(),
            script: scripts.push,
            capacity: config.capacity,
            accept_data_loss: config.redis.accept_data_loss,
            durability,
            current: Some(known),
        };
        Ok(RedisBufferStrategy {
            context: context.clone(),
            keys,
            scripts,
            offers: Batcher::start(pusher, config.capacity, config.capacity_bytes),
            worker: Link::new(connector),
            durability: promised,
            closed: AtomicBool::new(false),
        })
    }

    fn script(&self, script: &'static Script) -> Call {
        Call::new(script, &self.keys)
    }

    async fn run<T: FromRedisValue>(&self, action: &'static str, call: Call) -> Result<T, BufferError> {
        self.worker.call(&call).await.map_err(|failure| error(action, &failure))
    }

    async fn ready(&self) -> Result<usize, Failure> {
        self.worker.command(redis::cmd("LLEN").arg(self.keys.ready())).await
    }

    /// To the dead-letter queue with what nobody can read. Where that fails, its lease expires and it comes again.
    async fn bury(&self, unreadable: Vec<Undecodable>) {
        let mut call = self.script(self.scripts.bury);
        for Undecodable { receipt, cause, payload } in &unreadable {
            tracing::warn!(%receipt, cause, "a buffered entry is given up");
            call = call.arg(&receipt.0).arg(cause).arg(payload);
        }
        if let Err(failure) = self.run::<u64>("bury", call).await {
            tracing::warn!(%failure, "unreadable entries stay leased");
        }
    }
}

fn connector(config: &RedisConfig) -> Result<Connector, StrategyError> {
    Connector::new(&config.url, config.timeout).map_err(|e| StrategyError::Config {
        key: "buffer.redis.url",
        value: masked(&config.url),
        why: e.to_string(),
    })
}

/// The first connection of the offers, to a Redis that may be used.
async fn examine(connector: &Connector, accept_data_loss: bool) -> Result<Known, StrategyError> {
    let address = connector.address();
    let unreachable = |why: Failure| StrategyError::Unreachable { address: address.clone(), why: why.to_string() };
    let connection = connector.open().await.map_err(unreachable)?;
    if let Some(version) = settings::too_old(&connection).await.map_err(unreachable)? {
        return Err(StrategyError::TooOld { address, version });
    }
    let known = Known::read(connection).await.map_err(unreachable)?;
    let hazards = known.settings().hazards();
    if hazards.is_empty() || accept_data_loss { Ok(known) } else { Err(StrategyError::Unsafe { address, hazards }) }
}

fn error(action: &'static str, failure: &Failure) -> BufferError {
    BufferError { action, buffer: STRATEGY.word, why: failure.to_string() }
}

fn texts(receipts: &[Receipt]) -> Vec<&str> {
    receipts.iter().map(|receipt| &receipt.0[..]).collect()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl WriteBackBufferStrategy for RedisBufferStrategy {
    async fn offer(&self, tasks: Vec<ExpectationWriteTask>) -> Offered {
        if self.closed.load(Ordering::Acquire) {
            return Offered::ShuttingDown;
        }
        let json = |task| serde_json::to_string(task).expect("a task has no map keys and no floats");
        self.offers.offer(tasks.iter().map(json).collect()).await
    }

    async fn poll(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let call = self.script(self.scripts.poll).arg(max).arg(ms(lease)).arg(&self.context.instance);
        let leased: Vec<(String, Vec<u8>)> = self.run("poll", call).await?;
        let opened = leased.into_iter().map(|(receipt, envelope)| envelope::open(receipt, &envelope));
        let (mut deliveries, mut unreadable) = (Vec::new(), Vec::new());
        opened.for_each(|opened| match opened {
            Ok(delivery) => deliveries.push(delivery),
            Err(undecodable) => unreadable.push(undecodable),
        });
        if !unreadable.is_empty() {
            self.bury(unreadable).await;
        }
        Ok(deliveries)
    }

    /// Asks for the length every `READY_INTERVAL`: no command of Redis waits for a list to reach a length. Where it
    /// cannot ask it waits for the limit, and leaves the failure to the poll that follows.
    async fn wait_ready(&self, at_least: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            match self.ready().await {
                Ok(ready) if ready >= at_least => return,
                Ok(_) => sleep_until(deadline.min(Instant::now() + READY_INTERVAL)).await,
                Err(_) => sleep_until(deadline).await,
            }
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<u64, BufferError> {
        self.run("ack", self.script(self.scripts.ack).arg(texts(receipts))).await
    }

    async fn nack(&self, receipts: &[Receipt], delay: Duration, cause: &Cause) -> Result<u64, BufferError> {
        let (counts, why) = match cause {
            Cause::Unavailable => (0, ""),
            Cause::Failed(why) => (1, &why[..]),
        };
        let call = self.script(self.scripts.nack).arg(ms(delay)).arg(self.context.max_attempts).arg(counts).arg(why);
        self.run("nack", call.arg(texts(receipts))).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        self.run("extend", self.script(self.scripts.extend).arg(ms(lease)).arg(texts(receipts))).await
    }

    async fn redrive(&self) -> Result<u64, BufferError> {
        self.run("redrive", self.script(self.scripts.redrive).arg(self.context.max_attempts)).await
    }

    async fn size(&self) -> Result<Size, BufferError> {
        let (ready, leased, delayed, dead, age_ms): (u64, u64, u64, u64, i64) =
            self.run("size", self.script(self.scripts.size)).await?;
        let oldest_age = u64::try_from(age_ms).ok().map(Duration::from_millis);
        Ok(Size { ready, leased, delayed, dead, oldest_age, exact: true })
    }

    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, BufferError> {
        let mut command = redis::cmd("LRANGE");
        command.arg(self.keys.dead()).arg(0).arg(i64::try_from(max).unwrap_or(i64::MAX) - 1);
        let action = "read the dead letters";
        let letters: Vec<Vec<u8>> = if max == 0 {
            Vec::new()
        } else {
            self.worker.command(&command).await.map_err(|failure| error(action, &failure))?
        };
        let read = |letter: &Vec<u8>| serde_json::from_slice(letter);
        let unreadable = |e: serde_json::Error| BufferError { action, buffer: STRATEGY.word, why: e.to_string() };
        letters.iter().map(read).collect::<Result<_, _>>().map_err(unreadable)
    }

    async fn ping(&self) -> Result<(), BufferError> {
        self.worker.command(&redis::cmd("PING")).await.map_err(|failure| error("ping", &failure))
    }

    fn buffer_type(&self) -> BufferType {
        BufferType::RedisList
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared: true, durable: true, ordered: true }
    }

    fn durability(&self) -> Durability {
        *self.durability.borrow()
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
