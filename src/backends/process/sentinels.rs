//! The sentinels of a Redis: they watch its primary, and where enough of them find it down they promote its replica, of
//! their own accord. Three of them, as people run them, and two must agree.
//!
//! # Why they live for one step alone
//! Whatever else is done to Redis lasts longer than they wait: they would fail over in the middle of it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::process::Command;
use tokio::sync::Mutex;

use super::Site;
use super::redis_server::{Duty, RedisServer};
use crate::backends::ControlError;
use crate::backends::redis_control::{DOWN_AFTER, Sentinel, WATCHED_AS};
use crate::journal::SENTINELS;

/// As many must find the primary down.
const QUORUM: usize = SENTINELS.len() / 2 + 1;
/// For a step of a failover. One that nobody was elected for begins anew after twice as long.
const FAILOVER_TIMEOUT_MS: u64 = 2_000;
/// A sentinel rewrites it with all that it learns.
const CONFIGURATION: &str = "sentinel.conf";

#[derive(Default)]
pub(super) struct Sentinels {
    living: Mutex<Vec<RedisServer>>,
    /// How often there were any.
    times: AtomicUsize,
}

impl Sentinels {
    /// Starts all of them, and waits until they answer.
    pub async fn start(&self, primary: SocketAddr, site: &Site) -> Result<(), ControlError> {
        let number = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        let mut living = self.living.lock().await;
        for name in SENTINELS {
            let started = RedisServer::start((name, number), &Duty::Watch(primary), site).await;
            living.push(started.map_err(|e| ControlError::Start(e.to_string()))?);
        }
        Ok(())
    }

    pub async fn living(&self) -> Vec<Sentinel> {
        let living = self.living.lock().await;
        living.iter().map(|server| Sentinel { addr: server.addr(), process: server.process() }).collect()
    }

    /// Ends them, and what they knew with them. Says what would not go.
    pub async fn stop(&self) -> Vec<String> {
        let (mut left, mut living) = (Vec::new(), self.living.lock().await);
        for server in living.iter() {
            left.extend(server.stop().await.err());
            left.extend(forget(&server.site.folder.join(server.name)));
        }
        living.clear();
        left
    }
}

/// Says what would not go.
fn forget(folder: &Path) -> Option<String> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Some(format!("{}: {e}", folder.display())),
        _ => None,
    }
}

/// The words after `redis-server`, and the file that they name.
pub(super) fn watch(command: &mut Command, port: u16, primary: SocketAddr, folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(CONFIGURATION), configuration(port, primary))?;
    command.args([CONFIGURATION, "--sentinel"]).current_dir(folder);
    Ok(())
}

fn configuration(port: u16, primary: SocketAddr) -> String {
    let (ip, of, down_after_ms) = (primary.ip(), primary.port(), DOWN_AFTER.as_millis());
    format!(
        "bind 127.0.0.1
port {port}
sentinel monitor {WATCHED_AS} {ip} {of} {QUORUM}
sentinel down-after-milliseconds {WATCHED_AS} {down_after_ms}
sentinel failover-timeout {WATCHED_AS} {FAILOVER_TIMEOUT_MS}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_them_must_agree_and_none_waits_for_longer_than_a_step_is_patient() {
        let text = configuration(2, ([127, 0, 0, 1], 7).into());
        assert!(text.contains("port 2\nsentinel monitor mxctl 127.0.0.1 7 2\n"), "{text}");
        assert!(text.contains("down-after-milliseconds mxctl 1000\n"), "{text}");
    }
}
