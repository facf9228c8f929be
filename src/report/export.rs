//! The ledger as CSV: one line an attempt, for whoever counts by other means.
//!
//! In: the attempts, the roster that gives instances their names, and, where the run was judged, each operation's
//! class. Out: text on any writer, line by line: memory stays flat.

use std::io::Write;

use crate::backends::Instance;
use crate::checks::Class;
use crate::clock::Offset;
use crate::load::Attempt;
use crate::load::ledger::{Outcome, Reason};

/// Times are in seconds since the run's zero, with microseconds; empty where it did not come to that.
pub const COLUMNS: [&str; 17] = [
    "op",
    "lane",
    "key",
    "seq",
    "attempt",
    "due",
    "woke",
    "free",
    "sent",
    "done",
    "outcome",
    "reason",
    "status",
    "instance",
    "epoch",
    "response_ms",
    "class",
];

#[derive(Debug, thiserror::Error)]
#[error("write the ledger as CSV: {0}")]
pub struct ExportError(#[from] csv::Error);

impl ExportError {
    /// The reader has gone, as with `| head`: no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self.0.kind(), csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Writes every attempt and says how many there were.
pub fn ledger<W: Write>(
    out: W,
    attempts: impl Iterator<Item = Attempt>,
    roster: &[Instance],
    class_of: impl Fn(&Attempt) -> Option<Class>,
) -> Result<u64, ExportError> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    let mut count = 0;
    for attempt in attempts {
        csv.write_record(line(&attempt, roster, class_of(&attempt)))?;
        count += 1;
    }
    csv.flush().map_err(csv::Error::from)?;
    Ok(count)
}

fn line(a: &Attempt, roster: &[Instance], class: Option<Class>) -> [String; 17] {
    let instance = roster.get(usize::from(a.instance.0)).map_or_else(String::new, |i| i.name.clone());
    [
        a.op.to_string(),
        a.lane.word().to_owned(),
        a.key.to_string(),
        a.seq.to_string(),
        a.attempt.to_string(),
        seconds(a.due),
        seconds(a.woke),
        seconds(a.free),
        a.sent.map(seconds).unwrap_or_default(),
        a.done.map(seconds).unwrap_or_default(),
        outcome(a.outcome).to_owned(),
        reason(a.reason).to_owned(),
        if a.status == 0 { String::new() } else { a.status.to_string() },
        instance,
        a.epoch.to_string(),
        a.done.map(|done| format!("{:.3}", done.since(a.due).as_secs_f64() * 1e3)).unwrap_or_default(),
        class.map(Class::word).unwrap_or_default().to_owned(),
    ]
}

/// Cut, not rounded, to microseconds.
fn seconds(at: Offset) -> String {
    format!("{}.{:06}", at.0 / 1_000_000_000, at.0 / 1_000 % 1_000_000)
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Acked => "acked",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
        Outcome::NotSent => "not-sent",
    }
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Answer => "answer",
        Reason::NotStored => "not-stored",
        Reason::ConnectRefused => "connect-refused",
        Reason::TimedOut => "timed-out",
        Reason::Reset => "reset",
        Reason::BadAnswer => "bad-answer",
        Reason::WrongEcho => "wrong-echo",
        Reason::Open => "open",
        Reason::NoInstance => "no-instance",
        Reason::LoadOver => "load-over",
    }
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;
    use crate::backends::InstanceId;
    use crate::load::Lane;

    fn acked() -> Attempt {
        Attempt {
            op: 0,
            lane: Lane::WriteOnce,
            key: 17 << 32,
            seq: 1,
            attempt: 1,
            due: Offset(1_250_000),
            woke: Offset(1_300_999),
            free: Offset(1_301_000),
            sent: Some(Offset(1_400_000)),
            done: Some(Offset(3_500_000)),
            outcome: Outcome::Acked,
            reason: Reason::Answer,
            status: 202,
            instance: InstanceId(0),
            epoch: 2,
        }
    }

    fn not_sent() -> Attempt {
        Attempt {
            op: 1,
            lane: Lane::Read,
            seq: 0,
            sent: None,
            done: None,
            outcome: Outcome::NotSent,
            reason: Reason::NoInstance,
            status: 0,
            instance: InstanceId::NONE,
            ..acked()
        }
    }

    #[test]
    fn a_ledger_becomes_one_line_an_attempt() {
        let mut out = Vec::new();
        let class_of = |a: &Attempt| a.lane.writes().then_some(Class::Applied);
        let roster = canned::broken().roster;
        let count = ledger(&mut out, [acked(), not_sent()].into_iter(), &roster, class_of).unwrap();
        assert_eq!(count, 2);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @"
        op,lane,key,seq,attempt,due,woke,free,sent,done,outcome,reason,status,instance,epoch,response_ms,class
        0,write-once,73014444032,1,1,0.001250,0.001300,0.001301,0.001400,0.003500,acked,answer,202,worker-1.1,2,2.250,applied
        1,read,73014444032,0,1,0.001250,0.001300,0.001301,,,not-sent,no-instance,,,2,,
        ");
    }

    #[test]
    fn the_words_of_the_export_are_those_of_the_plan_and_the_run() {
        for (word, value) in [
            (outcome(Outcome::NotSent), serde_json::to_value(Outcome::NotSent)),
            (reason(Reason::ConnectRefused), serde_json::to_value(Reason::ConnectRefused)),
            (reason(Reason::WrongEcho), serde_json::to_value(Reason::WrongEcho)),
        ] {
            assert_eq!(value.unwrap(), word);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_a_closed_pipe_is_told_apart() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = ledger(full, [acked()].into_iter(), &[], |_| None).unwrap_err();
        assert!(error.to_string().contains("No space left on device") && !error.is_broken_pipe(), "{error}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert!(ledger(writer, [acked()].into_iter(), &[], |_| None).unwrap_err().is_broken_pipe());
    }
}
