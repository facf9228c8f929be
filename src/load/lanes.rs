//! Lanes: which operation is the i-th one. A pure function of the plan, so that judging can derive it again.
//!
//! Write-once keys give set semantics: each is written by one operation, with seq 1. Hot keys give order: each has
//! one writer with rising seq, dispatched in due order. Reads are a lane of their own, outside the write classes.

use crate::plan::{LoadPlan, Mix, RunKey};

use super::content::mix;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Lane {
    WriteOnce = 1,
    HotKey = 2,
    Read = 3,
}

impl Lane {
    pub const ALL: [Lane; 3] = [Lane::WriteOnce, Lane::HotKey, Lane::Read];

    pub fn word(self) -> &'static str {
        match self {
            Lane::WriteOnce => "write-once",
            Lane::HotKey => "hot-key",
            Lane::Read => "read",
        }
    }

    pub fn writes(self) -> bool {
        self != Lane::Read
    }
}

/// One request: a POST of one (key, seq) with three writes, or a GET of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub index: u64,
    pub lane: Lane,
    pub key: u64,
    /// From 1; 0 for a read.
    pub seq: u32,
}

/// The operations of a plan in due order: an endless iterator; the pacer says how many there are.
#[derive(Debug, Clone)]
pub struct Operations {
    run: RunKey,
    hot_keys: u32,
    /// One period of the mix: every period of operations holds each lane in its exact share, in a seeded order.
    period: Vec<Lane>,
    order: Vec<Lane>,
    next: u64,
    hot_written: u64,
    once_written: u32,
}

impl Operations {
    pub fn new(run: RunKey, load: &LoadPlan) -> Self {
        Operations {
            run,
            hot_keys: load.hot_keys,
            period: period(load.mix),
            order: Vec::new(),
            next: 0,
            hot_written: 0,
            once_written: 0,
        }
    }

    /// Whether this key belongs to the write-once lane.
    pub fn is_write_once(&self, key: u64) -> bool {
        (key & u64::from(u32::MAX)) >= u64::from(self.hot_keys)
    }

    fn lane(&mut self) -> Lane {
        let at = (self.next % self.period.len() as u64) as usize;
        if at == 0 {
            self.order = shuffled(&self.period, mix(self.run.seed ^ mix(self.next)));
        }
        self.order[at]
    }

    /// A read asks for a key that was written before it, or, at the very start, for one that will be.
    fn key_to_read(&self) -> u64 {
        let written = self.once_written + self.hot_keys.min(self.hot_written.try_into().unwrap_or(u32::MAX));
        let pick = (mix(self.run.seed ^ mix(self.next ^ 0x7265_6164)) % u64::from(written.max(1))) as u32;
        match pick.checked_sub(self.once_written) {
            None => self.run.key(self.hot_keys + pick),
            Some(hot) => self.run.key(hot),
        }
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let lane = self.lane();
        let (key, seq) = match lane {
            Lane::WriteOnce => {
                let key = self.run.key(self.hot_keys + self.once_written);
                self.once_written += 1;
                (key, 1)
            }
            Lane::HotKey => {
                let n = self.hot_written;
                self.hot_written += 1;
                let hot = u64::from(self.hot_keys);
                (self.run.key((n % hot) as u32), (n / hot) as u32 + 1)
            }
            Lane::Read => (self.key_to_read(), 0),
        };
        let index = self.next;
        self.next += 1;
        Some(Operation { index, lane, key, seq })
    }
}

/// The shortest sequence that holds every lane in its share.
fn period(mix: Mix) -> Vec<Lane> {
    let weights = [(Lane::WriteOnce, mix.write_once), (Lane::HotKey, mix.hot_key), (Lane::Read, mix.read)];
    let divisor = weights.iter().fold(0, |d, (_, w)| gcd(d, *w)).max(1);
    weights.iter().flat_map(|(lane, w)| std::iter::repeat_n(*lane, usize::from(w / divisor))).collect()
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Fisher and Yates, with a seed.
fn shuffled(lanes: &[Lane], seed: u64) -> Vec<Lane> {
    let mut lanes = lanes.to_vec();
    for i in (1..lanes.len()).rev() {
        lanes.swap(i, (mix(seed ^ i as u64) % (i as u64 + 1)) as usize);
    }
    lanes
}
