//! One batch against the database: what was committed, what failed by itself, what was not tried to the end.

use crate::store::{Store, StoreError};
use crate::strategy::Delivery;
use crate::task::ExpectationWriteTask;

/// Every delivery of a batch is in exactly one of the three lists.
#[derive(Debug, Default)]
pub struct Outcome<'a> {
    pub committed: Vec<&'a Delivery>,
    /// Refused by the database when tried alone, and why.
    pub failed: Vec<(&'a Delivery, String)>,
    /// Not written: the database went away.
    pub unavailable: Vec<&'a Delivery>,
    pub why_unavailable: Option<String>,
}

impl Outcome<'_> {
    pub fn deliveries(&self) -> usize {
        self.committed.len() + self.failed.len() + self.unavailable.len()
    }
}

/// Writes a batch in one transaction. One that the database refuses is halved until each task at fault stands alone:
/// a poison task costs its neighbours a few transactions, not their life.
///
/// # Why halves and not "all but one"
/// Tasks of one row must stay in order, and a newer one may be the poison: what it would have superseded is then
/// written by its own half.
pub async fn write<'a>(store: &Store, deliveries: &'a [Delivery]) -> Outcome<'a> {
    let mut outcome = Outcome::default();
    let mut parts = vec![deliveries];
    while let Some(part) = parts.pop() {
        match store.apply(&tasks(part)).await {
            Ok(_) => outcome.committed.extend(part),
            Err(StoreError::Failed(why)) => match part {
                [alone] => outcome.failed.push((alone, why)),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            },
            Err(error @ StoreError::Unavailable(_)) => {
                outcome.why_unavailable = Some(error.to_string());
                outcome.unavailable.extend(part);
                while let Some(untried) = parts.pop() {
                    outcome.unavailable.extend(untried);
                }
            }
        }
    }
    outcome
}

fn tasks(deliveries: &[Delivery]) -> Vec<&ExpectationWriteTask> {
    deliveries.iter().map(|delivery| &delivery.task).collect()
}
