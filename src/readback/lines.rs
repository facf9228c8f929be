//! The lines of a pack: one JSON array for a row or a sighting, as the database puts it.
//!
//! In: a line. Out: its values, or what is wrong with them. An amount that is none makes its row a corrupt one, not an
//! error: it is what a faulty service may have written.

use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::database::DatabaseError;
use super::{Row, Sighting, SightingKind};

pub(super) fn parsed<T: DeserializeOwned>(what: &'static str, line: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(line).map_err(|source| DatabaseError::NoLine { what, line: line.to_owned(), source })
}

/// A line of a table that is read in order.
pub(super) trait Line: DeserializeOwned {
    /// Each line has a greater one than those before it.
    type Place: Copy + PartialOrd;

    fn place(&self) -> Self::Place;

    fn of(what: &'static str, line: &str) -> Result<Self, DatabaseError> {
        parsed(what, line)
    }
}

/// key, seq: all three rows of the key are there.
#[derive(Deserialize)]
pub(super) struct KeyLine(pub i64, pub i64);

impl Line for KeyLine {
    type Place = i64;

    fn place(&self) -> i64 {
        self.0
    }
}

/// key, preset, seq, the five costs, written by.
#[derive(Deserialize)]
pub(super) struct RowLine(i64, i64, i64, Amount, Amount, Amount, Amount, Amount, Option<String>);

impl Line for RowLine {
    type Place = (i64, i64);

    fn place(&self) -> (i64, i64) {
        (self.0, self.1)
    }

    fn of(_what: &'static str, line: &str) -> Result<Self, DatabaseError> {
        serde_json::from_str(line).map_err(|e| nonsense(line, &e))
    }
}

impl RowLine {
    pub fn row(&self) -> Result<Row<'_>, DatabaseError> {
        let RowLine(key, preset, seq, total, black, red, additional, starforce, written_by) = self;
        let preset_no = u8::try_from(*preset).ok().filter(|preset| *preset > 0).ok_or_else(|| {
            DatabaseError::Nonsense { key: *key, preset: *preset, what: format!("preset_no {preset}") }
        })?;
        Ok(Row {
            key: *key as u64,
            preset: preset_no,
            seq: *seq as u64,
            costs: [total, black, red, additional, starforce].map(|amount| amount.0),
            written_by: written_by.as_deref().unwrap_or_default(),
        })
    }
}

/// What is in the database and is no row.
fn nonsense(line: &str, error: &serde_json::Error) -> DatabaseError {
    let values: Vec<serde_json::Value> = serde_json::from_str(line).unwrap_or_default();
    let integer = |at: usize| values.get(at).and_then(serde_json::Value::as_i64).unwrap_or_default();
    DatabaseError::Nonsense { key: integer(0), preset: integer(1), what: error.to_string() }
}

/// order, key, preset, old seq, new seq, written by, kind.
#[derive(Deserialize)]
pub(super) struct SightingLine(i64, i64, i64, Option<i64>, i64, Option<String>, String);

impl Line for SightingLine {
    type Place = i64;

    fn place(&self) -> i64 {
        self.0
    }
}

impl SightingLine {
    pub fn sighting(&self) -> Sighting<'_> {
        let SightingLine(order, key, preset, old_seq, new_seq, written_by, kind) = self;
        Sighting {
            order: *order as u64,
            key: *key as u64,
            preset: *preset as u8,
            old_seq: old_seq.map(|seq| seq as u64),
            new_seq: *new_seq as u64,
            written_by: written_by.as_deref().unwrap_or_default(),
            kind: match kind.as_str() {
                "dropped" => SightingKind::Dropped,
                _ => SightingKind::Attempted,
            },
        }
    }
}

/// An amount in hundredths: it is kept as a whole number of them, or as the text of a decimal.
#[derive(Debug, PartialEq)]
struct Amount(i64);

impl Amount {
    /// In place of what is no amount in hundredths: no write says it, so its row is corrupt.
    const NONE: Amount = Amount(i64::MIN);
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Every value of JSON is an amount, or none.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_i64<E>(self, hundredths: i64) -> Result<Amount, E> {
        Ok(Amount(hundredths))
    }

    fn visit_u64<E>(self, hundredths: u64) -> Result<Amount, E> {
        Ok(i64::try_from(hundredths).map_or(Amount::NONE, Amount))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Amount, E> {
        Ok(Amount::NONE)
    }

    fn visit_str<E>(self, decimal: &str) -> Result<Amount, E> {
        Ok(exact_hundredths(decimal).map_or(Amount::NONE, Amount))
    }

    fn visit_unit<E>(self) -> Result<Amount, E> {
        Ok(Amount::NONE)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Amount, E> {
        Ok(Amount::NONE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Amount, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Amount::NONE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Amount, A::Error> {
        while values.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Amount::NONE)
    }
}

/// `12.34` is 1234, and so is `12.3400`; what has more than hundredths is none.
fn exact_hundredths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let hundredths: i64 = format!("{whole}{fraction:0<2}").parse().ok()?;
    Some(if negative { -hundredths } else { hundredths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_or_none() {
        for (text, hundredths) in [
            ("12.34", Some(1234)),
            ("12.3400", Some(1234)),
            ("0.05", Some(5)),
            ("99999999999999.99", Some(9_999_999_999_999_999)),
            ("7", Some(700)),
            ("-1.5", Some(-150)),
            ("12.344", None),
            ("NaN", None),
            ("7abc", None),
            ("", None),
            ("99999999999999999999.00", None),
        ] {
            assert_eq!(exact_hundredths(text), hundredths, "{text}");
        }
    }

    #[test]
    fn an_amount_that_is_none_spoils_its_row_and_no_other_value() {
        let amounts = "[7, \"0.07\", 7.5, null, true, [1, [2]], {\"a\": {\"b\": 1}}, 18446744073709551615, -7]";
        let amounts: Vec<Amount> = serde_json::from_str(amounts).unwrap();
        let none = || Amount::NONE;
        let expected = [Amount(7), Amount(7), none(), none(), none(), none(), none(), none(), Amount(-7)];
        assert_eq!(amounts, expected);
    }
}
