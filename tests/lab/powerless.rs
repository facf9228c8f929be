//! A deployment whose controls say yes and do nothing: every signal is swallowed, every start gives the process that
//! was there before.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mxctl::backends::database_control;
use mxctl::backends::proxy::{Passed, Proxy};
use mxctl::backends::redis_control::{Change, Sentinel};
use mxctl::backends::{
    ControlError, DatabaseControl, DatabaseSource, Deployment, DownError, Endpoints, Exit, Instance, InstanceId,
    ProcessControl, QueueSource, RedisControl, Sources,
};
use mxctl::plan::{PausePoint, Plan, Slot};
use mxctl::process::ProcessIdentity;
use nix::sys::signal::Signal;
use tempfile::TempDir;

pub struct Powerless {
    endpoints: Endpoints,
    sources: Sources,
    instances: Vec<Instance>,
    redis: Option<PowerlessRedis>,
    database: Option<PowerlessDatabase>,
}

impl Powerless {
    /// One instance a slot: all of them are the test's own process, which outlives any stop.
    pub fn new(plan: &Plan, database: &Path) -> Powerless {
        let process = ProcessIdentity::of(std::process::id() as i32).expect("this process is alive");
        let instance = |(id, slot): (usize, &Slot)| Instance {
            id: InstanceId(id as u16),
            name: format!("{slot}.1"),
            slot: slot.clone(),
            process: Some(process),
            addr: ([127, 0, 0, 1], 1).into(),
        };
        Powerless {
            endpoints: Endpoints::default(),
            sources: Sources { database: DatabaseSource::File(database.to_owned()), queue: QueueSource::Private },
            instances: plan.target.slots.iter().enumerate().map(instance).collect(),
            redis: None,
            database: None,
        }
    }

    /// The same, with a database that is well whatever is done to it.
    pub fn with_database(self, database: PowerlessDatabase) -> Powerless {
        Powerless { database: Some(database), ..self }
    }

    /// The same, with a Redis that is well whatever is done to it.
    pub fn with_redis(plan: &Plan, database: &Path, redis: PowerlessRedis) -> Powerless {
        let queue = QueueSource::Redis { url: format!("redis://{}", redis.addr), key: "{buffer}".into() };
        let target = Powerless::new(plan, database);
        Powerless { sources: Sources { queue, ..target.sources }, redis: Some(redis), ..target }
    }
}

#[async_trait]
impl Deployment for Powerless {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn sources(&self) -> Sources {
        self.sources.clone()
    }

    fn roster(&self) -> Vec<Instance> {
        self.instances.clone()
    }

    fn alive(&self) -> Vec<Instance> {
        self.instances.clone()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        Some(self)
    }

    fn redis(&self) -> Option<&dyn RedisControl> {
        self.redis.as_ref().map(|redis| redis as &dyn RedisControl)
    }

    fn database(&self) -> Option<&dyn DatabaseControl> {
        self.database.as_ref().map(|database| database as &dyn DatabaseControl)
    }

    async fn down(&self, _grace: Duration) -> Result<(), DownError> {
        Ok(())
    }
}

#[async_trait]
impl ProcessControl for Powerless {
    fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.instances.iter().find(|instance| instance.slot == *slot).cloned()
    }

    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError> {
        let new = |other: &Instance| Instance {
            id: InstanceId(self.instances.len() as u16),
            name: format!("{slot}.1"),
            slot: slot.clone(),
            ..other.clone()
        };
        Ok(self.in_slot(slot).unwrap_or_else(|| new(&self.instances[0])))
    }

    fn signal(&self, _id: InstanceId, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    async fn frozen(&self, _id: InstanceId, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn exited(&self, _id: InstanceId, _within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(None)
    }

    async fn probed(&self, _id: InstanceId, _within: Duration) -> Result<bool, ControlError> {
        // It never goes off: take the time that a probe takes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(true)
    }

    async fn hold(&self, _id: InstanceId, _point: PausePoint) -> Result<(), ControlError> {
        Ok(())
    }

    async fn held(&self, _id: InstanceId, _point: PausePoint, _within: Duration) -> Result<Option<u64>, ControlError> {
        Ok(Some(1))
    }

    async fn release(&self, _id: InstanceId, _point: PausePoint) -> Result<(), ControlError> {
        Ok(())
    }
}

/// A real redis-server behind a real proxy, of which every control says yes and does nothing. Ended with its value.
pub struct PowerlessRedis {
    server: Child,
    identity: ProcessIdentity,
    addr: SocketAddr,
    proxy: Proxy,
    _folder: TempDir,
}

impl PowerlessRedis {
    pub async fn start() -> PowerlessRedis {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]);
        command.arg(folder.path()).stdout(Stdio::null());
        let server =
            command.spawn().unwrap_or_else(|e| panic!("start redis-server: {e}; run `testbed/provision redis`"));
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(addr).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server did not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let identity = ProcessIdentity::of(server.id() as i32).expect("it lives");
        PowerlessRedis { server, identity, addr, proxy: Proxy::start(addr).expect("a proxy"), _folder: folder }
    }
}

impl Drop for PowerlessRedis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.proxy.end();
    }
}

#[async_trait]
impl RedisControl for PowerlessRedis {
    fn process(&self) -> ProcessIdentity {
        self.identity
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn replica(&self) -> Option<SocketAddr> {
        // Another name of the same one: nobody else is there.
        Some(self.addr)
    }

    async fn sentinels(&self) -> Vec<Sentinel> {
        Vec::new()
    }

    fn proxy(&self) -> Option<SocketAddr> {
        Some(self.proxy.addr())
    }

    fn passed(&self) -> Passed {
        self.proxy.passed()
    }

    fn signal(&self, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    async fn frozen(&self, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn exited(&self, _within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(None)
    }

    async fn start(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change(&self, _change: &Change) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change_back(&self, _change: &Change) -> Result<(), ControlError> {
        Ok(())
    }
}

/// A database that every control says yes to and does nothing to: a file, which says of itself what a server would.
pub struct PowerlessDatabase {
    file: PathBuf,
}

impl PowerlessDatabase {
    pub fn over(file: &Path) -> PowerlessDatabase {
        PowerlessDatabase { file: file.to_owned() }
    }
}

#[async_trait]
impl DatabaseControl for PowerlessDatabase {
    fn source(&self) -> DatabaseSource {
        DatabaseSource::File(self.file.clone())
    }

    fn proxied(&self) -> Option<DatabaseSource> {
        Some(self.source())
    }

    fn passed(&self) -> Passed {
        Passed::default()
    }

    /// Whatever is around the file has room.
    fn room(&self) -> Option<PathBuf> {
        self.file.parent().map(Path::to_owned)
    }

    /// The test's own one.
    fn processes(&self) -> Vec<ProcessIdentity> {
        vec![ProcessIdentity::of(std::process::id() as i32).expect("this process is alive")]
    }

    fn signal(&self, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    fn end_in_order(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn frozen(&self, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn exited(&self, _within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(None)
    }

    async fn start(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn connections(&self) -> Result<BTreeSet<String>, ControlError> {
        Ok(["1", "2"].map(str::to_owned).into())
    }

    async fn change(&self, _change: &database_control::Change) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change_back(&self, _change: &database_control::Change) -> Result<(), ControlError> {
        Ok(())
    }
}
