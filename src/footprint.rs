//! What a run takes on the disk, worked out before it starts.
//!
//! In: a plan. Out: bytes, on the safe side: a disk that fills up under a run ruins its evidence.
use crate::load::ledger;
use crate::load::pacer::Stages;
use crate::plan::Plan;

pub fn disk_bytes(plan: &Plan) -> u64 {
    ledger::disk_bytes(Stages::of(&plan.load.shape).total(), plan.load.shards)
}
