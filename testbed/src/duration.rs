//! Durations as people write them in configuration: `200ms`, `1s`, `2m 30s`. For `#[serde(with = "crate::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&humantime::format_duration(*duration))
}

/// Refuses a number without a unit: nobody should have to guess whether `5` means seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    humantime::parse_duration(&text)
        .map_err(|e| serde::de::Error::custom(format!("{text:?} is not a duration such as 200ms, 1s or 2m: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Wait(#[serde(with = "crate::duration")] Duration);

    #[test]
    fn a_duration_survives_being_written_and_read() {
        let json = serde_json::to_string(&Wait(Duration::from_millis(1500))).unwrap();
        assert_eq!(json, r#""1s 500ms""#);
        assert_eq!(serde_json::from_str::<Wait>(&json).unwrap(), Wait(Duration::from_millis(1500)));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_an_example() {
        let message = serde_json::from_str::<Wait>(r#""5""#).unwrap_err().to_string();
        assert!(message.contains("such as 200ms"), "{message}");
    }
}
