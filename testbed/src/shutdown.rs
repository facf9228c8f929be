//! The orderly end of a service.
//!
//! In: a running service. Out: nothing in flight, nothing leased, a private buffer empty; or, when the grace does not
//! suffice, a log of what was left.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::lifecycle::Phase;
use crate::service::{Service, Tasks, WorkerTasks};

/// What a shutdown consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Readiness is off, answers say `Connection: close`, offers are still taken.
    LeaveRotation,
    StopAccepting,
    FinishOffers,
    CloseBuffer,
    /// A private buffer is drained, a shared one left to others.
    FinishWorker,
    ReleaseLeases,
    FinishAnswers,
    /// Whatever still runs.
    EndTasks,
    CloseDatabase,
}

/// The order is the point: each step makes sure that the next one finds everything.
pub const IN_ORDER: &[Step] = &[
    Step::LeaveRotation,
    Step::StopAccepting,
    Step::FinishOffers,
    Step::CloseBuffer,
    Step::FinishWorker,
    Step::ReleaseLeases,
    Step::FinishAnswers,
    Step::EndTasks,
    Step::CloseDatabase,
];

pub async fn shut_down(service: &Service, mut tasks: Tasks) {
    let began = Instant::now();
    info!("shutting down");
    let limits = Limits::of(service, began);
    for step in service.shutdown {
        take(*step, service, &mut tasks, &limits).await;
    }
    info!("shut down after {:.1?}", began.elapsed());
}

/// Until when each part may take.
struct Limits {
    work: Instant,
    end: Instant,
}

impl Limits {
    fn of(service: &Service, began: Instant) -> Self {
        let grace = service.config.server.grace;
        Limits { work: began + working_part(grace), end: began + grace }
    }
}

async fn take(step: Step, service: &Service, tasks: &mut Tasks, limits: &Limits) {
    match step {
        Step::LeaveRotation => leave_rotation(service).await,
        Step::StopAccepting => stop_accepting(service, tasks),
        Step::FinishOffers => finish_offers(service, limits.work).await,
        Step::CloseBuffer => service.buffer.close(),
        Step::FinishWorker => finish_worker(tasks.worker.as_mut(), limits.work).await,
        Step::ReleaseLeases => release_leases(tasks.worker.as_ref()).await,
        Step::FinishAnswers => finish_answers(service, tasks, limits.work).await,
        Step::EndTasks => tasks.end(),
        Step::CloseDatabase => close_database(service, limits.end).await,
    }
}

/// Nine tenths of the grace: the rest is for giving leases back and closing.
fn working_part(grace: Duration) -> Duration {
    grace - grace / 10
}

/// Waits until balancers have noticed; a worker answers no requests, so that nobody has to be sent elsewhere.
async fn leave_rotation(service: &Service) {
    service.lifecycle.advance(Phase::Leaving);
    if service.config.role.answers_requests() {
        sleep(service.config.server.endpoint_lag).await;
    }
}

/// No new connection, and no new offer on one that is open.
fn stop_accepting(service: &Service, tasks: &Tasks) {
    service.lifecycle.advance(Phase::Refusing);
    tasks.accepting.cancel();
}

async fn finish_offers(service: &Service, limit: Instant) {
    if timeout_at(limit, service.lifecycle.offers_finished()).await.is_err() {
        warn!("{} offers were still in flight at the end of the grace", service.lifecycle.offers_in_flight());
    }
}

async fn finish_worker(tasks: Option<&mut WorkerTasks>, limit: Instant) {
    let Some(WorkerTasks { worker, working, run, .. }) = tasks else { return };
    working.cancel();
    if run.is_finished() {
        return;
    }
    if timeout_at(limit, &mut *run).await.is_err() {
        warn!("the worker was still busy at the end of the grace: {} tasks are left", worker.tasks_left().await);
        run.abort();
        // What it held is given back next: it must not be at work on it any more.
        let _ = run.await;
    }
}

async fn release_leases(tasks: Option<&WorkerTasks>) {
    if let Some(WorkerTasks { worker, .. }) = tasks {
        worker.release_leases().await;
    }
}

/// Connections end with the answer that they wait for, which takes no longer than a request may; one that is silent in
/// the middle of a request does not count.
async fn finish_answers(service: &Service, tasks: &mut Tasks, limit: Instant) {
    let limit = limit.min(Instant::now() + service.config.server.request_timeout);
    if !tasks.api.is_finished() && timeout_at(limit, &mut tasks.api).await.is_err() {
        warn!("connections were still open at the end of the grace");
    }
}

/// A statement that still waits for a lock keeps its connection until its busy time-out.
async fn close_database(service: &Service, limit: Instant) {
    if timeout_at(limit, service.store.close()).await.is_err() {
        warn!("the database was still busy at the end of the grace");
    }
}
