//! Which evidence is sound, and which class an unsound one voids.
//!
//! In: the evidence, and what comparing the ledger with the plan gave. Out: for each source why it cannot be relied
//! on, where it cannot. A class whose evidence is unsound is reported, and never fails a run.

use super::conservation::Conserved;
use super::witness::Witness;
use super::{Case, Class, Evidence, Finding};
use crate::backends::SettleEnd;
use crate::load::ledger::Soundness as Sealed;
use crate::plan::Plan;
use crate::readback::{FinalState, QueueState, RowSet, Source};

/// Why a source cannot be relied on; `None`: it can.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Soundness {
    /// It may lack attempts.
    pub ledger: Option<String>,
    /// Its records are not the plan's operations: nothing can be said by them.
    pub records: Option<String>,
    /// No row was read.
    pub rows: Option<String>,
    /// Rows may be missing from what was read (also where none was).
    pub reader: Option<String>,
    /// A write may be queued where nobody looked.
    pub queue: Option<String>,
    /// Progress had not stopped when the state was read.
    pub rest: Option<String>,
    /// The witness was asked for and cannot be relied on.
    pub witness: Option<String>,
    /// The instances' own memories are the queue: what is in them is known as "written nowhere yet".
    private: bool,
}

impl Soundness {
    pub fn of(plan: &Plan, evidence: &Evidence, conserved: &Conserved) -> Self {
        let sound = Soundness { ledger: ledger(evidence, conserved), records: records(conserved), ..Self::default() };
        let Some(state) = &evidence.state else {
            return sound.without_state("the run ended before its state was read");
        };
        Soundness {
            rows: state.rows.why_not().map(|why| format!("the rows were not read: {why}")),
            reader: reader(plan, &state.rows),
            queue: queue(state),
            rest: rest(state.settle.end),
            witness: witness(plan, state),
            private: matches!(state.queue, Source::Absent { .. }),
            ..sound
        }
    }

    /// What to hold of the evidence where finding out has crashed: nothing.
    pub fn unknown() -> Self {
        let why = "whether it is sound could not be found out";
        let sound = Soundness { ledger: Some(why.into()), records: Some(why.into()), ..Self::default() };
        sound.without_state(why)
    }

    fn without_state(self, why: &str) -> Self {
        let why = Some(why.to_owned());
        let (rows, reader, queue) = (why.clone(), why.clone(), why.clone());
        Soundness { rows, reader, queue, rest: why.clone(), witness: why, ..self }
    }

    /// Why the count of this class says nothing, where it says nothing.
    pub fn void(&self, class: Class) -> Option<String> {
        let needed: &[&Option<String>] = match class {
            Class::Unexpected | Class::Phantom => &[&self.records, &self.ledger, &self.rows],
            Class::Corrupt => &[&self.records, &self.reader],
            Class::Dead => &[&self.records, &self.queue],
            // What waits in a private buffer is known by its absence from the rows.
            Class::Stranded if self.private => &[&self.records, &self.queue, &self.rest, &self.reader],
            Class::Stranded => &[&self.records, &self.queue, &self.rest],
            // A write that is not in the rows may be in a queue that nobody could look into, or still be moving.
            Class::Lost | Class::Stale | Class::Torn => &[&self.records, &self.reader, &self.queue, &self.rest],
            Class::Applied | Class::Superseded | Class::Recovered | Class::Unresolved => &[&self.rows],
            Class::Refused | Class::NotSent => &[],
        };
        needed.iter().find_map(|why| (*why).clone())
    }

    /// One sentence for each reason that voids any of these classes; `told` puts a class into words.
    pub fn voided(&self, classes: &[Class], told: impl Fn(Class) -> String) -> Vec<String> {
        let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
        for class in classes {
            let Some(why) = self.void(*class) else { continue };
            match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, classes)) => classes.push(told(*class)),
                None => by_reason.push((why, vec![told(*class)])),
            }
        }
        by_reason.into_iter().map(|(why, classes)| format!("void: {} ({why})", classes.join(", "))).collect()
    }

    fn all(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("ledger", &self.ledger),
            ("ledger", &self.records),
            ("reader", &self.reader),
            ("queue probe", &self.queue),
            ("settling", &self.rest),
            ("witness", &self.witness),
        ]
    }
}

fn ledger(evidence: &Evidence, conserved: &Conserved) -> Option<String> {
    match evidence.ledger.soundness() {
        Sealed::Torn { why } => Some(format!("the ledger is torn: {why}")),
        Sealed::Sealed if conserved.missing > 0 => {
            Some(format!("{} operations that were due are not in the ledger", conserved.missing))
        }
        Sealed::Sealed => None,
    }
}

fn records(conserved: &Conserved) -> Option<String> {
    let strange = conserved.foreign + conserved.surplus;
    (strange > 0).then(|| format!("{strange} records of the ledger are not what the plan says"))
}

/// The reader is complete when `count(*)` agrees, the marker is visible, and the rows are the run's, in order.
fn reader(plan: &Plan, rows: &Source<RowSet>) -> Option<String> {
    let set = match rows {
        Source::Read(set) => set,
        Source::Gap { why } | Source::Absent { why } => return Some(format!("the rows were not read: {why}")),
    };
    let (first, last) = plan.run.key_range();
    if set.counted != set.rows.len() {
        Some(format!("count(*) says {} rows, and {} were read", set.counted, set.rows.len()))
    } else if !set.marker_seen {
        Some(
            "the marker that was committed after settling is not visible: the reader lags, or reads another database"
                .into(),
        )
    } else if !set.rows.walk().map(|row| (row.key, row.preset)).is_sorted_by(|a, b| a < b) {
        Some("the rows that were read are not in order, or one is there twice".into())
    } else if set.rows.walk().any(|row| !(first..=last).contains(&row.key)) {
        Some("rows were read that are not in this run's key range".into())
    } else {
        None
    }
}

/// "Empty" is evidence only from a probe that saw something earlier.
fn queue(state: &FinalState) -> Option<String> {
    let saw_something = state.settle.probe_saw_something || sees_something_now(state);
    match (&state.queue, &state.counters) {
        (Source::Gap { why }, _) => Some(format!("the queue could not be read: {why}")),
        (Source::Absent { .. }, Source::Gap { why } | Source::Absent { why }) => {
            Some(format!("nobody could say what is in the instances' own buffers: {why}"))
        }
        _ if !saw_something => {
            Some("the queue probe never saw anything in this run: its \"empty\" proves nothing".into())
        }
        _ => None,
    }
}

fn sees_something_now(state: &FinalState) -> bool {
    match (&state.queue, &state.counters) {
        (Source::Read(QueueState { items, accepted, .. }), _) => !items.is_empty() || *accepted > 0,
        (Source::Absent { .. }, Source::Read(counters)) => {
            counters.iter().any(|own| own.private_buffer > 0 || own.processed_tasks > 0)
        }
        _ => false,
    }
}

fn rest(end: SettleEnd) -> Option<String> {
    match end {
        SettleEnd::Quiet | SettleEnd::Stuck => None,
        SettleEnd::Undrained => Some("the target was still draining at the hard cap".into()),
        SettleEnd::Blind => Some("a probe failed until the deadline: nobody knows whether anything still moved".into()),
        SettleEnd::Aborted => Some("the wait for quiet was cut off".into()),
    }
}

fn witness(plan: &Plan, state: &FinalState) -> Option<String> {
    if !plan.target.witness {
        return None;
    }
    match (&state.witness, &state.rows) {
        (Source::Gap { why } | Source::Absent { why }, _) => Some(format!("the witness could not be read: {why}")),
        (Source::Read(log), Source::Read(set)) => Witness::of(plan, &log.sightings).contradiction(&set.rows),
        (Source::Read(_), _) => None,
    }
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let unsound = case.figures.soundness.all().into_iter().filter_map(|(source, why)| Some((source, why.as_ref()?)));
    let reasons: Vec<String> = unsound.map(|(source, why)| format!("{source}: {why}")).collect();
    if reasons.is_empty() {
        let sources = "ledger sealed and as planned, reader complete, queue probe proven, target at rest";
        return vec![Finding::pass("evidence", sources.to_owned())];
    }
    let finding = match reasons.as_slice() {
        [only] => Finding::inconclusive("evidence", only.clone()),
        _ => {
            let summary = format!("{} of the sources that a verdict rests on are unsound", reasons.len());
            Finding::inconclusive("evidence", summary).because(reasons)
        }
    };
    vec![finding]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};

    /// The classes that are void, in a run that lost a write.
    fn voided(change: impl FnOnce(&mut Canned)) -> Vec<Class> {
        let mut canned = canned::healthy();
        let op = canned.once(5);
        canned.remove_rows_of(op);
        assert_eq!(canned.judge().verdict, Verdict::Fail, "before the change the loss is sound");
        change(&mut canned);
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judgement.finding("evidence").verdict, Verdict::Inconclusive);
        judgement.classes.iter().filter(|c| c.void.is_some() && c.fails).map(|c| c.class).collect()
    }

    const ON_THE_READER: [Class; 4] = [Class::Corrupt, Class::Lost, Class::Stale, Class::Torn];
    const AT_REST: [Class; 4] = [Class::Stranded, Class::Lost, Class::Stale, Class::Torn];

    #[test]
    fn rows_that_do_not_agree_with_their_count_void_what_rests_on_a_complete_reader() {
        assert_eq!(voided(|c| c.row_set(|set| set.counted += 1)), ON_THE_READER);
    }

    #[test]
    fn an_invisible_marker_voids_what_rests_on_a_complete_reader() {
        assert_eq!(voided(|c| c.row_set(|set| set.marker_seen = false)), ON_THE_READER);
    }

    #[test]
    fn rows_out_of_order_or_of_another_run_void_what_rests_on_a_complete_reader() {
        assert_eq!(voided(|c| c.as_read(|rows| rows.swap(100, 200))), ON_THE_READER);
        let void = voided(|c| c.as_read(|rows| rows.last_mut().unwrap().key += 1 << 32));
        assert!(ON_THE_READER.iter().all(|class| void.contains(class)), "{void:?}");
    }

    #[test]
    fn an_unreadable_database_voids_all_but_the_queue() {
        let gap = |c: &mut Canned| c.state().rows = Source::Gap { why: "database is locked".into() };
        let all = [Class::Unexpected, Class::Corrupt, Class::Phantom, Class::Lost, Class::Stale, Class::Torn];
        assert_eq!(voided(gap), all);
    }

    #[test]
    fn an_unreadable_queue_voids_lost_and_stranded() {
        assert_eq!(voided(|c| c.state().queue = Source::Gap { why: "connection refused".into() }), AT_REST);
    }

    #[test]
    fn a_probe_that_never_saw_anything_voids_lost_and_stranded() {
        assert_eq!(voided(|c| c.blind_the_probe()), AT_REST);
    }

    #[test]
    fn a_target_that_still_drains_voids_what_may_yet_change() {
        for end in [SettleEnd::Undrained, SettleEnd::Blind, SettleEnd::Aborted] {
            assert_eq!(voided(|c| c.state().settle.end = end), AT_REST, "{end:?}");
        }
    }

    #[test]
    fn a_run_without_a_state_is_void_in_every_class() {
        let all = [
            Class::Unexpected,
            Class::Corrupt,
            Class::Phantom,
            Class::Stranded,
            Class::Lost,
            Class::Stale,
            Class::Torn,
        ];
        assert_eq!(voided(|c| c.evidence.state = None), all);
    }

    #[test]
    fn a_torn_ledger_voids_unexpected_and_phantom_and_a_loss_stays_a_loss() {
        let mut canned = canned::healthy();
        canned.tear();
        let op = canned.once(5);
        canned.attempts(|attempts| attempts.truncate(op as usize));
        canned.interrupt_at(op);
        let judgement = canned.judge();
        assert!(judgement.count(Class::Unexpected) > 0, "rows of the attempts that were cut off");
        assert_eq!(judgement.verdict, Verdict::Inconclusive);

        let lost = canned.once(2);
        canned.remove_rows_of(lost);
        let judgement = canned.judge();
        assert_eq!(judgement.finding("integrity").verdict, Verdict::Fail);
        assert!(judgement.class(Class::Unexpected).void.is_some());
        assert!(judgement.class(Class::Phantom).void.is_some());
        assert_eq!(judgement.class(Class::Lost).void, None);
    }

    #[test]
    fn a_sealed_ledger_that_lacks_operations_accuses_no_row_of_being_unexpected() {
        let mut canned = canned::healthy();
        let in_the_middle = canned.once(5);
        canned.attempts(|attempts| attempts.retain(|a| a.op != in_the_middle));
        let judgement = canned.judge();
        assert_eq!(judgement.count(Class::Unexpected), 3);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);

        let mut canned = canned::healthy();
        canned.attempts(|attempts| attempts.truncate(attempts.len() - 20));
        let judgement = canned.judge();
        assert!(judgement.count(Class::Unexpected) > 0);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "nor one that lacks its end");
    }

    #[test]
    fn counters_that_cannot_be_read_hide_private_buffers() {
        let mut canned = canned::in_memory();
        let op = canned.once(5);
        canned.remove_rows_of(op);
        assert_eq!(canned.judge().verdict, Verdict::Fail);
        canned.state().counters = Source::Gap { why: "timed out".into() };
        assert_eq!(canned.judge().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_witness_that_missed_a_row_is_unsound() {
        let mut canned = canned::healthy();
        let op = canned.once(5);
        let key = canned.of(op).key;
        canned.sightings(|sightings| sightings.retain(|seen| (seen.key, seen.preset) != (key, 2)));
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judgement.order, None);
    }

    #[test]
    fn sound_evidence_passes() {
        assert_eq!(canned::healthy().judge().finding("evidence").verdict, Verdict::Pass);
        assert_eq!(canned::in_memory().judge().finding("evidence").verdict, Verdict::Pass);
    }
}
