//! Services that work at the same time on the same rows, and a swap of the strategy beneath them.

use testbed::Config;
use testbed::strategy::STRATEGIES;
use testbed::strategy::config::BufferConfig;

use crate::ensemble::{Ensemble, every_pair};
use crate::harness::Running;
use crate::lab::database::{DATABASES, Database};
use crate::properties::opened;
use crate::script::task;

/// Two where the buffer is shared; a private one has one worker by its nature.
async fn services(ensemble: &Ensemble) -> Vec<Running> {
    let mut services = vec![ensemble.serve("all-1.1", "all").await];
    if ensemble.capabilities().shared {
        services.push(ensemble.serve("all-2.1", "all").await);
    }
    services
}

/// Few keys, many writes, in an order that no key's caller would choose: workers meet on rows, and batches hold
/// several tasks of one row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_hot_rows_leave_the_newest_of_each() {
    const KEYS: u64 = 4;
    const SEQS: u64 = 40;
    for pair in every_pair() {
        let mut ensemble = Ensemble::of(pair).await;
        let services = services(&ensemble).await;
        let mut writes = tokio::task::JoinSet::new();
        for seq in (1..=SEQS).map(|n| 1 + n * 17 % SEQS) {
            for key in 1..=KEYS {
                let caller = crate::harness::Caller::clone(&services[(seq + key) as usize % services.len()]);
                writes.spawn(async move { (key, seq, caller.write(key, seq).await.status) });
            }
        }
        while let Some(write) = writes.join_next().await {
            let (key, seq, status) = write.expect("a write");
            assert_eq!(status, 202, "{}", ensemble.name());
            ensemble.book(key, seq);
        }
        for service in &services {
            ensemble.assert_conforms(service).await;
        }
        let seen = ensemble.database.witness().await;
        for (key, preset, seq) in (1..=KEYS as i64).flat_map(|key| (1..=SEQS as i64).map(move |seq| (key, 1, seq))) {
            let handled = seen.iter().any(|w| (w.0, w.1, w.3) == (key, preset, seq));
            assert!(handled, "{}: {key}/{preset} seq {seq} was never attempted nor dropped", ensemble.name());
        }
        for service in services {
            assert!(service.metric("processed_tasks_total").await > Some(0.0), "{}: one did all", ensemble.name());
            assert_eq!(service.metric("processed_tasks_failed_total").await, Some(0.0), "{}", ensemble.name());
            service.stop().await;
        }
    }
}

/// Batches lock their rows in one order, and one that loses all the same is written again: nobody is turned back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_the_same_rows_written_at_once_all_succeed() {
    const BATCHES: u64 = 20;
    const ROWS: i64 = 60;
    for word in DATABASES {
        let database = Database::new(word).await;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..3 {
            let store = opened(&database).await;
            writers.spawn(async move {
                for batch in 1..=BATCHES {
                    // Each from another key on, so that rows are created by turns; each batch in another order.
                    let keys = (0..ROWS).map(|n| (batch as i64 * 20 + n * 7 % ROWS) % 500);
                    let tasks: Vec<_> = keys.map(|key| task(0, 100 + key, batch * 3 + writer, 1)).collect();
                    let applied = store.apply(&tasks.iter().collect::<Vec<_>>()).await;
                    applied.unwrap_or_else(|error| panic!("{word}: failed to {error}"));
                }
            });
        }
        while let Some(written) = writers.join_next().await {
            written.expect("a writer");
        }
    }
}

/// One executable, and configurations that are the same but for `buffer`.
#[tokio::test]
async fn a_swap_changes_one_section_of_the_configuration() {
    let mut without_buffer = Vec::new();
    for strategy in STRATEGIES {
        let mut ensemble = Ensemble::of((strategy.word, "sqlite")).await;
        let yaml = ensemble.yaml("all-1.1", "all").replace(&ensemble.database.url, "sqlite://expectation.db");
        let config = Config::parse(&yaml, std::path::Path::new("test.yml")).unwrap();
        assert_eq!(config.buffer.strategy, strategy.word);
        without_buffer.push(Config { buffer: BufferConfig::default(), ..config });
        let service = ensemble.serve("all-1.1", "all").await;
        ensemble.write(&service, 1, 1).await;
        ensemble.assert_conforms(&service).await;
        let effective = format!("buffer_strategy_info{{strategy=\"{}\"", strategy.word);
        assert_eq!(service.metric(&effective).await, Some(1.0), "{}", ensemble.name());
        service.stop().await;
    }
    assert!(without_buffer.windows(2).all(|two| two[0] == two[1]), "{without_buffer:#?}");
}
