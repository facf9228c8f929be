//! Durations as people write them in configuration: `200ms`, `1s`, `2m 30s`. For `#[serde(with = "crate::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Refuses a number without a unit: nobody should have to guess whether `5` means seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    humantime::parse_duration(&text)
        .map_err(|e| serde::de::Error::custom(format!("{text:?} is not a duration such as 200ms, 1s or 2m: {e}")))
}

/// For a key that may be missing: `#[serde(with = "crate::duration::optional")]`.
pub mod optional {
    use super::{Deserializer, Duration};

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(d).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wait(#[serde(with = "crate::duration")] Duration);

    #[test]
    fn a_duration_is_read_with_its_units() {
        let wait = |text: &str| serde_json::from_str::<Wait>(text).unwrap();
        assert_eq!(wait(r#""200ms""#), Wait(Duration::from_millis(200)));
        assert_eq!(wait(r#""1m 30s""#), Wait(Duration::from_secs(90)));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let message = serde_json::from_str::<Wait>(r#""5""#).unwrap_err().to_string();
        assert!(message.contains("such as 200ms"), "{message}");
    }
}
