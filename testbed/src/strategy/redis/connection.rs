//! Connections to Redis, made on demand. In: commands and script calls. Out: an answer, or a [`Failure`] that says
//! how much can be known of what Redis did. Nothing is ever sent twice here, but for a script that Redis does not
//! know yet: `NOSCRIPT` proves that it did not run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::scripts::Call;

/// What a replica answers to a write.
const READONLY: &str = "READONLY";

/// Why a command has no answer that could be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// There was no connection to send it on.
    #[error("{0}")]
    NotSent(String),
    /// Redis answered with an error, whose first word is its code.
    #[error("{code} {detail}")]
    Refused { code: String, detail: String },
    /// Time-out, or the connection broke: Redis may have done it, or may yet do it.
    #[error("{0}")]
    Lost(String),
}

/// Makes connections to one Redis.
pub(super) struct Connector {
    client: redis::Client,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(url: &str, timeout: Duration) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        // With RESP3 the driver reports a broken connection at once, also an idle one: what would have been sent on
        // it is then surely not stored.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Connector { client: redis::Client::open(info)?, timeout })
    }

    /// Host and port, or the path of the socket: nothing secret.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// A connection that has shaken hands, within the time-out.
    pub(super) async fn open(&self) -> Result<Connection, Failure> {
        let broken = Arc::new(AtomicBool::new(false));
        let wire = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config(&broken))
            .await
            .map_err(|e| Failure::NotSent(format!("connect to {}: {e}", self.address())))?;
        Ok(Connection { wire, broken, timeout: self.timeout })
    }

    fn config(&self, broken: &Arc<AtomicBool>) -> AsyncConnectionConfig {
        let broken = Arc::clone(broken);
        let note_the_end = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                broken.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        };
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            // Our own time-out, around a call and its reload, is the one that counts.
            .set_response_timeout(None)
            .set_push_sender(note_the_end)
    }
}

/// One connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    wire: MultiplexedConnection,
    broken: Arc<AtomicBool>,
    timeout: Duration,
}

impl Connection {
    /// Whether nothing can be sent on it any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) async fn call<T: FromRedisValue>(&self, call: &Call) -> Result<T, Failure> {
        let mut wire = self.wire.clone();
        self.bounded(async move {
            match call.by_digest().query_async(&mut wire).await {
                Err(e) if e.code() == Some("NOSCRIPT") => call.by_source().query_async(&mut wire).await,
                answer => answer,
            }
        })
        .await
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let mut wire = self.wire.clone();
        self.bounded(async move { command.query_async(&mut wire).await }).await
    }

    /// After a time-out the connection is given up: an answer that comes late would only hold up the next ones. And so it is
    /// where its server is a replica now: whoever connects anew is led to the primary.
    async fn bounded<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> Result<T, Failure> {
        let failure = match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(e)) => match e.code() {
                Some(code) => {
                    if code == READONLY {
                        self.broken.store(true, Ordering::Release);
                    }
                    return Err(refused(code, &e));
                }
                None => Failure::Lost(e.to_string()),
            },
            Err(_) => Failure::Lost(format!("no answer within {}", humantime::format_duration(self.timeout))),
        };
        self.broken.store(true, Ordering::Release);
        Err(failure)
    }
}

fn refused(code: &str, error: &RedisError) -> Failure {
    Failure::Refused { code: code.to_owned(), detail: error.detail().unwrap_or_default().to_owned() }
}

/// A connection that is made again after it broke, by the next who needs it.
pub(super) struct Link {
    connector: Arc<Connector>,
    current: Mutex<Option<Connection>>,
}

impl Link {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Link { connector, current: Mutex::new(None) }
    }

    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        let mut current = self.current.lock().await;
        if let Some(sound) = current.as_ref().filter(|c| !c.is_broken()) {
            return Ok(sound.clone());
        }
        let fresh = self.connector.open().await?;
        *current = Some(fresh.clone());
        Ok(fresh)
    }

    pub(super) async fn call<T: FromRedisValue>(&self, call: &Call) -> Result<T, Failure> {
        self.connection().await?.call(call).await
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.connection().await?.command(command).await
    }
}
