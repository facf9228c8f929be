//! The unit of buffered work: one preset of one character.

use serde::{Deserialize, Serialize};

/// One row to be: (character, preset) and its costs, versioned by `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationWriteTask {
    pub key: i64,
    pub preset: u8,
    pub seq: u64,
    pub costs: Costs,
}

/// Exact money in hundredths. On the wire a decimal string: `"1234.56"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub i64);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    pub total_expected_cost: Money,
    pub black_cube_cost: Money,
    pub red_cube_cost: Money,
    pub additional_cube_cost: Money,
    pub starforce_cost: Money,
}

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100)
    }
}

impl std::str::FromStr for Money {
    type Err = String;

    /// `1234.56`, `0001234.56`, `1234.5`, `1234`; at most DECIMAL(20,2).
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("{s:?} is not an amount with at most two decimals");
        let (sign, digits) = s.strip_prefix('-').map_or((1, s), |rest| (-1, rest));
        let (whole, cents) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(cents) || cents.len() > 2 {
            return Err(wrong());
        }
        let cents: i64 = format!("{cents:0<2}").parse().map_err(|_| wrong())?;
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        whole.checked_mul(100).and_then(|w| w.checked_add(cents)).map(|m| Money(sign * m)).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_where_a_binary_float_is_not() {
        let money: Money = "99999999999999.99".parse().unwrap();
        assert_eq!(money, Money(9_999_999_999_999_999));
        assert_eq!(money.to_string(), "99999999999999.99");
    }

    #[test]
    fn leading_zeros_and_short_cents_are_read_and_nonsense_is_refused() {
        assert_eq!("00012.5".parse(), Ok(Money(1250)));
        assert_eq!("7".parse(), Ok(Money(700)));
        for wrong in ["", ".", "1.", ".5", "1.234", "1e3", "+1", "NaN", "99999999999999999999"] {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
    }
}
