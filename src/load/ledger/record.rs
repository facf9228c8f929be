//! One attempt in 64 bytes, little-endian, as it lies in a ledger file.
//!
//! In: an operation as it becomes due, then what becomes known of it. Out: an [`Attempt`], or the finding that these
//! bytes are none.
//!
//! # Why
//! A record is filled in steps, and mxctl may be killed between any two of them. The outcome byte tells how far it
//! got, and is always written last: `EMPTY` (nothing was begun here), `PENDING` (begun, and nobody knows how it
//! ended), or an [`Outcome`]. The run number stands in the file's header, so that a key needs four bytes here.

use std::sync::atomic::{Ordering, fence};

use bytemuck::{Pod, Zeroable};

use super::{Attempt, Outcome, Reason};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::load::lanes::{Lane, Operation};
use crate::plan::RunKey;

#[cfg(target_endian = "big")]
compile_error!("ledger files are little-endian, and are read without conversion");

pub const RECORD_SIZE: usize = 64;

/// The outcome byte of a record that was never begun: a preallocated file is full of them.
const EMPTY: u8 = 0;
/// The outcome byte of an attempt that nobody saw the end of.
const PENDING: u8 = 0xff;
/// In place of a time that is not known.
const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Record {
    op: u32,
    /// The key without its run number.
    key_index: u32,
    seq: u32,
    epoch: u16,
    instance: u16,
    due: u64,
    woke: u64,
    free: u64,
    sent: u64,
    done: u64,
    status: u16,
    lane: u8,
    attempt: u8,
    reason: u8,
    spare: [u8; 2],
    outcome: u8,
}

const _: () = assert!(size_of::<Record>() == RECORD_SIZE);

/// An operation that has become due.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    pub op: Operation,
    pub due: Offset,
    pub woke: Offset,
    pub epoch: u16,
}

/// An operation that was given to an instance; `sent` is `None` where no byte could be sent.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch {
    pub instance: InstanceId,
    pub free: Offset,
    pub sent: Option<Offset>,
    pub epoch: u16,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub done: Offset,
    pub outcome: Outcome,
    pub reason: Reason,
    pub status: u16,
}

/// The bytes of a record that no writer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled;

impl Record {
    /// Makes this slot a pending attempt.
    pub fn begin(&mut self, begin: &Begin) {
        let index = |wide: u64| u32::try_from(wide).expect("a run has fewer than 2^32 operations");
        *self = Record {
            op: index(begin.op.index),
            key_index: begin.op.key as u32,
            seq: begin.op.seq,
            epoch: begin.epoch,
            instance: InstanceId::NONE.0,
            due: begin.due.0,
            woke: begin.woke.0,
            free: begin.woke.0,
            sent: NEVER,
            done: NEVER,
            status: 0,
            lane: begin.op.lane as u8,
            attempt: 1,
            reason: Reason::Open as u8,
            spare: [0; 2],
            outcome: EMPTY,
        };
        self.close_with(PENDING);
    }

    pub fn dispatched(&mut self, dispatch: &Dispatch) {
        self.instance = dispatch.instance.0;
        self.epoch = dispatch.epoch;
        self.free = dispatch.free.0;
        self.sent = dispatch.sent.map_or(NEVER, |at| at.0);
        // The kernel must not see the request's bytes before this record has its time.
        fence(Ordering::SeqCst);
    }

    pub fn finish(&mut self, end: &End) {
        self.done = end.done.0;
        self.status = end.status;
        self.reason = end.reason as u8;
        self.close_with(end.outcome as u8);
    }

    pub fn is_pending(&self) -> bool {
        self.outcome == PENDING
    }

    pub fn was_sent(&self) -> bool {
        self.sent != NEVER
    }

    /// The attempt in this slot, where one was begun. `op` is the operation whose slot this is.
    pub fn decode(&self, run: RunKey, op: u64) -> Result<Option<Attempt>, Garbled> {
        let (outcome, reason) = match self.outcome {
            EMPTY => return Ok(None),
            PENDING => (Outcome::Unknown, Reason::Open),
            byte => (Outcome::from_byte(byte).ok_or(Garbled)?, Reason::from_byte(self.reason).ok_or(Garbled)?),
        };
        if u64::from(self.op) != op {
            return Err(Garbled);
        }
        let known = |time: u64| (time != NEVER).then_some(Offset(time));
        Ok(Some(Attempt {
            op,
            lane: Lane::from_byte(self.lane).ok_or(Garbled)?,
            key: run.key(self.key_index),
            seq: self.seq,
            attempt: self.attempt,
            due: Offset(self.due),
            woke: Offset(self.woke),
            free: Offset(self.free),
            sent: known(self.sent),
            done: known(self.done),
            outcome,
            reason,
            status: self.status,
            instance: InstanceId(self.instance),
            epoch: self.epoch,
        }))
    }

    /// The outcome comes last: whoever finds it finds all that it speaks of.
    fn close_with(&mut self, outcome: u8) {
        fence(Ordering::Release);
        self.outcome = outcome;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunKey = RunKey { number: 7, seed: 1 };

    fn begun() -> Record {
        let op = Operation { index: 3, lane: Lane::HotKey, key: RUN.key(5), seq: 9 };
        let mut record = Record::zeroed();
        record.begin(&Begin { op, due: Offset(10), woke: Offset(11), epoch: 2 });
        record
    }

    #[test]
    fn a_slot_that_was_never_begun_is_no_attempt() {
        assert_eq!(Record::zeroed().decode(RUN, 3), Ok(None));
    }

    #[test]
    fn a_pending_attempt_reads_as_unknown() {
        let attempt = begun().decode(RUN, 3).unwrap().unwrap();
        assert_eq!((attempt.outcome, attempt.reason), (Outcome::Unknown, Reason::Open));
        assert_eq!((attempt.sent, attempt.done, attempt.instance), (None, None, InstanceId::NONE));
        assert_eq!((attempt.key, attempt.seq, attempt.lane), (RUN.key(5), 9, Lane::HotKey));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut record = begun();
        let dispatch = Dispatch { instance: InstanceId(4), free: Offset(12), sent: Some(Offset(13)), epoch: 3 };
        record.dispatched(&dispatch);
        let end = End { done: Offset(14), outcome: Outcome::Refused, reason: Reason::NotStored, status: 503 };
        record.finish(&end);
        let attempt = record.decode(RUN, 3).unwrap().unwrap();
        assert_eq!([attempt.due, attempt.woke, attempt.free], [Offset(10), Offset(11), Offset(12)]);
        assert_eq!((attempt.sent, attempt.done), (Some(Offset(13)), Some(Offset(14))));
        assert_eq!((attempt.outcome, attempt.reason, attempt.status), (Outcome::Refused, Reason::NotStored, 503));
        assert_eq!((attempt.instance, attempt.epoch, attempt.attempt), (InstanceId(4), 3, 1));
    }

    #[test]
    fn a_record_in_another_ones_slot_is_garbled() {
        assert_eq!(begun().decode(RUN, 4), Err(Garbled));
    }

    #[test]
    fn bytes_that_no_writer_writes_are_garbled() {
        for at in [60, 58, 63] {
            let mut record = begun();
            record.finish(&End { done: Offset(14), outcome: Outcome::Acked, reason: Reason::Answer, status: 202 });
            bytemuck::bytes_of_mut(&mut record)[at] = 0x77;
            assert_eq!(record.decode(RUN, 3), Err(Garbled), "byte {at}");
        }
    }
}
