//! The orderly end: what callers see of it, and what is left afterwards.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Lab, body, eventually, within_deadline};

#[tokio::test]
async fn readiness_goes_first_and_offers_are_still_taken_with_connection_close() {
    let lab = Lab::new();
    let mut service = lab.serve("server: { endpoint_lag: 2s }").await;
    assert_eq!(service.get("/health/ready").await.status, 200);
    assert_eq!(service.write(1, 1).await.header("connection"), None);
    service.shutdown.cancel();
    eventually("readiness goes off", || async { service.get("/health/ready").await.status == 503 }).await;
    let answer = service.write(2, 1).await;
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
    let answer = service.get("/api/v5/characters/2/expectation").await;
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(service.get("/health/live").await.status, 200);
    within_deadline("the end", &mut service.ended).await.unwrap().unwrap();
    assert_eq!(lab.database.rows().await.len(), 6);
}

#[tokio::test]
async fn an_offer_in_flight_is_finished_and_its_row_is_there() {
    for point in ["offer.registered", "offer.stored"] {
        let lab = Lab::new();
        let mut service = lab.serve("server: { endpoint_lag: 50ms }").await;
        service.control.hold(point).await;
        let held = service.write_aside(1, 1);
        service.control.held(point).await;
        service.shutdown.cancel();
        eventually("no new connection", || async { TcpStream::connect(service.addr).await.is_err() }).await;
        assert!(!service.ended.is_finished() && !held.is_finished());
        service.control.release(point).await;
        assert_eq!(held.await.unwrap().status, 202, "{point}");
        within_deadline("the end", service.ended).await.unwrap().unwrap();
        assert_eq!(lab.database.rows().await.len(), 3, "{point}");
    }
}

#[tokio::test]
async fn a_buffer_in_memory_is_drained_into_the_database() {
    for lab in Lab::each().await {
        // Nothing would be flushed within the minute, if the shutdown did not.
        let service = lab.serve("server: { endpoint_lag: 10ms }\nworker: { flush_interval: 1m, batch: 100 }").await;
        for key in 1..=30 {
            assert_eq!(service.write(key, 1).await.status, 202);
        }
        assert!(lab.database.rows().await.is_empty());
        service.stop().await;
        assert_eq!(lab.database.rows().await.len(), 90);
    }
}

#[tokio::test]
async fn a_batch_held_at_the_order_to_stop_is_finished() {
    for point in ["worker.leased", "worker.committed"] {
        let lab = Lab::new();
        let mut service = lab.serve("server: { endpoint_lag: 10ms }\nwitness: true").await;
        service.control.hold(point).await;
        service.write(1, 1).await;
        service.control.held(point).await;
        service.shutdown.cancel();
        eventually("no new connection", || async { TcpStream::connect(service.addr).await.is_err() }).await;
        assert!(!service.ended.is_finished());
        service.control.release(point).await;
        within_deadline("the end", &mut service.ended).await.unwrap().unwrap();
        assert_eq!(service.rows().await.len(), 3, "{point}");
        assert_eq!(service.witness().await.len(), 3, "{point}: written once");
    }
}

/// The buffer has it, so the caller must hear of it, however long it was held.
#[tokio::test]
async fn an_offer_held_longer_than_its_time_is_still_answered() {
    let lab = Lab::new();
    let mut service = lab.serve("server: { endpoint_lag: 10ms, request_timeout: 100ms }").await;
    service.control.hold("offer.stored").await;
    let held = service.write_aside(1, 1);
    service.control.held("offer.stored").await;
    service.shutdown.cancel();
    eventually("no new connection", || async { TcpStream::connect(service.addr).await.is_err() }).await;
    // Time has to pass here: more than a request may take.
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.control.release("offer.stored").await;
    assert_eq!(held.await.unwrap().status, 202);
    within_deadline("the end", service.ended).await.unwrap().unwrap();
}

/// The head of a request is in, its body comes when offers are refused: a plain "not stored".
#[tokio::test]
async fn an_offer_that_comes_too_late_is_refused_and_not_stored() {
    let lab = Lab::new();
    let mut service = lab.serve("server: { endpoint_lag: 50ms }").await;
    let mut late = TcpStream::connect(service.addr).await.unwrap();
    let body = body(1);
    let head = format!(
        "POST /api/v5/characters/1/expectation HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    late.write_all(head.as_bytes()).await.unwrap();
    // The service asks for the body: it is in the middle of this request.
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    within_deadline("an invitation", late.read_exact(&mut go_on)).await.unwrap();
    service.shutdown.cancel();
    eventually("no new connection", || async { TcpStream::connect(service.addr).await.is_err() }).await;
    late.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within_deadline("an answer", late.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for part in ["retry-after: 1", "connection: close", r#""stored":false"#, "shutting down"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    within_deadline("the end", &mut service.ended).await.unwrap().unwrap();
    assert!(lab.database.rows().await.is_empty());
}

#[tokio::test]
async fn a_database_that_stays_locked_does_not_keep_the_service_beyond_its_grace() {
    for lab in Lab::each().await {
        let service = lab.serve("server: { endpoint_lag: 10ms, grace: 1s }").await;
        let _lock = lab.database.lock().await;
        service.write(1, 1).await;
        let began = Instant::now();
        service.stop().await;
        assert!(
            (Duration::from_millis(900)..Duration::from_secs(3)).contains(&began.elapsed()),
            "{:?}",
            began.elapsed()
        );
    }
}
