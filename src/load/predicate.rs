//! What a complete answer says: the first two rows of the outcome table (DESIGN §4), for a target of the testbed's
//! contract.

use serde::Deserialize;

use super::lanes::Operation;
use super::ledger::{Outcome, Reason};

/// The fields of an answer's body that count. Any of them may be missing, and others may be there.
#[derive(Debug, Default, Deserialize)]
struct Said {
    accepted: Option<bool>,
    key: Option<u64>,
    seq: Option<u64>,
    stored: Option<bool>,
}

/// The first row that matches counts: acknowledged, surely not stored, or nobody knows.
pub fn judge(op: &Operation, status: u16, body: &[u8]) -> (Outcome, Reason) {
    if !op.lane.writes() && matches!(status, 200 | 404) {
        return (Outcome::Acked, Reason::Answer);
    }
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let success = (200..300).contains(&status);
    if op.lane.writes() && success && said.acknowledges(op) {
        return (Outcome::Acked, Reason::Answer);
    }
    match (said.stored, success) {
        (Some(false), _) => (Outcome::Refused, Reason::NotStored),
        (_, true) => (Outcome::Unknown, Reason::WrongEcho),
        (_, false) => (Outcome::Unknown, Reason::Answer),
    }
}

impl Said {
    fn acknowledges(&self, op: &Operation) -> bool {
        let echo = (self.key, self.seq) == (Some(op.key), Some(op.seq.into()));
        echo && self.accepted == Some(true) && self.stored != Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::lanes::Lane;

    const WRITE: Operation = Operation { index: 0, lane: Lane::WriteOnce, key: 7, seq: 3 };
    const READ: Operation = Operation { index: 0, lane: Lane::Read, key: 7, seq: 0 };
    const ACKED: (Outcome, Reason) = (Outcome::Acked, Reason::Answer);
    const NOT_STORED: (Outcome, Reason) = (Outcome::Refused, Reason::NotStored);
    const WRONG_ECHO: (Outcome, Reason) = (Outcome::Unknown, Reason::WrongEcho);
    const ANSWER: (Outcome, Reason) = (Outcome::Unknown, Reason::Answer);

    #[test]
    fn a_write_is_acknowledged_by_a_success_that_echoes_it() {
        let echo = r#"{"accepted":true,"key":7,"seq":3,"durability":"persisted","instance":"api-1.1"}"#;
        assert_eq!(judge(&WRITE, 202, echo.as_bytes()), ACKED);
        assert_eq!(judge(&WRITE, 500, echo.as_bytes()), ANSWER);
    }

    #[test]
    fn a_success_that_does_not_echo_is_unknown() {
        for body in [
            "",
            "{",
            "[]",
            "<html>error</html>",
            r#"{"accepted":true}"#,
            r#"{"accepted":true,"key":7,"seq":4}"#,
            r#"{"accepted":true,"key":8,"seq":3}"#,
            r#"{"accepted":false,"key":7,"seq":3}"#,
            r#"{"key":7,"seq":3}"#,
            r#"{"accepted":true,"key":7,"seq":3"#,
            r#"{"accepted":true,"key":7,"key":7,"seq":3}"#,
        ] {
            assert_eq!(judge(&WRITE, 202, body.as_bytes()), WRONG_ECHO, "{body}");
        }
    }

    #[test]
    fn only_an_answer_that_says_so_is_surely_not_stored() {
        let refusal = br#"{"accepted":false,"stored":false,"reason":"buffer full"}"#;
        assert_eq!(judge(&WRITE, 503, refusal), NOT_STORED);
        assert_eq!(judge(&WRITE, 503, br#"{"accepted":false}"#), ANSWER);
        assert_eq!(judge(&WRITE, 503, br#"{"stored":"false"}"#), ANSWER);
        assert_eq!(judge(&WRITE, 504, br#"{"accepted":false,"reason":"buffer timed out"}"#), ANSWER);
        assert_eq!(judge(&WRITE, 202, br#"{"accepted":true,"key":7,"seq":3,"stored":false}"#), NOT_STORED);
    }

    #[test]
    fn a_read_is_answered_by_a_row_or_by_the_lack_of_one() {
        assert_eq!(judge(&READ, 200, b"{}"), ACKED);
        assert_eq!(judge(&READ, 404, b""), ACKED);
        assert_eq!(judge(&READ, 500, b""), ANSWER);
        assert_eq!(judge(&READ, 204, b""), WRONG_ECHO);
        assert_eq!(judge(&READ, 503, br#"{"stored":false}"#), NOT_STORED);
    }
}
