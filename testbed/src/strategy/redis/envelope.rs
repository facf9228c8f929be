//! `<failed attempts>:<offered at, ms>:<task as JSON>` → a delivery, or why nobody can read it.

use crate::strategy::{Delivery, Receipt};
use crate::task::ExpectationWriteTask;

/// A leased entry that is no task, with what a person needs to find out why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable {
    pub(super) receipt: Receipt,
    pub(super) cause: String,
    pub(super) payload: String,
}

pub(super) fn open(receipt: String, envelope: &[u8]) -> Result<Delivery, Undecodable> {
    let receipt = Receipt(receipt);
    let Some((failed, payload)) = std::str::from_utf8(envelope).ok().and_then(split) else {
        let payload = String::from_utf8_lossy(envelope).into_owned();
        return Err(Undecodable { receipt, cause: "undecodable: not an envelope".into(), payload });
    };
    match serde_json::from_str::<ExpectationWriteTask>(payload) {
        Ok(task) => Ok(Delivery { receipt, task, attempt: failed.saturating_add(1) }),
        Err(e) => Err(Undecodable { receipt, cause: format!("undecodable: {e}"), payload: payload.to_owned() }),
    }
}

fn split(envelope: &str) -> Option<(u32, &str)> {
    let mut parts = envelope.splitn(3, ':');
    let failed = parts.next()?.parse().ok()?;
    let _offered_at: u64 = parts.next()?.parse().ok()?;
    Some((failed, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"{"key":7,"preset":2,"seq":9,"costs":{"total_expected_cost":"1.00","black_cube_cost":"2.00",
        "red_cube_cost":"3.00","additional_cube_cost":"4.00","starforce_cost":"5.00"}}"#;

    #[test]
    fn an_envelope_holds_the_failed_attempts_and_the_task() {
        let delivery = open("w#1".into(), format!("2:1700000000000:{TASK}").as_bytes()).unwrap();
        assert_eq!((delivery.attempt, delivery.task.key, delivery.task.seq), (3, 7, 9));
    }

    #[test]
    fn what_nobody_can_read_keeps_its_payload() {
        let unreadable = open("w#1".into(), b"0:1:{\"key\":\xc3\xb6").unwrap_err();
        assert!(unreadable.cause.starts_with("undecodable: expected"), "{}", unreadable.cause);
        assert_eq!(unreadable.payload, "{\"key\":ö");
        for strange in [&b"hello"[..], b"", b"1:2", b"x:1:{}", b"\xff:1:{}"] {
            assert_eq!(open("w#1".into(), strange).unwrap_err().cause, "undecodable: not an envelope");
        }
    }
}
