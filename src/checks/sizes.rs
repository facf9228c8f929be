//! Sizes: does `buffer_size` mean the same on every node?
//!
//! In: what each living instance reported at each checkpoint, between two looks at the shared buffer itself. Out: who
//! reports a buffer of its own, who disagrees with the shared one, and of whom nothing is known.
//!
//! # The rule, and its slack
//! A reading agrees where its scope is `shared` and its value lies between the two looks, widened on both sides by one
//! batch (a worker may take one, or give it back, between the looks) and by what the busiest second of the run added (the
//! looks and the answer may be that far apart on a busy machine). A single reading may still be unlucky, so an instance
//! disagrees only where all its readings do. An instance that was alive at a checkpoint and has no reading that can be
//! compared is missing evidence. One reading with another scope is enough: a label does not waver.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, instances};
use crate::readback::{BufferSize, Checkpoint};

/// The label of a gauge that speaks of the buffer that all share.
const SHARED: &str = "shared";

/// What the readings of `buffer_size` came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sizes {
    /// Readings that could be compared.
    pub compared: u64,
    /// Instances whose gauge speaks of a buffer of their own.
    pub own: BTreeSet<String>,
    /// Instances all of whose readings disagree, with the last of these.
    pub apart: BTreeMap<String, BufferSize>,
    /// Living instances without a reading that can be compared.
    pub unread: BTreeSet<String>,
}

impl Sizes {
    pub fn of(case: &Case) -> Self {
        let slack = slack(case);
        let mut agreeing: BTreeMap<&str, bool> = BTreeMap::new();
        let mut sizes = Sizes::default();
        for checkpoint in checkpoints(case) {
            for size in &checkpoint.sizes {
                sizes.read(size, slack, &mut agreeing);
            }
            let living = instances::living(&case.evidence.incidents, checkpoint.at);
            sizes.unread.extend(living.map(|instance| instance.name.clone()));
        }
        sizes.apart.retain(|name, _| agreeing.get(name.as_str()) == Some(&false));
        let Sizes { unread, own, .. } = &mut sizes;
        unread.retain(|name| !agreeing.contains_key(name.as_str()) && !own.contains(name));
        sizes
    }

    fn read<'a>(&mut self, size: &'a BufferSize, slack: u64, agreeing: &mut BTreeMap<&'a str, bool>) {
        if size.scope != SHARED {
            self.own.insert(size.instance.clone());
        } else if let Some((before, after)) = size.around {
            self.compared += 1;
            let (low, high) = (before.min(after).saturating_sub(slack), before.max(after).saturating_add(slack));
            let agrees = (low..=high).contains(&size.reported);
            *agreeing.entry(&size.instance).or_default() |= agrees;
            if !agrees {
                self.apart.insert(size.instance.clone(), size.clone());
            }
        }
    }

    /// Why `buffer_size` does not mean the same on every node.
    pub fn differ(&self) -> Vec<String> {
        let own: Vec<&str> = self.own.iter().map(String::as_str).collect();
        let private = format!("buffer_size is each node's own ({})", own.join(", "));
        let apart = self.apart.iter().map(|(name, size)| {
            let (before, after) = size.around.unwrap_or_default();
            format!("buffer_size on {name} was {}, and the shared buffer held {before}, then {after}", size.reported)
        });
        (!own.is_empty()).then_some(private).into_iter().chain(apart).collect()
    }

    /// What is not known of it.
    pub fn missing(&self) -> Vec<String> {
        let unread: Vec<&str> = self.unread.iter().map(String::as_str).collect();
        let nobody = self.compared == 0 && self.own.is_empty();
        let why = match (nobody, unread.is_empty()) {
            (true, _) => {
                "no reading of buffer_size was taken: whether it means the same on every node is not known".into()
            }
            (false, false) => format!("buffer_size of {} was never read", unread.join(", ")),
            (false, true) => return Vec::new(),
        };
        vec![why]
    }
}

/// Every checkpoint of a planned pause, whatever else is known of it: a gauge is read whether or not the rows are.
fn checkpoints<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Checkpoint> {
    let pauses = case.plan.stops().filter(|planned| planned.mode.pauses());
    pauses.filter_map(|planned| case.evidence.incidents.stop(&planned.id)?.checkpoint.as_ref())
}

/// In tasks.
fn slack(case: &Case) -> u64 {
    let busiest = case.figures.timing.series.iter().map(|second| second.acked).max().unwrap_or(0);
    u64::from(case.plan.target.worker.batch) + 3 * busiest
}
