//! How much the buffer holds, wherever it is: one probe for shared and for private buffers.
//!
//! The same probe watches the backlog during the load, waits for quiet after it, and is believed when it says
//! "empty" only because it saw something before.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::baseline::Baseline;
use super::counters::{CountersError, Scraper};
use super::queue::{Look, Queue, QueueError};
use crate::backends::{Deployment, Instance, QueueSource, Sources};
use crate::clock::{Offset, RunClock};
use crate::watch::{Depth, Event, Watch};

/// Between two readings during the load.
const EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub enum DepthError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Counters(#[from] CountersError),
    #[error("read the queue: {0}")]
    Unusable(String),
}

pub struct DepthProbe {
    source: QueueSource,
    place: Probed,
    before: Baseline,
    saw_something: bool,
}

enum Probed {
    Shared(Box<Queue>),
    Private(Scraper),
    /// Its address is none: every look fails, and says so.
    Unusable(String),
}

impl DepthProbe {
    pub fn new(sources: &Sources) -> Self {
        let place = match &sources.queue {
            QueueSource::Redis { url, key } => match Queue::new(url, key) {
                Ok(queue) => Probed::Shared(Box::new(queue)),
                Err(e) => Probed::Unusable(e.to_string()),
            },
            QueueSource::Private => Probed::Private(Scraper::default()),
        };
        DepthProbe { source: sources.queue.clone(), place, before: Baseline::default(), saw_something: false }
    }

    /// Believed by what it sees from here on.
    pub fn since(self, before: &Baseline) -> Self {
        DepthProbe { before: before.clone(), ..self }
    }

    /// Where the buffer is now.
    pub async fn look(&mut self, deployment: &dyn Deployment) -> Result<Look, DepthError> {
        self.turn_to(&deployment.sources());
        self.look_at(&deployment.alive()).await
    }

    /// After a failover the buffer is in another server. What was seen in the one before says nothing of this one.
    fn turn_to(&mut self, sources: &Sources) {
        if sources.queue != self.source {
            *self = DepthProbe::new(sources).since(&self.before);
        }
    }

    /// The same, where these are alive.
    pub async fn look_at(&mut self, alive: &[Instance]) -> Result<Look, DepthError> {
        let look = match &mut self.place {
            Probed::Shared(queue) => queue.look().await?,
            Probed::Private(scraper) => Look { depth: private_depth(scraper, alive).await?, accepted: 0 },
            Probed::Unusable(why) => return Err(DepthError::Unusable(why.clone())),
        };
        self.saw_something |= self.before.is_behind(&look);
        Ok(look)
    }

    /// Whether any look of this run saw anything, in the server that it looks at now.
    pub fn saw_something(&self) -> bool {
        self.saw_something
    }

    /// Watches the backlog until `over`: (time, tasks in any place but the dead-letter queue). A look that fails is
    /// a gap in the series; the buffer may be struck at this moment.
    pub async fn follow(
        &mut self,
        deployment: &dyn Deployment,
        clock: &RunClock,
        watch: &dyn Watch,
        over: &CancellationToken,
    ) -> Vec<(Offset, u64)> {
        let mut depths = Vec::new();
        let mut ticks = tokio::time::interval(EVERY);
        while over.run_until_cancelled(ticks.tick()).await.is_some() {
            let Ok(Look { depth, .. }) = self.look(deployment).await else { continue };
            watch.event(Event::Depth(depth));
            depths.push((clock.now(), depth.ready + depth.leased + depth.delayed));
        }
        depths
    }
}

async fn private_depth(scraper: &Scraper, alive: &[Instance]) -> Result<Depth, CountersError> {
    let mut all = Depth::default();
    for instance in alive {
        let one = scraper.private_depth(instance).await?;
        all.ready += one.ready;
        all.leased += one.leased;
        all.delayed += one.delayed;
        all.dead += one.dead;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::DatabaseSource;

    fn sources(port: u16) -> Sources {
        let queue = QueueSource::Redis { url: format!("redis://127.0.0.1:{port}"), key: "{buffer}".into() };
        Sources { database: DatabaseSource::File("expectation.db".into()), queue }
    }

    #[test]
    fn what_was_seen_in_one_server_says_nothing_of_the_one_that_took_its_place() {
        let mut probe = DepthProbe::new(&sources(1));
        probe.saw_something = true;
        probe.turn_to(&sources(1));
        assert!(probe.saw_something());
        probe.turn_to(&sources(2));
        assert_eq!((probe.saw_something(), &probe.source), (false, &sources(2).queue));
    }
}
