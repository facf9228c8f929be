//! The live view of a load: each shard counts its seconds, [`Progress`] adds those of all shards up for the watch.
//!
//! It is for eyes only: verdicts rest on the ledger. Beside it, the [`Totals`] of the whole load.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::latency::{Durations, response};
use super::ledger::{Outcome, Reason};
use super::transport::OpenError;
use crate::clock::Offset;
use crate::strain::{Strain, StrainGauge};
use crate::watch::Second;

/// One second of one shard.
#[derive(Debug)]
pub struct Report {
    shard: u16,
    second: u64,
    counts: Second,
    response: Durations,
    /// No further report comes from this shard.
    last: bool,
}

/// What became of connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    pub opened: u64,
    /// Asked for, and not opened: the target refused, or was silent.
    pub refused: u64,
    /// Of those opened: the target ended them, idle or under a request, or said that it would.
    pub ended_by_target: u64,
    /// What those opened speak, where both sides had to agree on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spoken: BTreeMap<String, u64>,
    /// Why some were not opened, though somebody answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
}

impl Connections {
    /// Another shard's, on top.
    pub fn add(&mut self, other: &Connections) {
        let Connections { opened, refused, ended_by_target, spoken, failed } = other;
        self.opened += opened;
        self.refused += refused;
        self.ended_by_target += ended_by_target;
        add_up(&mut self.spoken, spoken);
        add_up(&mut self.failed, failed);
    }

    pub fn opened(&mut self, spoken: Option<String>) {
        self.opened += 1;
        if let Some(spoken) = spoken {
            *self.spoken.entry(spoken).or_default() += 1;
        }
    }

    pub fn refused(&mut self, error: &OpenError) {
        self.refused += 1;
        if let OpenError::Handshake(why) = error {
            *self.failed.entry(why.to_string()).or_default() += 1;
        }
    }
}

fn add_up(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (word, count) in more {
        *sums.entry(word.clone()).or_default() += count;
    }
}

/// Of the whole load.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub connections: Connections,
    pub strain: Strain,
}

impl Totals {
    /// Another shard's, on top.
    pub fn add(&mut self, other: &Totals) {
        self.connections.add(&other.connections);
        self.strain.add(&other.strain);
    }
}

/// What a shard counts. Events belong to the second in which they happen.
#[derive(Debug)]
pub struct Tally {
    shard: u16,
    request_timeout: Duration,
    second: u64,
    counts: Second,
    response: Durations,
    pub connections: Connections,
    strain: StrainGauge,
    reports: mpsc::Sender<Report>,
}

impl Tally {
    /// On the shard's own thread.
    pub fn new(shard: u16, request_timeout: Duration, reports: mpsc::Sender<Report>) -> Self {
        let (counts, response, connections) = (Second::default(), Durations::default(), Connections::default());
        let strain = StrainGauge::starting(Offset::ZERO);
        Tally { shard, request_timeout, second: 0, counts, response, connections, strain, reports }
    }

    pub fn due(&mut self) {
        self.counts.due += 1;
    }

    pub fn sent(&mut self) {
        self.counts.sent += 1;
    }

    pub fn ended(&mut self, outcome: Outcome, reason: Reason, measured: Duration) {
        match outcome {
            Outcome::Acked => self.counts.acked += 1,
            Outcome::Refused | Outcome::Unknown => self.counts.errors += 1,
            Outcome::NotSent => {}
        }
        if let Some(response) = response(outcome, reason, measured, self.request_timeout) {
            self.response.record(response);
        }
    }

    /// Reports the second before, once it is over. Where the watch is slow its seconds run together: nothing is lost.
    pub fn tick(&mut self, now: Offset) {
        let second = now.0 / 1_000_000_000;
        if second > self.second {
            if let Ok(place) = self.reports.clone().try_reserve() {
                place.send(self.take(false));
            }
            self.second = second;
            self.strain.read(now);
        }
    }

    /// Reports what is left, as the last of this shard.
    pub async fn close(mut self) -> Totals {
        let last = self.take(true);
        // Nobody listens to a load that was given up.
        let _ = self.reports.send(last).await;
        Totals { connections: self.connections, strain: self.strain.strain }
    }

    fn take(&mut self, last: bool) -> Report {
        let (counts, response) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.response));
        Report { shard: self.shard, second: self.second, counts, response, last }
    }
}

/// The seconds of all shards.
#[derive(Debug)]
pub struct Progress {
    /// By shard: the first second that it may still report.
    next: Vec<u64>,
    seconds: BTreeMap<u64, (Second, Durations)>,
}

impl Progress {
    pub fn of(shards: u16) -> Self {
        Progress { next: vec![0; shards.into()], seconds: BTreeMap::new() }
    }

    /// Takes a report; gives the seconds that are now complete, in order.
    pub fn add(&mut self, report: Report) -> Vec<Second> {
        let (sum, response) = self.seconds.entry(report.second).or_default();
        sum.due += report.counts.due;
        sum.sent += report.counts.sent;
        sum.acked += report.counts.acked;
        sum.errors += report.counts.errors;
        response.add(&report.response);
        self.next[usize::from(report.shard)] = if report.last { u64::MAX } else { report.second + 1 };
        let complete = self.next.iter().min().copied().unwrap_or(u64::MAX);
        let open = self.seconds.split_off(&complete);
        std::mem::replace(&mut self.seconds, open).into_iter().map(finished).collect()
    }
}

fn finished((second, (sum, response)): (u64, (Second, Durations))) -> Second {
    let at = Offset::from_duration(Duration::from_secs(second));
    Second { at, response_ms_p99: response.percentiles().p99, ..sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn at_s(seconds: u64) -> Offset {
        Offset::from_duration(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn a_second_is_shown_when_every_shard_has_reported_it() {
        let (reports, mut inbox) = mpsc::channel(16);
        let mut progress = Progress::of(2);
        let mut tallies = [0, 1].map(|shard| Tally::new(shard, TIMEOUT, reports.clone()));
        for tally in &mut tallies {
            tally.due();
            tally.sent();
            tally.ended(Outcome::Acked, Reason::Answer, Duration::from_millis(10));
        }
        tallies[0].tick(at_s(1));
        assert_eq!(progress.add(inbox.recv().await.unwrap()), []);
        tallies[1].tick(at_s(1));
        let shown = progress.add(inbox.recv().await.unwrap());
        assert_eq!(shown.len(), 1);
        let Second { at, due, sent, acked, errors, response_ms_p99 } = shown[0];
        assert_eq!((at, due, sent, acked, errors), (at_s(0), 2, 2, 2, 0));
        assert!((response_ms_p99 - 10.0).abs() < 0.1);
    }

    #[tokio::test]
    async fn a_shard_that_has_ended_keeps_nobody_waiting() {
        let (reports, mut inbox) = mpsc::channel(16);
        let mut progress = Progress::of(2);
        let mut tallies = [0, 1].map(|shard| Tally::new(shard, TIMEOUT, reports.clone()));
        tallies[0].due();
        tallies[0].tick(at_s(1));
        assert_eq!(progress.add(inbox.recv().await.unwrap()), []);
        let [_, ended] = tallies;
        ended.close().await;
        assert_eq!(progress.add(inbox.recv().await.unwrap()), [Second { due: 1, ..Second::default() }]);
    }

    #[tokio::test]
    async fn seconds_that_nobody_took_run_together() {
        let (reports, mut inbox) = mpsc::channel(1);
        let mut tally = Tally::new(0, TIMEOUT, reports);
        for second in 1..=3 {
            tally.due();
            tally.tick(at_s(second));
        }
        let due = |report: Report| (report.second, report.counts.due);
        assert_eq!(due(inbox.recv().await.unwrap()), (0, 1));
        tally.tick(at_s(4));
        assert_eq!(due(inbox.recv().await.unwrap()), (3, 2));
    }
}
