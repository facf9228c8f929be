//! What a run recorded as CSV, for whoever counts by other means: one line an attempt, a row or a sighting.
//!
//! In: the attempts, with the roster that gives instances their names and, where the run was judged, each operation's
//! class; or the rows; or what the witness saw. Out: text on any writer, line by line: memory stays flat.

use std::io::Write;

use crate::backends::Instance;
use crate::checks::Class;
use crate::clock::Offset;
use crate::content;
use crate::load::Attempt;
use crate::load::ledger::{Outcome, Reason};
use crate::readback::table::Table;
use crate::readback::{Row, RowRecord, Sighting, SightingRecord};

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

/// Before the costs, which are in hundredths, and after them.
pub const ROW_COLUMNS: ([&str; 3], [&str; 1]) = (["key", "preset", "seq"], ["written_by"]);
pub const SIGHTING_COLUMNS: [&str; 7] = ["order", "key", "preset", "old_seq", "new_seq", "written_by", "kind"];

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("write CSV: {0}")]
    Write(#[from] csv::Error),
    #[error("export what the run does not have: {why}")]
    Missing { why: String },
}

impl ExportError {
    /// The reader has gone, as with `| head`: no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        let ExportError::Write(error) = self else { return false };
        matches!(error.kind(), csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::BrokenPipe)
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

/// By key, then preset.
pub fn rows<W: Write>(out: W, rows: &Table<RowRecord>) -> Result<u64, ExportError> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    csv.write_record(ROW_COLUMNS.0.iter().chain(&content::COLUMNS).chain(&ROW_COLUMNS.1))?;
    for record in rows.walk() {
        let Row { key, preset, seq, costs, written_by } = rows.row(record);
        csv.serialize((key, preset, seq, costs, written_by))?;
    }
    csv.flush().map_err(csv::Error::from)?;
    Ok(rows.len())
}

/// By key, preset, new seq, then order.
pub fn sightings<W: Write>(out: W, sightings: &Table<SightingRecord>) -> Result<u64, ExportError> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    csv.write_record(SIGHTING_COLUMNS)?;
    for record in sightings.walk() {
        let Sighting { order, key, preset, old_seq, new_seq, written_by, kind } = sightings.sighting(record);
        csv.serialize((order, key, preset, old_seq, new_seq, written_by, kind.word()))?;
    }
    csv.flush().map_err(csv::Error::from)?;
    Ok(sightings.len())
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
        Reason::NotProcessed => "not-processed",
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
    use crate::readback::SightingKind;

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
    fn rows_and_sightings_become_one_line_each() {
        let row = |preset| Row { key: 17 << 32, preset, seq: 1, costs: [5, 1, 2, 3, 4], written_by: "worker-1.1" };
        let mut out = Vec::new();
        assert_eq!(rows(&mut out, &Table::of_rows([row(1), row(2)])).unwrap(), 2);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @"
        key,preset,seq,total_expected_cost,black_cube_cost,red_cube_cost,additional_cube_cost,starforce_cost,written_by
        73014444032,1,1,5,1,2,3,4,worker-1.1
        73014444032,2,1,5,1,2,3,4,worker-1.1
        ");
        let seen = |order, kind| Sighting {
            order,
            key: 17 << 32,
            preset: 1,
            old_seq: (order > 1).then_some(1),
            new_seq: 2,
            written_by: "a \"b\"",
            kind,
        };
        let table = Table::of_sightings([seen(2, SightingKind::Dropped), seen(1, SightingKind::Attempted)]);
        let mut out = Vec::new();
        assert_eq!(sightings(&mut out, &table).unwrap(), 2);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        order,key,preset,old_seq,new_seq,written_by,kind
        1,73014444032,1,,2,"a ""b""",attempted
        2,73014444032,1,1,2,"a ""b""",dropped
        "#);
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
