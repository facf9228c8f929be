//! Readiness probes of one instance, as an orchestrator makes them: a fresh connection each time, a short time-out,
//! and the routing table told at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backends::{Endpoints, InstanceId};
use crate::clock::{Offset, RunClock};
use crate::plan::ProbePlan;

/// The newest probe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe {
    /// How many there were.
    pub count: u64,
    pub began: Offset,
    pub ready: bool,
}

pub struct Prober {
    pub id: InstanceId,
    pub addr: SocketAddr,
    pub plan: ProbePlan,
    pub endpoints: Endpoints,
    pub clock: RunClock,
}

impl Prober {
    /// Probes until `over`, and takes the instance out of rotation then.
    pub async fn run(self, tell: watch::Sender<Probe>, over: CancellationToken) {
        let client = reqwest::Client::builder().no_proxy().timeout(self.plan.timeout).pool_max_idle_per_host(0).build();
        let client = client.expect("a plain HTTP client needs nothing from the system");
        let url = format!("http://{}/health/ready", self.addr);
        let mut ticks = tokio::time::interval(self.plan.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while over.run_until_cancelled(ticks.tick()).await.is_some() {
            let began = self.clock.now();
            let answer = client.get(&url).send().await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            self.endpoints.probed(self.id, ready, began, self.clock.now());
            tell.send_modify(|probe| *probe = Probe { count: probe.count + 1, began, ready });
        }
        self.endpoints.remove(self.id, self.clock.now());
    }
}

/// Waits for a good probe.
pub async fn ready(mut probe: watch::Receiver<Probe>, within: Duration) -> io::Result<()> {
    match tokio::time::timeout(within, probe.wait_for(|p| p.ready)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::TimedOut, format!("readiness did not come within {within:?}"))),
    }
}

/// Waits for the next probe that begins at or after `now`, and says what it found.
pub async fn next(mut probe: watch::Receiver<Probe>, now: Offset, within: Duration) -> Option<bool> {
    let seen = probe.borrow().count;
    let next = tokio::time::timeout(within, probe.wait_for(|p| p.count > seen && p.began >= now)).await;
    next.ok()?.ok().map(|p| p.ready)
}
