//! A service in a process of its own, which can be killed and frozen: this test binary, started again for
//! [`service_process`] alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use testbed::Config;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::harness::{Caller, Control, within_deadline};
use crate::lab::database::Database;
use crate::lab::server_process::{ServerProcess, own_command};

/// The folder of a service process: its configuration, its control socket, its log.
const FOLDER: &str = "CONFORMANCE_SERVICE_FOLDER";

pub struct ServiceProcess {
    pub process: ServerProcess,
    pub control: Control,
    pub caller: Caller,
    _folder: TempDir,
}

impl ServiceProcess {
    /// Listening, with this configuration.
    pub async fn start(yaml: &str, database: &Arc<Database>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a service");
        std::fs::write(config(folder.path()), yaml).expect("a configuration");
        let listener = UnixListener::bind(socket(folder.path())).expect("a control socket");
        let mut command = own_command(&std::env::current_exe().expect("this program"));
        command.args(["--exact", "process::service_process", "--nocapture"]).env(FOLDER, folder.path());
        let process = ServerProcess::spawn("service", command, &folder.path().join("log"));
        let (socket, _) = within_deadline("a service process", listener.accept()).await.expect("its connection");
        let mut control = Control::over(socket.into_std().expect("a socket"));
        let caller = Caller::of(control.listening().await, database.clone());
        ServiceProcess { process, control, caller, _folder: folder }
    }
}

/// No test: what a service process runs. Started with the others, it finds no folder and has nothing to do.
#[test]
fn service_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    testbed::log_to_stderr();
    let control = std::os::unix::net::UnixStream::connect(socket(&folder)).expect("the control socket");
    let config = Config::load(&config(&folder), &[]).unwrap_or_else(|error| panic!("failed to {error}"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(testbed::serve(config, Some(control), CancellationToken::new()));
    served.unwrap_or_else(|error| panic!("failed to {error}"));
}

fn config(folder: &Path) -> PathBuf {
    folder.join("application.yml")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("control")
}
