//! Each strategy of the list, with the server that it needs.

use std::sync::Arc;
use std::time::Duration;

use testbed::clock::Clock;
use testbed::strategy::config::{BufferConfig, RedisConfig};
use testbed::strategy::{
    DeadLetter, Delivery, Offered, STRATEGIES, Size, StrategyContext, WriteBackBufferStrategy, build,
};
use testbed::task::{Costs, ExpectationWriteTask, Money};
use tokio::time::Instant;

use super::RedisServer;

/// Deliveries that may fail before a task is dead.
pub const MAX_ATTEMPTS: u32 = 3;

/// Long enough that no test outlives it.
pub const LEASE: Duration = Duration::from_secs(60);

/// Short enough to be waited for.
pub const SHORT: Duration = Duration::from_millis(30);

const DEADLINE: Duration = Duration::from_secs(20);

/// What a strategy needs around it.
pub struct Broker {
    pub word: &'static str,
    redis: Option<RedisServer>,
}

impl Broker {
    /// A new strategy joins all suites by its line here.
    pub async fn start(word: &'static str) -> Self {
        let redis = match word {
            "in-memory" => None,
            "redis" => Some(RedisServer::start(&[]).await),
            other => panic!("give the laboratory a server for {other:?}"),
        };
        Broker { word, redis }
    }

    /// Of a buffer that no other name shares.
    pub fn config(&self, name: &str) -> BufferConfig {
        let redis = self.redis.as_ref().map(|server| RedisConfig { key: format!("{{{name}}}"), ..server.config() });
        BufferConfig { strategy: self.word.into(), redis: redis.unwrap_or_default(), ..BufferConfig::default() }
    }

    /// Of the buffer that services with [`Broker::section`] use.
    pub fn service_config(&self) -> BufferConfig {
        self.config(RedisConfig::default().key.trim_matches(['{', '}']))
    }

    /// As `application.yml` holds it.
    pub fn section(&self) -> String {
        let redis = self.redis.as_ref().map(|server| format!(", redis: {{ url: '{}', timeout: 500ms }}", server.url()));
        format!("buffer: {{ strategy: {}{} }}", self.word, redis.unwrap_or_default())
    }
}

/// A buffer, and what must live as long as it does.
pub struct Buffer {
    pub word: &'static str,
    pub strategy: Arc<dyn WriteBackBufferStrategy>,
    _broker: Broker,
}

/// One buffer of each strategy in the list, small enough to be filled: 12 tasks.
pub async fn every_strategy() -> Vec<Buffer> {
    let mut buffers = Vec::new();
    for strategy in STRATEGIES {
        let broker = Broker::start(strategy.word).await;
        let config = BufferConfig { capacity: 12, ..broker.config("contract") };
        let strategy = built(&config, "worker-1.1").await;
        buffers.push(Buffer { word: broker.word, strategy, _broker: broker });
    }
    buffers
}

pub async fn built(config: &BufferConfig, instance: &str) -> Arc<dyn WriteBackBufferStrategy> {
    build(config, &context(instance)).await.unwrap_or_else(|error| panic!("build {}: {error}", config.strategy))
}

pub fn context(instance: &str) -> StrategyContext {
    StrategyContext { instance: instance.into(), max_attempts: MAX_ATTEMPTS, clock: Clock::default() }
}

/// The configuration of a roomy Redis buffer on this server.
pub fn on(server: &RedisServer) -> BufferConfig {
    BufferConfig { strategy: "redis".into(), redis: server.config(), ..BufferConfig::default() }
}

impl RedisServer {
    pub fn config(&self) -> RedisConfig {
        RedisConfig { url: self.url(), timeout: Duration::from_millis(500), ..RedisConfig::default() }
    }
}

impl Buffer {
    pub async fn accept(&self, tasks: Vec<ExpectationWriteTask>) {
        let offered = self.strategy.offer(tasks).await;
        assert!(matches!(offered, Offered::Accepted { .. }), "{}: {offered:?}", self.word);
    }

    pub async fn size(&self) -> Size {
        self.strategy.size().await.unwrap_or_else(|e| panic!("{}: {e}", self.word))
    }

    pub async fn poll(&self, max: usize, lease: Duration) -> Vec<Delivery> {
        self.strategy.poll(max, lease).await.unwrap_or_else(|e| panic!("{}: {e}", self.word))
    }

    /// Redrives until `count` tasks became ready again, by the buffer's own clock.
    pub async fn redriven(&self, count: u64) {
        let mut redriven = 0;
        eventually(&format!("{}: {count} tasks redriven", self.word), async || {
            redriven += self.strategy.redrive().await.expect("redrive");
            redriven >= count
        })
        .await;
        assert_eq!(redriven, count, "{}", self.word);
    }

    /// Redrives until `count` tasks are dead.
    pub async fn dead(&self, count: usize) -> Vec<DeadLetter> {
        eventually(&format!("{}: {count} tasks dead", self.word), async || {
            self.strategy.redrive().await.expect("redrive");
            self.strategy.dead_letters(usize::MAX).await.expect("dead letters").len() >= count
        })
        .await;
        self.strategy.dead_letters(count).await.expect("dead letters")
    }
}

/// The tasks of one request: so many presets of one key.
pub fn request(key: i64, seq: u64, presets: u8) -> Vec<ExpectationWriteTask> {
    (1..=presets).map(|preset| task(key, seq, preset)).collect()
}

pub fn task(key: i64, seq: u64, preset: u8) -> ExpectationWriteTask {
    let costs = Costs {
        total_expected_cost: Money(9_999_999_999_999_999),
        black_cube_cost: Money(key),
        red_cube_cost: Money(seq as i64),
        additional_cube_cost: Money(-5),
        starforce_cost: Money(0),
    };
    ExpectationWriteTask { key, preset, seq, costs }
}

pub fn seqs(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|d| d.task.seq).collect()
}

/// Asks until it is so, or fails with the name of what was awaited.
pub async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !so().await {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
