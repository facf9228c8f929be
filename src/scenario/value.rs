//! The values that a person writes, one type a unit: the same in a file, in a flag and in a variable.
//!
//! [`Written::read`] takes the text and gives the value, or says what is wrong and what to write instead. An
//! [`Entry`] keeps apart what was left out from what could not be read: a default stands in for both, but nothing is
//! concluded from the second.

use std::time::Duration;

use super::problem::Place;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// A field as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Entry<T> {
    #[default]
    Absent,
    /// Written, and a problem says why it is of no use.
    Unreadable,
    Given(Located<T>),
}

impl<T> Entry<T> {
    pub fn given(&self) -> Option<&Located<T>> {
        match self {
            Entry::Given(located) => Some(located),
            _ => None,
        }
    }

    pub fn place(&self) -> Option<&Place> {
        self.given().map(|g| &g.place)
    }

    /// False only where something was written that nobody can read: then no contradiction is drawn from it.
    pub fn is_readable(&self) -> bool {
        !matches!(self, Entry::Unreadable)
    }

    /// This entry, or `below` where nothing was written here.
    pub fn or(self, below: Entry<T>) -> Entry<T> {
        match self {
            Entry::Absent => below,
            written => written,
        }
    }
}

/// What is wrong with a value's text, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub help: String,
}

fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), help: help.into() })
}

pub trait Written: Sized {
    /// One good value, for messages.
    const EXAMPLE: &'static str;

    fn read(text: &str) -> Result<Self, Wrong>;
}

/// A word; what it may be is known to whoever gives it a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub String);

impl Written for Word {
    const EXAMPLE: &'static str = "…";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.trim() {
            "" => wrong("nothing is written here", "write a word"),
            word => Ok(Word(word.to_owned())),
        }
    }
}

/// A moment of the load: `0s`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Duration);

impl Written for Moment {
    const EXAMPLE: &'static str = "10s";

    fn read(text: &str) -> Result<Self, Wrong> {
        duration(text).map(Moment)
    }
}

/// A length of time, above zero: `250ms`, `60s`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Written for Period {
    const EXAMPLE: &'static str = "60s";

    fn read(text: &str) -> Result<Self, Wrong> {
        match duration(text)? {
            Duration::ZERO => wrong(format!("`{text}` is no time at all"), "write a time above zero, such as `250ms`"),
            some => Ok(Period(some)),
        }
    }
}

impl std::fmt::Display for Period {
    /// As it could be written: `250ms`, `8.2s`, `1m30s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.0.as_secs();
        if whole == 0 {
            return f.write_str(&humantime::format_duration(self.0).to_string().replace(' ', ""));
        }
        let (hours, minutes) = (whole / 3600, whole / 60 % 60);
        let seconds = format!("{}.{:06}", whole % 60, self.0.subsec_micros());
        let part = |n: &str, unit: &str| if n == "0" { String::new() } else { format!("{n}{unit}") };
        let (hours, minutes) = (part(&hours.to_string(), "h"), part(&minutes.to_string(), "m"));
        write!(f, "{hours}{minutes}{}", part(seconds.trim_end_matches('0').trim_end_matches('.'), "s"))
    }
}

/// How far a clock is ahead, in milliseconds; below 0: behind. `30s`, `+30s`, `-30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift(pub i64);

impl Written for Shift {
    const EXAMPLE: &'static str = "30s";

    fn read(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let length = Period::read(length)?.0;
        Ok(Shift(sign * length.as_millis() as i64))
    }
}

impl std::fmt::Display for Shift {
    /// With its sign: `+30s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Period(Duration::from_millis(self.0.unsigned_abs())))
    }
}

/// Longer than any run, and short enough that sums of times never overflow.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

fn duration(text: &str) -> Result<Duration, Wrong> {
    if let Ok(number) = text.parse::<f64>() {
        return bare_number(text, number);
    }
    match humantime::parse_duration(text) {
        Ok(d) if d > LONGEST => wrong(format!("`{text}` is longer than a week"), "write a time of at most `7d`"),
        Ok(d) => Ok(d),
        Err(humantime::DurationError::UnknownUnit { unit, .. }) => {
            wrong(format!("`{unit}` is no unit of time"), "use `ms`, `s`, `m` or `h`: `250ms`, `60s`, `1m30s`")
        }
        Err(_) => {
            wrong(format!("`{text}` is no length of time"), "write a number and its unit: `250ms`, `60s`, `1m30s`")
        }
    }
}

fn bare_number<T>(text: &str, number: f64) -> Result<T, Wrong> {
    if number < 0.0 || !number.is_finite() {
        return wrong(format!("`{text}` is no length of time"), "write a time above zero, such as `60s`");
    }
    wrong(format!("`{text}` has no unit"), format!("write `{text}s` for seconds, or `{text}ms` for milliseconds"))
}

/// Room on a disk, as people read it: `180 MiB`, `1.4 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const KIB: f64 = 1024.0;
        let bytes = self.0 as f64;
        match bytes {
            b if b < KIB => write!(f, "{b} bytes"),
            b if b < KIB * KIB => write!(f, "{:.0} KiB", b / KIB),
            b if b < KIB * KIB * KIB => write!(f, "{:.0} MiB", b / KIB / KIB),
            b => write!(f, "{:.1} GiB", b / KIB / KIB / KIB),
        }
    }
}

/// A share in percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl Percent {
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl Written for Percent {
    const EXAMPLE: &'static str = "5%";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Some(number) = text.strip_suffix('%') else { return no_percent_sign(text) };
        match number.trim().parse::<f64>() {
            Ok(p) if (0.0..=100.0).contains(&p) => Ok(Percent(p)),
            Ok(_) => wrong(format!("`{text}` is no share"), "write a share from `0%` to `100%`"),
            Err(_) => wrong(format!("`{text}` is no percentage"), "write a number and `%`, such as `0.1%`"),
        }
    }
}

fn no_percent_sign<T>(text: &str) -> Result<T, Wrong> {
    match text.trim().parse::<f64>() {
        Ok(n) if n > 0.0 && n < 1.0 => wrong(
            format!("`{text}` could be a share or a percentage"),
            format!("write `{}%` for the share, or `{text}%`", share_in_percent(n)),
        ),
        Ok(_) => wrong(format!("`{text}` has no `%`"), format!("write `{text}%`")),
        Err(_) => wrong(format!("`{text}` is no percentage"), "write a number and `%`, such as `0.1%`"),
    }
}

/// `0.07` is `7`, not `7.000000000000001`: rounded where a binary fraction would show its tail.
pub fn share_in_percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

/// Operations per second: finite, above 0, at most a million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rps(pub f64);

impl Written for Rps {
    const EXAMPLE: &'static str = "800";

    fn read(text: &str) -> Result<Self, Wrong> {
        const HELP: &str = "write operations per second as a plain number above 0, such as `800`";
        match text.trim().parse::<f64>() {
            Ok(n) if n.is_nan() || n.is_infinite() => wrong(format!("`{text}` is no rate"), HELP),
            Ok(n) if n <= 0.0 => wrong(format!("`{text}` operations per second are no load"), HELP),
            Ok(n) if n > 1e6 => wrong(format!("`{text}` is more than one machine sends"), "write at most `1000000`"),
            Ok(n) => Ok(Rps(n)),
            Err(_) => wrong(format!("`{text}` is no rate"), HELP),
        }
    }
}

/// An end of a ramp: operations per second, also 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

impl Written for Rate {
    const EXAMPLE: &'static str = "100";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.trim().parse::<f64>() {
            Ok(0.0) => Ok(Rate(0.0)),
            _ => Rps::read(text).map(|rps| Rate(rps.0)),
        }
    }
}

/// A whole number, 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

impl Written for Count {
    const EXAMPLE: &'static str = "3";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.trim().parse::<u64>() {
            Ok(n) => Ok(Count(n)),
            Err(_) if text.trim().parse::<f64>().is_ok_and(|n| n < 0.0) => {
                wrong(format!("`{text}` is below zero"), "write a whole number, such as `3`")
            }
            Err(_) => wrong(format!("`{text}` is no whole number"), "write digits only, such as `3`"),
        }
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);

impl Written for Switch {
    const EXAMPLE: &'static str = "true";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Switch(true)),
            "false" => Ok(Switch(false)),
            "yes" | "on" | "1" => wrong(format!("`{text}` is neither true nor false"), "write `true`"),
            "no" | "off" | "0" => wrong(format!("`{text}` is neither true nor false"), "write `false`"),
            _ => wrong(format!("`{text}` is neither true nor false"), "write `true` or `false`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help<T: Written + std::fmt::Debug>(text: &str) -> String {
        T::read(text).unwrap_err().help
    }

    #[test]
    fn times_need_their_unit() {
        assert_eq!(Period::read("1m30s"), Ok(Period(Duration::from_secs(90))));
        assert_eq!(Period::read("1.5s"), Ok(Period(Duration::from_millis(1500))));
        assert!(help::<Period>("60").starts_with("write `60s`"));
        assert!(help::<Period>("60sx").starts_with("use `ms`"));
        assert!(help::<Moment>("-3").contains("above zero"));
        assert!(Period::read("soon").is_err());
        assert!(Period::read("2 weeks").is_err());
    }

    #[test]
    fn a_period_is_shown_as_it_could_be_written() {
        for text in ["250ms", "8.2s", "1m30s", "2m", "1h5s", "1m8.2s"] {
            assert_eq!(Period::read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_size_has_the_unit_that_a_person_would_choose() {
        let text = [999, 12_000, 188_743_680, 1_503_238_554].map(|bytes| Size(bytes).to_string());
        assert_eq!(text, ["999 bytes", "12 KiB", "180 MiB", "1.4 GiB"]);
    }

    #[test]
    fn zero_is_a_moment_but_no_period() {
        assert_eq!(Moment::read("0s"), Ok(Moment(Duration::ZERO)));
        assert!(Period::read("0s").is_err());
    }

    #[test]
    fn a_share_below_one_without_a_sign_is_ambiguous() {
        assert_eq!(help::<Percent>("0.1"), "write `10%` for the share, or `0.1%`");
        assert_eq!(help::<Percent>("0.07"), "write `7%` for the share, or `0.07%`");
        assert_eq!(help::<Percent>("5"), "write `5%`");
        assert!(Percent::read("101%").is_err());
        assert!(Percent::read("nan%").is_err());
    }

    #[test]
    fn a_rate_is_finite_and_above_zero() {
        for text in ["0", "-1", "NaN", ".nan", "inf", "800/s", "1_000", "1e9", ""] {
            assert!(Rps::read(text).is_err(), "{text}");
        }
        assert_eq!(Rps::read("0.5"), Ok(Rps(0.5)));
        assert_eq!(Rate::read("0"), Ok(Rate(0.0)), "a ramp may begin or end there");
        assert!(Rate::read("-1").is_err());
    }

    #[test]
    fn counts_are_whole_and_switches_are_words() {
        assert!(Count::read("2.5").is_err());
        assert!(Count::read("-2").unwrap_err().message.contains("below zero"));
        assert_eq!(help::<Switch>("yes"), "write `true`");
    }
}
