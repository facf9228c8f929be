//! The list of strategies: the word in `buffer.strategy` → what builds the buffer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::config::BufferConfig;
use super::{WriteBackBufferStrategy, in_memory, redis};
use crate::clock::Clock;

/// Every strategy there is, in the order in which they are named to people.
pub const STRATEGIES: &[Strategy] = &[in_memory::STRATEGY, redis::STRATEGY];

pub struct Strategy {
    /// As in `buffer.strategy`, and as the metrics label the buffer.
    pub word: &'static str,
    pub(super) build: for<'a> fn(&'a BufferConfig, &'a StrategyContext) -> Building<'a>,
}

pub(super) type Building<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<dyn WriteBackBufferStrategy>, StrategyError>> + Send + 'a>>;

/// What a buffer has to know of the service around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyContext {
    /// Signs receipts.
    pub instance: String,
    /// So many deliveries of a task may fail before it is dead.
    pub max_attempts: u32,
    pub clock: Clock,
}

#[derive(Debug, thiserror::Error)]
pub enum StrategyError {
    #[error(
        "use buffer.strategy = {word}: no such strategy{} known: {}",
        suggestion.map_or_else(|| ";".to_owned(), |s| format!(", did you mean {s}?")),
        known.join(", ")
    )]
    Unknown { word: String, known: Vec<&'static str>, suggestion: Option<&'static str> },
    #[error("use {key} = {value}: {why}")]
    Config { key: &'static str, value: String, why: String },
    #[error("reach Redis at {address}: {why}; start it, or correct buffer.redis.url")]
    Unreachable { address: String, why: String },
    #[error("use Redis {version} at {address}: its scripts lack flags; install Redis 7.0 or newer")]
    TooOld { address: String, version: String },
    /// Redis as it is configured may lose accepted tasks.
    #[error(
        "trust Redis at {address} with tasks: {}; or say buffer.redis.accept_data_loss: true", hazards.join("; ")
    )]
    Unsafe { address: String, hazards: Vec<String> },
}

/// Builds the configured buffer, ready for offers.
pub async fn build(
    config: &BufferConfig,
    context: &StrategyContext,
) -> Result<Arc<dyn WriteBackBufferStrategy>, StrategyError> {
    let strategy = find(&config.strategy)?;
    bounded(config, context)?;
    (strategy.build)(config, context).await
}

fn find(word: &str) -> Result<&'static Strategy, StrategyError> {
    STRATEGIES.iter().find(|s| s.word == word).ok_or_else(|| StrategyError::Unknown {
        word: word.to_owned(),
        known: STRATEGIES.iter().map(|s| s.word).collect(),
        suggestion: nearest(word),
    })
}

/// The known word that was probably meant: Jaro–Winkler forgives swapped letters and another separator.
fn nearest(word: &str) -> Option<&'static str> {
    let likeness = |known: &str| strsim::jaro_winkler(&word.to_lowercase(), known);
    let best = STRATEGIES.iter().map(|s| s.word).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.75).then_some(best)
}

fn bounded(config: &BufferConfig, context: &StrategyContext) -> Result<(), StrategyError> {
    let bounds = [
        ("buffer.capacity", config.capacity),
        ("buffer.capacity_bytes", config.capacity_bytes),
        ("worker.max_attempts", context.max_attempts as usize),
    ];
    match bounds.into_iter().find(|(_, value)| *value == 0) {
        Some((key, value)) => Err(StrategyError::Config { key, value: value.to_string(), why: "at least 1".into() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(word: &str) -> String {
        find(word).map(|s| s.word).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_strategy_is_answered_with_the_known_ones_and_the_nearest() {
        assert_eq!(
            message("redsi"),
            "use buffer.strategy = redsi: no such strategy, did you mean redis? known: in-memory, redis"
        );
        assert_eq!(
            message("IN_MEMORY"),
            "use buffer.strategy = IN_MEMORY: no such strategy, did you mean in-memory? known: in-memory, redis"
        );
        assert_eq!(message("zzz"), "use buffer.strategy = zzz: no such strategy; known: in-memory, redis");
    }

    #[tokio::test]
    async fn a_buffer_without_room_is_refused() {
        let config = BufferConfig { capacity: 0, ..BufferConfig::default() };
        let context = StrategyContext { instance: "local".into(), max_attempts: 5, clock: Clock::default() };
        let error = build(&config, &context).await.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "use buffer.capacity = 0: at least 1");
    }
}
