//! What the server is told to do, all of it before it starts.
//!
//! Times of day do not occur in it: a [`Window`] counts from the arrival of the first request, so that a generator may
//! take its time to start.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::content::mix;
use crate::scenario::{Moment, Period, Written, Wrong};

#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Of every answer that is no error.
    pub status: u16,
    pub body_bytes: usize,
    /// From a request's last byte to its answer's first; holds up nobody else.
    pub delay: Duration,
    /// The answer is written in pieces.
    pub drip: Option<Drip>,
    /// Requests are read, and logged; nothing is answered until the end.
    pub stalls: Vec<Window>,
    /// Connections are taken; nothing is read, and nothing answered.
    pub blackholes: Vec<Window>,
    /// Open connections are reset, new ones refused.
    pub refusals: Vec<Window>,
    pub close: Option<CloseAfter>,
    /// The share of requests that is answered 503, from 0 to 1.
    pub errors: f64,
    /// Which ones those are.
    pub seed: u64,
    /// The server ends when so many are answered.
    pub requests: Option<NonZeroU64>,
    /// The server ends when it has listened for so long.
    pub duration: Option<Duration>,
}

impl Default for Script {
    /// 200 at once, with two bytes, for ever.
    fn default() -> Self {
        Script {
            status: 200,
            body_bytes: 2,
            delay: Duration::ZERO,
            drip: None,
            stalls: Vec::new(),
            blackholes: Vec::new(),
            refusals: Vec::new(),
            close: None,
            errors: 0.0,
            seed: 1,
            requests: None,
            duration: None,
        }
    }
}

impl Script {
    /// Whether the `nth` request, from 0, is answered 503: the same ones for one seed, spread evenly.
    pub fn is_error(&self, nth: u64) -> bool {
        // The upper 53 bits: a number from 0 to below 1, exactly.
        let drawn = (mix(self.seed ^ mix(nth)) >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < self.errors
    }
}

/// A connection ends after so many answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseAfter {
    pub answers: NonZeroU64,
    /// The last answer does not say so.
    pub abruptly: bool,
}

/// From so long after the first request, for so long: `14s:1s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub at: Duration,
    pub lasts: Duration,
}

impl Written for Window {
    const EXAMPLE: &'static str = "14s:1s";

    fn read(text: &str) -> Result<Self, Wrong> {
        let (at, lasts) = halves(text, ':', "window", Self::EXAMPLE)?;
        Ok(Window { at: Moment::read(at)?.0, lasts: Period::read(lasts)?.0 })
    }
}

/// So many bytes at once, and the next after so long: `10/50ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drip {
    pub bytes: usize,
    pub every: Duration,
}

impl Written for Drip {
    const EXAMPLE: &'static str = "10/50ms";

    fn read(text: &str) -> Result<Self, Wrong> {
        let (bytes, every) = halves(text, '/', "drip", Self::EXAMPLE)?;
        match bytes.parse() {
            Ok(bytes) if bytes > 0 => Ok(Drip { bytes, every: Period::read(every)?.0 }),
            _ => Err(Wrong {
                message: format!("`{bytes}` is no number of bytes"),
                help: format!("write a number above 0, such as in `{}`", Self::EXAMPLE),
            }),
        }
    }
}

fn halves<'a>(text: &'a str, between: char, what: &str, example: &str) -> Result<(&'a str, &'a str), Wrong> {
    let halves = text.split_once(between).map(|(one, other)| (one.trim(), other.trim()));
    halves.ok_or_else(|| Wrong {
        message: format!("`{text}` is no {what}: it has no `{between}`"),
        help: format!("write one such as `{example}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_moment_and_a_length() {
        let window = Window { at: Duration::from_secs(14), lasts: Duration::from_millis(1500) };
        assert_eq!(Window::read("14s:1500ms"), Ok(window));
        assert_eq!(Window::read(" 14s : 1s500ms "), Ok(window));
        assert_eq!(Window::read("0s:1s").unwrap().at, Duration::ZERO);
    }

    #[test]
    fn a_window_that_cannot_be_read_says_what_to_write() {
        for (text, message) in [
            ("14s", "`14s` is no window: it has no `:`"),
            ("14:1s", "`14` has no unit"),
            ("14s:0s", "`0s` is no time at all"),
            ("soon:1s", "`soon` is no length of time"),
        ] {
            let wrong = Window::read(text).unwrap_err();
            assert_eq!(wrong.message, message);
            assert!(wrong.help.starts_with("write "), "{wrong:?}");
        }
    }

    #[test]
    fn a_drip_is_bytes_and_an_interval() {
        assert_eq!(Drip::read("10/50ms"), Ok(Drip { bytes: 10, every: Duration::from_millis(50) }));
        for text in ["10", "0/50ms", "ten/50ms", "10/50", "10/0s"] {
            assert!(Drip::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_are_the_share_that_was_asked_for_and_the_same_each_time() {
        let errors = |errors, seed| {
            let script = Script { errors, seed, ..Script::default() };
            (0..100_000).filter(|nth| script.is_error(*nth)).collect::<Vec<u64>>()
        };
        assert_eq!((errors(0.0, 1).len(), errors(1.0, 1).len()), (0, 100_000));
        let one_percent = errors(0.01, 1);
        // Five standard deviations of a binomial; fixed by the seed.
        assert!((843..=1157).contains(&one_percent.len()), "{}", one_percent.len());
        assert_eq!(one_percent, errors(0.01, 1));
        assert_ne!(one_percent, errors(0.01, 2));
    }
}
