//! `mxctl serve`: the target service, by hand or as a child of a run.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use crate::backends::process::CONTROL_FD;
use crate::mask::mask;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl serve --config testbed/application.yml
  mxctl serve --config testbed/application.yml --profile prod   application-prod.yml laid over it
  curl -i localhost:8080/health/ready")]
pub struct Command {
    /// The service's configuration
    #[arg(long, value_name = "FILE", default_value = "application.yml")]
    config: PathBuf,
    /// Lay `application-NAME.yml`, which stands beside the configuration, over it; may be repeated, a later one wins
    #[arg(long, value_name = "NAME", env = "MXCTL_PROFILE", value_delimiter = ',')]
    profile: Vec<String>,
}

const NAME_ONE: &str = "name a configuration that can be read with `--config`, such as testbed/application.yml";

pub async fn run(command: Command) -> Exit {
    testbed::log_to_stderr();
    let shutdown = shutdown_on_signal();
    let config = match testbed::Config::load(&command.config, &command.profile) {
        Ok(config) => config,
        Err(e @ testbed::ConfigError::Read { .. }) => return refused(&format!("{e}; {NAME_ONE}"), Exit::BadInput),
        Err(e) => return refused(&e.to_string(), Exit::BadInput),
    };
    match testbed::serve(config, inherited_control_socket(), shutdown).await {
        Ok(()) => Exit::Pass,
        Err(e) if e.is_configuration() => refused(&e.to_string(), Exit::BadInput),
        Err(e) => refused(&e.to_string(), Exit::Laboratory),
    }
}

fn refused(why: &str, exit: Exit) -> Exit {
    eprintln!("mxctl serve: failed to {}", mask(why));
    exit
}

/// SIGTERM and Ctrl-C begin the service's own shutdown.
fn shutdown_on_signal() -> CancellationToken {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen for SIGINT");
    let told = shutdown.clone();
    // Lives as long as the process: there is nothing to await it for.
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        told.cancel();
    });
    shutdown
}

/// The socket to the mxctl that started this process; without it there are no pause points.
fn inherited_control_socket() -> Option<UnixStream> {
    let fd: RawFd = std::env::var(CONTROL_FD).ok()?.parse().ok()?;
    if fd <= 2 || nix::sys::stat::fstat(unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }).is_err() {
        return None;
    }
    // SAFETY: the parent left this descriptor open for us alone, and nothing else in this process has taken it.
    Some(UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
