//! A running service: opened, its tasks started, waited for, shut down.
//!
//! In: a [`Config`], perhaps a control socket, and a token that orders the shutdown. Out: nothing, after an orderly end;
//! otherwise a [`ServeError`], which tells mistakes in the configuration from servers that are missing or unsafe.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::api::{self, L1Cache};
use crate::bugs::{self, BugError};
use crate::config::{Config, ConfigError, DatabaseUrl};
use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{BufferLabels, Metrics};
use crate::parts::Parts;
use crate::pause::{Conversation, PausePoints};
use crate::shutdown::{self, Step};
use crate::store::{Signature, Store, StoreError};
use crate::strategy::{BufferError, StrategyContext, StrategyError, WriteBackBufferStrategy};
use crate::worker::Worker;

/// Serves until `shutdown`, then ends in order (`shutdown.rs`). `control` drives the pause points; without it there
/// are none.
pub async fn serve(config: Config, control: Option<UnixStream>, shutdown: CancellationToken) -> Result<(), ServeError> {
    let parts = bugs::parts(config.buffer.bug.as_deref(), control.is_some())?;
    let (pause, conversation) = pause_points(control)?;
    let service = Arc::new(Service::open(parts.configuration(config), &*parts, pause).await?);
    let mut tasks = Tasks::start(&service, conversation).await?;
    service.lifecycle.advance(Phase::Ready);
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        name = tasks.one_died() => Err(ServeError::Died { name }),
    };
    shutdown::shut_down(&service, tasks).await;
    ended
}

fn pause_points(control: Option<UnixStream>) -> Result<(PausePoints, Option<Conversation>), ServeError> {
    let Some(socket) = control else { return Ok((PausePoints::never(), None)) };
    let (pause, conversation) = PausePoints::over(socket).map_err(ServeError::Control)?;
    Ok((pause, Some(conversation)))
}

/// What every part of the service uses.
pub struct Service {
    pub config: Config,
    pub buffer: Arc<dyn WriteBackBufferStrategy>,
    pub store: Store,
    pub lifecycle: Arc<dyn Lifecycle>,
    pub shutdown: &'static [Step],
    pub pause: PausePoints,
    pub metrics: Arc<Metrics>,
    pub l1_cache: L1Cache,
}

impl Service {
    async fn open(config: Config, parts: &dyn Parts, pause: PausePoints) -> Result<Self, ServeError> {
        let contradictions = config.contradictions();
        if !contradictions.is_empty() {
            let path = PathBuf::from("the configuration");
            return Err(ConfigError::Contradictions { path, contradictions }.into());
        }
        let context = StrategyContext {
            instance: config.instance.clone(),
            max_attempts: config.worker.max_attempts,
            clock: config.clock_offset,
        };
        let buffer = parts.buffer(&config.buffer, &context).await?;
        buffer.ping().await?;
        let signature = Signature { instance: config.instance.clone(), witness: config.witness };
        let store = Store::open(&config.database, signature)
            .await
            .map_err(|source| ServeError::Database { url: config.database.url.clone(), source })?
            .behind(|tables| parts.tables(tables, &config.database));
        let metrics = Arc::new(Metrics::new(labels(&config, &*buffer), config.clock_offset));
        let l1_cache = L1Cache::new(&config.l1_cache);
        let (lifecycle, shutdown) = (parts.lifecycle(), parts.shutdown());
        Ok(Service { config, buffer, store, lifecycle, shutdown, pause, metrics, l1_cache })
    }
}

fn labels(config: &Config, buffer: &dyn WriteBackBufferStrategy) -> BufferLabels {
    let scope = if buffer.capabilities().shared { "shared" } else { "instance" };
    BufferLabels { buffer: config.buffer.strategy.clone(), scope }
}

/// The tasks of a service, each with what ends it. Dropping this ends them all at once.
pub struct Tasks {
    /// The API: cancelled, it accepts no connection, and ends with the last answer.
    pub accepting: CancellationToken,
    pub api: AbortOnDropHandle<()>,
    pub worker: Option<WorkerTasks>,
    _conversation: Option<AbortOnDropHandle<()>>,
}

pub struct WorkerTasks {
    pub worker: Arc<Worker>,
    pub working: CancellationToken,
    pub run: AbortOnDropHandle<()>,
    pub redrive: AbortOnDropHandle<()>,
}

impl Tasks {
    async fn start(service: &Arc<Service>, conversation: Option<Conversation>) -> Result<Self, ServeError> {
        let listener = listen(&service.config).await?;
        let addr = listener.local_addr().expect("a bound socket has an address");
        info!(
            instance = service.config.instance,
            buffer = service.config.buffer.strategy,
            "listening on http://{addr}"
        );
        service.pause.listening(addr);
        let accepting = CancellationToken::new();
        Ok(Tasks {
            api: spawn(run_api(listener, service.clone(), accepting.clone())),
            accepting,
            worker: service.config.role.writes_rows().then(|| WorkerTasks::start(service)),
            _conversation: conversation.map(|conversation| spawn(conversation.run())),
        })
    }

    /// Ends them all, at once.
    pub fn end(&self) {
        self.api.abort();
        if let Some(worker) = &self.worker {
            worker.run.abort();
            worker.redrive.abort();
        }
    }

    /// The name of the first task that ends although nobody asked it to: a panic, which the log shows.
    async fn one_died(&mut self) -> &'static str {
        let Some(worker) = &mut self.worker else {
            let _ = (&mut self.api).await;
            return "api";
        };
        tokio::select! {
            _ = &mut self.api => "api",
            _ = &mut worker.run => "worker",
            _ = &mut worker.redrive => "redrive",
        }
    }
}

impl WorkerTasks {
    fn start(service: &Service) -> Self {
        let Service { config, buffer, store, pause, metrics, .. } = service;
        let worker = Worker::new(buffer.clone(), store.clone(), pause.clone(), metrics.clone(), config.worker.clone());
        let (worker, working) = (Arc::new(worker), CancellationToken::new());
        let run = {
            let (worker, working) = (worker.clone(), working.clone());
            spawn(async move { worker.run(&working).await })
        };
        let redrive = {
            let worker = worker.clone();
            spawn(async move { worker.redrive().await })
        };
        WorkerTasks { worker, working, run, redrive }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

async fn listen(config: &Config) -> Result<TcpListener, ServeError> {
    let addr = SocketAddr::new(config.server.host, config.server.port);
    TcpListener::bind(addr).await.map_err(|source| ServeError::Listen { addr, source })
}

async fn run_api(listener: TcpListener, service: Arc<Service>, accepting: CancellationToken) {
    // Answers are small and must not wait for the acknowledgement of the one before (Nagle).
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            warn!("failed to switch off Nagle's algorithm: {error}");
        }
    });
    let served = axum::serve(listener, api::router(service)).with_graceful_shutdown(accepting.cancelled_owned());
    if let Err(error) = served.await {
        warn!("failed to serve HTTP: {error}");
    }
}

/// Why a service did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Bug(#[from] BugError),
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    #[error(transparent)]
    Buffer(#[from] BufferError),
    #[error("open {url}: {source}")]
    Database { url: DatabaseUrl, source: StoreError },
    #[error("listen on {addr}: {source}; choose another server.host or server.port (port 0: any free one)")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("use the control socket: {0}")]
    Control(std::io::Error),
    #[error("go on: the {name} task ended unexpectedly")]
    Died { name: &'static str },
}

impl ServeError {
    /// A mistake in what a person wrote, as opposed to a server that is missing, unsafe, or broke.
    pub fn is_configuration(&self) -> bool {
        match self {
            ServeError::Config(_) | ServeError::Bug(_) => true,
            ServeError::Strategy(error) => {
                matches!(error, StrategyError::Unknown { .. } | StrategyError::Config { .. })
            }
            _ => false,
        }
    }
}
