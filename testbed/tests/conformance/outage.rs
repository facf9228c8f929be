//! A database that goes away and comes back: good tasks wait for it, however often they were tried.

use crate::ensemble::{Ensemble, Times, every_pair};
use crate::harness::eventually;
use crate::lab::database::Database;

#[tokio::test]
async fn an_outage_of_the_database_loses_and_dead_letters_nothing() {
    // One failed attempt would be the last.
    let times = Times { max_attempts: 1, lease: "5s", busy: "300ms", idle: "300ms" };
    for (strategy, database) in every_pair() {
        let mut ensemble = Ensemble::around(strategy, Database::alone(database).await, times).await;
        let service = ensemble.serve("all-1.1", "all").await;
        ensemble.write(&service, 1, 1).await;
        ensemble.has(1, 1).await;
        let database = ensemble.database.clone();
        let outage = database.go_away().await;
        for (key, seq) in [(1, 2), (2, 1), (3, 1)] {
            ensemble.write(&service, key, seq).await;
        }
        let flushes = "flush_duration_seconds_count";
        let before = service.metric(flushes).await.expect("a figure");
        eventually("several rounds in vain", || async { service.metric(flushes).await >= Some(before + 3.0) }).await;
        outage.end().await;
        ensemble.has(1, 2).await;
        ensemble.assert_conforms(&service).await;
        assert_eq!(service.metric("processed_tasks_failed_total").await, Some(0.0), "{}", ensemble.name());
        service.stop().await;
    }
}
