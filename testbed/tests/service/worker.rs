//! From the buffer to the database: order, witnesses, and everything that goes wrong on the way.

use std::time::Duration;

use crate::harness::{Lab, Running, body_with, eventually};

const READY: &str = "buffer_size{";
const DEAD: &str = "buffer_dead{";
const LEASED: &str = "buffer_leased{";
const DELAYED: &str = "buffer_delayed{";

/// Holds a first batch, so that what is written now waits for one and the same later batch.
async fn with_a_batch_held(lab: &Lab, sections: &str) -> Running {
    let mut service = lab.serve(sections).await;
    service.control.hold("worker.leased").await;
    assert_eq!(service.write(1000, 1).await.status, 202);
    assert_eq!(service.control.held("worker.leased").await, 3);
    service
}

#[tokio::test]
async fn a_batch_keeps_the_newest_of_a_row_and_records_what_it_dropped() {
    for lab in Lab::each().await {
        let mut service = with_a_batch_held(&lab, "witness: true").await;
        for seq in [2, 3, 1] {
            assert_eq!(service.write(1, seq).await.status, 202);
        }
        service.control.release("worker.leased").await;
        service.has_rows(6).await;
        assert!(service.rows().await[..3].iter().all(|row| (row.key, row.seq) == (1, 3)));
        let seen: Vec<_> = service.witness().await.into_iter().filter(|w| (w.0, w.1) == (1, 2)).collect();
        let entry = |seq, kind: &str| (1, 2, None, seq, kind.to_owned());
        assert_eq!(seen, [entry(3, "attempted"), entry(2, "dropped"), entry(1, "dropped")]);
        assert_eq!(service.metric("processed_tasks_total").await, Some(12.0));
        service.stop().await;
    }
}

#[tokio::test]
async fn the_witness_sees_an_upsert_that_loses() {
    for lab in Lab::each().await {
        let service = lab.serve("witness: true").await;
        service.write(1, 5).await;
        service.has_rows(3).await;
        service.write(1, 4).await;
        eventually("two upserts a preset", || async { service.witness().await.len() == 6 }).await;
        let first_preset: Vec<_> = service.witness().await.into_iter().filter(|w| w.1 == 1).collect();
        let entry = |old, new| (1, 1, old, new, "attempted".to_owned());
        assert_eq!(first_preset, [entry(None, 5), entry(Some(5), 4)]);
        assert_eq!(service.rows().await[0].seq, 5);
        service.stop().await;
    }
}

#[tokio::test]
async fn without_a_witness_nothing_is_logged() {
    for lab in Lab::each().await {
        let service = lab.serve("").await;
        service.write(1, 1).await;
        service.has_rows(3).await;
        assert!(!lab.database.has_witness().await, "{}", lab.database.word);
        service.stop().await;
    }
}

#[tokio::test]
async fn a_locked_database_neither_loses_tasks_nor_dead_letters_them() {
    for lab in Lab::each().await {
        // One failed attempt would be the last.
        let service =
            lab.serve("worker: { max_attempts: 1, backoff: 20ms, backoff_max: 40ms, redrive_scan: 20ms }").await;
        let lock = lab.database.lock().await;
        assert_eq!(service.write(1, 1).await.status, 202);
        // Several rounds: each waits for the busy time-out, gives the batch back, and comes again.
        for _ in 0..3 {
            eventually("a round gives up", || async { service.metric(DELAYED).await == Some(3.0) }).await;
            eventually("another round begins", || async { service.metric(LEASED).await == Some(3.0) }).await;
        }
        assert_eq!(service.metric("processed_tasks_failed_total").await, Some(0.0));
        drop(lock);
        service.has_rows(3).await;
        eventually("the leases end", || async { service.metric(LEASED).await == Some(0.0) }).await;
        assert_eq!(service.metric(DEAD).await, Some(0.0));
        service.stop().await;
    }
}

#[tokio::test]
async fn a_poison_task_dies_alone() {
    for lab in Lab::each().await {
        let sections = "worker: { max_attempts: 2, backoff: 10ms, backoff_max: 10ms, redrive_scan: 20ms }";
        let mut service = with_a_batch_held(&lab, sections).await;
        service.write(1, 1).await;
        // The database refuses negative amounts: one preset of this request is poison.
        let poison = body_with(1, |preset| if preset == 2 { "-1.00".into() } else { "1.00".into() });
        assert_eq!(service.post("2", poison).await.status, 202);
        service.write(3, 1).await;
        service.control.release("worker.leased").await;
        eventually("the poison is dead", || async { service.metric(DEAD).await == Some(1.0) }).await;
        service.has_rows(11).await;
        let presets: Vec<u8> = service.rows().await.iter().filter(|row| row.key == 2).map(|row| row.preset).collect();
        assert_eq!(presets, [1, 3]);
        assert_eq!(service.metric("processed_tasks_failed_total").await, Some(2.0));
        assert_eq!(service.metric("processed_tasks_total").await, Some(11.0));
        service.stop().await;
    }
}

/// The newer task of a row is refused: what it would have superseded must be written, not dropped.
#[tokio::test]
async fn a_poison_task_supersedes_nothing() {
    for lab in Lab::each().await {
        let mut service =
            with_a_batch_held(&lab, "worker: { max_attempts: 1, redrive_scan: 20ms }\nwitness: true").await;
        service.write(1, 1).await;
        service.post("1", body_with(2, |_| "-1.00".into())).await;
        service.control.release("worker.leased").await;
        eventually("the poison is dead", || async { service.metric(DEAD).await == Some(3.0) }).await;
        service.has_rows(6).await;
        assert!(service.rows().await[..3].iter().all(|row| (row.key, row.seq) == (1, 1)));
        assert!(service.witness().await.iter().all(|w| w.4 == "attempted"));
        service.stop().await;
    }
}

#[tokio::test]
async fn a_lease_is_prolonged_while_its_batch_lasts() {
    let lab = Lab::new();
    let sections = "worker: { lease: 300ms, redrive_scan: 20ms, max_attempts: 1 }\nwitness: true";
    let mut service = with_a_batch_held(&lab, sections).await;
    // Time has to pass here: three leases' worth, in which every scan would redrive an expired one.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(service.metric(LEASED).await, Some(3.0));
    service.control.release("worker.leased").await;
    service.has_rows(3).await;
    eventually("the leases end", || async { service.metric(LEASED).await == Some(0.0) }).await;
    assert_eq!((service.metric(READY).await, service.metric(DEAD).await), (Some(0.0), Some(0.0)));
    assert_eq!(service.witness().await.len(), 3, "each task was attempted once");
    service.stop().await;
}
