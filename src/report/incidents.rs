//! The incidents as lines, in the order of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backends::{Exit, InstanceId};
use crate::clock::Offset;
use crate::plan::StopMode;
use crate::timeline::{Exposure, Incidents, StepRecord, StopRecord};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineLine {
    pub at: Offset,
    /// `api-2.1 killed, 37 leased tasks in its hands`.
    pub what: String,
}

impl TimelineLine {
    fn new(at: Offset, what: String) -> Self {
        TimelineLine { at, what }
    }
}

pub fn lines(incidents: &Incidents) -> Vec<TimelineLine> {
    let mut lines: Vec<TimelineLine> = incidents.steps.iter().flat_map(step).collect();
    lines.extend(
        incidents
            .ejections
            .iter()
            .map(|e| TimelineLine::new(e.at, format!("{} out of rotation ({})", name(incidents, e.id), e.why))),
    );
    lines.sort_by_key(|line| line.at);
    lines
}

fn name(incidents: &Incidents, id: InstanceId) -> String {
    incidents.instance(id).map_or_else(|| format!("instance {}", id.0), |instance| instance.name.clone())
}

fn step(step: &StepRecord) -> Vec<TimelineLine> {
    let mut lines = vec![TimelineLine::new(step.began, format!("{} begins", step.id))];
    lines.extend(step.stops.iter().flat_map(stop));
    let end = match &step.error {
        Some(error) => format!("{} ends early: {error}", step.id),
        None => format!("{} ends", step.id),
    };
    lines.push(TimelineLine::new(step.ended, end));
    lines
}

fn stop(stop: &StopRecord) -> Vec<TimelineLine> {
    let victim = &stop.victim.name;
    let released = stop.held.and_then(|held| held.released);
    let moments = [
        stop.held.map(|h| (h.at, format!("{victim} holds {} tasks at {}", h.tasks, h.point.word()))),
        stop.frozen.map(|at| (at, format!("{victim} frozen"))),
        stop.signalled.map(|at| (at, format!("{victim} {}, {}", signal(stop.mode), exposure(&stop.exposure)))),
        released.map(|at| (at, format!("{victim} let go of what it held"))),
        stop.exit.map(|exit| (exit.at, format!("{victim} ended: {}{}", ended(exit), after_grace(stop)))),
        stop.healed.map(|at| (at, format!("{} ready", replacement(stop)))),
        stop.error.as_ref().map(|error| (stop.began, format!("{} ends early: {error}", stop.id))),
    ];
    moments.into_iter().flatten().map(|(at, what)| TimelineLine::new(at, what)).collect()
}

fn signal(mode: StopMode) -> &'static str {
    match mode {
        StopMode::Graceful => "told to stop (SIGTERM)",
        StopMode::Hard => "killed (SIGKILL)",
        StopMode::Pause => "frozen (SIGSTOP)",
        StopMode::PauseThenKill => "frozen (SIGSTOP), then killed (SIGKILL)",
    }
}

fn exposure(exposure: &Exposure) -> String {
    match exposure {
        Exposure::Leases { tasks } => format!("holding {tasks} leased tasks"),
        Exposure::OffersInFlight { operations } => format!("holding {operations} offers in flight"),
        Exposure::Unwritten(checkpoint) => format!("checkpoint read at {}", checkpoint.at),
        Exposure::NotRead { why } => format!("exposure not read: {why}"),
    }
}

fn ended(exit: Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

fn after_grace(stop: &StopRecord) -> &'static str {
    if stop.killed_after_grace { ", killed after its grace" } else { "" }
}

fn replacement(stop: &StopRecord) -> &str {
    stop.replacement.as_ref().map_or("its replacement", |instance| &instance.name)
}

#[cfg(test)]
mod tests {
    use super::super::canned;

    #[test]
    fn incidents_become_lines_in_the_order_of_time() {
        let lines = super::lines(&canned::broken());
        let text: Vec<String> = lines.iter().map(|line| format!("{} {}", line.at, line.what)).collect();
        assert_eq!(
            text,
            [
                "10.000s 1:rolling-update begins",
                "10.050s worker-1.1 holds 118 tasks at worker.leased",
                "10.060s worker-1.1 told to stop (SIGTERM), holding 118 leased tasks",
                "10.070s worker-1.1 let go of what it held",
                "10.100s instance 9 out of rotation (eof)",
                "10.460s worker-1.1 ended: exit 0",
                "10.900s worker-1.2 ready",
                "10.900s 1:rolling-update ends early: start a replacement: port in use",
            ]
        );
    }
}
