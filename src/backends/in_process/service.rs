//! One instance of the service on a thread of its own, inside mxctl.
//!
//! In: its configuration, a file for its log, and its end of a control socket. Out: a service that runs until it is told
//! to shut down, or until it is aborted; and, when it has ended, how ([`End`]).
//!
//! # Why a thread and a runtime for each
//! Nothing of mxctl's own waits behind the service's work, and whatever the service has spawned ends with its runtime:
//! connections, drivers, timers. A thread cannot be killed, though: code that never awaits outlives an abort, and
//! [`Service::end`] says so.

use std::any::Any;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// For what a runtime has on threads of its own (name look-ups, files) when it goes.
const BLOCKING_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// An aborted service is gone within this, or its thread is stuck.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to shut down, and did.
    InOrder,
    /// Nobody told it to, or it could not: `failed to …`.
    Failed(String),
    Panicked(String),
    Aborted,
}

impl End {
    /// Reads after the name of an instance.
    pub fn in_words(&self) -> String {
        match self {
            End::InOrder => "ended in order".to_owned(),
            End::Failed(why) => format!("failed to {why}"),
            End::Panicked(said) => format!("panicked: {said}"),
            End::Aborted => "did not shut down within its grace, and was aborted".to_owned(),
        }
    }
}

/// A service that was started.
pub(super) struct Service {
    shutdown: CancellationToken,
    abort: CancellationToken,
    end: watch::Receiver<Option<End>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Service {
    /// Starts the target service by its own `serve`. What it logs goes to `log`; where it listens, it says over `control`.
    pub fn start(name: &str, config: PathBuf, log: File, control: UnixStream) -> io::Result<Service> {
        Service::run(name, log, move |shutdown| async move {
            let config = testbed::Config::load(&config, &[]).map_err(|e| e.to_string())?;
            testbed::serve(config, Some(control), shutdown).await.map_err(|e| e.to_string())
        })
    }

    /// Anything that ends in order once its token is cancelled.
    fn run<S, F>(name: &str, log: File, serve: S) -> io::Result<Service>
    where
        S: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), String>>,
    {
        let (shutdown, abort) = (CancellationToken::new(), CancellationToken::new());
        let (tell, end) = watch::channel(None);
        let (told, aborted) = (shutdown.clone(), abort.clone());
        let mut last_words = log.try_clone()?;
        let live = move || {
            let lived =
                catch_unwind(AssertUnwindSafe(|| testbed::with_log_in(log, || live(serve(told.clone()), &aborted))));
            let end = lived.unwrap_or_else(|panic| End::Panicked(said(&*panic)));
            // Whoever reads the log finds there what a process would have said last; a full disk keeps nobody up.
            let _ = writeln!(last_words, "the service {}", end.in_words());
            let _ = tell.send(Some(end));
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(live)?;
        Ok(Service { shutdown, abort, end, thread: Mutex::new(Some(thread)) })
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Resolves when it has ended.
    pub async fn until_ended(&self) -> End {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        ended.unwrap_or_else(|| End::Panicked("its thread ended without a word".to_owned()))
    }

    /// Begins its own shutdown.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Ends it as a crash would: nobody has told it to shut down.
    #[cfg(test)]
    pub fn crash(&self) {
        self.abort.cancel();
    }

    /// Waits for its end until the deadline, then aborts it. `None`: not even that ended it.
    pub async fn end(&self, deadline: tokio::time::Instant) -> Option<End> {
        if tokio::time::timeout_at(deadline, self.until_ended()).await.is_err() {
            self.abort.cancel();
        }
        let end = tokio::time::timeout(ABORT_PATIENCE, self.until_ended()).await.ok()?;
        let thread = self.thread.lock().expect("no code panics while it holds this").take();
        // It has said its last word: nothing is left for it to do but to end.
        thread.map(JoinHandle::join);
        Some(end)
    }
}

/// Runs a service on this thread, until it ends or is aborted, and then nothing of it runs any more.
fn live(serve: impl Future<Output = Result<(), String>>, aborted: &CancellationToken) -> End {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return End::Failed(format!("start a runtime: {e}")),
    };
    let served = runtime.block_on(aborted.run_until_cancelled(serve));
    runtime.shutdown_timeout(BLOCKING_ENDS_WITHIN);
    match served {
        None => End::Aborted,
        Some(Ok(())) => End::InOrder,
        Some(Err(why)) => End::Failed(why),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    said.unwrap_or("without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn started<F>(serve: impl FnOnce(CancellationToken) -> F + Send + 'static) -> (Service, tempfile::NamedTempFile)
    where
        F: Future<Output = Result<(), String>>,
    {
        let log = tempfile::NamedTempFile::new().unwrap();
        let service = Service::run("all-1.1", log.reopen().unwrap(), serve).unwrap();
        (service, log)
    }

    #[tokio::test]
    async fn one_that_is_told_to_shut_down_ends_in_order() {
        let (service, log) = started(|shutdown| async move {
            shutdown.cancelled().await;
            Ok(())
        });
        assert_eq!(service.ended(), None);
        service.shut_down();
        assert_eq!(service.end(Instant::now() + LONG).await, Some(End::InOrder));
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "the service ended in order\n");
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_ends_that_nobody_ordered() {
        let (failed, _log) = started(|_| async { Err("go on: the worker task ended unexpectedly".to_owned()) });
        let why = "failed to go on: the worker task ended unexpectedly";
        assert_eq!(failed.until_ended().await.in_words(), why);
        let (panicked, log) = started(|_| async { panic!("seven is not eight") });
        assert_eq!(panicked.until_ended().await, End::Panicked("seven is not eight".into()));
        assert_eq!(panicked.end(Instant::now()).await, Some(End::Panicked("seven is not eight".into())));
        assert!(std::fs::read_to_string(log.path()).unwrap().contains("panicked: seven is not eight"));
    }

    /// Says when it is dropped.
    struct Told(std::sync::mpsc::Sender<()>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[tokio::test]
    async fn one_that_goes_on_after_its_grace_is_aborted_and_so_is_what_it_spawned() {
        let (tell, told) = std::sync::mpsc::channel();
        let (begin, begun) = std::sync::mpsc::channel();
        let (service, _log) = started(|_| async move {
            let kept = Told(tell);
            tokio::spawn(async move {
                let _kept = kept;
                std::future::pending::<()>().await;
            });
            begin.send(()).map_err(|e| e.to_string())?;
            std::future::pending().await
        });
        begun.recv().unwrap();
        service.shut_down();
        assert_eq!(service.end(Instant::now()).await, Some(End::Aborted));
        told.try_recv().expect("its task is gone when it has ended");
    }

    /// The clock of the test is paused, and runs ahead to each deadline; the service's thread has one of its own.
    #[tokio::test(start_paused = true)]
    async fn one_that_never_awaits_outlives_its_abort_and_that_is_said() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let (service, _log) = started(|_| async move {
            begin.send(()).map_err(|e| e.to_string())?;
            // Blocks the thread, as no service should.
            held.recv().map_err(|e| e.to_string())
        });
        begun.recv().unwrap();
        service.shut_down();
        assert_eq!(service.end(Instant::now()).await, None);
        let_go.send(()).unwrap();
        assert_eq!(service.until_ended().await, End::InOrder);
    }
}
