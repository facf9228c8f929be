//! The suite is not blind: each invariant is broken by a strategy with one mistake, and no other is accused.

use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use testbed::store::Store;

use crate::broken::{Broken, Mistake};
use crate::invariants::{Evidence, Invariant, Violations};
use crate::lab::database::Database;
use crate::lab::strategies::{Broker, built};
use crate::play::Stage;
use crate::properties::opened;
use crate::script::{Script, any_script, canonical};

/// Each mistake, and what it breaks.
const MISTAKES: [(Mistake, Invariant); 8] = [
    (Mistake::PopsWithoutLease, Invariant::NothingIsLost),
    (Mistake::DropsTheNewest, Invariant::TheNewestWins),
    (Mistake::Invents, Invariant::NothingIsInvented),
    (Mistake::AcksByTask, Invariant::StaleReceiptsAreHarmless),
    (Mistake::CountsTwice, Invariant::TheSumsAddUp),
    (Mistake::ResetsAttempts, Invariant::AttemptsAreBounded),
    (Mistake::NeverRedrives, Invariant::RecoveryIsBounded),
    (Mistake::IsChoosy, Invariant::ASwapIsConfigurationOnly),
];

/// A strategy with this mistake, or without any, and the evidence of one script on it.
async fn played(mistake: Option<Mistake>, store: &Store, database: &Database, first: i64, script: &Script) -> Evidence {
    let sound = built(&Broker::start("in-memory").await.config("red"), "worker-1.1").await;
    let strategy = match mistake {
        Some(mistake) => Arc::new(Broken::new(mistake, sound)),
        None => sound,
    };
    Stage { strategy, store, database, first }.play(script).await
}

#[tokio::test]
async fn the_canonical_script_accuses_each_mistake_of_what_it_breaks_and_of_nothing_else() {
    let database = Database::file();
    let store = opened(&database).await;
    let reference = played(None, &store, &database, 0, &canonical()).await;
    assert_eq!(reference.judge(), Violations::new(), "without a mistake");
    for ((mistake, invariant), first) in MISTAKES.into_iter().zip((1000..).step_by(1000)) {
        let evidence = played(Some(mistake), &store, &database, first, &canonical()).await;
        let violations = evidence.judge_against(&reference.end());
        assert_eq!(violations.keys().collect::<Vec<_>>(), [&invariant], "{mistake:?}: {violations:#?}");
    }
}

/// Few cases are enough: so many as a property is given, and these are always the same.
#[tokio::test]
async fn random_scripts_find_each_mistake_that_needs_no_comparison() {
    let mut runner = TestRunner::deterministic();
    let mut draw = || any_script().new_tree(&mut runner).expect("a script").current();
    let scripts: [Script; 8] = std::array::from_fn(|_| draw());
    for (mistake, invariant) in &MISTAKES[..7] {
        let database = Database::file();
        let (store, mut found) = (opened(&database).await, false);
        for (script, first) in scripts.iter().zip((0..).step_by(1000)) {
            found =
                found || played(Some(*mistake), &store, &database, first, script).await.judge().contains_key(invariant);
        }
        assert!(found, "{mistake:?} breaks {invariant:?} in none of {} scripts", scripts.len());
    }
}
