//! Whole loads against scripted targets: what the ledger says afterwards, from its recorded times.

mod asleep;
mod closed;
mod torture;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::*;
use crate::backends::{Endpoint, InstanceId};
use crate::load::alarm::{Alarm, Timer};
use crate::load::dialogue::ServiceDialogue;
use crate::load::fake_target::{FakeTarget, FullDoor, Reply, Seen, acknowledge, answer};
use crate::load::latency::LaneHistograms;
use crate::load::ledger::{Attempt, Outcome, Reason, Soundness};
use crate::load::pacer::Pacer;
use crate::load::{Operations, test_plan};
use crate::plan::Mix;
use crate::watch::Unwatched;

const RUN: RunKey = RunKey { number: 7, seed: 11 };
const MIXED: Mix = Mix { write_once: 600, hot_key: 300, read: 100, poison: 0, request: 0 };

/// What a load needs besides its plan and its targets.
struct Lab {
    folder: tempfile::TempDir,
    endpoints: Endpoints,
    clock: RunClock,
    alarm: Arc<dyn Alarm>,
    stop: Stop,
}

impl Lab {
    fn new() -> Lab {
        let (folder, clock) = (tempfile::tempdir().unwrap(), RunClock::starting_in(Duration::from_millis(50)));
        Lab { folder, endpoints: Endpoints::default(), clock, alarm: Arc::new(Timer), stop: Stop::new() }
    }

    fn with(targets: &[&FakeTarget]) -> Lab {
        let lab = Lab::new();
        targets.iter().for_each(|target| lab.join(&target.endpoint));
        lab
    }

    fn join(&self, endpoint: &Endpoint) {
        self.endpoints.add(endpoint.clone());
        self.probe(endpoint.id);
    }

    /// A good probe that began after whatever happened until now.
    fn probe(&self, id: InstanceId) {
        let now = self.clock.now().plus(Duration::from_nanos(1));
        self.endpoints.probed(id, true, now, now);
    }

    async fn try_drive(&self, plan: &LoadPlan, watch: &dyn Watch) -> Result<Ledger, LoadError> {
        let Lab { folder, endpoints, clock, alarm, stop } = self;
        let dialogue = Arc::new(ServiceDialogue { api_version: "v5".to_owned() });
        let load = Load { plan, run: RUN, dialogue, endpoints, clock, alarm: alarm.clone(), watch, stop };
        drive(load, folder.path()).await.map(|driven| driven.recorded)
    }

    /// Drives to the end; every ledger must be sealed and hold what the pacer says, each operation once.
    async fn drive(&self, plan: &LoadPlan) -> Vec<Attempt> {
        let ledger = self.try_drive(plan, &Unwatched).await.unwrap();
        assert_eq!(ledger.soundness(), &Soundness::Sealed);
        let attempts: Vec<_> = ledger.attempts().collect();
        let due = Timetable::of(plan).due_before(ledger.issued_until());
        let planned: Vec<_> = Operations::new(RUN, plan).take(due as usize).collect();
        assert!(
            attempts
                .iter()
                .map(|a| (a.op, a.lane, a.key, a.seq))
                .eq(planned.iter().map(|op| (op.index, op.lane, op.key, op.seq)))
        );
        attempts.iter().for_each(assert_times_in_order);
        attempts
    }

    /// Drives while `act` happens.
    async fn drive_while(&self, plan: &LoadPlan, act: impl Future<Output = ()>) -> Vec<Attempt> {
        tokio::join!(self.drive(plan), act).0
    }

    /// Drives while every instance that was ejected comes back soon.
    async fn drive_with_prober(&self, plan: &LoadPlan, ids: &[InstanceId]) -> Vec<Attempt> {
        let probe = async {
            loop {
                ids.iter().for_each(|id| self.probe(*id));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            attempts = self.drive(plan) => attempts,
            () = probe => unreachable!("a prober never ends"),
        }
    }

    async fn until_ms(&self, ms: u64) {
        tokio::time::sleep_until(self.clock.instant(at_ms(ms))).await;
    }
}

fn at_ms(ms: u64) -> Offset {
    Offset::from_duration(Duration::from_millis(ms))
}

fn assert_times_in_order(attempt: &Attempt) {
    let done = attempt.done.expect("a sealed ledger knows how everything ended");
    let times = [attempt.due, attempt.woke, attempt.free, attempt.sent.unwrap_or(attempt.free), done];
    assert!(times.is_sorted(), "{attempt:?}");
}

fn plan(rps: f64, ms: u64) -> LoadPlan {
    test_plan::load(rps, Duration::from_millis(ms))
}

fn all_acked(attempts: &[Attempt]) -> bool {
    attempts.iter().all(|a| (a.outcome, a.reason) == (Outcome::Acked, Reason::Answer))
}

#[tokio::test]
async fn every_operation_that_was_due_is_sent_once_and_acknowledged() {
    let target = FakeTarget::start(1, acknowledge).await;
    let plan = LoadPlan { mix: MIXED, ..plan(400.0, 500) };
    let attempts = Lab::with(&[&target]).drive(&plan).await;
    assert_eq!(attempts.len(), 200);
    assert!(all_acked(&attempts), "{attempts:?}");
    let mut seen: Vec<_> = target.seen().into_iter().map(|s| (s.is_write, s.key, s.seq)).collect();
    let mut sent: Vec<_> = attempts.iter().map(|a| (a.lane.writes(), a.key, a.seq)).collect();
    seen.sort_unstable();
    sent.sort_unstable();
    assert_eq!(seen, sent);
    let codes: BTreeSet<_> = attempts.iter().map(|a| (a.lane.writes(), a.status)).collect();
    assert_eq!(codes, BTreeSet::from([(true, 202), (false, 200)]));
    assert!(attempts.iter().all(|a| a.instance == InstanceId(1) && a.attempt == 1));
}

#[tokio::test]
async fn the_same_seed_makes_the_same_operations_and_shards_partition_them() {
    let target = FakeTarget::start(1, acknowledge).await;
    let one = LoadPlan { mix: MIXED, ..plan(500.0, 300) };
    let three = LoadPlan { shards: 3, ..one.clone() };
    let of = |attempts: Vec<Attempt>| attempts.iter().map(|a| (a.op, a.lane, a.key, a.seq)).collect::<Vec<_>>();
    let (lab_of_one, lab_of_three) = (Lab::with(&[&target]), Lab::with(&[&target]));
    let (one, three) = (lab_of_one.drive(&one).await, lab_of_three.drive(&three).await);
    assert!(all_acked(&one) && all_acked(&three));
    assert_eq!(of(one), of(three));
    assert_eq!(std::fs::read_dir(lab_of_three.folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn all_shards_together_open_no_more_connections_than_the_plan_has() {
    let target =
        FakeTarget::start(1, |seen| Reply::After(Duration::from_millis(200), Box::new(acknowledge(seen)))).await;
    let plan = LoadPlan { shards: 4, connections: 3, ..plan(100.0, 300) };
    let lab = Lab::with(&[&target]);
    assert!(all_acked(&lab.drive(&plan).await));
    assert_eq!(target.connections(), 3);
    assert_eq!(std::fs::read_dir(lab.folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn every_row_of_the_outcome_table_is_told_apart() {
    let raw = |bytes: &str| bytes.as_bytes().to_vec();
    let table: Vec<(Reply, (Outcome, Reason, u16))> = vec![
        (answer("503 Busy", r#"{"stored":false}"#), (Outcome::Refused, Reason::NotStored, 503)),
        (answer("503 Busy", "{}"), (Outcome::Unknown, Reason::Answer, 503)),
        (answer("504 Timeout", r#"{"accepted":false}"#), (Outcome::Unknown, Reason::Answer, 504)),
        (answer("202 Accepted", r#"{"accepted":true,"key":1,"seq":1}"#), (Outcome::Unknown, Reason::WrongEcho, 202)),
        (answer("404 Not Found", ""), (Outcome::Unknown, Reason::Answer, 404)),
        (Reply::Close, (Outcome::Unknown, Reason::Reset, 0)),
        (Reply::Reset, (Outcome::Unknown, Reason::Reset, 0)),
        (Reply::Never, (Outcome::Unknown, Reason::TimedOut, 0)),
        (
            Reply::SendAndClose(raw("HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{")),
            (Outcome::Unknown, Reason::BadAnswer, 0),
        ),
        (Reply::Send(raw("SMTP ready\r\n")), (Outcome::Unknown, Reason::BadAnswer, 0)),
        (
            Reply::Send(raw("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}{}")),
            (Outcome::Unknown, Reason::BadAnswer, 0),
        ),
    ];
    let plan = LoadPlan { request_timeout: Duration::from_secs(1), ..plan(50.0, 440) };
    let hot_keys = u64::from(plan.hot_keys);
    let replies: Vec<_> = table.iter().map(|(reply, _)| reply.clone()).collect();
    // Even operations meet the table, odd ones a healthy service.
    let script = move |seen: &Seen| match (seen.key & u64::from(u32::MAX)) - hot_keys {
        n if n % 2 == 0 => replies[n as usize / 2].clone(),
        _ => acknowledge(seen),
    };
    let target = FakeTarget::start(1, script).await;
    let lab = Lab::with(&[&target]);
    let attempts = lab.drive_with_prober(&plan, &[target.endpoint.id]).await;
    assert_eq!(attempts.len(), 2 * table.len());
    for (n, attempt) in attempts.iter().enumerate() {
        let expected = if n % 2 == 0 { table[n / 2].1 } else { (Outcome::Acked, Reason::Answer, 202) };
        assert_eq!((attempt.outcome, attempt.reason, attempt.status), expected, "{attempt:?}");
        if attempt.reason == Reason::TimedOut {
            assert!(attempt.done.unwrap().since(attempt.sent.unwrap()) >= plan.request_timeout);
        }
    }
    let reasons: BTreeSet<_> = lab.endpoints.ejections().into_iter().map(|e| e.why).collect();
    assert_eq!(reasons, BTreeSet::from(["eof".to_owned(), "reset".to_owned()]));
}

#[tokio::test]
async fn a_refused_connect_is_refused_and_ejects_its_instance() {
    let mut gone = FakeTarget::start(1, acknowledge).await;
    gone.stop().await;
    let target = FakeTarget::start(2, acknowledge).await;
    let lab = Lab::with(&[&gone, &target]);
    let attempts = lab.drive(&plan(100.0, 500)).await;
    let (refused, sent): (Vec<&Attempt>, Vec<&Attempt>) = attempts.iter().partition(|a| a.instance == gone.endpoint.id);
    assert!(!refused.is_empty());
    for attempt in refused {
        assert_eq!((attempt.outcome, attempt.reason), (Outcome::Refused, Reason::ConnectRefused));
        assert_eq!(attempt.sent, None);
    }
    assert!(sent.iter().all(|a| a.outcome == Outcome::Acked));
    let [ejection] = &lab.endpoints.ejections()[..] else { panic!("one instance is ejected once") };
    assert_eq!((ejection.id, ejection.why.as_str()), (gone.endpoint.id, "refused"));
    assert!(attempts.iter().filter(|a| a.woke > ejection.at).all(|a| a.outcome == Outcome::Acked));
}

#[tokio::test]
async fn a_connect_that_nobody_answers_is_refused_when_its_time_is_over_and_makes_room_for_the_next() {
    let door = FullDoor::new().await;
    let endpoint = Endpoint { id: InstanceId(1), addr: door.addr };
    let lab = Lab { endpoints: Endpoints::fixed(endpoint), ..Lab::new() };
    let timeout = Duration::from_millis(200);
    // Left alone, the kernel tries for two minutes.
    let (gives_up, grace) = (Duration::from_secs(60), Duration::from_secs(600));
    let plan = LoadPlan { connections: 4, request_timeout: timeout, grace, ..plan(50.0, 200) };
    let attempts = lab.drive(&plan).await;
    assert_eq!(attempts.len(), 10);
    for attempt in attempts {
        assert_eq!((attempt.outcome, attempt.reason, attempt.sent), (Outcome::Refused, Reason::ConnectRefused, None));
        assert!((timeout..gives_up).contains(&attempt.done.unwrap().since(attempt.due)), "{attempt:?}");
    }
}

#[tokio::test]
async fn an_instance_that_stays_and_spoils_every_new_connection_is_connected_to_once_for_each_operation() {
    let target = FakeTarget::start(1, acknowledge).await.greeting(b"HTTP/1.1 202 Accepted\r\n\r\n");
    let lab = Lab { endpoints: Endpoints::fixed(target.endpoint.clone()), ..Lab::new() };
    let attempts = lab.drive(&plan(50.0, 400)).await;
    // Before the greeting was heard a request may have been written.
    assert!(attempts.iter().all(|a| matches!(a.outcome, Outcome::Refused | Outcome::Unknown)), "{attempts:?}");
    assert!(target.connections() <= attempts.len() as u64, "{} for {}", target.connections(), attempts.len());
}

#[tokio::test]
async fn a_stall_shows_in_all_operations_that_were_due_in_it() {
    const STALL: Duration = Duration::from_millis(300);
    let plan = LoadPlan { connections: 5, ..plan(100.0, 1000) };
    let lab = Lab::new();
    let (clock, stalled) = (lab.clock.clone(), Arc::new(OnceLock::<Offset>::new()));
    let began = stalled.clone();
    let target = FakeTarget::start(1, move |seen| {
        if seen.nth == 30 {
            began.set(clock.now()).unwrap();
        }
        let left = began.get().map_or(Duration::ZERO, |at| at.plus(STALL).since(clock.now()));
        Reply::After(left, Box::new(acknowledge(seen)))
    })
    .await;
    lab.join(&target.endpoint);
    let attempts = lab.drive(&plan).await;
    assert!(all_acked(&attempts));
    let (from, to) = (*stalled.get().unwrap(), stalled.get().unwrap().plus(STALL));
    let due_in_stall: Vec<_> = attempts.iter().filter(|a| (from..to).contains(&a.due)).collect();
    assert!(due_in_stall.len() >= 29);
    for attempt in &due_in_stall {
        // Five were sent into the stall, the others waited for a connection: all of them until its end.
        assert!(attempt.done.unwrap() >= to, "{attempt:?}");
    }
    let mut lane = LaneHistograms::default();
    attempts.iter().for_each(|attempt| lane.record(attempt, plan.request_timeout));
    assert!(lane.response.percentiles().p99 >= 285.0, "{:?}", lane.response.percentiles());
    assert!(lane.response.percentiles().p90 >= 190.0, "{:?}", lane.response.percentiles());
    assert!(lane.waited.percentiles().p90 >= 100.0, "{:?}", lane.waited.percentiles());
}

#[tokio::test]
async fn jobs_that_wait_for_an_ejected_instance_move_to_the_others() {
    let frozen = FakeTarget::start(1, |_| Reply::Never).await;
    let target = FakeTarget::start(2, acknowledge).await;
    let lab = Lab::with(&[&frozen, &target]);
    let plan = LoadPlan { connections: 1, request_timeout: Duration::from_secs(10), ..plan(100.0, 600) };
    let plan = LoadPlan { grace: Duration::from_millis(500), ..plan };
    let ejected = Mutex::new(Offset::ZERO);
    let eject = async {
        lab.until_ms(300).await;
        *ejected.lock().unwrap() = lab.clock.now();
        lab.endpoints.eject(frozen.endpoint.id, lab.clock.now(), "probe");
    };
    let attempts = lab.drive_while(&plan, eject).await;
    let (stuck, acked): (Vec<&Attempt>, Vec<&Attempt>) =
        attempts.iter().partition(|a| a.instance == frozen.endpoint.id);
    assert_eq!(stuck.len(), 1);
    assert_eq!((stuck[0].op, stuck[0].outcome, stuck[0].reason), (0, Outcome::Unknown, Reason::Open));
    assert!(acked.iter().all(|a| a.outcome == Outcome::Acked && a.instance == target.endpoint.id));
    // Every second one had been dealt to the frozen instance, and could be sent only after the ejection.
    let ejected = *ejected.lock().unwrap();
    let moved = attempts.iter().filter(|a| a.op > 0 && a.op % 2 == 0 && a.woke < ejected);
    assert!(moved.clone().count() >= 10);
    assert!(moved.clone().all(|a| a.sent.unwrap() >= ejected));
}

#[tokio::test]
async fn a_killed_instance_costs_only_what_was_sent_to_it() {
    let mut victim = FakeTarget::start(1, acknowledge).await;
    let target = FakeTarget::start(2, acknowledge).await;
    let (victim_id, lab) = (victim.endpoint.id, Lab::with(&[&victim, &target]));
    let kill = async {
        lab.until_ms(300).await;
        victim.stop().await;
    };
    let attempts = lab.drive_while(&plan(200.0, 600), kill).await;
    assert!(attempts.iter().all(|a| a.outcome == Outcome::Acked || a.instance == victim_id));
    let ejections = lab.endpoints.ejections();
    assert_eq!(ejections.iter().map(|e| e.id).collect::<Vec<_>>(), [victim_id]);
    assert!(attempts.iter().filter(|a| a.woke > ejections[0].at).all(|a| a.instance == target.endpoint.id));
}

#[tokio::test]
async fn a_target_that_closes_idle_connections_gives_no_failed_request() {
    let close_after = |seen: &_| Reply::Then(Box::new(acknowledge(seen)), Box::new(Reply::Close));
    let target = FakeTarget::start(1, close_after).await;
    let lab = Lab::with(&[&target]);
    let attempts = lab.drive(&plan(20.0, 500)).await;
    assert!(all_acked(&attempts), "{attempts:?}");
    assert_eq!(target.connections(), 10);
    assert_eq!(lab.endpoints.ejections(), []);
}

#[tokio::test]
async fn a_connection_that_ended_with_its_answer_is_not_written_to_although_jobs_wait() {
    let ack_and_end = |seen: &Seen| {
        let Reply::Send(bytes) = acknowledge(seen) else { panic!("an acknowledgement is one write") };
        Reply::After(Duration::from_millis(20), Box::new(Reply::SendWithEnd(bytes)))
    };
    let target = FakeTarget::start(1, ack_and_end).await;
    let lab = Lab::with(&[&target]);
    // One connection and twice its rate: the next job is taken in the moment of the answer.
    let attempts = lab.drive(&LoadPlan { connections: 1, ..plan(100.0, 300) }).await;
    assert!(all_acked(&attempts), "{attempts:?}");
    assert_eq!(target.connections(), 30);
    assert_eq!(lab.endpoints.ejections(), []);
}

#[tokio::test]
async fn a_connection_whose_answer_says_close_is_not_used_again() {
    let close = |seen: &Seen| {
        let body = format!(r#"{{"accepted":true,"key":{},"seq":{}}}"#, seen.key, seen.seq);
        let head = format!("HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        // The target is slow to close: whoever wrote again would be lost.
        Reply::Then(Box::new(Reply::Send((head + &body).into_bytes())), Box::new(Reply::Never))
    };
    let target = FakeTarget::start(1, close).await;
    let attempts = Lab::with(&[&target]).drive(&plan(50.0, 400)).await;
    assert!(all_acked(&attempts));
    assert_eq!(target.connections(), 20);
}

#[tokio::test]
async fn what_a_target_says_unasked_acknowledges_nothing() {
    let target =
        FakeTarget::start(1, acknowledge).await.greeting(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let lab = Lab::with(&[&target]);
    let plan = LoadPlan { request_timeout: Duration::from_millis(200), ..plan(50.0, 300) };
    let attempts = lab.drive_with_prober(&plan, &[target.endpoint.id]).await;
    assert!(attempts.iter().all(|a| matches!(a.outcome, Outcome::Unknown | Outcome::NotSent)), "{attempts:?}");
}

#[tokio::test]
async fn without_an_instance_an_operation_is_not_sent_after_its_time_out() {
    let plan = LoadPlan { request_timeout: Duration::from_millis(100), ..plan(100.0, 200) };
    for attempt in Lab::new().drive(&plan).await {
        assert_eq!((attempt.outcome, attempt.reason), (Outcome::NotSent, Reason::NoInstance));
        assert_eq!((attempt.sent, attempt.instance), (None, InstanceId::NONE));
        assert!(attempt.done.unwrap().since(attempt.due) >= plan.request_timeout);
    }
}

#[tokio::test]
async fn an_operation_waits_for_the_first_instance() {
    let target = FakeTarget::start(1, acknowledge).await;
    let lab = Lab::new();
    let arrival = async {
        lab.until_ms(200).await;
        lab.join(&target.endpoint);
    };
    let attempts = lab.drive_while(&plan(100.0, 300), arrival).await;
    assert!(all_acked(&attempts));
    assert!(attempts[0].sent.unwrap() >= at_ms(200));
}

#[tokio::test]
async fn what_is_open_after_the_grace_is_unknown_and_what_never_got_a_connection_was_not_sent() {
    let target = FakeTarget::start(1, |_| Reply::Never).await;
    let plan = LoadPlan { connections: 2, request_timeout: Duration::from_secs(60), ..plan(100.0, 200) };
    let plan = LoadPlan { grace: Duration::from_millis(100), ..plan };
    let attempts = Lab::with(&[&target]).drive(&plan).await;
    let (open, waited) = attempts.split_at(2);
    assert!(open.iter().all(|a| (a.outcome, a.reason) == (Outcome::Unknown, Reason::Open)));
    assert!(waited.iter().all(|a| (a.outcome, a.reason) == (Outcome::NotSent, Reason::LoadOver)));
    assert!(attempts.iter().all(|a| a.done.unwrap() >= at_ms(300)));
}

#[tokio::test]
async fn an_interrupt_ends_issuing_everywhere_at_one_moment() {
    let target = FakeTarget::start(1, acknowledge).await;
    let lab = Lab::with(&[&target]);
    let plan = LoadPlan { shards: 2, ..plan(1000.0, 600_000) };
    let interrupt = async {
        lab.until_ms(300).await;
        lab.stop.signalled(2);
    };
    // `Lab::drive` compares with what was due before the moment that the ledger names.
    let attempts = lab.drive_while(&plan, interrupt).await;
    assert!(all_acked(&attempts));
    let ledger = Ledger::open(lab.folder.path()).unwrap();
    assert!((at_ms(290)..at_ms(60_000)).contains(&ledger.issued_until()), "{}", ledger.issued_until());
    assert!(attempts.len() >= 290);
}

#[tokio::test]
async fn an_abort_waits_for_nothing() {
    let target = FakeTarget::start(1, |_| Reply::Never).await;
    let lab = Lab::with(&[&target]);
    let plan =
        LoadPlan { shards: 2, connections: 4, request_timeout: Duration::from_secs(600), ..plan(200.0, 600_000) };
    let plan = LoadPlan { grace: Duration::from_secs(600), ..plan };
    let abort = async {
        lab.until_ms(200).await;
        lab.stop.signalled(2);
        lab.stop.signalled(2);
    };
    let attempts = lab.drive_while(&plan, abort).await;
    let of = |outcome| attempts.iter().filter(|a| a.outcome == outcome).count();
    assert_eq!(of(Outcome::Unknown), 4);
    assert_eq!(of(Outcome::NotSent), attempts.len() - 4);
}

#[tokio::test]
async fn the_watch_sees_every_operation_in_some_second() {
    #[derive(Default)]
    struct Seconds(Mutex<Vec<crate::watch::Second>>);
    impl Watch for Seconds {
        fn event(&self, event: Event) {
            if let Event::Second(second) = event {
                self.0.lock().unwrap().push(second);
            }
        }
    }
    let target = FakeTarget::start(1, acknowledge).await;
    let (lab, seconds) = (Lab::with(&[&target]), Seconds::default());
    let plan = LoadPlan { shards: 2, ..plan(200.0, 1500) };
    let ledger = lab.try_drive(&plan, &seconds).await.unwrap();
    let seconds = seconds.0.into_inner().unwrap();
    let sum = |of: fn(&crate::watch::Second) -> u64| seconds.iter().map(of).sum::<u64>();
    assert_eq!((sum(|s| s.due), sum(|s| s.sent), sum(|s| s.acked), sum(|s| s.errors)), (300, 300, 300, 0));
    assert!(seconds.len() >= 2 && seconds.is_sorted_by_key(|s| s.at));
    assert!(seconds[0].response_ms_p99 > 0.0);
    assert_eq!(ledger.attempts().count(), 300);
}

#[tokio::test]
async fn a_folder_that_holds_a_ledger_is_not_overwritten() {
    let lab = Lab::new();
    let plan = LoadPlan { request_timeout: Duration::from_millis(1), ..plan(100.0, 20) };
    lab.drive(&plan).await;
    let again = lab.try_drive(&plan, &Unwatched).await;
    assert!(matches!(again, Err(LoadError::Ledger(LedgerError::Create { .. }))));
    assert_eq!(Ledger::open(lab.folder.path()).unwrap().soundness(), &Soundness::Sealed);
}

#[tokio::test]
async fn more_operations_than_keys_are_an_error() {
    let outcome = Lab::new().try_drive(&plan(1e9, 10_000), &Unwatched).await;
    assert!(matches!(outcome, Err(LoadError::TooMany { due: 10_000_000_000 })));
}
