//! A run's folder that nobody ran: a rolling update of V5 of any length, with its ledger, rows, witness and incidents,
//! written as a run writes them and in constant memory.
//!
//! In: how many operations, and how many acknowledged write-once operations have no rows. Out: the folder, and what
//! judging it must find.

mod incidents;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mxctl::archive::{Archive, Piece};
use mxctl::backends::{SettleEnd, SettleOutcome};
use mxctl::checks::OrderCounts;
use mxctl::clock::Offset;
use mxctl::content::{self, PRESETS};
use mxctl::load::ledger::{Begin, Dispatch, End, LedgerWriter, Part, Reason, Recorder};
use mxctl::load::pacer::{Pacer, Timetable};
use mxctl::load::{Lane, Operation, Operations, Outcome};
use mxctl::plan::{Given, Plan};
use mxctl::readback::table::TableWriter;
use mxctl::readback::{
    Counters, FinalState, QueueState, Row, RowSet, Sighting, SightingKind, SightingWriter, Source, WitnessLog,
};
use mxctl::scenario::{self, Scenario};
use mxctl::timeline::Incidents;

use incidents::Rotation;

const RPS: u64 = 1500;
const RUN_NUMBER: u32 = 17;
const WRITER: &str = "worker-2.1";
/// Of the writes of hot keys, every fourth is dropped in its batch, for the next one.
const DROPPED: u64 = 4;
/// Of the write-once operations, every thousandth is delivered twice.
const DELIVERED_TWICE: u64 = 1000;

/// A run's folder, and what is in it.
#[derive(Debug)]
pub struct Written {
    pub run: PathBuf,
    pub due: u64,
    pub acked: u64,
    pub unknown: u64,
    pub rows: u64,
    pub order: OrderCounts,
}

/// Writes the folder of a run below `reports`; `lost` of its operations are in no row.
pub fn write(reports: &Path, operations: u64, lost: u64) -> Written {
    let plan = plan(operations);
    let name = format!("{}-{lost}-lost", plan.name);
    let archive = Archive::create(reports, &name, RUN_NUMBER, jiff::Timestamp::UNIX_EPOCH).expect("a new folder");
    let incidents = incidents::rolled(&plan);
    let mut run = Run { lost_each: plan_of_losses(&plan, lost), plan, incidents, archive };
    let mut written = run.ledger();
    run.rows(&mut written);
    run.witness(&mut written);
    run.state(&written);
    run.archive.put_json(Piece::Plan, &run.plan).expect("room on the disk");
    run.archive.put_json(Piece::Incidents, &run.incidents).expect("room on the disk");
    written
}

/// The run that a person would write down like this.
fn plan(operations: u64) -> Plan {
    let text = format!(
        "name: synthetic
target: {{ strategy: redis, instances: 3, workers: 2 }}
load: {{ rps: {RPS}, duration: {}ms, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }} }}
timeline:
  - rolling-update: {{ at: 3s, of: [api, worker], mode: graceful }}
  - rolling-update: {{ at: 12s, of: [api, worker], mode: hard }}
gates: {{ F2: pass, p99.steady: 100ms }}
",
        operations * 1000 / RPS
    );
    let source = Arc::new(scenario::Source { name: "synthetic.yml".into(), text });
    let given = Given { run_number: RUN_NUMBER, seed: 42 };
    Plan::resolve(Scenario::read(&source), Default::default(), given).unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", told.join("\n"))
    })
}

/// Every how-manieth write-once operation is lost.
fn plan_of_losses(plan: &Plan, lost: u64) -> u64 {
    let once = due(plan) * u64::from(plan.load.mix.write_once) / 1000;
    once.checked_div(lost).unwrap_or(u64::MAX)
}

fn due(plan: &Plan) -> u64 {
    Timetable::of(&plan.load).total()
}

struct Run {
    plan: Plan,
    incidents: Incidents,
    archive: Archive,
    lost_each: u64,
}

/// One operation, and what became of it.
struct Fate {
    operation: Operation,
    due: Offset,
    dispatch: Dispatch,
    end: End,
    /// It was acknowledged, and is in no row.
    lost: bool,
}

impl Fate {
    fn writes(&self) -> bool {
        self.operation.lane.writes() && !self.lost
    }

    /// A worker dropped it in its batch.
    fn dropped(&self, newest: &BTreeMap<u64, u32>) -> bool {
        let Operation { lane, key, seq, .. } = self.operation;
        lane == Lane::HotKey && u64::from(seq).is_multiple_of(DROPPED) && newest[&key] != seq
    }

    fn delivered_twice(&self) -> bool {
        self.operation.lane == Lane::WriteOnce && self.operation.index.is_multiple_of(DELIVERED_TWICE)
    }
}

impl Run {
    fn fates(&self) -> impl Iterator<Item = Fate> {
        let pacer = Timetable::of(&self.plan.load);
        let mut rotation = Rotation::of(&self.incidents);
        let (mut once, mut lost_due) = (0, self.lost_each);
        Operations::new(self.plan.run, &self.plan.load).take(due(&self.plan) as usize).map(move |operation| {
            let due = pacer.due(operation.index);
            let (woke, sent) = (due.plus(Duration::from_micros(300)), due.plus(Duration::from_micros(400)));
            let (instance, answers) = rotation.give(operation.index, sent);
            let took = Duration::from_micros(1000 + content::mix(operation.index) % 3000);
            let end = match answers {
                true => End { done: sent.plus(took), outcome: Outcome::Acked, reason: Reason::Answer, status: 202 },
                false => End {
                    done: sent.plus(Duration::from_millis(60)),
                    outcome: Outcome::Unknown,
                    reason: Reason::Reset,
                    status: 0,
                },
            };
            once += u64::from(operation.lane == Lane::WriteOnce);
            let lost = once >= lost_due && answers && operation.lane == Lane::WriteOnce;
            if lost {
                lost_due = lost_due.saturating_add(self.lost_each);
            }
            let dispatch = Dispatch { instance, free: woke, sent: Some(sent), epoch: 0 };
            Fate { operation, due, dispatch, end, lost }
        })
    }

    /// The newest seq of every hot key.
    fn newest(&self) -> BTreeMap<u64, u32> {
        let hot = self.fates().filter(|fate| fate.operation.lane == Lane::HotKey);
        hot.map(|fate| (fate.operation.key, fate.operation.seq)).collect()
    }

    fn ledger(&mut self) -> Written {
        let shards = self.plan.load.shards;
        let part = |shard| Part { run: self.plan.run, shard, shards };
        let create = |shard| LedgerWriter::create(&self.archive.ledger_dir(), part(shard)).expect("a new ledger");
        let mut writers: Vec<LedgerWriter> = (0..shards).map(create).collect();
        let mut written = Written {
            run: self.archive.root().to_owned(),
            due: due(&self.plan),
            acked: 0,
            unknown: 0,
            rows: 0,
            order: OrderCounts::default(),
        };
        for Fate { operation, due, dispatch, end, .. } in self.fates() {
            let op = operation.index;
            let writer = &mut writers[(op % u64::from(shards)) as usize];
            writer.begin(&Begin { op: operation, due, woke: dispatch.free, epoch: 0 }).expect("room on the disk");
            writer.dispatched(op, &dispatch);
            writer.finish(op, &end);
            written.acked += u64::from(end.outcome == Outcome::Acked);
            written.unknown += u64::from(end.outcome == Outcome::Unknown);
        }
        let end = Offset::from_duration(self.plan.load_end());
        writers.into_iter().for_each(|writer| writer.close(end).expect("room on the disk"));
        written
    }

    /// Hot keys stand before the others.
    fn rows(&self, written: &mut Written) {
        let mut table = TableWriter::begin(self.archive.aside(Piece::Rows).expect("a file")).expect("a file");
        let mut put = |key: u64, seq: u32| {
            for preset in PRESETS {
                let seq = u64::from(seq);
                let costs = content::costs(key, seq, preset);
                table.row(&Row { key, preset, seq, costs, written_by: WRITER }).expect("room on the disk");
                written.rows += 1;
            }
        };
        self.newest().into_iter().for_each(|(key, seq)| put(key, seq));
        let once = self.fates().filter(|fate| fate.operation.lane == Lane::WriteOnce && fate.writes());
        once.for_each(|fate| put(fate.operation.key, fate.operation.seq));
        self.archive.keep(Piece::Rows, table.finish().expect("room on the disk")).expect("room on the disk");
    }

    fn witness(&self, written: &mut Written) {
        let file = self.archive.aside(Piece::Witness).expect("a file");
        let mut log = SightingWriter::begin(file, self.archive.root()).expect("a file");
        let newest = self.newest();
        let mut before: BTreeMap<u64, u64> = BTreeMap::new();
        let mut order = 0;
        for fate in self.fates().filter(Fate::writes) {
            let Operation { key, seq, lane, .. } = fate.operation;
            let new_seq = u64::from(seq);
            let dropped = fate.dropped(&newest);
            let (kind, times) = match (dropped, fate.delivered_twice()) {
                (true, _) => (SightingKind::Dropped, 1),
                (false, twice) => (SightingKind::Attempted, 1 + u64::from(twice)),
            };
            for time in 0..times {
                for preset in PRESETS {
                    order += 1;
                    let old_seq = if time > 0 { Some(new_seq) } else { before.get(&key).copied() };
                    let sighting = Sighting { order, key, preset, old_seq, new_seq, written_by: WRITER, kind };
                    log.sighting(&sighting).expect("room on the disk");
                }
            }
            if lane == Lane::HotKey && !dropped {
                before.insert(key, new_seq);
            }
            written.order.duplicates += 3 * (times - 1);
            written.order.dropped_as_superseded += 3 * u64::from(dropped);
        }
        self.archive.keep(Piece::Witness, log.finish().expect("room on the disk")).expect("room on the disk");
    }

    fn state(&self, written: &Written) {
        let instances = incidents::alive(&self.incidents);
        let own = |instance: String| Counters {
            instance,
            private_buffer: 0,
            processed_tasks: 0,
            failed_attempts: 0,
            clock_ahead_ms: None,
        };
        let state = FinalState {
            settle: SettleOutcome {
                end: SettleEnd::Quiet,
                drain: Duration::from_millis(400),
                waited: Duration::from_secs(10),
                probe_saw_something: true,
            },
            rows: Source::Read(RowSet {
                rows: Default::default(),
                counted: written.rows,
                marker_seen: true,
                count_query: "select count(*) from equipment_expectation_summary".into(),
                server: None,
                software: None,
            }),
            witness: Source::Read(WitnessLog::default()),
            queue: Source::Read(QueueState { items: Vec::new(), accepted: 3 * written.acked, keys: Some(1) }),
            counters: Source::Read(instances.map(own).collect()),
        };
        state.store(&self.archive).expect("room on the disk");
    }
}
