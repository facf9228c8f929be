//! The incidents as lines, in the order of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backends::{Exit, InstanceId};
use crate::clock::Offset;
use crate::plan::StopMode;
use crate::timeline::incident::StartRecord;
use crate::timeline::{DisturbanceRecord, Exposure, Incidents, StepRecord, StopRecord};

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
    lines.extend(
        step.condition.map(|met| TimelineLine::new(met.at, format!("{}: buffer_size is {}", step.id, met.value))),
    );
    lines.extend(step.starts.iter().flat_map(start));
    lines.extend(step.stops.iter().flat_map(stop));
    lines.extend(step.disturbance.iter().flat_map(disturbance));
    let end = match &step.error {
        Some(error) => format!("{} ends early: {error}", step.id),
        None => format!("{} ends", step.id),
    };
    lines.push(TimelineLine::new(step.ended, end));
    lines
}

fn start(start: &StartRecord) -> Vec<TimelineLine> {
    let name = start.instance.as_ref().map_or("nobody", |instance| &instance.name);
    let backlog =
        start.backlog.map_or_else(|| "a backlog that was not read".to_owned(), |n| format!("a backlog of {n} tasks"));
    let moments = [
        Some((start.began, format!("{} starts, under {backlog}", start.id))),
        start.ready.map(|at| (at, format!("{name} ready"))),
        start.error.as_ref().map(|error| (start.began, format!("{} ends early: {error}", start.id))),
    ];
    moments.into_iter().flatten().map(|(at, what)| TimelineLine::new(at, what)).collect()
}

fn stop(stop: &StopRecord) -> Vec<TimelineLine> {
    let victim = &stop.victim.name;
    let released = stop.held.and_then(|held| held.released);
    let moments = [
        stop.held.map(|h| (h.at, format!("{victim} holds {} tasks at {}", h.tasks, h.point.word()))),
        stop.frozen.map(|at| (at, frozen(stop))),
        stop.checkpoint.as_ref().map(|c| (c.at, format!("checkpoint of {} read", c.stop))),
        stop.resumed.map(|at| (at, format!("{victim} goes on (SIGCONT)"))),
        stop.signalled.map(|at| (at, format!("{victim} {}, {}", signal(stop.mode), exposure(&stop.exposure)))),
        released.map(|at| (at, format!("{victim} let go of what it held"))),
        stop.exit.map(|exit| (exit.at, format!("{victim} ended: {}{}", ended(exit), after_grace(stop)))),
        stop.healed.map(|at| (at, healed(stop))),
        stop.error.as_ref().map(|error| (stop.began, format!("{} ends early: {error}", stop.id))),
    ];
    moments.into_iter().flatten().map(|(at, what)| TimelineLine::new(at, what)).collect()
}

fn disturbance(one: &DisturbanceRecord) -> Vec<TimelineLine> {
    let act = one.disturbance.sheet().act;
    let held = one.exposure.map_or_else(|| "an unread number of".to_owned(), |tasks| tasks.to_string());
    let moments = [
        one.done.map(|at| (at, format!("{}: {act}, with {held} tasks in the buffer", one.id))),
        one.undone.map(|at| (at, format!("{} is being undone", one.id))),
        one.healed.map(|at| (at, format!("{}: an own write is stored again", one.id))),
        one.error.as_ref().map(|error| (one.began, format!("{} ends early: {error}", one.id))),
    ];
    moments.into_iter().flatten().map(|(at, what)| TimelineLine::new(at, what)).collect()
}

fn signal(mode: StopMode) -> &'static str {
    match mode {
        StopMode::Graceful => "told to stop (SIGTERM)",
        StopMode::Hard => "killed (SIGKILL)",
        StopMode::Pause => "told to end, though only paused",
        StopMode::PauseThenKill => "killed (SIGKILL) after its checkpoint",
    }
}

/// A paused instance gets no other signal at which one could tell what it holds.
fn frozen(stop: &StopRecord) -> String {
    let victim = &stop.victim.name;
    if stop.mode.pauses() {
        format!("{victim} frozen (SIGSTOP), {}", exposure(&stop.exposure))
    } else {
        format!("{victim} frozen")
    }
}

fn healed(stop: &StopRecord) -> String {
    match stop.mode {
        StopMode::Pause => format!("{} ready again", stop.victim.name),
        _ => format!("{} ready", replacement(stop)),
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
