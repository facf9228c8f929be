//! The process of a private server: on 127.0.0.1, in a folder of its own, ended with the test binary however that ends.
//! One that refuses root runs as an ordinary user.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A command that runs as an ordinary user, and is told `at_the_end` when this process is gone.
pub fn command(program: &Path, at_the_end: Signal) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        // In one call with the change of user, which would undo it.
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.args(["--pdeathsig", at_the_end.as_str().trim_start_matches("SIG"), "--"]).arg(program);
    command.env("HOME", "/tmp").current_dir("/").stdin(Stdio::null());
    command
}

/// A command that runs as this process does, and is killed when it is gone.
pub fn own_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // SAFETY: between fork and exec one system call, which allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
    command.stdin(Stdio::null());
    command
}

/// A folder that belongs to whoever runs the server.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for a server");
    if geteuid().is_root() {
        let nobody = User::from_name("nobody").expect("the users of this host").expect("a user nobody");
        chown(folder.path(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("give the folder away");
    }
    folder
}

/// Runs a command to its end. `part` says how to get it.
pub fn run(part: &str, mut command: Command) {
    let output = command.output().unwrap_or_else(|error| missing(part, &error.to_string()));
    if !output.status.success() {
        missing(part, &format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
}

pub fn missing(part: &str, why: &str) -> ! {
    panic!("start {part}: {why}; run `testbed/provision {part}`")
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A server: alive, or ended and reaped.
pub struct ServerProcess(Mutex<Child>);

impl ServerProcess {
    pub fn spawn(part: &str, mut command: Command, log: &Path) -> Self {
        let log = File::create(log).expect("a log file");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = spawn_from_lasting_thread(command).unwrap_or_else(|error| missing(part, &error.to_string()));
        ServerProcess(Mutex::new(child))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_ended(&self) -> bool {
        self.child().try_wait().expect("look at the server").is_some()
    }

    pub fn kill(&self) {
        self.end(Signal::SIGKILL);
    }

    /// Returns once it has stopped: a signal takes effect a moment after it was sent.
    pub fn freeze(&self) {
        let pid = self.signal(Signal::SIGSTOP);
        let deadline = Instant::now() + DEADLINE;
        let stat = format!("/proc/{pid}/stat");
        while !std::fs::read_to_string(&stat).expect("the state of a process").contains(") T ") {
            assert!(Instant::now() < deadline, "process {pid} not frozen within {DEADLINE:?}");
            std::thread::yield_now();
        }
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child().id() as i32)
    }

    fn signal(&self, signal: Signal) -> Pid {
        let pid = self.pid();
        kill(pid, signal).expect("signal a process");
        pid
    }

    /// Signals it and waits for its end; one that does not end in time is killed.
    pub fn end(&self, signal: Signal) {
        let mut child = self.child();
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        let _ = kill(Pid::from_raw(child.id() as i32), signal);
        let deadline = Instant::now() + DEADLINE;
        while child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks until the server answers. False when its process ended.
pub async fn is_ready(process: &ServerProcess, what: &str, mut answers: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !process.has_ended() {
        if answers().await {
            return true;
        }
        assert!(Instant::now() < deadline, "{what} not ready within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// The signal at the end is tied to the *thread* that spawned, and test threads end with their test.
fn spawn_from_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in taken {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, spawned) = mpsc::channel();
    SPAWNER.lock().expect("nobody panics with it").send((command, reply)).expect("the spawner lasts");
    spawned.recv().expect("the spawner answers")
}
