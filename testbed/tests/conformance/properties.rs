//! Every strategy over every database: the canonical script, random ones, and the time that a recovery takes.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};
use testbed::Config;
use testbed::store::{Signature, Store};
use testbed::strategy::STRATEGIES;
use tokio::runtime::Runtime;

use crate::invariants::{Evidence, Violations};
use crate::lab::database::{DATABASES, Database};
use crate::lab::strategies::{Broker, built, request};
use crate::play::Stage;
use crate::script::{Script, any_script, canonical};

pub async fn opened(database: &Database) -> Store {
    let yaml = format!("database: {{ url: '{}' }}", database.url);
    let config = Config::parse(&yaml, Path::new("test.yml")).expect("the laboratory's own configuration");
    let signature = Signature { instance: "worker-1.1".into(), witness: true };
    Store::open(&config.database, signature).await.unwrap_or_else(|error| panic!("{}: {error}", database.word))
}

/// A strategy and a database, on which any number of scripts is played, each with keys and a buffer of its own.
struct Theatre {
    broker: Broker,
    database: Database,
    store: Store,
}

impl Theatre {
    async fn open(strategy: &'static str, database: &'static str) -> Self {
        let database = Database::new(database).await;
        Theatre { broker: Broker::start(strategy).await, store: opened(&database).await, database }
    }

    async fn play(&self, number: i64, script: &Script) -> Evidence {
        let strategy = built(&self.broker.config(&format!("script-{number}")), "worker-1.1").await;
        let (store, database) = (&self.store, &self.database);
        Stage { strategy, store, database, first: number * 1000 }.play(script).await
    }

    fn name(&self) -> String {
        format!("{} over {}", self.broker.word, self.database.word)
    }
}

#[tokio::test]
async fn the_canonical_script_ends_alike_whatever_the_strategy_and_the_database() {
    let reference = Theatre::open("in-memory", "sqlite").await.play(1, &canonical()).await.end();
    for strategy in STRATEGIES {
        for database in DATABASES {
            let theatre = Theatre::open(strategy.word, database).await;
            let violations = theatre.play(1, &canonical()).await.judge_against(&reference);
            assert_eq!(violations, Violations::new(), "{}", theatre.name());
        }
    }
}

/// The cases are few, because each is played against real servers.
fn no_script_breaks_an_invariant_over(database: &'static str) {
    for strategy in STRATEGIES {
        let runtime = Runtime::new().expect("a runtime");
        let theatre = runtime.block_on(Theatre::open(strategy.word, database));
        let number = std::cell::Cell::new(0);
        let cases = Cases { cases: 8, max_shrink_iters: 40, failure_persistence: None, ..Cases::default() };
        let outcome = TestRunner::new(cases).run(&any_script(), |script| {
            number.set(number.get() + 1);
            let violations = runtime.block_on(theatre.play(number.get(), &script)).judge();
            if violations.is_empty() { Ok(()) } else { Err(TestCaseError::fail(format!("{violations:#?}"))) }
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", theatre.name()));
    }
}

#[test]
fn no_script_breaks_an_invariant_over_sqlite() {
    no_script_breaks_an_invariant_over("sqlite");
}

#[test]
fn no_script_breaks_an_invariant_over_postgres() {
    no_script_breaks_an_invariant_over("postgres");
}

#[test]
fn no_script_breaks_an_invariant_over_mariadb() {
    no_script_breaks_an_invariant_over("mariadb");
}

#[test]
fn every_database_of_the_list_has_its_property() {
    assert_eq!(DATABASES, ["sqlite", "postgres", "mariadb"], "give the new one its test above");
    assert_eq!(DATABASES.len(), testbed::store::DATABASES.len(), "a database of the service is not in the laboratory");
}

#[tokio::test]
async fn an_abandoned_task_comes_again_after_its_lease_and_within_a_scan() {
    const LEASE: Duration = Duration::from_millis(300);
    const SCAN: Duration = Duration::from_millis(20);
    /// A broker may count in milliseconds.
    const TICK: Duration = Duration::from_millis(5);
    for strategy in STRATEGIES {
        let broker = Broker::start(strategy.word).await;
        let buffer = built(&broker.config("recovery"), "worker-1.1").await;
        buffer.offer(request(1, 1, 3)).await;
        let before = Instant::now();
        assert_eq!(buffer.poll(3, LEASE).await.unwrap().len(), 3, "{}", broker.word);
        let after = Instant::now();
        let mut scans = Vec::new();
        let mut again = 0;
        while again == 0 {
            tokio::time::sleep(SCAN).await;
            scans.push(Instant::now());
            buffer.redrive().await.unwrap();
            again = buffer.poll(3, LEASE).await.unwrap().len();
        }
        assert_eq!(again, 3, "{}", broker.word);
        // Not before the lease was over; and by the first scan after that: the one before it was too early.
        let found = Instant::now();
        assert!(found - before >= LEASE, "{}: after {:?}", broker.word, found - before);
        if let [.., last_in_vain, _] = scans[..] {
            assert!(last_in_vain - after <= LEASE + TICK, "{}: not at {:?}", broker.word, last_in_vain - after);
        }
    }
}
