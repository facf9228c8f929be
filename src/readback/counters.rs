//! What instances say of themselves (`/metrics`): the only window into a buffer in memory, and a cross-check of the
//! rows. Nothing else is judged by it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Counters, exposition};
use crate::backends::Instance;
use crate::watch::Depth;

const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    #[error("scrape {instance}: {source}")]
    Scrape { instance: String, source: reqwest::Error },
    #[error("scrape {instance}: it tells no buffer_size of this scope")]
    NoGauge { instance: String },
    /// Its answer would be awaited in vain.
    #[error("scrape {instance}: it is frozen")]
    Frozen { instance: String },
    #[error("scrape {instance}: {source}")]
    Parse { instance: String, source: exposition::ExpositionError },
}

/// Scrapes instances, one after the other.
pub struct Scraper {
    client: reqwest::Client,
}

impl Default for Scraper {
    fn default() -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Scraper { client: client.expect("a plain HTTP client needs nothing from the system") }
    }
}

impl Scraper {
    pub async fn counters(&self, instance: &Instance) -> Result<Counters, CountersError> {
        let samples = self.samples(&instance.name, instance.addr).await?;
        let Depth { ready, leased, delayed, dead: _ } = private_depth(&samples);
        let total = |name| exposition::sum(&samples, name, &[]) as u64;
        Ok(Counters {
            instance: instance.name.clone(),
            private_buffer: ready + leased + delayed,
            processed_tasks: total("processed_tasks_total"),
            failed_attempts: total("processed_tasks_failed_total"),
            clock_ahead_ms: clock_ahead_ms(&samples, SystemTime::now()),
        })
    }

    /// What its private buffer holds.
    pub async fn private_depth(&self, instance: &Instance) -> Result<Depth, CountersError> {
        if instance.is_frozen() {
            return Err(CountersError::Frozen { instance: instance.name.clone() });
        }
        let samples = self.samples(&instance.name, instance.addr).await?;
        // A gauge that is not there is not 0: it would look like a buffer at rest.
        match samples.iter().any(|s| s.name == "buffer_size" && s.labels.get("scope").is_some_and(|v| v == "instance"))
        {
            true => Ok(private_depth(&samples)),
            false => Err(CountersError::NoGauge { instance: instance.name.clone() }),
        }
    }

    /// Its word on `buffer_size`, and the scope that it has.
    pub async fn buffer_size(&self, instance: &Instance) -> Result<(String, u64), CountersError> {
        let samples = self.samples(&instance.name, instance.addr).await?;
        let gauge = samples.iter().find(|sample| sample.name == "buffer_size");
        let gauge = gauge.ok_or_else(|| CountersError::NoGauge { instance: instance.name.clone() })?;
        Ok((gauge.labels.get("scope").cloned().unwrap_or_default(), gauge.value as u64))
    }

    async fn samples(&self, name: &str, addr: SocketAddr) -> Result<Vec<exposition::Sample>, CountersError> {
        let scrape = |source| CountersError::Scrape { instance: name.to_owned(), source };
        let answer = self.client.get(format!("http://{addr}/metrics")).send().await.map_err(scrape)?;
        let text = answer.error_for_status().map_err(scrape)?.text().await.map_err(scrape)?;
        exposition::parse(&text).map_err(|source| CountersError::Parse { instance: name.to_owned(), source })
    }
}

/// From what it said a moment ago, and the time of now.
fn clock_ahead_ms(samples: &[exposition::Sample], now: SystemTime) -> Option<i64> {
    let own = samples.iter().find(|sample| sample.name == "clock_seconds")?.value;
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(((own - now) * 1e3).round() as i64)
}

fn private_depth(samples: &[exposition::Sample]) -> Depth {
    let own = |name| exposition::sum(samples, name, &[("scope", "instance")]) as u64;
    Depth {
        ready: own("buffer_size"),
        leased: own("buffer_leased"),
        delayed: own("buffer_delayed"),
        dead: own("buffer_dead"),
    }
}
