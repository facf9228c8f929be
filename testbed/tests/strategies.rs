//! One suite over every strategy of the list: what a buffer must do, whatever is behind it. What only Redis can do or
//! suffer stands in `strategies/`.

#[expect(dead_code, reason = "one laboratory for all tests: these need a part of it")]
mod lab;
#[path = "strategies/redis_faults.rs"]
mod redis_faults;
#[path = "strategies/redis_keys.rs"]
mod redis_keys;
#[path = "strategies/redis_trust.rs"]
mod redis_trust;

use std::time::Duration;

use lab::strategies::{LEASE, MAX_ATTEMPTS, SHORT, every_strategy, request, seqs, task};
use testbed::strategy::{Cause, Offered, Receipt, Size};

fn receipts(deliveries: &[testbed::strategy::Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|d| d.receipt.clone()).collect()
}

#[tokio::test]
async fn what_was_accepted_is_polled_once() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 3)).await;
        let deliveries = buffer.poll(10, LEASE).await;
        let tasks: Vec<_> = deliveries.iter().map(|d| d.task.clone()).collect();
        assert_eq!(tasks, request(7, 1, 3), "{}", buffer.word);
        assert!(deliveries.iter().all(|d| d.attempt == 1), "{}", buffer.word);
        assert!(buffer.poll(10, LEASE).await.is_empty(), "{}: polled twice", buffer.word);
        assert_eq!(buffer.strategy.ack(&receipts(&deliveries)).await.unwrap(), 3, "{}", buffer.word);
        assert_eq!(buffer.size().await, Size { exact: true, ..Size::default() }, "{}", buffer.word);
    }
}

#[tokio::test]
async fn tasks_come_out_in_the_order_in_which_they_came_in() {
    for buffer in every_strategy().await {
        for seq in 1..=6 {
            buffer.accept(request(7, seq, 1)).await;
        }
        assert_eq!(seqs(&buffer.poll(2, LEASE).await), [1, 2], "{}", buffer.word);
        assert_eq!(seqs(&buffer.poll(9, LEASE).await), [3, 4, 5, 6], "{}", buffer.word);
        assert!(buffer.poll(0, LEASE).await.is_empty(), "{}", buffer.word);
    }
}

#[tokio::test]
async fn a_request_is_taken_whole_or_not_at_all_at_capacity() {
    for buffer in every_strategy().await {
        for key in 1..=3 {
            buffer.accept(request(key, 1, 3)).await;
        }
        // Leased tasks still take room: 9 of 12 are held.
        buffer.poll(2, LEASE).await;
        let too_many = buffer.strategy.offer(request(4, 1, 4)).await;
        assert!(matches!(too_many, Offered::Backpressure { .. }), "{}: {too_many:?}", buffer.word);
        assert_eq!(buffer.size().await.ready, 7, "{}", buffer.word);
        buffer.accept(request(5, 1, 3)).await;
        let full = buffer.strategy.offer(request(6, 1, 1)).await;
        assert!(matches!(full, Offered::Backpressure { retry_after } if retry_after > Duration::ZERO), "{full:?}");
        let polled = buffer.poll(20, LEASE).await;
        assert_eq!(polled.len(), 10, "{}", buffer.word);
        buffer.strategy.ack(&receipts(&polled)).await.unwrap();
        buffer.accept(request(6, 1, 3)).await;
    }
}

#[tokio::test]
async fn an_expired_lease_redelivers_with_one_attempt_more_ahead_of_newer_tasks() {
    for buffer in every_strategy().await {
        for seq in 1..=4 {
            buffer.accept(request(7, seq, 1)).await;
        }
        buffer.poll(3, SHORT).await;
        buffer.redriven(3).await;
        let again = buffer.poll(9, LEASE).await;
        assert_eq!(seqs(&again), [1, 2, 3, 4], "{}", buffer.word);
        let attempts: Vec<_> = again.iter().map(|d| d.attempt).collect();
        assert_eq!(attempts, [2, 2, 2, 1], "{}", buffer.word);
    }
}

#[tokio::test]
async fn a_stale_receipt_changes_nothing() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        let stale = receipts(&buffer.poll(1, SHORT).await);
        buffer.redriven(1).await;
        let current = buffer.poll(1, LEASE).await;
        let (strategy, failed) = (&buffer.strategy, Cause::Failed("late".into()));
        assert_eq!(strategy.ack(&stale).await.unwrap(), 0, "{}", buffer.word);
        assert_eq!(strategy.nack(&stale, SHORT, &failed).await.unwrap(), 0, "{}", buffer.word);
        // Had this shortened the lease of the delivery that counts, the redrive below would find it.
        assert_eq!(strategy.extend(&stale, Duration::ZERO).await.unwrap(), 0, "{}", buffer.word);
        assert_eq!(strategy.redrive().await.unwrap(), 0, "{}", buffer.word);
        assert_eq!(buffer.size().await, Size { leased: 1, exact: true, ..Size::default() }, "{}", buffer.word);
        assert_eq!(strategy.ack(&receipts(&current)).await.unwrap(), 1, "{}", buffer.word);
        assert_eq!(strategy.ack(&receipts(&current)).await.unwrap(), 0, "{}: acked twice", buffer.word);
    }
}

#[tokio::test]
async fn a_receipt_is_stale_once_its_delivery_was_given_back() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        let given_back = receipts(&buffer.poll(1, LEASE).await);
        assert_eq!(buffer.strategy.nack(&given_back, LEASE, &Cause::Unavailable).await.unwrap(), 1);
        assert_eq!(buffer.strategy.ack(&given_back).await.unwrap(), 0, "{}", buffer.word);
        assert_eq!(buffer.strategy.nack(&given_back, SHORT, &Cause::Unavailable).await.unwrap(), 0);
        assert_eq!(buffer.size().await, Size { delayed: 1, exact: true, ..Size::default() }, "{}", buffer.word);
    }
}

#[tokio::test]
async fn an_extended_lease_outlives_its_first_end() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 2)).await;
        let leased = receipts(&buffer.poll(2, SHORT).await);
        assert_eq!(buffer.strategy.extend(&leased[..1], LEASE).await.unwrap(), 1, "{}", buffer.word);
        // The second lease, which ends at the same time, proves that the first would have ended too.
        buffer.redriven(1).await;
        assert_eq!(buffer.size().await.leased, 1, "{}", buffer.word);
        assert_eq!(buffer.strategy.ack(&leased).await.unwrap(), 1, "{}", buffer.word);
    }
}

#[tokio::test]
async fn a_database_that_is_away_costs_no_attempt() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        for _ in 0..=MAX_ATTEMPTS {
            let leased = buffer.poll(1, LEASE).await;
            assert_eq!(leased[0].attempt, 1, "{}", buffer.word);
            buffer.strategy.nack(&receipts(&leased), SHORT, &Cause::Unavailable).await.unwrap();
            assert!(buffer.poll(1, LEASE).await.is_empty(), "{}: it waits for its delay", buffer.word);
            buffer.redriven(1).await;
        }
    }
}

#[tokio::test]
async fn a_task_that_fails_too_often_is_dead_with_its_payload_and_the_last_cause() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        for attempt in 1..=MAX_ATTEMPTS {
            let leased = buffer.poll(1, LEASE).await;
            assert_eq!(leased[0].attempt, attempt, "{}", buffer.word);
            let cause = Cause::Failed(format!("no such \"column\", ö {attempt}"));
            buffer.strategy.nack(&receipts(&leased), Duration::ZERO, &cause).await.unwrap();
        }
        assert!(buffer.poll(1, LEASE).await.is_empty(), "{}", buffer.word);
        assert_eq!(buffer.size().await, Size { dead: 1, exact: true, ..Size::default() }, "{}", buffer.word);
        let letter = &buffer.dead(1).await[0];
        assert_eq!(letter.cause, format!("no such \"column\", ö {MAX_ATTEMPTS}"), "{}", buffer.word);
        assert_eq!(letter.attempts, MAX_ATTEMPTS, "{}", buffer.word);
        assert_eq!(letter.payload, serde_json::to_string(&task(7, 1, 1)).unwrap(), "{}", buffer.word);
        assert!(letter.at_ms > 1_700_000_000_000, "{}: {}", buffer.word, letter.at_ms);
    }
}

#[tokio::test]
async fn a_task_whose_leases_all_expire_is_dead() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(buffer.poll(1, SHORT).await[0].attempt, attempt, "{}", buffer.word);
            if attempt < MAX_ATTEMPTS {
                buffer.redriven(1).await;
            }
        }
        let letter = &buffer.dead(1).await[0];
        assert_eq!((&letter.cause[..], letter.attempts), ("lease expired", MAX_ATTEMPTS), "{}", buffer.word);
    }
}

#[tokio::test]
async fn what_is_given_back_without_delay_comes_first_and_in_order() {
    for buffer in every_strategy().await {
        for seq in 1..=5 {
            buffer.accept(request(7, seq, 1)).await;
        }
        let leased = receipts(&buffer.poll(3, LEASE).await);
        assert_eq!(buffer.strategy.nack(&leased, Duration::ZERO, &Cause::Unavailable).await.unwrap(), 3);
        assert_eq!(seqs(&buffer.poll(9, LEASE).await), [1, 2, 3, 4, 5], "{}", buffer.word);
    }
}

#[tokio::test]
async fn a_receipt_names_its_holder_and_belongs_to_one_delivery() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        let first = buffer.poll(1, SHORT).await.remove(0).receipt;
        buffer.redriven(1).await;
        let second = buffer.poll(1, LEASE).await.remove(0).receipt;
        assert_eq!(first.holder(), "worker-1.1", "{}", buffer.word);
        assert!(second.number() > first.number(), "{}: {first} then {second}", buffer.word);
    }
}

#[tokio::test]
async fn the_age_is_that_of_the_task_that_comes_next() {
    for buffer in every_strategy().await {
        assert_eq!(buffer.size().await.oldest_age, None, "{}", buffer.word);
        buffer.accept(request(7, 1, 1)).await;
        lab::strategies::eventually("the task grows older", async || buffer.size().await.oldest_age > Some(SHORT))
            .await;
        buffer.accept(request(7, 2, 1)).await;
        buffer.poll(1, LEASE).await;
        // The first one is not ready any more, so its age does not count.
        assert!(buffer.size().await.oldest_age < Some(LEASE), "{}", buffer.word);
        buffer.poll(1, LEASE).await;
        assert_eq!(buffer.size().await.oldest_age, None, "{}", buffer.word);
    }
}

#[tokio::test]
async fn waiting_ends_when_enough_is_ready() {
    for buffer in every_strategy().await {
        let waiting = buffer.strategy.wait_ready(3, LEASE);
        let (_, ()) = tokio::join!(
            async { tokio::time::timeout(LEASE / 2, waiting).await.expect("it ends before its limit") },
            buffer.accept(request(7, 1, 3))
        );
        buffer.strategy.wait_ready(4, SHORT).await;
    }
}

#[tokio::test]
async fn a_closed_buffer_refuses_offers_and_still_gives_out_what_it_holds() {
    for buffer in every_strategy().await {
        buffer.accept(request(7, 1, 1)).await;
        buffer.strategy.close();
        assert_eq!(buffer.strategy.offer(request(7, 2, 1)).await, Offered::ShuttingDown, "{}", buffer.word);
        assert_eq!(seqs(&buffer.poll(9, LEASE).await), [1], "{}", buffer.word);
        buffer.strategy.ping().await.unwrap();
    }
}
