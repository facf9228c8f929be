//! The private servers that a plan needs beside the service: redis-server for a shared buffer, and a database that is
//! no file and does not exist yet.
//!
//! In: a plan. Out: servers that answer, and the [`Sources`] of the target; or nothing is left running.

use super::database_server::DatabaseServer;
use super::redis::Redis;
use super::sqlite_file::SqliteFile;
use super::{LIST_KEY, Site};
use crate::backends::{DatabaseControl, DatabaseSource, QueueSource, RedisControl, Sources, UpError};
use crate::plan::{Database, TargetPlan};
use crate::stop::Stop;

pub(in crate::backends) struct Servers {
    redis: Option<Redis>,
    database: Option<DatabaseServer>,
    /// Where the database is none of them, and not somebody else's.
    file: Option<SqliteFile>,
}

impl Servers {
    pub async fn start(plan: &TargetPlan, site: &Site, stop: &Stop) -> Result<Servers, UpError> {
        let redis = match plan.strategy.shared() {
            true => Some(Redis::start(&plan.redis, site).await?),
            false => None,
        };
        let mut servers = Servers { redis, database: None, file: None };
        if let Err(e) = servers.add_database(plan, site, stop).await {
            // What would not end is in the journal; the first error is the one that explains.
            let _ = servers.stop().await;
            return Err(e);
        }
        Ok(servers)
    }

    async fn add_database(&mut self, plan: &TargetPlan, site: &Site, stop: &Stop) -> Result<(), UpError> {
        if (plan.database, &plan.existing) == (Database::Sqlite, &None) {
            self.file = Some(SqliteFile::prepare(plan, site)?);
        }
        self.database = DatabaseServer::start_for(plan, site, stop).await?;
        Ok(())
    }

    pub fn sources(&self, plan: &TargetPlan) -> Sources {
        let database = match (&plan.existing, &self.database, &self.file) {
            (Some(url), ..) => DatabaseSource::Server { database: plan.database, url: url.clone() },
            (None, Some(server), _) => server.source(),
            (None, None, Some(file)) => DatabaseSource::File(file.path()),
            (None, None, None) => unreachable!("whatever database a plan has was added"),
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
        if let Some(server) = &self.database {
            sources.database = server.source_for_instances();
        }
        sources
    }

    pub fn redis(&self) -> Option<&dyn RedisControl> {
        self.redis.as_ref().map(|redis| redis as &dyn RedisControl)
    }

    pub fn database(&self) -> Option<&dyn DatabaseControl> {
        let server = self.database.as_ref().map(|server| server as &dyn DatabaseControl);
        server.or(self.file.as_ref().map(|file| file as &dyn DatabaseControl))
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
        if let Some(file) = &self.file {
            left.extend(file.stop().await.err());
        }
        left
    }
}
