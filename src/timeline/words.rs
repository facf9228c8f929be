//! What was just done, in a sentence for whoever watches the run.

use super::incident::{DisturbanceRecord, Exposure, StartRecord, StopRecord};

pub(super) fn of_start(start: &StartRecord) -> String {
    let backlog = start.backlog.map_or_else(|| "an unknown number of".to_owned(), |tasks| tasks.to_string());
    match (&start.instance, &start.error) {
        (_, Some(e)) => format!("{} failed to {e}", start.id),
        (Some(instance), None) => format!("{} added, with {backlog} tasks in the buffer", instance.name),
        (None, None) => format!("{} added nobody", start.id),
    }
}

pub(super) fn of_disturbance(done: &DisturbanceRecord) -> String {
    let held = done.exposure.map_or_else(|| "an unknown number of".to_owned(), |tasks| tasks.to_string());
    let end = match (&done.error, done.healed) {
        (Some(e), _) => format!("failed to {e}"),
        (None, Some(healed)) => format!("healed after {:.1?}", healed.since(done.began)),
        (None, None) => "not healed".to_owned(),
    };
    format!("{} {end}; the buffer held {held} tasks", done.id)
}

pub(super) fn of_stop(stop: &StopRecord) -> String {
    let exposure = match &stop.exposure {
        Exposure::Leases { tasks } => format!("it held {tasks} leased tasks"),
        Exposure::OffersInFlight { operations } => format!("it held {operations} offers in flight"),
        Exposure::Unwritten(_) => "what it held is counted when judging".to_owned(),
        Exposure::NotRead { why } => format!("what it held is not known: {why}"),
    };
    let what = if stop.mode.pauses() { "" } else { " stop" };
    let end = match &stop.error {
        None => format!("{}{what} of {} done", stop.mode.word(), stop.victim.name),
        Some(e) => format!("{}{what} of {} failed to {e}", stop.mode.word(), stop.victim.name),
    };
    format!("{end}; {exposure}")
}
