//! Workers that are killed and frozen in the middle of their work: real processes, real signals.

use std::time::{Duration, Instant};

use crate::ensemble::{Ensemble, Times, every_pair, every_strategy_over};
use crate::harness::eventually;
use crate::lab::database::{Database, SERVERS};

const LEASED: &str = "worker.leased";
const COMMITTED: &str = "worker.committed";

/// How often a task was sent to the database, by its seq, for one preset of key 1.
async fn attempts(database: &Database, seq: i64) -> usize {
    let seen = database.witness().await;
    seen.iter().filter(|w| (w.0, w.1, w.3, &w.4[..]) == (1, 1, seq, "attempted")).count()
}

#[tokio::test]
async fn a_kill_between_poll_and_commit_loses_nothing() {
    for pair in every_pair() {
        let mut ensemble = Ensemble::of(pair).await;
        let mut cast = ensemble.cast().await;
        cast.worker.control.hold(LEASED).await;
        ensemble.write(&cast.caller(), 1, 1).await;
        cast.worker.control.held(LEASED).await;
        cast.worker.process.kill();
        assert!(ensemble.database.rows().await.is_empty(), "{}: killed too late", ensemble.name());
        ensemble.forget_what_died().await;
        let successor = ensemble.worker("worker-1.2").await;
        let caller = if ensemble.capabilities().shared { cast.caller() } else { successor.caller.clone() };
        ensemble.write(&caller, 2, 1).await;
        if ensemble.capabilities().durable {
            ensemble.has(1, 1).await;
        }
        ensemble.assert_conforms(&successor.caller).await;
        let sent = usize::from(ensemble.capabilities().durable);
        assert_eq!(attempts(&ensemble.database, 1).await, sent, "{}", ensemble.name());
    }
}

#[tokio::test]
async fn a_kill_between_commit_and_ack_writes_again_and_changes_nothing() {
    for pair in every_pair() {
        let mut ensemble = Ensemble::of(pair).await;
        let mut cast = ensemble.cast().await;
        cast.worker.control.hold(COMMITTED).await;
        ensemble.write(&cast.caller(), 1, 1).await;
        cast.worker.control.held(COMMITTED).await;
        cast.worker.process.kill();
        ensemble.has(1, 1).await;
        ensemble.forget_what_died().await;
        let successor = ensemble.worker("worker-1.2").await;
        ensemble.assert_conforms(&successor.caller).await;
        let rows = ensemble.database.rows().await;
        assert!(rows.iter().all(|row| (row.version, &row.written_by[..]) == (1, "worker-1.1")), "{rows:?}");
        let sent = 1 + usize::from(ensemble.capabilities().durable);
        assert_eq!(attempts(&ensemble.database, 1).await, sent, "{}", ensemble.name());
    }
}

/// It wakes with an old batch in its hands. Where the buffer is private nobody can be given its lease: it goes on.
#[tokio::test]
async fn a_worker_that_wakes_after_its_lease_was_given_away_changes_nothing() {
    for pair in every_pair() {
        let mut ensemble = Ensemble::of(pair).await;
        let mut cast = ensemble.cast().await;
        cast.worker.control.hold(LEASED).await;
        ensemble.write(&cast.caller(), 1, 1).await;
        cast.worker.control.held(LEASED).await;
        cast.worker.process.freeze();
        let mut successor = None;
        if ensemble.capabilities().shared {
            successor = Some(ensemble.worker("worker-2.1").await);
            ensemble.has(1, 1).await;
            ensemble.write(&cast.caller(), 1, 2).await;
            ensemble.has(1, 2).await;
        } else {
            // Time has to pass here: the lease.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        cast.worker.process.thaw();
        cast.worker.control.release(LEASED).await;
        let sent = if successor.is_some() { 2 } else { 1 };
        eventually("the late batch", || async { attempts(&ensemble.database, 1).await >= sent }).await;
        ensemble.assert_conforms(&cast.worker.caller).await;
        if successor.is_some() {
            let rows = ensemble.database.rows().await;
            assert!(rows.iter().all(|row| (row.seq, &row.written_by[..]) == (2, "worker-2.1")), "{rows:?}");
        }
    }
}

/// A frozen worker's transaction is ended by the server, long before its lease: rows that it had locked are free.
/// SQLite has no server that could, and is not frozen there.
#[tokio::test]
async fn a_worker_frozen_inside_a_transaction_does_not_block_the_others() {
    let times = Times { lease: "20s", busy: "10s", idle: "2s", max_attempts: 3 };
    for (strategy, database) in every_strategy_over(SERVERS) {
        let mut ensemble = Ensemble::around(strategy, Database::alone(database).await, times).await;
        let cast = ensemble.cast().await;
        // The statements are prepared once; what is frozen next holds rows, not a statement that is being prepared.
        ensemble.write(&cast.caller(), 9, 1).await;
        ensemble.has(9, 1).await;
        let lock = ensemble.database.lock().await;
        ensemble.write(&cast.caller(), 1, 1).await;
        eventually("a worker waits for the lock", || async { ensemble.database.waiting_and_idle().await.0 == 1 }).await;
        cast.worker.process.freeze();
        drop(lock);
        eventually("its transaction stands still", || async { ensemble.database.waiting_and_idle().await.1 == 1 })
            .await;
        let successor = ensemble.worker("worker-2.1").await;
        let began = Instant::now();
        let caller = if ensemble.capabilities().shared { cast.caller() } else { successor.caller.clone() };
        ensemble.write(&caller, 1, 2).await;
        eventually("another waits for its rows", || async { ensemble.database.waiting_and_idle().await.0 == 1 }).await;
        ensemble.has(1, 2).await;
        assert!(began.elapsed() < Duration::from_secs(15), "{}: {:?}", ensemble.name(), began.elapsed());
        cast.worker.process.thaw();
        ensemble.assert_conforms(&cast.worker.caller).await;
    }
}
