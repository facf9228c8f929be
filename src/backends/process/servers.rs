//! The private servers that a plan needs beside the service: redis-server for a shared buffer, and a database that is
//! no file and does not exist yet.
//!
//! In: a plan. Out: servers that answer, and the [`Sources`] of the target; or nothing is left running.

use tokio::task::JoinSet;

use super::database_server::DatabaseServer;
use super::redis::Redis;
use super::{DATABASE, LIST_KEY, Site};
use crate::backends::{DatabaseSource, QueueSource, RedisControl, Sources, UpError};
use crate::plan::TargetPlan;
use crate::stop::Stop;

pub(in crate::backends) struct Servers {
    redis: Option<Redis>,
    database: Option<DatabaseServer>,
}

impl Servers {
    /// Tasks that reap a database server join `tasks`: they end with it.
    pub async fn start(
        plan: &TargetPlan,
        site: &Site,
        tasks: &mut JoinSet<()>,
        stop: &Stop,
    ) -> Result<Servers, UpError> {
        let redis = match plan.strategy.shared() {
            true => Some(Redis::start(&plan.redis, site).await?),
            false => None,
        };
        let mut servers = Servers { redis, database: None };
        match DatabaseServer::start_for(plan, site, tasks, stop).await {
            Ok(database) => servers.database = database,
            Err(e) => {
                // What would not end is in the journal; the first error is the one that explains.
                let _ = servers.stop().await;
                return Err(e);
            }
        }
        Ok(servers)
    }

    pub fn sources(&self, plan: &TargetPlan, site: &Site) -> Sources {
        let database = match (&plan.existing, &self.database) {
            (Some(url), _) => DatabaseSource::Server { database: plan.database, url: url.clone() },
            (None, Some(server)) => server.source(),
            (None, None) => DatabaseSource::File(site.folder.join(DATABASE)),
        };
        let queue = match &self.redis {
            Some(redis) => QueueSource::Redis { url: redis.url(), key: LIST_KEY.to_owned() },
            None => QueueSource::Private,
        };
        Sources { database, queue }
    }

    /// The sources as the instances reach them. The oracle never looks through a proxy.
    pub fn for_instances(&self, sources: &Sources) -> Sources {
        let mut sources = sources.clone();
        if let (QueueSource::Redis { url, .. }, Some(redis)) = (&mut sources.queue, &self.redis) {
            *url = redis.url_for_instances();
        }
        sources
    }

    pub fn redis(&self) -> Option<&dyn RedisControl> {
        self.redis.as_ref().map(|redis| redis as &dyn RedisControl)
    }

    /// Those whom the service needs go after it. Says what would not go.
    pub async fn stop(&self) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(redis) = &self.redis {
            left.extend(redis.stop().await);
        }
        if let Some(database) = &self.database {
            left.extend(database.stop().await.err());
        }
        left
    }
}
