//! The suite is not blind: each invariant is broken by a strategy with one mistake, and no other is accused.

use std::sync::Arc;

use crate::broken::{Broken, Mistake};
use crate::invariants::{Invariant, Violations};
use crate::lab::database::Database;
use crate::lab::strategies::{Broker, built};
use crate::play::Stage;
use crate::properties::opened;
use crate::script::canonical;

/// What the suite says of a strategy with this mistake.
async fn violations(mistake: Mistake) -> Violations {
    let (broker, database) = (Broker::start("in-memory").await, Database::file());
    let store = &opened(&database).await;
    let sound = built(&broker.config("sound"), "worker-1.1").await;
    let broken = Arc::new(Broken::new(mistake, built(&broker.config("broken"), "worker-1.1").await));
    let stage = |strategy, first| Stage { strategy, store, database: &database, first };
    let reference = stage(sound, 1000).play(&canonical()).await;
    assert_eq!(reference.judge(), Violations::new(), "without a mistake");
    stage(broken, 2000).play(&canonical()).await.judge_against(&reference.end())
}

async fn assert_breaks(mistake: Mistake, invariant: Invariant) {
    let violations = violations(mistake).await;
    assert_eq!(violations.keys().collect::<Vec<_>>(), [&invariant], "{mistake:?}: {violations:#?}");
}

#[tokio::test]
async fn a_poll_without_a_lease_loses_what_a_dead_worker_held() {
    assert_breaks(Mistake::PopsWithoutLease, Invariant::NothingIsLost).await;
}

#[tokio::test]
async fn a_buffer_that_drops_the_newest_leaves_an_older_row() {
    assert_breaks(Mistake::DropsTheNewest, Invariant::TheNewestWins).await;
}

#[tokio::test]
async fn a_task_that_nobody_offered_is_an_invention() {
    assert_breaks(Mistake::Invents, Invariant::NothingIsInvented).await;
}

#[tokio::test]
async fn an_acknowledgement_by_task_lets_a_stale_receipt_count() {
    assert_breaks(Mistake::AcksByTask, Invariant::StaleReceiptsAreHarmless).await;
}

#[tokio::test]
async fn a_task_that_is_counted_twice_breaks_the_sums() {
    assert_breaks(Mistake::CountsTwice, Invariant::TheSumsAddUp).await;
}

#[tokio::test]
async fn a_count_of_attempts_that_is_reset_lets_poison_live_for_ever() {
    assert_breaks(Mistake::ResetsAttempts, Invariant::AttemptsAreBounded).await;
}

#[tokio::test]
async fn a_buffer_that_never_redrives_recovers_nothing() {
    assert_breaks(Mistake::NeverRedrives, Invariant::RecoveryIsBounded).await;
}

#[tokio::test]
async fn a_buffer_that_takes_only_some_requests_is_no_swap() {
    assert_breaks(Mistake::IsChoosy, Invariant::ASwapIsConfigurationOnly).await;
}
