//! Poison: operations whose content the database refuses, whoever tries. Where they belong is the dead-letter queue.
//!
//! In: what is known of one such operation. Out: its class.
//!
//! | seen | class |
//! |---|---|
//! | a row with its seq, whatever the row says; a dead letter with another content | corrupt |
//! | refused, and visible anywhere | phantom |
//! | every write in the dead-letter queue, with its payload | dead: as planned |
//! | acknowledged, and a write still ready, leased or delayed | stranded |
//! | acknowledged, and a write nowhere | lost |
//! | unknown, and some writes dead, others nowhere | torn |
//!
//! # Why a row is corrupt
//! No content is right for a row that the table must refuse. One that is there was changed on its way (an amount
//! clamped or made positive), or the table takes what its readers do not expect: either way its seq matches what was
//! asked, and its content is not what the database may hold. It is not "unexpected": the operation was attempted.

use super::super::Class;
use super::{Presence, Seen, Write};
use crate::content;
use crate::load::{Attempt, Outcome};
use crate::readback::Place;

impl Seen<'_> {
    pub(super) fn class_of_poison(&self) -> Class {
        let outcome = self.operation.outcome;
        if outcome == Outcome::NotSent {
            return Class::NotSent;
        }
        if self.any(Write::in_its_row) || self.any(|write| write.dead_with_other_content(&self.operation)) {
            return Class::Corrupt;
        }
        let (nowhere, dead) = (self.any(|w| w.queued.is_none()), self.any(Write::dead));
        let moving = self.any(|w| w.queued.is_some() && !w.dead());
        match outcome {
            Outcome::Refused if dead || moving => Class::Phantom,
            Outcome::Refused | Outcome::NotSent => Class::Refused,
            _ if dead && !moving && !nowhere => Class::Dead,
            Outcome::Acked if moving => Class::Stranded,
            Outcome::Acked => Class::Lost,
            Outcome::Unknown if dead && nowhere => Class::Torn,
            Outcome::Unknown => Class::Unresolved,
        }
    }
}

impl Write<'_> {
    /// The database has it, with whatever content.
    pub fn in_its_row(&self) -> bool {
        matches!(self.presence, Presence::There | Presence::Corrupt)
    }

    pub fn dead(&self) -> bool {
        self.queued.is_some_and(|item| item.place == Place::Dead)
    }

    /// A dead letter that is not this write's: who redrives it later writes something else.
    pub fn dead_with_other_content(&self, operation: &Attempt) -> bool {
        let right = content::poisoned(operation.key, operation.seq.into(), self.preset);
        self.dead() && self.queued.is_some_and(|item| item.costs != Some(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned::{self, Canned};
    use crate::checks::{Judgement, Verdict};
    use crate::load::Lane;
    use crate::readback::{QueuedItem, Row, Source};

    fn judged(change: impl FnOnce(&mut Canned, u64)) -> Judgement {
        let mut canned = canned::poisoned();
        let op = canned.poison(3);
        change(&mut canned, op);
        canned.judge()
    }

    /// The dead letters of one operation.
    fn letters(canned: &mut Canned, op: u64, change: impl FnOnce(&mut Vec<QueuedItem>)) {
        let key = canned.of(op).key;
        canned.queue(|queue| {
            let (mut own, others) = queue.items.drain(..).partition(|item| item.task.is_some_and(|task| task.0 == key));
            change(&mut own);
            queue.items = [own, others].concat();
        });
    }

    #[track_caller]
    fn fails_as(judgement: &Judgement, class: Class) {
        let failing: Vec<_> = judgement.classes.iter().filter(|c| c.fails && c.count > 0).collect();
        assert_eq!(failing.iter().map(|c| (c.class, c.count)).collect::<Vec<_>>(), [(class, 1)]);
        assert_eq!(judgement.verdict, Verdict::Fail);
    }

    fn told(judgement: &Judgement, class: Class) -> &str {
        &judgement.exhibits.iter().find(|exhibit| exhibit.class == class).unwrap().last_seen
    }

    #[test]
    fn poison_in_the_dead_letter_queue_is_dead_as_planned_and_the_run_passes() {
        let canned = canned::poisoned();
        let (judgement, planned) = (canned.judge(), canned.evidence.ledger.attempts());
        assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.complaints());
        let planned = planned.filter(|a| a.lane == Lane::Poison).count() as u64;
        assert!(planned > 500);
        assert_eq!(judgement.count(Class::Dead), planned, "also those whose answer nobody saw");
        let by_hand = judgement.count_by_hand.as_ref().unwrap();
        assert_eq!(by_hand.expected, by_hand.counted);
        assert!(judgement.finding("integrity").summary.contains("dead as planned"));
    }

    #[test]
    fn poison_that_is_in_no_queue_is_lost() {
        let judgement = judged(|c, op| letters(c, op, |own| _ = own.pop()));
        fails_as(&judgement, Class::Lost);
        assert_eq!(told(&judgement, Class::Lost), "not in the database, not in the queue");
        fails_as(&judged(|c, op| letters(c, op, Vec::clear)), Class::Lost);
    }

    #[test]
    fn poison_that_still_waits_is_stranded_also_beside_a_dead_copy_of_itself() {
        for place in [Place::Ready, Place::Leased, Place::Delayed] {
            fails_as(&judged(|c, op| letters(c, op, |own| own[1].place = place)), Class::Stranded);
            let copied = |own: &mut Vec<QueuedItem>| own.push(QueuedItem { place, ..own[1].clone() });
            fails_as(&judged(|c, op| letters(c, op, copied)), Class::Stranded);
        }
    }

    #[test]
    fn poison_with_a_row_is_corrupt_whatever_the_row_says() {
        for costs in [content::costs, content::poisoned] {
            let judgement = judged(|c, op| {
                let (key, written_by) = (c.of(op).key, "worker-2.1");
                c.rows(|rows| rows.push(Row { key, preset: 2, seq: 1, costs: costs(key, 1, 2), written_by }));
                c.plan.target.witness = false;
            });
            fails_as(&judgement, Class::Corrupt);
            assert!(told(&judgement, Class::Corrupt).contains("planned as poison, and"), "{judgement:?}");
            assert!(told(&judgement, Class::Corrupt).contains("written by worker-2.1"));
        }
    }

    #[test]
    fn a_dead_letter_with_another_payload_is_corrupt() {
        for costs in [None, Some([1; 5])] {
            fails_as(&judged(|c, op| letters(c, op, |own| own[0].costs = costs)), Class::Corrupt);
        }
    }

    #[test]
    fn refused_poison_that_is_dead_all_the_same_is_a_phantom() {
        fails_as(&judged(|c, op| c.outcome(op, Outcome::Refused)), Class::Phantom);
    }

    #[test]
    fn poison_without_an_answer_is_dead_torn_or_unresolved() {
        let before = canned::poisoned().judge().count(Class::Dead);
        let whole = judged(|c, op| c.outcome(op, Outcome::Unknown));
        assert_eq!(whole.count(Class::Dead), before);
        let torn = judged(|c, op| {
            c.outcome(op, Outcome::Unknown);
            letters(c, op, |own| _ = own.pop());
        });
        fails_as(&torn, Class::Torn);
        let nowhere = judged(|c, op| {
            c.outcome(op, Outcome::Unknown);
            letters(c, op, Vec::clear);
        });
        assert_eq!((nowhere.count(Class::Unresolved), nowhere.count(Class::Dead)), (1, before - 1));
    }

    #[test]
    fn refused_poison_that_is_nowhere_is_refused() {
        let judgement = judged(|c, op| {
            c.outcome(op, Outcome::Refused);
            letters(c, op, Vec::clear);
        });
        assert_eq!(judgement.count(Class::Refused), 1);
    }

    #[test]
    fn a_queue_that_nobody_could_read_accuses_no_poison() {
        let judgement = judged(|c, _| c.state().queue = Source::Gap { why: "connection refused".into() });
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }
}
