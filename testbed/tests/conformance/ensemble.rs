//! Services around one buffer and one database, some of them processes that can be killed and frozen. In: a strategy
//! and a database of the lists. Out: services by their parts, and the verdict of the invariants in the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use testbed::Config;
use testbed::strategy::{Capabilities, STRATEGIES, WriteBackBufferStrategy};
use testbed::task::{Costs, ExpectationWriteTask, Money};

use crate::harness::{Caller, Running, eventually};
use crate::invariants::{Evidence, TaskId, Violations, id};
use crate::lab::database::{DATABASES, Database};
use crate::lab::strategies::{Broker, built};
use crate::process::ServiceProcess;

/// What scenarios vary. All else is the same for every strategy.
#[derive(Clone, Copy)]
pub struct Times {
    /// Longer than a second, the shortest limit that MariaDB can enforce.
    pub lease: &'static str,
    pub busy: &'static str,
    pub idle: &'static str,
    pub max_attempts: u32,
}

impl Default for Times {
    fn default() -> Self {
        Times { lease: "1500ms", busy: "700ms", idle: "700ms", max_attempts: 3 }
    }
}

pub struct Ensemble {
    broker: Broker,
    times: Times,
    pub database: Arc<Database>,
    accepted: BTreeMap<TaskId, ExpectationWriteTask>,
    /// Sees the services' buffer where it is shared; where it is private this is another one, and says what it can do.
    buffer: Arc<dyn WriteBackBufferStrategy>,
}

/// A process that writes rows, and where callers reach the buffer that it works on.
pub struct Cast {
    pub worker: ServiceProcess,
    /// Where the buffer is shared: the service that takes requests.
    api: Option<Running>,
}

impl Cast {
    pub fn caller(&self) -> Caller {
        self.api.as_ref().map_or_else(|| self.worker.caller.clone(), |api| Caller::clone(api))
    }
}

/// Every strategy of the list with every database of the list.
pub fn every_pair() -> impl Iterator<Item = (&'static str, &'static str)> {
    every_strategy_over(DATABASES)
}

pub fn every_strategy_over(databases: &'static [&str]) -> impl Iterator<Item = (&'static str, &'static str)> {
    STRATEGIES.iter().flat_map(|strategy| databases.iter().map(|database| (strategy.word, *database)))
}

impl Ensemble {
    pub async fn of((strategy, database): (&'static str, &'static str)) -> Self {
        Self::around(strategy, Database::new(database).await, Times::default()).await
    }

    pub async fn around(strategy: &'static str, database: Database, times: Times) -> Self {
        let broker = Broker::start(strategy).await;
        let buffer = built(&broker.service_config(), "oracle").await;
        Ensemble { broker, times, database: Arc::new(database), accepted: BTreeMap::new(), buffer }
    }

    pub fn name(&self) -> String {
        format!("{} over {}", self.broker.word, self.database.word)
    }

    pub fn capabilities(&self) -> Capabilities {
        self.buffer.capabilities()
    }

    /// The configuration of one service: only `buffer` depends on the strategy.
    pub fn yaml(&self, instance: &str, role: &str) -> String {
        let Times { lease, busy, idle, max_attempts } = self.times;
        let url = &self.database.url;
        [
            format!("instance: {instance}\nrole: {role}"),
            self.broker.section(),
            format!("database: {{ url: '{url}', busy_timeout: {busy}, idle_timeout: {idle} }}"),
            format!("worker: {{ lease: {lease}, max_attempts: {max_attempts}, redrive_scan: 100ms,"),
            "  batch: 16, flush_interval: 20ms, backoff: 20ms, backoff_max: 40ms }".into(),
            "server: { endpoint_lag: 10ms, grace: 5s }\nwitness: true\n".into(),
        ]
        .join("\n")
    }

    /// The role of a service that writes rows.
    fn writing(&self) -> &'static str {
        if self.capabilities().shared { "worker" } else { "all" }
    }

    /// A service in this process.
    pub async fn serve(&self, instance: &str, role: &str) -> Running {
        let yaml = self.yaml(instance, role);
        let config = Config::parse(&yaml, Path::new("test.yml")).unwrap_or_else(|error| panic!("failed to {error}"));
        Running::start(config, self.database.clone()).await
    }

    pub async fn worker(&self, instance: &str) -> ServiceProcess {
        ServiceProcess::start(&self.yaml(instance, self.writing()), &self.database).await
    }

    /// A worker in a process of its own, and somebody to ask for writes.
    pub async fn cast(&self) -> Cast {
        let worker = self.worker("worker-1.1").await;
        let api = if self.capabilities().shared { Some(self.serve("api-1.1", "api").await) } else { None };
        Cast { worker, api }
    }

    /// One request; it is in the books once it is accepted.
    pub async fn write(&mut self, caller: &Caller, key: u64, seq: u64) {
        let answer = caller.write(key, seq).await;
        assert_eq!(answer.status, 202, "{}: {}", self.name(), answer.text);
        self.book(key, seq);
    }

    pub fn book(&mut self, key: u64, seq: u64) {
        self.accepted.extend((1..=3).map(|preset| task(key, seq, preset)).map(|task| (id(&task), task)));
    }

    /// A buffer that is not durable forgets with its process what is not in the database: by its nature.
    pub async fn forget_what_died(&mut self) {
        if !self.capabilities().durable {
            let rows = self.database.rows().await;
            let written = |name: &TaskId| rows.iter().any(|row| (row.key, row.preset, row.seq as u64) == *name);
            self.accepted.retain(|name, _| written(name));
        }
    }

    /// Whether each preset of the key has this seq.
    pub async fn has(&self, key: u64, seq: u64) {
        eventually(&format!("{}: seq {seq} of {key}", self.name()), || async {
            let rows = self.database.rows().await;
            rows.iter().filter(|row| (row.key, row.seq) == (key as i64, seq as i64)).count() == 3
        })
        .await;
    }

    /// Until no task is ready, leased or delayed any more, as this service counts them.
    pub async fn drained(&self, caller: &Caller) {
        eventually(&format!("{}: an empty buffer", self.name()), || async {
            caller.metrics(["buffer_size{", "buffer_leased{", "buffer_delayed{"]).await == [Some(0.0); 3]
        })
        .await;
    }

    /// The verdict once `caller`, a live service, has drained the buffer. No task of these scenarios may be dead.
    pub async fn assert_conforms(&self, caller: &Caller) {
        self.drained(caller).await;
        assert_eq!(caller.metric("buffer_dead{").await, Some(0.0), "{}", self.name());
        let (accepted, rows) = (self.accepted.clone(), self.database.rows().await);
        let evidence = Evidence { accepted, rows, ..Evidence::default() };
        assert_eq!(evidence.judge(), Violations::new(), "{}", self.name());
    }
}

/// What the harness's request for this write makes of a preset.
fn task(key: u64, seq: u64, preset: u8) -> ExpectationWriteTask {
    let total = (seq as i64 * 10 + i64::from(preset)) * 100 + i64::from(preset);
    let costs = Costs {
        total_expected_cost: Money(total),
        black_cube_cost: Money(4),
        red_cube_cost: Money(3),
        additional_cube_cost: Money(2),
        starforce_cost: Money(1),
    };
    ExpectationWriteTask { key: key as i64, preset, seq, costs }
}
