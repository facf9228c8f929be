//! The offers' own connection. In: the tasks of several requests. Out: for each request, whether it was taken.
//!
//! # What is known of Redis when a task is pushed
//! The settings are read after every connect, because a restarted Redis may be another one. While pushes go on they
//! are read again once they are [`SETTINGS_AGE_MAX`] old, in front of the next push: one cheap command a second. So a
//! change under way is noticed within that time, and a push that follows a pause always finds them fresh.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::{Connection, Connector, Failure};
use super::scripts::{Call, Keys, Script};
use super::settings::Settings;
use crate::strategy::Durability;

const SETTINGS_AGE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Pusher {
    pub(super) connector: Arc<Connector>,
    pub(super) keys: Keys,
    pub(super) script: &'static Script,
    pub(super) capacity: usize,
    pub(super) accept_data_loss: bool,
    /// What an accepted task is promised; the metrics read it.
    pub(super) durability: watch::Sender<Durability>,
    pub(super) current: Option<Known>,
}

/// A connection, and what is known of the Redis at its other end.
pub(super) struct Known {
    connection: Connection,
    settings: Settings,
    read_at: Instant,
}

impl Known {
    pub(super) async fn read(connection: Connection) -> Result<Self, Failure> {
        let settings = Settings::read(&connection).await.map_err(not_sent)?;
        Ok(Known { connection, settings, read_at: Instant::now() })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn is_fresh(&self) -> bool {
        !self.connection.is_broken() && self.read_at.elapsed() < SETTINGS_AGE_MAX
    }
}

impl Pusher {
    /// One script for all requests. Each answer is that of the request in the same place; the durability is theirs all.
    pub(super) async fn push(&mut self, requests: &[&[String]]) -> Result<(Vec<bool>, Durability), Failure> {
        let mut call = Call::new(self.script, &self.keys).arg(self.capacity);
        for tasks in requests {
            call = call.arg(tasks.len()).arg(*tasks);
        }
        let known = self.known().await?;
        let durability = known.settings.durability();
        let taken = known.connection.call::<Vec<bool>>(&call).await?;
        if taken.len() == requests.len() {
            Ok((taken, durability))
        } else {
            Err(Failure::Lost(format!("{} answers to {} requests", taken.len(), requests.len())))
        }
    }

    /// A connection to a Redis that may be trusted. Whatever fails in here, the push was not sent.
    async fn known(&mut self) -> Result<&Known, Failure> {
        let known = match self.current.take() {
            Some(known) if known.is_fresh() => known,
            Some(known) if !known.connection.is_broken() => Known::read(known.connection).await?,
            _ => Known::read(self.connector.open().await?).await?,
        };
        self.durability.send_replace(known.settings.durability());
        let hazards = known.settings.hazards();
        let known = self.current.insert(known);
        if hazards.is_empty() || self.accept_data_loss {
            Ok(known)
        } else {
            Err(Failure::NotSent(format!("Redis may lose tasks: {}", hazards.join("; "))))
        }
    }
}

/// Reading the settings failed in whatever way: it is not the push that may have been written.
fn not_sent(failure: Failure) -> Failure {
    Failure::NotSent(format!("read the settings of Redis: {failure}"))
}
