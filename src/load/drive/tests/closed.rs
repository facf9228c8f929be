//! A closed loop: how many operations there are is up to the target, so here they are counted as they begin.

use tokio::net::TcpSocket;

use super::*;
use crate::load::ledger::{Begin, Dispatch, End};

/// What one shard began, and how much of it ended how.
#[derive(Debug, Default)]
struct Count {
    begun: usize,
    ended: Vec<(Outcome, Reason)>,
}

impl Recorder for Count {
    type Closed = Count;

    fn begin(&mut self, _: &Begin) -> Result<(), LedgerError> {
        self.begun += 1;
        Ok(())
    }

    fn dispatched(&mut self, _: u64, _: &Dispatch) {}

    fn finish(&mut self, _: u64, end: &End) {
        self.ended.push((end.outcome, end.reason));
    }

    fn end_open(&mut self, _: Offset) {
        assert_eq!(self.begun, self.ended.len(), "something is left open");
    }

    fn close(self, _: Offset) -> Result<Count, LedgerError> {
        Ok(self)
    }
}

impl Lab {
    /// Drives so many at a time to the end; gives how each that began has ended.
    async fn drive_closed(&self, plan: &LoadPlan, at_once: u32) -> Vec<(Outcome, Reason)> {
        let Lab { endpoints, clock, alarm, stop, .. } = self;
        let plan = &LoadPlan { closed: Some(at_once), connections: at_once, ..plan.clone() };
        let dialogue = Arc::new(ServiceDialogue { api_version: "v5".to_owned() });
        let alarm = alarm.clone();
        let load = Load { plan, run: RUN, dialogue, endpoints, clock, alarm, watch: &Unwatched, stop };
        let driven = drive_into(load, |_| Ok(Count::default())).await.unwrap();
        driven.recorded.into_iter().flat_map(|count| count.ended).collect()
    }
}

#[tokio::test]
async fn after_an_interrupt_nothing_is_issued_though_what_is_open_ends() {
    const INTERRUPTED_BY: u64 = 20;
    for (at_once, shards) in [(1, 1), (4, 1), (4, 2)] {
        let lab = Lab::new();
        let stop = lab.stop.clone();
        // Its own answer comes after the interrupt, and makes another one due, or does not.
        let target = FakeTarget::start(1, move |seen| {
            if seen.nth == INTERRUPTED_BY {
                stop.signalled(2);
            }
            acknowledge(seen)
        })
        .await;
        lab.join(&target.endpoint);
        let plan = LoadPlan { shards, ..plan(1.0, 600_000) };
        let ended = lab.drive_closed(&plan, at_once).await;
        assert!(ended.iter().all(|end| *end == (Outcome::Acked, Reason::Answer)), "{ended:?}");
        // The others may have been on their way meanwhile.
        let issued = INTERRUPTED_BY as usize..INTERRUPTED_BY as usize + at_once as usize;
        assert!(issued.contains(&ended.len()), "{} of {at_once} at once in {shards} shards", ended.len());
    }
}

/// A port of ours at which nobody listens.
fn refusing() -> (TcpSocket, Endpoint) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, Endpoint { id: InstanceId(1), addr })
}

#[tokio::test]
async fn a_target_that_refuses_is_asked_less_and_less_often() {
    let (_socket, endpoint) = refusing();
    for (at_once, shards) in [(4, 1), (4, 2), (50, 1)] {
        let lab = Lab { endpoints: Endpoints::fixed(endpoint.clone()), ..Lab::new() };
        let ended = lab.drive_closed(&LoadPlan { shards, ..plan(1.0, 1000) }, at_once).await;
        assert!(ended.iter().all(|end| *end == (Outcome::Refused, Reason::ConnectRefused)), "{ended:?}");
        // Each place at 0, 10, 30, 70, 150, 310 and 630 ms, or later.
        let at_once = at_once as usize;
        assert!((at_once + 1..=7 * at_once).contains(&ended.len()), "{} of {at_once} at once", ended.len());
    }
}

#[tokio::test]
async fn a_target_that_comes_back_is_asked_as_before() {
    const ENOUGH: u64 = 200;
    let lab = Lab::new();
    let stop = lab.stop.clone();
    let mut target = FakeTarget::start(1, move |seen| {
        if seen.nth == ENOUGH {
            stop.signalled(2);
        }
        acknowledge(seen)
    })
    .await;
    target.stop().await;
    let lab = Lab { endpoints: Endpoints::fixed(target.endpoint.clone()), ..lab };
    let plan = plan(1.0, 600_000);
    let back = async {
        lab.until_ms(200).await;
        target.start_again().await;
    };
    let (ended, ()) = tokio::join!(lab.drive_closed(&plan, 2), back);
    let acked = ended.iter().filter(|(outcome, _)| *outcome == Outcome::Acked).count();
    assert!(acked as u64 >= ENOUGH && acked < ended.len(), "{acked} of {}", ended.len());
}
