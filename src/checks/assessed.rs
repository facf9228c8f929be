//! What a run cannot show, in sentences. Silence would read as "fine".

use super::instances::Seen;
use crate::plan::Backend;

use super::{Case, backlog, efficiency, instances, metrics};

/// What instances without a process of their own cannot show.
const IN_PROCESS: [&str; 3] = [
    "How fast the service is: generator and service shared one process, so own lag and latencies are those of a trial, not \
     a measurement",
    "Processor time and memory of each instance: it ran inside mxctl, and the kernel counts processes",
    "Identity and exit of each instance: it had no process of its own (one that was gone before the end would show)",
];

pub(super) fn not_assessed(case: &Case) -> Vec<String> {
    let mut sentences = vec!["Whether a read was fresh: reads are timed and counted, and not compared".to_owned()];
    if !case.plan.target.witness {
        sentences
            .push("Duplicates and order: the run had no witness, so they are not observable (which is not 0)".into());
        if case.plan.load.mix.hot_key > 0 {
            sentences.push("Whether a superseded write of a hot key ever arrived: only a witness could tell".into());
        }
    }
    if case.plan.target.backend == Backend::InProcess {
        sentences.extend(IN_PROCESS.map(str::to_owned));
    }
    if case.plan.stops().next().is_none() {
        sentences.push("What a stop of an instance costs: none is planned".into());
    }
    if efficiency::cpu_unread(&case.figures.efficiency) {
        sentences.push("E1, processor time: it was not read of every instance for half of each plateau".into());
    }
    if let Seen::NotShown(why) = instances::seen_at_end(case) {
        sentences.push(format!("Whether an instance ended by itself: {why}"));
    }
    sentences.extend(metrics::comparable(case).err());
    if backlog::trend(case).is_none() {
        sentences.push("The slope of the backlog: too few readings of a shared buffer under steady load".into());
    }
    sentences
}
