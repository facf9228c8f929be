//! What the service measures of itself, as `/metrics` shows it (OpenMetrics text).
//!
//! In: counts and durations from the API and the worker, the buffer's size at the moment of the scrape. Out: text.
//! A figure that cannot be read is left out: it is never 0.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use crate::clock::Clock;
use crate::strategy::{BufferType, Durability, Size};

/// What a gauge of the buffer says of itself. `scope` keeps readers from adding up one queue N times.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BufferLabels {
    /// As in `buffer.strategy`.
    pub buffer: String,
    /// `shared` or `instance`.
    pub scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StrategyLabels {
    strategy: String,
    r#type: String,
    durability: String,
}

/// The buffer at the moment of a scrape.
#[derive(Debug, Clone, Copy)]
pub struct BufferReading {
    pub buffer_type: BufferType,
    pub durability: Durability,
    /// `None`: it could not be asked.
    pub size: Option<Size>,
}

type Tasks = Family<BufferLabels, Gauge>;
type Seconds = Family<BufferLabels, Gauge<f64, AtomicU64>>;

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    buffer: BufferLabels,
    /// 1, with what is effective in its labels.
    strategy: Family<StrategyLabels, Gauge>,
    ready: Tasks,
    leased: Tasks,
    delayed: Tasks,
    dead: Tasks,
    oldest_age: Seconds,
    processed: Counter,
    failed: Counter,
    offers: Histogram,
    flushes: Histogram,
    l1_hits: Counter,
    l1_misses: Counter,
    clock: Clock,
    own_time: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub fn new(buffer: BufferLabels, clock: Clock) -> Self {
        let mut metrics = Metrics {
            registry: Registry::default(),
            buffer,
            strategy: Family::default(),
            ready: Tasks::default(),
            leased: Tasks::default(),
            delayed: Tasks::default(),
            dead: Tasks::default(),
            oldest_age: Seconds::default(),
            processed: Counter::default(),
            failed: Counter::default(),
            offers: Histogram::new(buckets()),
            flushes: Histogram::new(buckets()),
            l1_hits: Counter::default(),
            l1_misses: Counter::default(),
            clock,
            own_time: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    /// Counters gain their suffix `_total` in the text.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("buffer_size", "Tasks that are ready", self.ready.clone());
        registry.register("buffer_leased", "Tasks that a worker holds", self.leased.clone());
        registry.register("buffer_delayed", "Tasks that wait for their next attempt", self.delayed.clone());
        registry.register("buffer_dead", "Tasks in the dead-letter queue", self.dead.clone());
        registry.register("buffer_oldest_age_seconds", "Age of the oldest ready task", self.oldest_age.clone());
        registry.register("processed_tasks", "Tasks committed by this instance", self.processed.clone());
        registry.register("processed_tasks_failed", "Attempts that failed in this instance", self.failed.clone());
        registry.register("buffer_strategy_info", "The effective strategy", self.strategy.clone());
        registry.register("offer_duration_seconds", "From registration to the buffer's answer", self.offers.clone());
        registry.register("flush_duration_seconds", "One batch's transactions", self.flushes.clone());
        registry.register("l1_cache_hits", "Reads that the L1 cache answered", self.l1_hits.clone());
        registry.register("l1_cache_misses", "Reads that went to the database", self.l1_misses.clone());
        registry.register("clock_seconds", "This instance's own clock: seconds since 1970", self.own_time.clone());
    }

    pub fn processed(&self, tasks: usize) {
        self.processed.inc_by(tasks as u64);
    }

    pub fn failed_attempts(&self, tasks: usize) {
        self.failed.inc_by(tasks as u64);
    }

    pub fn offered(&self, took: Duration) {
        self.offers.observe(took.as_secs_f64());
    }

    pub fn flushed(&self, took: Duration) {
        self.flushes.observe(took.as_secs_f64());
    }

    pub fn looked_up(&self, hit: bool) {
        let counter = if hit { &self.l1_hits } else { &self.l1_misses };
        counter.inc();
    }

    /// The text of a scrape.
    pub fn render(&self, reading: BufferReading) -> String {
        self.name_strategy(reading.buffer_type, reading.durability);
        self.own_time.set(self.clock.now_ms() as f64 / 1e3);
        match reading.size {
            Some(size) => self.show(size),
            None => self.hide(),
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }

    /// A broker's settings, and with them the durability, may change while it runs.
    fn name_strategy(&self, buffer_type: BufferType, durability: Durability) {
        self.strategy.clear();
        let strategy = self.buffer.buffer.clone();
        let labels = StrategyLabels { strategy, r#type: word(&buffer_type), durability: word(&durability) };
        self.strategy.get_or_create(&labels).set(1);
    }

    fn show(&self, size: Size) {
        let Size { ready, leased, delayed, dead, oldest_age, exact: _ } = size;
        for (gauge, tasks) in
            [(&self.ready, ready), (&self.leased, leased), (&self.delayed, delayed), (&self.dead, dead)]
        {
            gauge.get_or_create(&self.buffer).set(tasks as i64);
        }
        self.oldest_age.get_or_create(&self.buffer).set(oldest_age.unwrap_or_default().as_secs_f64());
    }

    fn hide(&self) {
        [&self.ready, &self.leased, &self.delayed, &self.dead].into_iter().for_each(Family::clear);
        self.oldest_age.clear();
    }
}

/// The word under which a variant without fields is serialised.
fn word(variant: &impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a variant without fields is a string, not {other:?}"),
    }
}

/// 0.5 ms to 8 s.
fn buckets() -> impl Iterator<Item = f64> {
    prometheus_client::metrics::histogram::exponential_buckets(0.0005, 2.0, 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(BufferLabels { buffer: "redis".into(), scope: "shared" }, Clock::default())
    }

    fn reading(size: Option<Size>) -> BufferReading {
        BufferReading { buffer_type: BufferType::RedisList, durability: Durability::Persisted, size }
    }

    #[test]
    fn names_and_labels_are_those_of_the_contract() {
        let metrics = metrics();
        metrics.processed(3);
        metrics.failed_attempts(1);
        metrics.offered(Duration::from_millis(1));
        let size = Size { ready: 7, dead: 2, oldest_age: Some(Duration::from_millis(1500)), ..Size::default() };
        let text = metrics.render(reading(Some(size)));
        for line in [
            r#"buffer_size{buffer="redis",scope="shared"} 7"#,
            r#"buffer_leased{buffer="redis",scope="shared"} 0"#,
            r#"buffer_delayed{buffer="redis",scope="shared"} 0"#,
            r#"buffer_dead{buffer="redis",scope="shared"} 2"#,
            r#"buffer_oldest_age_seconds{buffer="redis",scope="shared"} 1.5"#,
            "processed_tasks_total 3",
            "processed_tasks_failed_total 1",
            r#"buffer_strategy_info{strategy="redis",type="REDIS_LIST",durability="persisted"} 1"#,
            "offer_duration_seconds_count 1",
            "flush_duration_seconds_count 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_read_is_absent_and_not_zero() {
        let metrics = metrics();
        metrics.render(reading(Some(Size { ready: 7, ..Size::default() })));
        let text = metrics.render(reading(None));
        assert!(!text.contains("buffer_size{"), "{text}");
        assert!(text.contains("processed_tasks_total 0"), "{text}");
    }

    #[test]
    fn only_the_durability_of_now_is_named() {
        let metrics = metrics();
        metrics.render(reading(None));
        let text = metrics.render(BufferReading { durability: Durability::Received, ..reading(None) });
        assert_eq!(text.matches("buffer_strategy_info{").count(), 1, "{text}");
        assert!(text.contains(r#"durability="received""#), "{text}");
    }
}
