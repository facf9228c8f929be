//! What comes while a shard's thread stands still is heard when it goes on, before anything is given up or sent. Here the
//! thread stands in its alarm for as long as the test says, so that all has happened before it goes on.

use std::sync::Condvar;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

/// Keeps the shard from when it is asked to until it is let go.
#[derive(Debug, Default)]
struct Sleeper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Awake,
    /// It sleeps from its next waking on.
    Tired,
    Asleep,
}

impl Alarm for Sleeper {
    fn woken(&self) {
        if *self.state.lock().unwrap() == State::Tired {
            self.turn(State::Asleep);
            self.until(State::Awake);
        }
    }
}

impl Sleeper {
    fn turn(&self, state: State) {
        *self.state.lock().unwrap() = state;
        self.changed.notify_all();
    }

    /// Blocks this thread.
    fn until(&self, wanted: State) {
        let state = self.state.lock().unwrap();
        let (state, waited) = self.changed.wait_timeout_while(state, DEADLINE, |state| *state != wanted).unwrap();
        assert!(!waited.timed_out(), "{:?} for {DEADLINE:?}, and not {wanted:?}", *state);
    }

    /// The shard's thread sleeps when this returns.
    fn put_to_sleep(&self) {
        self.turn(State::Tired);
        self.until(State::Asleep);
    }

    fn is_asleep(&self) -> bool {
        *self.state.lock().unwrap() == State::Asleep
    }
}

impl Lab {
    fn sleeping(sleeper: &Arc<Sleeper>) -> Lab {
        Lab { alarm: sleeper.clone(), ..Lab::new() }
    }
}

async fn until(what: impl Fn() -> bool) {
    let came = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, came).await.expect("it comes");
}

#[tokio::test]
async fn an_answer_that_came_meanwhile_is_heard_before_its_time_out_burns() {
    let sleeper = Arc::<Sleeper>::default();
    let answers = sleeper.clone();
    // Answered, in time, while the shard sleeps.
    let target = FakeTarget::start(1, move |seen| {
        answers.put_to_sleep();
        acknowledge(seen)
    })
    .await;
    let lab = Lab::sleeping(&sleeper);
    lab.join(&target.endpoint);
    let plan = LoadPlan { request_timeout: Duration::from_secs(2), ..plan(1.0, 1000) };
    let oversleep = async {
        until(|| sleeper.is_asleep()).await;
        // What was sent before it fell asleep is over then.
        tokio::time::sleep_until(lab.clock.instant(lab.clock.now().plus(plan.request_timeout))).await;
        sleeper.turn(State::Awake);
    };
    let [attempt] = lab.drive_while(&plan, oversleep).await[..] else { panic!("one is due") };
    assert_eq!((attempt.outcome, attempt.reason), (Outcome::Acked, Reason::Answer), "{attempt:?}");
    assert!(attempt.done.unwrap().since(attempt.sent.unwrap()) >= plan.request_timeout, "it was late: {attempt:?}");
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_is_not_written_to() {
    let sleeper = Arc::<Sleeper>::default();
    let mut target = FakeTarget::start(1, acknowledge).await;
    let lab = Lab::sleeping(&sleeper);
    lab.join(&target.endpoint);
    let plan = plan(1.0, 2000);
    let killed = async {
        until(|| !target.seen().is_empty()).await;
        sleeper.put_to_sleep();
        target.stop().await;
        // The second one becomes due.
        lab.until_ms(1010).await;
        sleeper.turn(State::Awake);
    };
    let [first, second] = lab.drive_while(&plan, killed).await[..] else { panic!("two are due") };
    assert_eq!((first.outcome, first.reason), (Outcome::Acked, Reason::Answer), "{first:?}");
    assert_eq!((second.outcome, second.reason), (Outcome::Refused, Reason::ConnectRefused), "{second:?}");
}
