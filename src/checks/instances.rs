//! Instances: was everybody alive at the end whom nobody had ended, in the slots of the plan and no other? And who was
//! there at any moment.
//!
//! In: the plan's slots (those that the time line adds, too), the roster, the stops, and who answered when the state was
//! read. Out: INCONCLUSIVE where an instance ended by itself (one that was only paused must go on), where a slot was
//! filled that is not the plan's, or where nobody recorded who took part. Instances inside mxctl have no process whose
//! identity could be looked at: they are not passed, and one that is gone is INCONCLUSIVE all the same.
//!
//! # Why
//! A shared buffer gives a dead worker's tasks to the next one, and a balancer its requests: an instance that
//! crashes may lose nothing, and the run would pass over it in silence. But the target that was put to the test was
//! then not the one that the plan describes.

use std::collections::BTreeSet;

use super::{Case, Finding};
use crate::backends::{Instance, InstanceId};
use crate::clock::Offset;
use crate::plan::{Backend, StopMode};
use crate::readback::Source;
use crate::timeline::{Incidents, StopRecord};

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
    let ended_by_plan = |instance: &Instance| stops(incidents).any(|stop| ends(stop) && stop.victim.id == instance.id);
    let roster = || incidents.roster.iter();
    let ended = roster().filter(|instance| !ended_by_plan(instance) && !at_end.contains(instance.name.as_str()));
    let ended: Vec<&str> = ended.map(|instance| instance.name.as_str()).collect();
    let elsewhere = roster().filter(|instance| case.plan.every_slot().all(|slot| *slot != instance.slot));
    let elsewhere: Vec<&str> = elsewhere.map(|instance| instance.name.as_str()).collect();
    vec![match (ended.as_slice(), elsewhere.as_slice()) {
        // Who they are and how they ended is not assessed there: see `assessed`.
        ([], []) if case.plan.target.backend == Backend::InProcess => return Vec::new(),
        ([], []) => Finding::pass("instances", "everybody whom nobody had stopped was alive at the end".to_owned()),
        ([], others) => {
            Finding::inconclusive("instances", format!("{} fill slots that are not the plan's", others.join(", ")))
        }
        (ended, _) => {
            Finding::inconclusive("instances", format!("{} ended, and nobody had stopped it", ended.join(", ")))
        }
    }]
}

fn stops(incidents: &Incidents) -> impl Iterator<Item = &StopRecord> {
    incidents.steps.iter().flat_map(|step| &step.stops)
}

/// Whether the victim is to be gone afterwards.
fn ends(stop: &StopRecord) -> bool {
    stop.mode != StopMode::Pause
}

/// Those who were ready once, and neither ended nor frozen at this moment.
pub(super) fn living(incidents: &Incidents, at: Offset) -> impl Iterator<Item = &Instance> {
    let still = move |stop: &StopRecord| {
        let frozen = stop.frozen.is_some_and(|from| from <= at) && stop.resumed.is_none_or(|until| at < until);
        let ended = stop.exit.map(|exit| exit.at).or(stop.signalled).is_some_and(|ended| ended <= at);
        frozen || ended
    };
    let gone = move |id: InstanceId| stops(incidents).any(|stop| stop.victim.id == id && still(stop));
    incidents.roster.iter().filter(move |instance| ready(incidents, instance.id) <= at && !gone(instance.id))
}

/// When an instance was there for the first time: those of the start, from the load's begin.
pub(super) fn ready(incidents: &Incidents, id: InstanceId) -> Offset {
    let is = |instance: &Option<Instance>| instance.as_ref().is_some_and(|instance| instance.id == id);
    let started = incidents.steps.iter().flat_map(|step| &step.starts).find(|start| is(&start.instance));
    let replaced = stops(incidents).find(|stop| is(&stop.replacement));
    let ready = started.map(|start| start.ready).or(replaced.map(|stop| stop.healed));
    ready.map_or(Offset::ZERO, |ready| ready.unwrap_or(Offset(u64::MAX)))
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
    use super::{Offset, Source, living};
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};
    use crate::plan::Backend;
    use crate::timeline::Incidents;

    fn bury(canned: &mut Canned, name: &str) {
        let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
        counters.retain(|own| own.instance != name);
    }

    #[test]
    fn those_whom_the_timeline_stopped_may_be_gone() {
        for canned in [canned::healthy(), canned::in_memory(), canned::load_test(), canned::scale_out()] {
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
    fn instances_inside_mxctl_are_not_passed_and_one_that_crashed_is_no_pass() {
        let mut canned = canned::load_test();
        canned.plan.target.backend = Backend::InProcess;
        canned.evidence.incidents.roster.iter_mut().for_each(|instance| instance.process = None);
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.findings);
        assert!(judgement.findings.iter().all(|finding| finding.check != "instances"));
        for what in ["How fast the service is", "Processor time and memory", "Identity and exit"] {
            assert!(judgement.not_assessed.iter().any(|told| told.starts_with(what)), "{what}");
        }
        let first = canned.evidence.incidents.roster[0].name.clone();
        bury(&mut canned, &first);
        let judgement = canned.judge();
        assert_eq!(judgement.finding("instances").verdict, Verdict::Inconclusive);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_paused_instance_must_be_alive_at_the_end() {
        let mut canned = canned::scale_out();
        bury(&mut canned, "worker-1.1");
        let judgement = canned.judge();
        assert_eq!(judgement.finding("instances").summary, "worker-1.1 ended, and nobody had stopped it");
    }

    #[test]
    fn an_instance_in_a_slot_that_the_plan_does_not_have_is_no_pass() {
        let mut canned = canned::scale_out();
        assert_eq!(canned.plan.timeline[0].starts.pop().unwrap().slot.to_string(), "api-3");
        let judgement = canned.judge();
        assert_eq!(judgement.finding("instances").summary, "api-3.1 fill slots that are not the plan's");
    }

    #[test]
    fn who_is_frozen_or_gone_is_not_living() {
        let canned = canned::scale_out();
        let at = |seconds: u64| -> Vec<&str> {
            let at = Offset::from_duration(std::time::Duration::from_secs(seconds));
            living(&canned.evidence.incidents, at).map(|instance| instance.name.as_str()).collect()
        };
        assert_eq!(at(5), ["worker-1.1", "worker-2.1", "api-1.1"]);
        assert_eq!(at(15), ["worker-1.1", "worker-2.1", "api-1.1", "api-2.1", "api-3.1"]);
        assert_eq!(at(25), ["worker-2.1", "api-1.1", "api-2.1", "api-3.1"]);
        assert_eq!(at(55), ["worker-1.1", "worker-2.1", "api-1.1", "api-3.1", "api-2.2"]);
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
