//! What each instance says of the buffer's size, beside what the buffer itself holds: `buffer_size` must mean the same
//! on every node.
//!
//! A shared buffer is looked at before and after each instance is asked, because it moves. An instance that does not
//! answer (a frozen one cannot) is left out.

use super::BufferSize;
use super::counters::Scraper;
use super::queue::Queue;
use crate::backends::{Deployment, Instance, QueueSource};

/// One after the other, over every instance that can answer.
pub(super) async fn read(deployment: &dyn Deployment) -> Vec<BufferSize> {
    let mut queue = match &deployment.sources().queue {
        QueueSource::Private => None,
        QueueSource::Redis { url, key } => match Queue::new(url, key) {
            Ok(queue) => Some(queue),
            // Without the buffer beside it, no instance's word means anything.
            Err(_) => return Vec::new(),
        },
    };
    let scraper = Scraper::default();
    let mut sizes = Vec::new();
    for instance in deployment.alive().iter().filter(|instance| !instance.is_frozen()) {
        sizes.extend(beside(queue.as_mut(), &scraper, instance).await);
    }
    sizes
}

async fn beside(queue: Option<&mut Queue>, scraper: &Scraper, instance: &Instance) -> Option<BufferSize> {
    let Some(queue) = queue else { return said(scraper, instance).await };
    let before = queue.look().await.ok()?.depth.ready;
    let size = said(scraper, instance).await?;
    let after = queue.look().await.ok()?.depth.ready;
    Some(BufferSize { around: Some((before, after)), ..size })
}

async fn said(scraper: &Scraper, instance: &Instance) -> Option<BufferSize> {
    let (scope, reported) = scraper.buffer_size(instance).await.ok()?;
    Some(BufferSize { instance: instance.name.clone(), scope, reported, around: None })
}
