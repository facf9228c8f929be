//! Pause points from the outside: one is held, others pass.

use crate::harness::{Control, Lab, Running, body, eventually};

async fn held_at(point: &str, service: &mut Running) -> tokio::task::JoinHandle<crate::harness::Answer> {
    service.control.hold(point).await;
    let held = service.write_aside(1, 1);
    assert_eq!(service.control.held(point).await, 3);
    held
}

#[tokio::test]
async fn an_offer_held_before_the_buffer_is_not_stored_and_others_pass() {
    let lab = Lab::new();
    let mut service = lab.serve("").await;
    let held = held_at("offer.registered", &mut service).await;
    assert_eq!(service.write(2, 1).await.status, 202);
    service.has_rows(3).await;
    assert!(service.rows().await.iter().all(|row| row.key == 2));
    service.control.release("offer.registered").await;
    assert_eq!(held.await.unwrap().status, 202);
    service.has_rows(6).await;
    service.stop().await;
}

#[tokio::test]
async fn an_offer_held_behind_the_buffer_is_stored_and_not_answered() {
    let lab = Lab::new();
    let mut service = lab.serve("").await;
    let held = held_at("offer.stored", &mut service).await;
    service.has_rows(3).await;
    assert!(!held.is_finished());
    service.control.release("offer.stored").await;
    assert_eq!(held.await.unwrap().status, 202);
    service.stop().await;
}

#[tokio::test]
async fn a_committed_batch_can_be_held_before_its_lease_ends() {
    let lab = Lab::new();
    let mut service = lab.serve("").await;
    service.control.hold("worker.committed").await;
    service.write(1, 1).await;
    assert_eq!(service.control.held("worker.committed").await, 3);
    assert_eq!(service.rows().await.len(), 3);
    assert_eq!(service.metric("buffer_leased{").await, Some(3.0));
    service.control.release("worker.committed").await;
    eventually("the leases end", || async { service.metric("buffer_leased{").await == Some(0.0) }).await;
    service.stop().await;
}

/// The time of the request counts while it is held: the caller is told that nothing was stored.
#[tokio::test]
async fn an_offer_that_is_held_too_long_is_not_stored() {
    let lab = Lab::new();
    let mut service = lab.serve("server: { request_timeout: 300ms }").await;
    let held = held_at("offer.registered", &mut service).await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, &answer.json()["stored"]), (503, &false.into()));
    assert_eq!(service.control.hears().await["event"], "released");
    service.stop().await;
    assert_eq!(lab.database.rows().await, []);
}

#[tokio::test]
async fn the_end_of_the_control_socket_releases_what_is_held() {
    let lab = Lab::new();
    let mut service = lab.serve("").await;
    let held = held_at("offer.registered", &mut service).await;
    service.control = Control::closed();
    assert_eq!(held.await.unwrap().status, 202);
    service.has_rows(3).await;
    service.stop().await;
}

#[tokio::test]
async fn without_a_control_socket_there_are_no_pause_points() {
    let lab = Lab::new();
    let service = lab.serve_by_hand("").await;
    assert_eq!(service.post("1", body(1)).await.status, 202);
    service.has_rows(3).await;
    service.stop().await;
}
