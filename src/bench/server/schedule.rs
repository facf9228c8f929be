//! The script's windows on the server's clock: what is done at a moment. Pure: no clock inside.
//!
//! In: a [`Script`] and the arrival of the first request. Out: the [`DoorState`], and for an answer the moment
//! at which it may leave.

use crate::clock::Offset;

use super::script::{Script, Window};

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorState {
    Open,
    /// They are taken, and not read.
    Blackholed,
    /// They are reset, and new ones refused.
    Refusing,
}

/// From `begin` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    begin: Offset,
    end: Offset,
}

impl Span {
    fn holds(&self, at: Offset) -> bool {
        self.begin <= at && at < self.end
    }
}

/// Before the first request nothing is scheduled: that is the default.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// Nothing is answered: stalls and blackholes, in order, none of them touching another.
    silent: Vec<Span>,
    blackholes: Vec<Span>,
    refusals: Vec<Span>,
}

impl Schedule {
    pub fn of(script: &Script, first_arrival: Offset) -> Schedule {
        let spans = |windows: &[Window]| merged(windows, first_arrival);
        Schedule {
            silent: spans(&[&script.stalls[..], &script.blackholes].concat()),
            blackholes: spans(&script.blackholes),
            refusals: spans(&script.refusals),
        }
    }

    /// Where windows overlap, refusing is the stronger.
    pub fn door(&self, at: Offset) -> DoorState {
        let within = |spans: &[Span]| spans.iter().any(|span| span.holds(at));
        match (within(&self.refusals), within(&self.blackholes)) {
            (true, _) => DoorState::Refusing,
            (false, true) => DoorState::Blackholed,
            (false, false) => DoorState::Open,
        }
    }

    /// When an answer leaves that is due then: at once, or at the end of the silence. Never goes back as `due` goes on.
    pub fn leaves(&self, due: Offset) -> Offset {
        self.silent.iter().find(|span| span.holds(due)).map_or(due, |span| span.end)
    }

    /// The next moment at which the door may change.
    pub fn next_turn(&self, after: Offset) -> Option<Offset> {
        let spans = self.blackholes.iter().chain(&self.refusals);
        spans.flat_map(|span| [span.begin, span.end]).filter(|turn| *turn > after).min()
    }
}

/// Windows that overlap or touch become one.
fn merged(windows: &[Window], zero: Offset) -> Vec<Span> {
    let span = |window: &Window| Span { begin: zero.plus(window.at), end: zero.plus(window.at).plus(window.lasts) };
    let mut spans: Vec<Span> = windows.iter().map(span).collect();
    spans.sort_by_key(|span| span.begin);
    spans.dedup_by(|next, before| {
        let touches = next.begin <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Written;
    use proptest::prelude::*;

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| Window::read(text).unwrap()).collect()
    }

    fn ms(ms: u64) -> Offset {
        Offset(ms * 1_000_000)
    }

    /// The first request came 100 ms after the start.
    fn schedule(stalls: &[&str], blackholes: &[&str], refusals: &[&str]) -> Schedule {
        let (stalls, blackholes, refusals) = (windows(stalls), windows(blackholes), windows(refusals));
        Schedule::of(&Script { stalls, blackholes, refusals, ..Script::default() }, ms(100))
    }

    #[test]
    fn an_answer_that_is_due_in_a_stall_leaves_at_its_end() {
        let schedule = schedule(&["2s:1s"], &[], &[]);
        for (due, leaves) in [(100, 100), (2099, 2099), (2100, 3100), (3099, 3100), (3100, 3100), (9000, 9000)] {
            assert_eq!(schedule.leaves(ms(due)), ms(leaves), "due at {due} ms");
        }
        assert_eq!(schedule.door(ms(2500)), DoorState::Open);
        assert_eq!(schedule.next_turn(ms(0)), None);
    }

    #[test]
    fn stalls_that_touch_are_one() {
        let schedule = schedule(&["4s:1s", "2s:1s", "3s:500ms"], &["3500ms:500ms"], &[]);
        assert_eq!(schedule.leaves(ms(2200)), ms(5100));
    }

    #[test]
    fn a_blackhole_is_silent_too_and_a_refusal_is_stronger() {
        let schedule = schedule(&[], &["1s:3s"], &["2s:1s"]);
        let doors = [1000, 1100, 2100, 3100, 4100].map(|at| schedule.door(ms(at)));
        assert_eq!(
            doors,
            [DoorState::Open, DoorState::Blackholed, DoorState::Refusing, DoorState::Blackholed, DoorState::Open]
        );
        assert_eq!(schedule.leaves(ms(1100)), ms(4100));
        let turns = [0, 1100, 2100, 3100].map(|after| schedule.next_turn(ms(after)));
        assert_eq!(turns, [1100, 2100, 3100, 4100].map(|turn| Some(ms(turn))));
        assert_eq!(schedule.next_turn(ms(4100)), None);
    }

    #[test]
    fn nothing_is_scheduled_before_the_first_request() {
        let unbegun = Schedule::default();
        assert_eq!(
            (unbegun.door(ms(5)), unbegun.leaves(ms(5)), unbegun.next_turn(ms(0))),
            (DoorState::Open, ms(5), None)
        );
    }

    proptest! {
        /// The server's queue of held answers rests on it: what came first leaves first.
        #[test]
        fn answers_never_overtake(
            stalls in prop::collection::vec((0..5000_u64, 1..2000_u64), 0..6),
            one in 0..9000_u64, later in 0..500_u64,
        ) {
            let window = |(at, lasts)| format!("{at}ms:{lasts}ms");
            let texts: Vec<String> = stalls.into_iter().map(window).collect();
            let schedule = schedule(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &[], &[]);
            prop_assert!(schedule.leaves(ms(one)) <= schedule.leaves(ms(one + later)));
            prop_assert!(schedule.leaves(ms(one)) >= ms(one));
        }
    }
}
