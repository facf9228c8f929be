//! The service's own clock: that of its machine, or, where the configuration says so, one that is wrong.
//!
//! # Why nothing else asks it
//! Times that two nodes share (a lease's end, a delay) are the broker's: a node whose clock is wrong must not be able to
//! spoil them. What is measured within one process is measured by a clock that nobody sets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Of its machine's; below 0: it is behind.
    ahead_ms: i64,
}

impl Clock {
    /// Milliseconds since 1970, by this clock.
    pub fn now_ms(self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        now.saturating_add_signed(self.ahead_ms)
    }

    /// What becomes of a length of time of which this clock sets the end, and another one sees it.
    pub fn as_others_see(self, length: Duration) -> Duration {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(length_ms.saturating_add_signed(self.ahead_ms))
    }
}

/// `30s`, `+30s`, `-1m 30s`.
impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.strip_prefix('+').unwrap_or(&text)),
        };
        let length = humantime::parse_duration(length)
            .map_err(|e| serde::de::Error::custom(format!("{text:?} is not an offset such as 30s or -30s: {e}")))?;
        Ok(Clock { ahead_ms: sign * i64::try_from(length.as_millis()).unwrap_or(i64::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(offset: &str) -> Clock {
        serde_json::from_value(offset.into()).unwrap()
    }

    #[test]
    fn an_offset_has_a_sign_and_a_unit() {
        assert_eq!(clock("30s"), clock("+30s"));
        assert_eq!(clock("-1m 30s"), Clock { ahead_ms: -90_000 });
        assert!(serde_json::from_value::<Clock>("30".into()).unwrap_err().to_string().contains("-30s"));
    }

    #[test]
    fn a_clock_that_is_ahead_tells_a_later_time_and_one_that_is_behind_an_earlier_one() {
        let (right, hour) = (Clock::default().now_ms(), 3_600_000);
        assert!(clock("1h").now_ms() >= right + hour);
        assert!(clock("-1h").now_ms() < right);
    }

    #[test]
    fn what_a_clock_behind_sets_to_end_has_ended_for_others() {
        assert_eq!(clock("-1h").as_others_see(Duration::from_secs(5)), Duration::ZERO);
        assert_eq!(clock("10s").as_others_see(Duration::from_secs(5)), Duration::from_secs(15));
    }
}
