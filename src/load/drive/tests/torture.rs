//! Targets whose answers are cut, malformed, late or endless: what the ledger calls each of them. Only a complete answer
//! acknowledges.

use super::*;

/// Far longer than any answer takes here that is to be complete.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The answer of a healthy service, in chunks.
fn in_chunks(seen: &Seen) -> Vec<u8> {
    let body = format!(r#"{{"accepted":true,"key":{},"seq":{}}}"#, seen.key, seen.seq);
    let (one, other) = body.split_at(body.len() / 2);
    let chunks = [one, other].map(|chunk| format!("{:x};x=y\r\n{chunk}\r\n", chunk.len()));
    format!("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\nT: x\r\n\r\n", chunks.concat()).into()
}

fn in_one(seen: &Seen) -> Vec<u8> {
    let Reply::Send(bytes) = acknowledge(seen) else { panic!("an acknowledgement is one write") };
    bytes
}

/// Which operation of a load of write-once keys this is.
fn op(seen: &Seen) -> usize {
    ((seen.key & u64::from(u32::MAX)) - u64::from(plan(1.0, 1).hot_keys)) as usize
}

/// Drives so many operations, each to a reply of its own; broken connections take nobody out of rotation for long.
async fn outcomes(
    count: usize,
    reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
) -> Vec<(Outcome, Reason)> {
    let target = FakeTarget::start(1, move |seen| reply(op(seen), seen)).await;
    // Long enough for what waits for a connection that a silent answer keeps.
    let plan = LoadPlan { request_timeout: TIMEOUT, grace: 3 * TIMEOUT, ..plan(500.0, 2 * count as u64) };
    let attempts = Lab::with(&[&target]).drive_with_prober(&plan, &[target.endpoint.id]).await;
    assert_eq!(attempts.len(), count);
    assert_eq!(target.seen().len(), count, "each is sent once");
    attempts.iter().map(|attempt| (attempt.outcome, attempt.reason)).collect()
}

#[tokio::test]
async fn an_answer_acknowledges_wherever_it_is_split() {
    let split_at = |at: usize, bytes: Vec<u8>| {
        let (one, other) = bytes.split_at(1 + at % (bytes.len() - 1));
        Reply::InTwo(one.into(), other.into())
    };
    let outcomes = outcomes(360, move |op, seen| match op % 2 {
        0 => split_at(op / 2, in_one(seen)),
        _ => split_at(op / 2, in_chunks(seen)),
    });
    for (op, outcome) in outcomes.await.into_iter().enumerate() {
        assert_eq!(outcome, (Outcome::Acked, Reason::Answer), "operation {op}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_acknowledges_nothing_wherever_it_ends() {
    let cut_at = |at: usize, mut bytes: Vec<u8>| {
        bytes.truncate(at % bytes.len());
        Reply::SendAndClose(bytes)
    };
    let outcomes = outcomes(360, move |op, seen| match op % 2 {
        0 => cut_at(op / 2, in_one(seen)),
        _ => cut_at(op / 2, in_chunks(seen)),
    });
    for (op, (outcome, reason)) in outcomes.await.into_iter().enumerate() {
        assert_eq!(outcome, Outcome::Unknown, "operation {op}");
        assert!(matches!(reason, Reason::BadAnswer | Reason::Reset), "operation {op}: {reason:?}");
    }
}

#[tokio::test]
async fn a_dripping_answer_acknowledges_when_its_last_byte_is_there() {
    let outcomes = outcomes(20, |op, seen| match op % 2 {
        0 => Reply::Drip(in_one(seen)),
        // All but the last byte, then silence.
        _ => Reply::Then(Box::new(Reply::Drip(in_chunks(seen).split_last().unwrap().1.into())), Box::new(Reply::Never)),
    });
    for (op, outcome) in outcomes.await.into_iter().enumerate() {
        let expected = [(Outcome::Acked, Reason::Answer), (Outcome::Unknown, Reason::TimedOut)][op % 2];
        assert_eq!(outcome, expected, "operation {op}");
    }
}

#[tokio::test]
async fn what_is_malformed_or_endless_acknowledges_nothing() {
    let malformed: Vec<fn(&Seen) -> Vec<u8>> = vec![
        |_| b"\0\xff garbage \r\n\r\n".into(),
        |seen| [&in_one(seen)[..], b"x"].concat(),
        |seen| [in_one(seen), in_one(seen)].concat(),
        |seen| [&in_chunks(seen)[..], b"\r\n"].concat(),
        |seen| format!("HTTP/1.1 202 Accepted\r\nX: {}\r\n{}", "x".repeat(20_000), after_status(seen)).into(),
        |seen| format!("HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n{}", after_status(seen)).into(),
        |seen| format!("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n{}", after_status(seen)).into(),
        |seen| format!("HTTP/1.1 101 Switching Protocols\r\n{}", after_status(seen)).into(),
        |seen| String::from_utf8(in_chunks(seen)).unwrap().replace(";x=y", "g").into(),
        |seen| String::from_utf8(in_chunks(seen)).unwrap().replacen("\r\n0\r\n", "\r\n\r\n", 1).into(),
        |_| format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n", 1 << 20).into(),
    ];
    let count = malformed.len();
    for (op, outcome) in outcomes(count, move |op, seen| Reply::Send(malformed[op](seen))).await.into_iter().enumerate()
    {
        assert_eq!(outcome, (Outcome::Unknown, Reason::BadAnswer), "operation {op}");
    }
}

/// The healthy answer without its first line.
fn after_status(seen: &Seen) -> String {
    String::from_utf8(in_one(seen)).unwrap().split_once("\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_body_that_only_the_end_of_its_connection_ends_acknowledges_nothing() {
    let outcomes = outcomes(10, |_, seen| {
        let body = in_one(seen).split_off(in_one(seen).windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4);
        Reply::SendAndClose([&b"HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\n"[..], &body].concat())
    });
    assert!(outcomes.await.iter().all(|outcome| *outcome == (Outcome::Unknown, Reason::BadAnswer)));
}

#[tokio::test]
async fn interim_answers_acknowledge_nothing_and_spoil_nothing() {
    let early = || b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    let outcomes = outcomes(10, move |op, seen| match op % 2 {
        0 => Reply::InTwo(early(), in_one(seen)),
        _ => Reply::SendAndClose(early()),
    });
    for (op, outcome) in outcomes.await.into_iter().enumerate() {
        let expected = [(Outcome::Acked, Reason::Answer), (Outcome::Unknown, Reason::BadAnswer)][op % 2];
        assert_eq!(outcome, expected, "operation {op}");
    }
}

#[tokio::test]
async fn a_target_that_restarts_gets_nothing_twice() {
    let mut target = FakeTarget::start(1, acknowledge).await;
    let (ids, lab) = ([target.endpoint.id], Lab::with(&[&target]));
    let plan = plan(500.0, 1500);
    let attempts = {
        let restarts = async {
            for ms in [200, 500, 800] {
                lab.until_ms(ms).await;
                target.stop().await;
                lab.until_ms(ms + 100).await;
                target.start_again().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            attempts = lab.drive_with_prober(&plan, &ids) => attempts,
            () = restarts => unreachable!("it never ends"),
        }
    };
    assert_eq!(attempts.len(), 750);
    let seen: Vec<_> = target.seen().into_iter().map(|seen| seen.key).collect();
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(seen.len(), distinct.len(), "a request came twice");
    for attempt in &attempts {
        match attempt.outcome {
            Outcome::Acked => assert!(distinct.contains(&attempt.key), "{attempt:?}"),
            Outcome::Refused | Outcome::NotSent => assert!(!distinct.contains(&attempt.key), "{attempt:?}"),
            Outcome::Unknown => assert!(attempt.sent.is_some(), "{attempt:?}"),
        }
    }
    let acked_after = |at| attempts.iter().any(|a| a.outcome == Outcome::Acked && a.due >= at);
    assert!(acked_after(at_ms(900)), "it came back, and nobody noticed");
    assert!(attempts.iter().any(|a| a.outcome != Outcome::Acked), "no restart took effect");
}
