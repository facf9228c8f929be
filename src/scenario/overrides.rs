//! What flags and variables lay over a scenario: flag > `MXCTL_*` > scenario > default.
//!
//! They are read by the same types as the file, and their problems join the file's.

use super::allow::Allowance;
use super::gates::GateLine;
use super::problem::{Place, Problem};
use super::shape::ShapePart;
use super::value::{Count, Entry, Located, Percent, Written};
use super::{Load, Mix, Scenario, Target};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    pub target: Target,
    pub load: Load,
    /// They replace the scenario's gates of the same name.
    pub gates: Vec<GateLine>,
    /// They join the scenario's.
    pub allow: Vec<Located<Allowance>>,
    pub run_number: Entry<Count>,
    pub seed: Entry<Count>,
    pub problems: Vec<Problem>,
}

impl Overrides {
    /// The value of one flag: `name` is `--rps`, or the variable that stood in for it.
    pub fn read<T: Written>(&mut self, name: &str, text: Option<&str>) -> Entry<T> {
        let Some(text) = text else { return Entry::Absent };
        let place = Place::Named(name.to_owned());
        match T::read(text) {
            Ok(value) => Entry::Given(Located { value, place }),
            Err(wrong) => {
                self.problems.push(Problem::new(&place, wrong.message, wrong.help));
                Entry::Unreadable
            }
        }
    }

    /// `ramp 100..1500 over 30s, hold 1500 for 1m`.
    pub fn read_shape(&mut self, name: &str, text: Option<&str>) -> Entry<Vec<ShapePart>> {
        let Some(text) = text else { return Entry::Absent };
        let place = Place::Named(name.to_owned());
        match ShapePart::read_line(text, &place) {
            Ok(value) => Entry::Given(Located { value, place }),
            Err(wrong) => {
                self.problems.push(Problem::new(&place, wrong.message, wrong.help));
                Entry::Unreadable
            }
        }
    }

    /// `write-once=80%,hot-key=15%,read=5%`.
    pub fn read_mix(&mut self, name: &str, text: Option<&str>) -> Entry<Mix> {
        let Some(text) = text else { return Entry::Absent };
        let place = Place::Named(name.to_owned());
        let mut mix = Mix::default();
        for part in text.split(',') {
            let (lane, share) = part.split_once('=').unwrap_or((part, ""));
            let lane = lane.trim();
            let share = self.read::<Percent>(name, Some(share.trim()));
            match mix.lane(lane) {
                Some(entry) if *entry == Entry::Absent => *entry = share,
                Some(_) => self.problems.push(Problem::new(&place, format!("`{lane}` is written twice"), "keep one")),
                None => {
                    let help = "write `write-once=80%,hot-key=15%,read=5%`";
                    self.problems.push(Problem::new(&place, format!("there is no lane `{lane}`"), help));
                    return Entry::Unreadable;
                }
            }
        }
        Entry::Given(Located { value: mix, place })
    }

    /// `database`, `host=db.example.org`.
    pub fn read_allowance(&mut self, name: &str, text: &str) {
        if let Entry::Given(allowance) = self.read(name, Some(text)) {
            self.allow.push(allowance);
        }
    }

    /// `p99.steady > 100ms`.
    pub fn read_gate(&mut self, name: &str, text: &str) {
        let place = Place::Named(name.to_owned());
        match GateLine::from_expression(text, &place) {
            Ok(gate) => self.gates.push(gate),
            Err(wrong) => self.problems.push(Problem::new(&place, wrong.message, wrong.help)),
        }
    }
}

impl Mix {
    pub fn lane(&mut self, word: &str) -> Option<&mut Entry<Percent>> {
        match word {
            "write-once" => Some(&mut self.write_once),
            "hot-key" => Some(&mut self.hot_key),
            "read" => Some(&mut self.read),
            "poison" => Some(&mut self.poison),
            _ => None,
        }
    }
}

impl Scenario {
    /// This scenario, with the overrides on top.
    pub fn overlaid(mut self, over: Overrides) -> Scenario {
        let replaced = |gate: &GateLine| over.gates.iter().any(|g| g.name.value == gate.name.value);
        self.gates.retain(|gate| !replaced(gate));
        self.gates.extend(over.gates);
        self.allow.extend(over.allow);
        self.problems.extend(over.problems);
        Scenario { target: self.target.overlaid(over.target), load: self.load.overlaid(over.load), ..self }
    }
}

impl Target {
    fn overlaid(self, over: Target) -> Target {
        Target {
            backend: over.backend.or(self.backend),
            strategy: over.strategy.or(self.strategy),
            instances: over.instances.or(self.instances),
            workers: over.workers.or(self.workers),
            database: over.database.or(self.database),
            batch: over.batch.or(self.batch),
            flush_interval: over.flush_interval.or(self.flush_interval),
            lease: over.lease.or(self.lease),
            redrive_scan: over.redrive_scan.or(self.redrive_scan),
            max_attempts: over.max_attempts.or(self.max_attempts),
            witness: over.witness.or(self.witness),
            appendfsync: over.appendfsync.or(self.appendfsync),
            persistence: over.persistence.or(self.persistence),
            grace: over.grace.or(self.grace),
            clock_offset: over.clock_offset.or(self.clock_offset),
        }
    }
}

impl Load {
    /// A shape of a flag says all that the scenario's `rps` and `duration` said.
    fn overlaid(self, over: Load) -> Load {
        let (rps, duration) = match over.shape {
            Entry::Absent => (self.rps, self.duration),
            _ => (Entry::Absent, Entry::Absent),
        };
        Load {
            rps: over.rps.or(rps),
            duration: over.duration.or(duration),
            shape: over.shape.or(self.shape),
            mix: over.mix.or(self.mix),
            hot_keys: over.hot_keys.or(self.hot_keys),
            arrivals: over.arrivals.or(self.arrivals),
            read_keys: over.read_keys.or(self.read_keys),
            connections: over.connections.or(self.connections),
            request_timeout: over.request_timeout.or(self.request_timeout),
            own_lag_limit: over.own_lag_limit.or(self.own_lag_limit),
            shards: over.shards.or(self.shards),
        }
    }
}
