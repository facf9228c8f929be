//! Instances: was everybody alive at the end whom nobody had stopped?
//!
//! In: the roster, the stops, and who answered when the state was read. Out: INCONCLUSIVE where an instance ended by
//! itself, or where nobody recorded who took part.
//!
//! # Why
//! A shared buffer gives a dead worker's tasks to the next one, and a balancer its requests: an instance that
//! crashes may lose nothing, and the run would pass over it in silence. But the target that was put to the test was
//! then not the one that the plan describes.

use std::collections::BTreeSet;

use super::{Case, Finding};
use crate::readback::Source;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let incidents = &case.evidence.incidents;
    if incidents.roster.is_empty() {
        let summary = "who took part, and whether the run was told to stop, is not recorded".to_owned();
        return vec![Finding::inconclusive("instances", summary)];
    }
    let at_end = match seen_at_end(case) {
        Seen::These(names) => names,
        Seen::Unknown(why) => {
            let summary = format!("whether an instance ended by itself is not known: {why}");
            return vec![Finding::inconclusive("instances", summary)];
        }
        Seen::NotShown(_) => return Vec::new(),
    };
    let stopped: BTreeSet<_> = incidents.steps.iter().flat_map(|step| &step.stops).map(|stop| stop.victim.id).collect();
    let ended = incidents.roster.iter().filter(|instance| !stopped.contains(&instance.id));
    let ended: Vec<&str> = ended.map(|instance| instance.name.as_str()).filter(|name| !at_end.contains(name)).collect();
    vec![match ended.as_slice() {
        [] => Finding::pass("instances", "everybody whom nobody had stopped was alive at the end".to_owned()),
        ended => Finding::inconclusive("instances", format!("{} ended, and nobody had stopped it", ended.join(", "))),
    }]
}

/// Who answered when the state was read.
pub(super) enum Seen<'a> {
    These(BTreeSet<&'a str>),
    /// They could have been asked, and did not all answer: one that stands still is no better than one that is gone.
    Unknown(&'a str),
    /// This target cannot show it.
    NotShown(&'a str),
}

pub(super) fn seen_at_end<'a>(case: &Case<'a>) -> Seen<'a> {
    match case.evidence.state.as_ref().map(|state| &state.counters) {
        None => Seen::Unknown("the run ended before its state was read"),
        Some(Source::Read(counters)) => Seen::These(counters.iter().map(|own| own.instance.as_str()).collect()),
        Some(Source::Gap { why }) => Seen::Unknown(why),
        Some(Source::Absent { why }) => Seen::NotShown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::Source;
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};
    use crate::timeline::Incidents;

    fn bury(canned: &mut Canned, name: &str) {
        let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
        counters.retain(|own| own.instance != name);
    }

    #[test]
    fn those_whom_the_timeline_stopped_may_be_gone() {
        for canned in [canned::healthy(), canned::in_memory(), canned::load_test()] {
            assert_eq!(canned.judge().finding("instances").verdict, Verdict::Pass);
        }
    }

    /// Nothing is lost: its leases expired, and another worker wrote what it had held.
    #[test]
    fn a_worker_that_ended_by_itself_is_no_pass_though_every_write_is_there() {
        let mut canned = canned::healthy();
        bury(&mut canned, "worker-2.1");
        let judgement = canned.judge();
        let finding = judgement.finding("instances");
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert!(finding.summary.contains("worker-2.1"), "{}", finding.summary);
        assert_eq!(judgement.finding("integrity").verdict, Verdict::Pass);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_replacement_that_ended_by_itself_is_no_pass() {
        let mut canned = canned::healthy();
        bury(&mut canned, "api-1.3");
        assert_eq!(canned.judge().finding("instances").verdict, Verdict::Inconclusive);
    }

    /// As when `incidents.json` is missing from a folder: a load test has no stop whose record one would miss.
    #[test]
    fn a_load_test_without_its_incidents_is_no_pass() {
        let mut canned = canned::load_test();
        canned.evidence.incidents = Incidents::default();
        assert_eq!(canned.judge().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn an_instance_that_does_not_answer_is_no_pass() {
        let mut canned = canned::healthy();
        canned.state().counters = Source::Gap { why: "no answer".into() };
        let judgement = canned.judge();
        let finding = judgement.finding("instances");
        assert!(finding.verdict == Verdict::Inconclusive && finding.summary.contains("no answer"), "{finding:?}");
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn where_nobody_can_be_asked_it_is_not_assessed() {
        let mut canned = canned::healthy();
        canned.state().counters = Source::Absent { why: "no answer".into() };
        let judgement = canned.judge();
        assert!(judgement.findings.iter().all(|finding| finding.check != "instances"));
        assert!(judgement.not_assessed.iter().any(|told| told.contains("ended by itself: no answer")));
    }
}
