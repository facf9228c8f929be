//! What is in Redis, as an oracle that does not trust the service reads it: the keys are a contract.

use std::sync::Arc;
use std::time::Duration;

use testbed::strategy::{Cause, DeadLetter, Offered, RedisBufferStrategy, WriteBackBufferStrategy};

use crate::lab::RedisServer;
use crate::lab::strategies::{LEASE, SHORT, context, eventually, on, request, task};

const LIST: &str = "{expectation:write:buffer}";

fn key(end: &str) -> String {
    format!("{LIST}:{end}")
}

async fn buffer_of(server: &RedisServer, instance: &str) -> RedisBufferStrategy {
    RedisBufferStrategy::connect(&on(server), &context(instance)).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn accept(buffer: &RedisBufferStrategy, key: i64, presets: u8) {
    let offered = buffer.offer(request(key, 1, presets)).await;
    assert!(matches!(offered, Offered::Accepted { .. }), "{offered:?}");
}

/// `<failed>:<at>:<task>` without the time, which is checked to be Redis's of today.
fn opened(envelope: &str) -> (u32, String) {
    let parts: Vec<&str> = envelope.splitn(3, ':').collect();
    let at: u64 = parts[1].parse().expect("ms");
    assert!(at > 1_700_000_000_000, "{envelope}");
    (parts[0].parse().expect("attempts"), parts[2].to_owned())
}

#[tokio::test]
async fn a_task_walks_through_the_keys_of_the_contract() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_of(&server, "worker-2.1").await;
    accept(&buffer, 7, 1).await;
    let json = serde_json::to_string(&task(7, 1, 1)).unwrap();
    let ready: Vec<String> = server.ask(&["LRANGE", LIST, "0", "-1"]).await;
    assert_eq!(opened(&ready[0]), (0, json.clone()));

    let leased = buffer.poll(1, LEASE).await.unwrap().remove(0).receipt;
    assert_eq!(leased.to_string(), "worker-2.1#1");
    let leases: Vec<(String, u64)> = server.ask(&["ZRANGE", &key("leases"), "0", "-1", "WITHSCORES"]).await;
    let (seconds, _): (u64, u64) = server.ask(&["TIME"]).await;
    assert_eq!(leases[0].0, "worker-2.1#1");
    assert!(leases[0].1.abs_diff((seconds + LEASE.as_secs()) * 1000) < 20_000, "{leases:?}");
    let item: String = server.ask(&["HGET", &key("items"), "worker-2.1#1"]).await;
    assert_eq!(opened(&item), (0, json.clone()));

    buffer.nack(&[leased], LEASE, &Cause::Failed("why".into())).await.unwrap();
    let delayed: Vec<String> = server.ask(&["ZRANGE", &key("delayed"), "0", "-1"]).await;
    assert_eq!(delayed, ["worker-2.1#1"]);
    let item: String = server.ask(&["HGET", &key("items"), "worker-2.1#1"]).await;
    assert_eq!(opened(&item), (1, json));
    assert_eq!(server.ask::<u64>(&["EXISTS", LIST, &key("leases"), &key("dead")]).await, 0);
}

#[tokio::test]
async fn accepted_counts_tasks_that_were_taken_and_no_others() {
    let server = RedisServer::start(&[]).await;
    let mut config = on(&server);
    config.capacity = 100;
    let buffer = RedisBufferStrategy::connect(&config, &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    let buffer = Arc::new(buffer);
    let offering: Vec<_> = (0..50)
        .map(|key| {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move { buffer.offer(request(key, 1, 3)).await })
        })
        .collect();
    let mut accepted = 0;
    for offer in offering {
        match offer.await.unwrap() {
            Offered::Accepted { .. } => accepted += 3,
            Offered::Backpressure { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 99, "a 34th request of three does not fit into 100");
    assert_eq!(server.ask::<u64>(&["HGET", &key("counters"), "accepted"]).await, accepted);
    // A redelivery is not accepted again.
    buffer.poll(10, SHORT).await.unwrap();
    eventually("redriven", async || buffer.redrive().await.unwrap() > 0).await;
    assert_eq!(server.ask::<u64>(&["HGET", &key("counters"), "accepted"]).await, accepted);
}

#[tokio::test]
async fn too_many_bytes_in_this_process_are_pushed_back() {
    let server = RedisServer::start(&[]).await;
    let mut config = on(&server);
    config.capacity_bytes = 1000;
    let buffer = RedisBufferStrategy::connect(&config, &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    accept(&buffer, 1, 3).await;
    server.freeze();
    let (first, second) = tokio::join!(buffer.offer(request(2, 1, 3)), buffer.offer(request(3, 1, 3)));
    assert!(matches!(first, Offered::Indeterminate { .. }), "{first:?}");
    assert!(matches!(second, Offered::Backpressure { .. }), "{second:?}");
    server.thaw();
    // Answered requests hold no bytes any more.
    eventually("room again", async || matches!(buffer.offer(request(4, 1, 3)).await, Offered::Accepted { .. })).await;
}

#[tokio::test]
async fn what_nobody_can_read_is_dead_and_holds_nothing_up() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_of(&server, "worker-1.1").await;
    accept(&buffer, 1, 1).await;
    for strange in ["0:1:{\"key\":\"seven\"}", "hello", "0:1:"] {
        let _: u64 = server.ask(&["LPUSH", LIST, strange]).await;
    }
    accept(&buffer, 2, 1).await;
    let keys: Vec<i64> = buffer.poll(10, LEASE).await.unwrap().iter().map(|d| d.task.key).collect();
    assert_eq!(keys, [1, 2]);
    let letters: Vec<String> = server.ask(&["LRANGE", &key("dead"), "0", "-1"]).await;
    let letters: Vec<DeadLetter> = letters.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let payloads: Vec<&str> = letters.iter().map(|l| &l.payload[..]).collect();
    assert_eq!(payloads, ["{\"key\":\"seven\"}", "hello", ""]);
    assert!(letters.iter().all(|l| l.cause.starts_with("undecodable: ") && l.attempts == 0), "{letters:?}");
    let size = buffer.size().await.unwrap();
    assert_eq!((size.leased, size.dead), (2, 3));
}

#[tokio::test]
async fn thousands_of_tasks_keep_their_order_when_they_come_back() {
    let server = RedisServer::start(&[]).await;
    let mut config = on(&server);
    // A debug build on a busy machine is slow with so many.
    config.redis.timeout = Duration::from_secs(10);
    let buffer = RedisBufferStrategy::connect(&config, &context("worker-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    // More than Lua takes as arguments of one call (some 8,000), in one request.
    let tasks: Vec<_> = (1..=9_000).map(|seq| task(1, seq, 1)).collect();
    let offered = buffer.offer(tasks.clone()).await;
    assert!(matches!(offered, Offered::Accepted { .. }), "{offered:?}");
    assert_eq!(buffer.poll(8_500, Duration::ZERO).await.unwrap().len(), 8_500);
    assert_eq!(buffer.redrive().await.unwrap(), 8_500);
    let again: Vec<_> = buffer.poll(10_000, LEASE).await.unwrap().into_iter().map(|d| d.task).collect();
    assert_eq!(again, tasks);
}

#[tokio::test]
async fn two_instances_share_one_buffer() {
    let server = RedisServer::start(&[]).await;
    let (one, two) = (buffer_of(&server, "worker-1.1").await, buffer_of(&server, "worker-2.1").await);
    accept(&one, 1, 2).await;
    let first = one.poll(1, SHORT).await.unwrap().remove(0).receipt;
    let second = two.poll(1, LEASE).await.unwrap().remove(0).receipt;
    assert_eq!((first.holder(), second.holder()), ("worker-1.1", "worker-2.1"));
    assert_ne!(first.number(), second.number());
    // What one instance lets expire the other takes over; the lease of the other is not touched.
    eventually("taken over", async || two.redrive().await.unwrap() == 1).await;
    assert_eq!(two.poll(10, LEASE).await.unwrap()[0].attempt, 2);
    assert_eq!(one.ack(&[first]).await.unwrap(), 0, "the zombie comes too late");
    assert_eq!(one.size().await.unwrap(), two.size().await.unwrap());
}

#[tokio::test]
async fn a_worker_connection_that_waits_delays_no_offer() {
    let server = RedisServer::start(&[]).await;
    let buffer = buffer_of(&server, "worker-1.1").await;
    let waiting = buffer.wait_ready(1000, LEASE);
    let offered = async {
        for key in 1..=20 {
            accept(&buffer, key, 3).await;
        }
    };
    tokio::select! {
        () = waiting => panic!("never so many tasks"),
        done = tokio::time::timeout(Duration::from_secs(10), offered) => done.expect("offers go on"),
    }
}
