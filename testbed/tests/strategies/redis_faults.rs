//! What an offer answers when Redis fails: surely not stored only where that is proven, and never accepted for
//! something that is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testbed::strategy::{Offered, RedisBufferStrategy, WriteBackBufferStrategy};

use crate::lab::RedisServer;
use crate::lab::strategies::{LEASE, context, eventually, on, request};

async fn buffer_on(server: &RedisServer) -> RedisBufferStrategy {
    RedisBufferStrategy::connect(&on(server), &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn stored(server: &RedisServer) -> u64 {
    server.ask(&["LLEN", "{expectation:write:buffer}"]).await
}

fn is_accepted(offered: &Offered) -> bool {
    matches!(offered, Offered::Accepted { .. })
}

fn is_unavailable(offered: &Offered) -> bool {
    matches!(offered, Offered::Unavailable { .. })
}

/// Offers one request after the other until one is not accepted; answers all of them by seq.
async fn offer_until_refused(
    buffer: Arc<RedisBufferStrategy>,
    seqs: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
) -> Vec<(u64, Offered)> {
    let mut answers = Vec::new();
    while answers.last().is_none_or(|(_, offered)| is_accepted(offered)) {
        let seq = seqs.fetch_add(1, Ordering::Relaxed);
        let offered = buffer.offer(request(1, seq, 3)).await;
        accepted.fetch_add(u64::from(is_accepted(&offered)), Ordering::Relaxed);
        answers.push((seq, offered));
    }
    answers
}

/// The seqs that are in the buffer with all of their three presets; none may be there with fewer.
async fn whole_requests_in(buffer: &RedisBufferStrategy) -> BTreeSet<u64> {
    let deliveries = buffer.poll(1_000_000, LEASE).await.unwrap();
    let seqs: BTreeSet<u64> = deliveries.iter().map(|d| d.task.seq).collect();
    assert_eq!(deliveries.len(), 3 * seqs.len(), "each request is there whole, and once");
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_a_kill_of_redis_and_what_was_unavailable_is_not_there() {
    let mut server = RedisServer::start(&[]).await;
    let buffer = Arc::new(buffer_on(&server).await);
    let (seqs, accepted) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
    let offering: Vec<_> =
        (0..16).map(|_| tokio::spawn(offer_until_refused(buffer.clone(), seqs.clone(), accepted.clone()))).collect();
    eventually("200 accepted", async || accepted.load(Ordering::Relaxed) >= 200).await;
    server.kill();
    let mut answers = Vec::new();
    for offers in offering {
        answers.extend(offers.await.unwrap());
    }
    server.restart().await;
    let present = whole_requests_in(&buffer).await;
    for (seq, offered) in &answers {
        match offered {
            Offered::Accepted { .. } => assert!(present.contains(seq), "{seq} was accepted and is gone"),
            Offered::Unavailable { .. } => assert!(!present.contains(seq), "{seq} was surely not stored, and is there"),
            Offered::Indeterminate { .. } => {}
            other => panic!("{seq}: {other:?}"),
        }
    }
    let refused = answers.iter().filter(|(_, offered)| !is_accepted(offered)).count();
    assert_eq!(refused, 16, "each of the sixteen saw the kill");
}

#[tokio::test]
async fn a_redis_that_is_down_is_unavailable_and_used_again_once_it_is_back() {
    let mut server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    buffer.ping().await.unwrap();
    assert!(is_accepted(&buffer.offer(request(1, 1, 3)).await));
    server.kill();
    // The driver notices the end of an idle connection by itself; from then on "not stored" is proven.
    eventually("unavailable", async || is_unavailable(&buffer.offer(request(1, 2, 3)).await)).await;
    assert!(is_unavailable(&buffer.offer(request(1, 3, 3)).await));
    assert!(buffer.size().await.is_err(), "an error differs from empty");
    server.restart().await;
    assert!(is_accepted(&buffer.offer(request(1, 4, 3)).await), "the first offer after the restart");
    assert_eq!(buffer.size().await.unwrap().ready, 6);
}

#[tokio::test]
async fn a_frozen_redis_is_indeterminate_within_the_time_out() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    assert!(is_accepted(&buffer.offer(request(1, 1, 3)).await));
    server.freeze();
    let asked = Instant::now();
    let offered = buffer.offer(request(1, 2, 3)).await;
    assert!(matches!(&offered, Offered::Indeterminate { why } if why.contains("500ms")), "{offered:?}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // No connection to a frozen Redis can be made, so what comes now is never sent.
    assert!(is_unavailable(&buffer.offer(request(1, 3, 3)).await));
    server.thaw();
    assert!(is_accepted(&buffer.offer(request(1, 4, 3)).await));
    // The second request had been written: Redis did it late. That is why nobody could know.
    assert_eq!(stored(&server).await, 9);
}

#[tokio::test]
async fn what_waits_behind_a_frozen_redis_waits_for_one_time_out_only() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    assert!(is_accepted(&buffer.offer(request(1, 1, 3)).await));
    server.freeze();
    let asked = Instant::now();
    let (first, second) = tokio::join!(buffer.offer(request(1, 2, 3)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        buffer.offer(request(1, 3, 3)).await
    });
    assert!(matches!(first, Offered::Indeterminate { .. }), "{first:?}");
    assert!(matches!(&second, Offered::Unavailable { why } if why.starts_with("not sent")), "{second:?}");
    assert!(asked.elapsed() < Duration::from_millis(950), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_full_memory_refuses_offers_and_can_still_be_drained() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    assert!(is_accepted(&buffer.offer(request(1, 1, 3)).await));
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = buffer.offer(request(1, 2, 3)).await;
    assert!(matches!(&refused, Offered::Unavailable { why } if why.contains("OOM")), "{refused:?}");
    let leased = buffer.poll(2, LEASE).await.unwrap();
    let receipts: Vec<_> = leased.into_iter().map(|d| d.receipt).collect();
    assert_eq!(buffer.ack(&receipts).await.unwrap(), 2);
    assert_eq!(stored(&server).await, 1);
}

#[tokio::test]
async fn a_read_only_replica_refuses_offers() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    let _: () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let refused = buffer.offer(request(1, 1, 3)).await;
    assert!(matches!(&refused, Offered::Unavailable { why } if why.contains("READONLY")), "{refused:?}");
    let _: () = server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(is_accepted(&buffer.offer(request(1, 2, 3)).await));
    assert_eq!(stored(&server).await, 3);
}

/// Ids of connections rise, and are never used again.
async fn connections(server: &RedisServer) -> BTreeSet<String> {
    let list: String = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]).await;
    list.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[tokio::test]
async fn whoever_met_a_replica_connects_again_and_so_finds_the_primary_after_a_failover() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    assert!(is_accepted(&buffer.offer(request(1, 1, 3)).await));
    buffer.poll(1, LEASE).await.unwrap();
    let before = connections(&server).await;
    let _: () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(is_unavailable(&buffer.offer(request(1, 2, 3)).await));
    assert!(buffer.poll(1, LEASE).await.is_err());
    let _: () = server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(is_accepted(&buffer.offer(request(1, 3, 3)).await));
    assert_eq!(buffer.poll(1, LEASE).await.unwrap().len(), 1);
    let both: Vec<_> = connections(&server).await.intersection(&before).cloned().collect();
    assert!(before.len() > 2 && both.is_empty(), "of {before:?} still {both:?}");
}

#[tokio::test]
async fn an_error_that_proves_nothing_is_indeterminate() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    let _: () = server.ask(&["SET", "{expectation:write:buffer}", "someone else's"]).await;
    let offered = buffer.offer(request(1, 1, 3)).await;
    assert!(matches!(&offered, Offered::Indeterminate { why } if why.contains("WRONGTYPE")), "{offered:?}");
}

#[tokio::test]
async fn scripts_that_redis_has_forgotten_are_sent_again() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    for seq in 1..=2 {
        assert!(is_accepted(&buffer.offer(request(1, seq, 3)).await));
        assert_eq!(buffer.poll(3, LEASE).await.unwrap().len(), 3);
        let _: () = server.ask(&["SCRIPT", "FLUSH"]).await;
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_no_other_request_along() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_on(&server).await;
    server.freeze();
    // The first push is outstanding, so that the next two requests are one batch.
    let (first, last, ()) = tokio::join!(
        buffer.offer(request(1, 1, 3)),
        async {
            let given_up = tokio::time::timeout(Duration::from_millis(1), buffer.offer(request(1, 2, 3))).await;
            assert!(given_up.is_err(), "{given_up:?}");
            buffer.offer(request(1, 3, 3)).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.thaw();
        }
    );
    assert!(is_accepted(&first) && is_accepted(&last), "{first:?}, {last:?}");
    assert_eq!(whole_requests_in(&buffer).await, BTreeSet::from([1, 2, 3]));
}
