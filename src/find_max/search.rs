//! The search itself, pure: which rate to try next, and when it is over.
//!
//! ```text
//! start ─good─▶ ×2 ─good─▶ ×2 ─not good─▶ halves of (last good, first not good) ─▶ narrow ─▶ the upper end again ─▶ over
//!   └─not good─▶ ÷2, at most three times
//! ```
//!
//! In: what each step said. Out: the next rate, or an [`Ending`].
//!
//! # Why the upper end is tried again
//! On a machine that others use, too, one step in many is spoiled by a hiccup. A rate that was missed once would then be
//! the bound for good, and everything above it would never be looked at.
//!
//! # Two of three
//! A lucky step is as much an accident as a spoiled one, so none outvotes another: where a step broke, its rate is good by
//! two good steps of three, and then the new lower end; it is the bound by two that broke. What is neither then is unknown.
//! So it is with the lowest rate of all, before no rate is called good.
//! A good rate that no step contradicts needs no second one.
//!
//! # Why it ends
//! Each step narrows the bracket, doubles the rate up to its ceiling, or tries the upper end again: a rate has three tries,
//! and for each that left it open one that is twice as long. `STEPS_MAX` is for a target that changes under the search.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Below the start the rate is halved so often.
const HALVINGS: u32 = 3;
const GROWTH: u64 = 2;
const STEPS_MAX: u32 = 60;
/// Before a rate that nobody knows bounds the search.
const TRIES: u32 = 2;
/// Of [`TRIES_MAX`].
const MAJORITY: u32 = 2;
const TRIES_MAX: u32 = 3;

/// Requests a second, in whole numbers.
pub type Rate = u64;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    pub start: Rate,
    /// No rate above it is tried.
    pub most: Rate,
    /// How narrow the bracket is to be, as a share of its lower end; one request a second is always narrow enough.
    pub within: f64,
}

/// A rate to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub rate: Rate,
    /// The step before left it open.
    pub longer: bool,
}

/// What a step says of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    Good,
    /// The target did not carry it.
    Broke,
    /// The step did not show what the target does at this rate.
    Nothing,
    /// Its error bar holds the limit; the figure itself is within it, or not.
    Open {
        within: bool,
    },
    /// Data of the target's is not as it must be: nothing else counts then.
    LostData,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Try(Ask),
    Over(Ending),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The highest good rate, and the lowest one above it that the target did not carry.
    Found {
        good: Rate,
        broke: Rate,
    },
    /// Nobody knows what the target does at `unknown`.
    AtLeast {
        good: Rate,
        unknown: Rate,
    },
    /// Every rate up to the ceiling is good.
    Ceiling {
        good: Rate,
    },
    NoneGood {
        lowest: Rate,
    },
    /// No step showed anything.
    Unknown {
        lowest: Rate,
    },
    LostData {
        at: Rate,
    },
    /// Somebody, or something, ended it before it had come to its end.
    CutShort {
        good: Option<Rate>,
        why: String,
    },
}

impl Ending {
    /// The highest good rate.
    pub fn good(&self) -> Option<Rate> {
        match self {
            Ending::Found { good, .. } | Ending::AtLeast { good, .. } | Ending::Ceiling { good } => Some(*good),
            Ending::CutShort { good, .. } => *good,
            Ending::NoneGood { .. } | Ending::Unknown { .. } | Ending::LostData { .. } => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Search {
    rules: Rules,
    /// The highest.
    good: Option<Rate>,
    /// Every other rate above it that was tried.
    others: BTreeMap<Rate, Votes>,
    open: Option<Rate>,
    lost_data: Option<Rate>,
    steps: u32,
}

/// What the steps at a rate said of it.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    tries: u32,
    good: u32,
    broke: u32,
}

impl Votes {
    fn is_good(self) -> bool {
        self.good >= MAJORITY || (self.good > 0 && self.broke == 0)
    }

    fn is_broken(self) -> bool {
        self.broke >= MAJORITY
    }

    fn another_tells(self) -> bool {
        self.tries < if self.broke == 0 { TRIES } else { TRIES_MAX } && !self.is_broken()
    }
}

impl Search {
    pub fn new(rules: Rules) -> Search {
        Search { rules, good: None, others: BTreeMap::new(), open: None, lost_data: None, steps: 0 }
    }

    pub fn next(&self) -> Next {
        let attempt = |rate| Next::Try(Ask { rate, longer: false });
        let Rules { start, most, .. } = self.rules;
        if let Some(at) = self.lost_data {
            return Next::Over(Ending::LostData { at });
        }
        if self.steps == STEPS_MAX {
            return Next::Over(
                self.cut_short(format!("{STEPS_MAX} steps did not suffice: the target changes meanwhile")),
            );
        }
        if let Some(rate) = self.open {
            return Next::Try(Ask { rate, longer: true });
        }
        match (self.good, self.others.first_key_value()) {
            (None, None) => attempt(start.min(most)),
            (None, Some((lowest, votes))) => self.lower(*lowest, *votes),
            (Some(good), None) if good >= most => Next::Over(Ending::Ceiling { good }),
            (Some(good), None) => attempt((good * GROWTH).min(most)),
            (Some(good), Some((upper, _))) if !self.is_narrow(good, *upper) => attempt(good + (upper - good) / 2),
            (Some(_), Some((upper, votes))) if votes.another_tells() => attempt(*upper),
            (Some(good), Some((upper, votes))) => Next::Over(match votes.is_broken() {
                true => Ending::Found { good, broke: *upper },
                false => Ending::AtLeast { good, unknown: *upper },
            }),
        }
    }

    /// Of the ask that `next` gave.
    pub fn saw(&mut self, ask: Ask, said: Said) {
        let rate = ask.rate;
        self.steps += 1;
        self.open = None;
        match said {
            Said::Open { .. } if !ask.longer => self.open = Some(rate),
            Said::Good | Said::Open { within: true } => self.votes(rate).good += 1,
            Said::Broke | Said::Open { within: false } => self.votes(rate).broke += 1,
            Said::Nothing => {
                self.votes(rate);
            }
            Said::LostData => self.lost_data = Some(rate),
        }
        if self.others.get(&rate).is_some_and(|votes| votes.is_good()) {
            self.good = Some(rate);
            self.others.retain(|other, _| *other > rate);
        }
    }

    pub fn cut_short(&self, why: String) -> Ending {
        Ending::CutShort { good: self.good, why }
    }

    /// With one more try.
    fn votes(&mut self, rate: Rate) -> &mut Votes {
        let votes = self.others.entry(rate).or_default();
        votes.tries += 1;
        votes
    }

    fn is_narrow(&self, good: Rate, upper: Rate) -> bool {
        let gap = upper - good;
        gap <= 1 || gap as f64 <= self.rules.within * good as f64
    }

    /// No rate was good so far.
    fn lower(&self, lowest: Rate, votes: Votes) -> Next {
        let floor = (self.rules.start.min(self.rules.most) >> HALVINGS).max(1);
        if lowest > floor {
            return Next::Try(Ask { rate: (lowest / 2).max(floor), longer: false });
        }
        match (votes.another_tells(), votes.is_broken()) {
            (true, _) => Next::Try(Ask { rate: lowest, longer: false }),
            (false, true) => Next::Over(Ending::NoneGood { lowest }),
            (false, false) => Next::Over(Ending::Unknown { lowest }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { start: 100, most: 1_000_000, within: 0.05 };

    /// Every step until the end, and the end.
    fn played(rules: Rules, mut target: impl FnMut(Ask, u32) -> Said) -> (Vec<(Ask, Said)>, Ending) {
        let (mut search, mut steps) = (Search::new(rules), Vec::new());
        loop {
            match search.next() {
                Next::Over(ending) => return (steps, ending),
                Next::Try(ask) => {
                    let said = target(ask, steps.len() as u32);
                    search.saw(ask, said);
                    steps.push((ask, said));
                }
            }
        }
    }

    fn up_to(capacity: Rate) -> impl Fn(Ask, u32) -> Said {
        move |ask, _| if ask.rate <= capacity { Said::Good } else { Said::Broke }
    }

    fn rates(steps: &[(Ask, Said)]) -> Vec<Rate> {
        steps.iter().map(|(ask, _)| ask.rate).collect()
    }

    #[test]
    fn a_hiccup_at_the_lowest_rate_is_not_the_end() {
        let tried = |good_from: u32| {
            let mut at_lowest = 0;
            let target = |ask: Ask, _| {
                at_lowest += u32::from(ask.rate == 1);
                if ask.rate == 1 && at_lowest >= good_from { Said::Good } else { Said::Broke }
            };
            played(Rules { start: 8, ..RULES }, target).1
        };
        assert_eq!(tried(2), Ending::Found { good: 1, broke: 2 });
        assert_eq!(tried(3), Ending::NoneGood { lowest: 1 });
    }

    #[test]
    fn it_doubles_then_halves_the_bracket_then_tries_its_upper_end_again() {
        let (steps, ending) = played(RULES, up_to(700));
        assert_eq!(rates(&steps), [100, 200, 400, 800, 600, 700, 750, 725, 725]);
        assert_eq!(ending, Ending::Found { good: 700, broke: 725 });
    }

    #[test]
    fn below_its_start_it_halves_three_times() {
        assert_eq!(played(RULES, up_to(30)).1, Ending::Found { good: 30, broke: 31 });
        let (steps, ending) = played(RULES, up_to(11));
        assert_eq!((rates(&steps), ending), (vec![100, 50, 25, 12, 12], Ending::NoneGood { lowest: 12 }));
        assert_eq!(played(Rules { start: 1, ..RULES }, up_to(0)).1, Ending::NoneGood { lowest: 1 });
    }

    #[test]
    fn where_the_generator_is_the_limit_the_target_is_at_least_that_good() {
        let generator = |ask: Ask, _| if ask.rate <= 700 { Said::Good } else { Said::Nothing };
        assert_eq!(played(RULES, generator).1, Ending::AtLeast { good: 700, unknown: 725 });
        assert_eq!(played(RULES, |_, _| Said::Nothing).1, Ending::Unknown { lowest: 12 });
        let both = |ask: Ask, n| if ask.rate > 900 { Said::Nothing } else { up_to(500)(ask, n) };
        assert!(matches!(played(RULES, both).1, Ending::Found { .. }), "what broke below is the target's");
    }

    #[test]
    fn the_ceiling_is_no_limit_of_the_target() {
        let rules = Rules { most: 1_000, ..RULES };
        let (steps, ending) = played(rules, up_to(5_000));
        assert_eq!((rates(&steps), ending), (vec![100, 200, 400, 800, 1_000], Ending::Ceiling { good: 1_000 }));
    }

    #[test]
    fn a_step_that_leaves_it_open_is_made_longer_once() {
        let open = |ask: Ask, _| match (ask.rate, ask.longer) {
            (..400, _) => Said::Good,
            (400, false) => Said::Open { within: false },
            (400, true) => Said::Open { within: true },
            _ => Said::Broke,
        };
        let (steps, ending) = played(RULES, open);
        let longer: Vec<Rate> = steps.iter().filter(|(ask, _)| ask.longer).map(|(ask, _)| ask.rate).collect();
        assert_eq!(longer, [400]);
        assert!(matches!(ending, Ending::Found { good: 400, .. }), "{ending:?}");
    }

    #[test]
    fn a_lost_write_ends_it() {
        let (steps, ending) = played(RULES, |ask, _| if ask.rate < 400 { Said::Good } else { Said::LostData });
        assert_eq!((steps.len(), ending), (3, Ending::LostData { at: 400 }));
    }

    #[test]
    fn one_bad_step_of_noise_is_not_the_limit() {
        let spoiled = |ask: Ask, nth| if nth == 2 { Said::Broke } else { up_to(1_500)(ask, nth) };
        let (_, ending) = played(RULES, spoiled);
        assert!(matches!(ending, Ending::Found { good: 1_426..=1_500, .. }), "{ending:?}");
    }

    /// What the upper end says at each further try, of a target that carries 700.
    fn at_the_upper_end(tries: &[Said]) -> (usize, Ending) {
        let mut further = tries.iter();
        let mut seen = false;
        let (steps, ending) = played(RULES, |ask, nth| match (ask.rate, seen) {
            (725, true) => *further.next().expect("no further try"),
            (rate, _) => {
                seen |= rate == 725;
                up_to(700)(ask, nth)
            }
        });
        (steps.iter().filter(|(ask, _)| ask.rate == 725).count(), ending)
    }

    #[test]
    fn one_good_step_does_not_outvote_a_broken_one_and_two_do() {
        let (good, broke, nothing) = (Said::Good, Said::Broke, Said::Nothing);
        let found = Ending::Found { good: 700, broke: 725 };
        assert_eq!(at_the_upper_end(&[broke]), (2, found.clone()));
        assert_eq!(at_the_upper_end(&[good, broke]), (3, found));
        assert_eq!(at_the_upper_end(&[good, good]), (3, Ending::Found { good: 725, broke: 750 }));
        let unknown = Ending::AtLeast { good: 700, unknown: 725 };
        assert_eq!(at_the_upper_end(&[good, nothing]), (3, unknown.clone()));
        assert_eq!(at_the_upper_end(&[nothing, nothing]), (3, unknown), "one broken step alone is no bound");
    }

    proptest! {
        #[test]
        fn the_found_rate_is_good_the_one_above_it_is_not_and_the_bracket_is_narrow(
            capacity in 1_u64..500_000, start in 1_u64..5_000, percent in 1_u32..20,
        ) {
            let rules = Rules { start, within: f64::from(percent) / 100.0, ..RULES };
            let (steps, ending) = played(rules, up_to(capacity));
            match ending {
                Ending::Found { good, broke } => {
                    prop_assert!(good <= capacity && capacity < broke);
                    prop_assert!(broke - good <= 1 || (broke - good) as f64 <= rules.within * good as f64);
                    let kept = (Ask { rate: good, longer: false }, Said::Good);
                    prop_assert!(steps.contains(&kept));
                    prop_assert_eq!(steps.iter().filter(|(ask, _)| ask.rate == broke).count(), 2);
                }
                Ending::NoneGood { lowest } => prop_assert!(lowest > capacity && lowest <= (start >> 3).max(1)),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn noise_of_any_kind_ends_it_and_the_rate_it_gives_was_seen_to_be_good(
            noise in prop::collection::vec(0_u8..5, STEPS_MAX as usize),
        ) {
            let (steps, ending) = played(RULES, |_, nth| match noise[nth as usize] {
                0 | 1 => Said::Good,
                2 => Said::Broke,
                3 => Said::Nothing,
                _ => Said::Open { within: nth % 2 == 0 },
            });
            prop_assert!(steps.len() <= STEPS_MAX as usize);
            if let Ending::Found { good, .. } | Ending::AtLeast { good, .. } | Ending::Ceiling { good } = ending {
                let votes = |told: fn(&Ask, Said) -> bool| {
                    steps.iter().filter(|(ask, said)| ask.rate == good && told(ask, *said)).count()
                };
                let kept = votes(|_, said| matches!(said, Said::Good | Said::Open { within: true }));
                let broke = votes(|ask, said| matches!((said, ask.longer),
                    (Said::Broke, _) | (Said::Open { within: false }, true)));
                prop_assert!(kept > 0 && (broke == 0 || kept > broke));
            }
        }
    }
}
