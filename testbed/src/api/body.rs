//! The body of a write: one request of a character, exactly its presets 1 to 3.
//!
//! In: the path's character id and the JSON. Out: the tasks of the request, or what is wrong with it, in words for the
//! caller.

use serde::Deserialize;

use crate::task::{Costs, ExpectationWriteTask, Money};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: i64,
    pub seq: u64,
    /// One a preset, ascending.
    pub tasks: Vec<ExpectationWriteTask>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteBody {
    seq: u64,
    presets: Vec<PresetBody>,
}

/// Flat, and so without serde's `flatten`, which would let unknown fields pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetBody {
    preset: u8,
    total_expected_cost: Money,
    black_cube_cost: Money,
    red_cube_cost: Money,
    additional_cube_cost: Money,
    starforce_cost: Money,
}

impl PresetBody {
    fn task(self, key: i64, seq: u64) -> ExpectationWriteTask {
        let costs = Costs {
            total_expected_cost: self.total_expected_cost,
            black_cube_cost: self.black_cube_cost,
            red_cube_cost: self.red_cube_cost,
            additional_cube_cost: self.additional_cube_cost,
            starforce_cost: self.starforce_cost,
        };
        ExpectationWriteTask { key, preset: self.preset, seq, costs }
    }
}

/// A number, perhaps padded with zeros or spaces: senders patch ids into requests of a fixed length.
pub fn character_key(character: &str) -> Result<i64, String> {
    let digits = character.trim_matches(' ');
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .ok_or_else(|| format!("the character id {character:?} is no whole number below 2^63"))
}

pub fn parse(key: i64, json: &[u8]) -> Result<Write, String> {
    let WriteBody { seq, presets } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    // The database's integers are signed.
    if seq == 0 || i64::try_from(seq).is_err() {
        return Err(format!("seq is {seq}: it must be 1 at least and below 2^63"));
    }
    let mut tasks: Vec<_> = presets.into_iter().map(|preset| preset.task(key, seq)).collect();
    tasks.sort_by_key(|task| task.preset);
    let found: Vec<u8> = tasks.iter().map(|task| task.preset).collect();
    if found != [1, 2, 3] {
        return Err(format!("presets are {found:?}: they must be 1, 2 and 3, each once"));
    }
    Ok(Write { key, seq, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(number: u8) -> String {
        format!(
            r#"{{"preset":{number},"total_expected_cost":"000{number}.50","black_cube_cost":"1","red_cube_cost":"2",
                "additional_cube_cost":"3","starforce_cost":"4"}}"#
        )
    }

    fn body(seq: &str, presets: &[u8]) -> String {
        let presets: Vec<String> = presets.iter().copied().map(preset).collect();
        format!(r#"{{"seq":{seq},"presets":[{}]}}"#, presets.join(","))
    }

    #[test]
    fn presets_become_tasks_in_ascending_order_whatever_the_order_of_the_body() {
        let write = parse(7, body("      5", &[3, 1, 2]).as_bytes()).unwrap();
        let tasks: Vec<_> =
            write.tasks.iter().map(|t| (t.key, t.preset, t.seq, t.costs.total_expected_cost.0)).collect();
        assert_eq!(tasks, [(7, 1, 5, 150), (7, 2, 5, 250), (7, 3, 5, 350)]);
    }

    #[test]
    fn a_wrong_body_is_told_what_is_wrong() {
        let cases = [
            (body("0", &[1, 2, 3]), "seq is 0"),
            (body("9223372036854775808", &[1, 2, 3]), "below 2^63"),
            (body("-1", &[1, 2, 3]), "-1"),
            (body("1", &[1, 2]), "presets are [1, 2]"),
            (body("1", &[1, 2, 2]), "presets are [1, 2, 2]"),
            (body("1", &[1, 2, 3, 3]), "presets are [1, 2, 3, 3]"),
            (body("1", &[0, 1, 2]), "presets are [0, 1, 2]"),
            (body("1", &[1, 2, 3]).replace("starforce", "starfarce"), "starfarce_cost"),
            (body("1", &[1, 2, 3]).replace("0001.50", "1.505"), "at most two decimals"),
            (body("1", &[1, 2, 3]).replace("\"1\"", "1"), "string"),
            ("{".into(), "EOF"),
        ];
        for (json, problem) in cases {
            let message = parse(1, json.as_bytes()).unwrap_err();
            assert!(message.contains(problem), "{problem}: {message}");
        }
    }

    #[test]
    fn a_character_id_may_be_padded_and_must_be_a_number() {
        assert_eq!(character_key("000123"), Ok(123));
        assert_eq!(character_key("  123 "), Ok(123));
        for wrong in ["", " ", "-1", "+1", "1a", "1 2", "9223372036854775808"] {
            assert!(character_key(wrong).is_err(), "{wrong}");
        }
    }
}
