//! Flags that lay values over a scenario: flag > `MXCTL_*` > scenario > default.
//!
//! Every flag is kept as text here and read by the types that read the file ([`PlanFlags::overrides`]), so that wrong
//! flags and a wrong file are reported together, in one form.

use clap::Args;

use crate::scenario::{Count, Entry, Overrides, Switch, Written};

/// All flags that shape a plan. Flatten this into a command.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanFlags {
    #[command(flatten)]
    pub target: TargetFlags,
    #[command(flatten)]
    pub load: LoadFlags,
    #[command(flatten)]
    pub run: RunFlags,
}

/// The service under test.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Target (each replaces the scenario's value)")]
pub struct TargetFlags {
    /// Where the service's buffer lives: in-memory (V4) or redis (V5)
    #[arg(long, env = "MXCTL_STRATEGY", value_name = "STRATEGY")]
    pub strategy: Option<String>,
    /// Instances that answer requests
    #[arg(long, env = "MXCTL_INSTANCES", value_name = "N", allow_hyphen_values = true)]
    pub instances: Option<String>,
    /// Workers that move tasks from a shared buffer to the database
    #[arg(long, env = "MXCTL_WORKERS", value_name = "N", allow_hyphen_values = true)]
    pub workers: Option<String>,
    /// How the service is run: process (children of this command), or in-process (threads of it: for load alone, a trial)
    #[arg(long, env = "MXCTL_BACKEND", value_name = "BACKEND")]
    pub backend: Option<String>,
    /// Where the service writes: sqlite (a file in the run's folder), postgres or mariadb (a private server), or the
    /// URL of a database that exists, such as postgres://user:password@host/name, with --allow database
    #[arg(long, env = "MXCTL_DATABASE", value_name = "DATABASE")]
    pub database: Option<String>,
    /// Tasks that a worker writes at once
    #[arg(long, env = "MXCTL_BATCH", value_name = "N", allow_hyphen_values = true)]
    pub batch: Option<String>,
    /// How long a worker waits for a full batch, such as 200ms
    #[arg(long, env = "MXCTL_FLUSH_INTERVAL", value_name = "TIME", allow_hyphen_values = true)]
    pub flush_interval: Option<String>,
    /// How long a task belongs to the worker that took it, such as 5s
    #[arg(long, env = "MXCTL_LEASE", value_name = "TIME", allow_hyphen_values = true)]
    pub lease: Option<String>,
    /// How often expired leases are looked for, such as 1s
    #[arg(long, env = "MXCTL_REDRIVE_SCAN", value_name = "TIME", allow_hyphen_values = true)]
    pub redrive_scan: Option<String>,
    /// Attempts before a task goes to the dead-letter queue
    #[arg(long, env = "MXCTL_MAX_ATTEMPTS", value_name = "N", allow_hyphen_values = true)]
    pub max_attempts: Option<String>,
    /// Log every attempted upsert by database triggers: duplicates and order become observable [env: MXCTL_WITNESS]
    // Not `env`: clap would take the variable and `--no-witness` for two flags that exclude each other.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", overrides_with = "no_witness")]
    pub witness: Option<String>,
    /// No witness, whatever the scenario says
    #[arg(long, overrides_with = "witness")]
    pub no_witness: bool,
    /// When Redis calls fsync: always, everysec or no
    #[arg(long, env = "MXCTL_APPENDFSYNC", value_name = "WHEN")]
    pub appendfsync: Option<String>,
    /// What a run may touch although it did not start it: database (that of the URL), host=NAME (not on this machine)
    #[arg(long, env = "MXCTL_ALLOW", value_name = "WHAT,…", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// From SIGTERM to SIGKILL, such as 10s
    #[arg(long, env = "MXCTL_GRACE", value_name = "TIME", allow_hyphen_values = true)]
    pub grace: Option<String>,
}

/// What is sent to it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Load (each replaces the scenario's value)")]
pub struct LoadFlags {
    /// Operations per second, all lanes together
    #[arg(long, env = "MXCTL_RPS", value_name = "RATE", allow_hyphen_values = true)]
    pub rps: Option<String>,
    /// How long load is sent, such as 60s or 1m30s; settling comes after
    #[arg(long, env = "MXCTL_DURATION", value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Option<String>,
    /// The load's rate over time, in place of --rps and --duration, such as
    /// 'ramp 100..1500 over 30s, hold 1500 for 1m, steps 200..1000 by 200 every 10s, spike 800..4000 at 10s for 2s over 30s'
    #[arg(long, env = "MXCTL_SHAPE", value_name = "PART,…")]
    pub shape: Option<String>,
    /// How operations arrive: even (a metronome) or poisson (as from many independent users)
    #[arg(long, env = "MXCTL_ARRIVALS", value_name = "HOW")]
    pub arrivals: Option<String>,
    /// Shares of the lanes, such as write-once=80%,hot-key=14%,read=5%,poison=1%
    #[arg(long, env = "MXCTL_MIX", value_name = "LANE=SHARE,…")]
    pub mix: Option<String>,
    /// Keys that the hot-key lane writes in turn
    #[arg(long, env = "MXCTL_HOT_KEYS", value_name = "N", allow_hyphen_values = true)]
    pub hot_keys: Option<String>,
    /// Which keys reads ask for: all (any key written before), recent (of the last 100 write-once keys) or hot
    #[arg(long, env = "MXCTL_READ_KEYS", value_name = "KEYS")]
    pub read_keys: Option<String>,
    /// Connections to each instance
    #[arg(long, env = "MXCTL_CONNECTIONS", value_name = "N", allow_hyphen_values = true)]
    pub connections: Option<String>,
    /// After which an answer counts as unknown, such as 2s
    #[arg(
        long,
        visible_alias = "timeout",
        env = "MXCTL_REQUEST_TIMEOUT",
        value_name = "TIME",
        allow_hyphen_values = true
    )]
    pub request_timeout: Option<String>,
    /// How late this command may wake (p99) before the run proves nothing, such as 20ms
    #[arg(long, env = "MXCTL_OWN_LAG_LIMIT", value_name = "TIME", allow_hyphen_values = true)]
    pub own_lag_limit: Option<String>,
    /// Threads that send
    #[arg(long, visible_alias = "threads", env = "MXCTL_SHARDS", value_name = "N", allow_hyphen_values = true)]
    pub shards: Option<String>,
}

/// This run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct RunFlags {
    /// Seeds the order of operations: the same seed and run number give the same operations
    #[arg(long, env = "MXCTL_SEED", value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Makes this run's keys its own
    #[arg(long, env = "MXCTL_RUN_NUMBER", value_name = "N", allow_hyphen_values = true)]
    pub run_number: Option<String>,
    /// Adds a gate: fail where a value is above its limit, such as 'p99.steady > 100ms'; may be repeated
    #[arg(long, env = "MXCTL_FAIL_IF", value_name = "EXPR", value_delimiter = ',')]
    pub fail_if: Vec<String>,
    /// No PASS unless a selftest of this executable has caught a seeded bug with what the scenario does
    #[arg(long, env = "MXCTL_REQUIRE_SELFTEST")]
    pub require_selftest: bool,
}

impl PlanFlags {
    /// What these flags, and the variables behind them, lay over a scenario.
    pub fn overrides(&self) -> Overrides {
        let mut over = Overrides::default();
        self.target.lay(&mut over);
        self.load.lay(&mut over);
        self.run.lay(&mut over);
        over
    }
}

impl TargetFlags {
    fn lay(&self, over: &mut Overrides) {
        over.target.strategy = flag(over, "strategy", &self.strategy);
        over.target.instances = flag(over, "instances", &self.instances);
        over.target.workers = flag(over, "workers", &self.workers);
        over.target.backend = flag(over, "backend", &self.backend);
        over.target.database = flag(over, "database", &self.database);
        over.target.batch = flag(over, "batch", &self.batch);
        over.target.flush_interval = flag(over, "flush-interval", &self.flush_interval);
        over.target.lease = flag(over, "lease", &self.lease);
        over.target.redrive_scan = flag(over, "redrive-scan", &self.redrive_scan);
        over.target.max_attempts = flag(over, "max-attempts", &self.max_attempts);
        over.target.witness = self.witness(over);
        over.target.appendfsync = flag(over, "appendfsync", &self.appendfsync);
        over.target.grace = flag(over, "grace", &self.grace);
        for word in &self.allow {
            over.read_allowance("--allow", word);
        }
    }

    /// Of `--witness` and `--no-witness` the later one counts; both count more than the variable.
    fn witness(&self, over: &mut Overrides) -> Entry<Switch> {
        if self.no_witness {
            return over.read("--no-witness", Some("false"));
        }
        let variable = std::env::var("MXCTL_WITNESS").ok();
        flag(over, "witness", &self.witness.clone().or(variable))
    }
}

impl LoadFlags {
    fn lay(&self, over: &mut Overrides) {
        over.load.rps = flag(over, "rps", &self.rps);
        over.load.duration = flag(over, "duration", &self.duration);
        over.load.shape = over.read_shape(&set_by("shape", self.shape.as_deref()), self.shape.as_deref());
        over.load.mix = over.read_mix(&set_by("mix", self.mix.as_deref()), self.mix.as_deref());
        over.load.hot_keys = flag(over, "hot-keys", &self.hot_keys);
        over.load.arrivals = flag(over, "arrivals", &self.arrivals);
        over.load.read_keys = flag(over, "read-keys", &self.read_keys);
        over.load.connections = flag(over, "connections", &self.connections);
        over.load.request_timeout = flag(over, "request-timeout", &self.request_timeout);
        over.load.own_lag_limit = flag(over, "own-lag-limit", &self.own_lag_limit);
        over.load.shards = flag(over, "shards", &self.shards);
    }
}

impl RunFlags {
    fn lay(&self, over: &mut Overrides) {
        over.seed = flag::<Count>(over, "seed", &self.seed);
        over.run_number = flag::<Count>(over, "run-number", &self.run_number);
        for expression in &self.fail_if {
            over.read_gate("--fail-if", expression);
        }
    }
}

fn flag<T: Written>(over: &mut Overrides, name: &str, text: &Option<String>) -> Entry<T> {
    over.read(&set_by(name, text.as_deref()), text.as_deref())
}

/// `--rps`, or `MXCTL_RPS` where the variable holds this very text: then it is what a person has to change.
fn set_by(name: &str, text: Option<&str>) -> String {
    let variable = format!("MXCTL_{}", name.replace('-', "_").to_uppercase());
    match std::env::var(&variable) {
        Ok(value) if Some(value.as_str()) == text => variable,
        _ => format!("--{name}"),
    }
}
