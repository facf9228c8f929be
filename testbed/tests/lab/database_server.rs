//! A private database server: made, started, killed, started again; and one that the tests of a binary share.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::server_process::{ServerProcess, folder, free_port, is_ready};

/// What differs between servers.
pub trait Make: Send + Sync + Sized + 'static {
    /// As `testbed/provision` calls it.
    const PART: &'static str;
    /// Ends it in order, and at once.
    const END: Signal;

    /// Fills an empty folder.
    fn initialise(folder: &Path);
    /// `careless`: what is committed need not survive a kill.
    fn command(folder: &Path, port: u16, careless: bool) -> Command;
    /// From its next start on it can be read only.
    fn refuse_writes(folder: &Path);
    /// Whether it takes commands.
    fn answers(folder: &Path, port: u16) -> impl Future<Output = bool> + Send;
    /// A database of this name, empty.
    fn create(port: u16, name: &str) -> impl Future<Output = ()> + Send;
    /// Of a database, with its password.
    fn url(port: u16, name: &str) -> String;
    /// The server that the tests of this binary share.
    fn shared() -> &'static OnceCell<Server<Self>>;
}

pub struct Server<M> {
    /// Before the folder: first the process ends, then its files.
    process: Mutex<ServerProcess>,
    folder: Mutex<Option<TempDir>>,
    port: u16,
    careless: bool,
    make: PhantomData<M>,
}

impl<M: Make> Server<M> {
    /// One that keeps what it committed when it is killed.
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// A faster one for tests that do not kill it, started by the first of them and ended with this process.
    pub async fn shared() -> &'static Self {
        M::shared().get_or_init(async || Self::start_with(true).await).await
    }

    async fn start_with(careless: bool) -> Self {
        let folder = folder();
        M::initialise(folder.path());
        // Another process may take the free port before the server does: then it ends, and another port is tried.
        for _ in 0..5 {
            let port = free_port();
            let process = spawn::<M>(folder.path(), port, careless);
            if is_ready(&process, M::PART, async || M::answers(folder.path(), port).await).await {
                let (process, folder) = (Mutex::new(process), Mutex::new(Some(folder)));
                return Server { process, folder, port, careless, make: PhantomData };
            }
        }
        let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap_or_default();
        panic!("{} ended at each of five ports:\n{log}", M::PART);
    }

    /// A new, empty database: its URL.
    pub async fn database(&self) -> String {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        M::create(self.port, &name).await;
        M::url(self.port, &name)
    }

    pub fn kill(&self) {
        self.process.lock().expect("nobody panics with it").kill();
    }

    pub async fn restart_read_only(&self) {
        self.process.lock().expect("nobody panics with it").end(M::END);
        M::refuse_writes(&self.path());
        self.start_again().await;
    }

    fn path(&self) -> PathBuf {
        let folder = self.folder.lock().expect("nobody panics with it");
        folder.as_ref().expect("a server that has not ended for good").path().to_owned()
    }

    /// The next life, on the same port and the same files.
    pub async fn start_again(&self) {
        let path = self.path();
        let process = spawn::<M>(&path, self.port, self.careless);
        let ready = is_ready(&process, M::PART, async || M::answers(&path, self.port).await).await;
        assert!(ready, "{} ended at its second start", M::PART);
        *self.process.lock().expect("nobody panics with it") = process;
    }
}

const LOG: &str = "server.log";

fn spawn<M: Make>(folder: &Path, port: u16, careless: bool) -> ServerProcess {
    ServerProcess::spawn(M::PART, M::command(folder, port, careless), &folder.join(LOG))
}

impl<M> Server<M> {
    fn end(&self, signal: Signal) {
        if let Ok(process) = self.process.lock() {
            process.end(signal);
        }
        if let Ok(mut folder) = self.folder.lock() {
            drop(folder.take());
        }
    }
}

impl<M> Drop for Server<M> {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
    }
}

/// A value in a `static` is never dropped, so its files would stay: this runs when the process ends in order. However
/// it ends, the server ends with it.
pub fn end_with_this_process<M: Make>() {
    extern "C" fn end<M: Make>() {
        if let Some(server) = M::shared().get() {
            server.end(M::END);
        }
    }
    // SAFETY: the function takes no argument, returns nothing, and does not unwind: it takes locks and signals.
    unsafe { nix::libc::atexit(end::<M>) };
}
