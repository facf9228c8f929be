//! V5: instances that share a buffer in Redis, each with a role of its own.

use serde_json::json;

use crate::harness::{Lab, Running, eventually, within_deadline};
use crate::lab::RedisServer;

/// Sections for one instance on this Redis.
fn instance(redis: &RedisServer, name: &str, role: &str, more: &str) -> String {
    let url = redis.url();
    format!(
        "instance: {name}\nrole: {role}\nbuffer: {{ strategy: redis, redis: {{ url: '{url}', timeout: 500ms }} }}\n{more}"
    )
}

async fn api(lab: &Lab, redis: &RedisServer) -> Running {
    lab.serve(&instance(redis, "api-1.1", "api", "server: { endpoint_lag: 50ms }")).await
}

async fn worker(lab: &Lab, redis: &RedisServer, name: &str) -> Running {
    lab.serve(&instance(redis, name, "worker", "server: { grace: 1s }\nwitness: true")).await
}

#[tokio::test]
async fn what_the_api_accepts_a_worker_writes_and_both_see_one_buffer() {
    for lab in Lab::each().await {
        let redis = RedisServer::start(&[]).await;
        let api = api(&lab, &redis).await;
        let answer = api.write(1, 1).await;
        let expected = json!({"accepted": true, "key": 1, "seq": 1, "durability": "persisted", "instance": "api-1.1"});
        assert_eq!((answer.status, answer.json()), (202, expected));
        let ready = r#"buffer_size{buffer="redis",scope="shared"}"#;
        assert_eq!(api.metric(ready).await, Some(3.0));
        let worker = worker(&lab, &redis, "worker-1.1").await;
        api.has_rows(3).await;
        assert!(api.rows().await.iter().all(|row| row.written_by == "worker-1.1"));
        assert_eq!((api.metric(ready).await, worker.metric(ready).await), (Some(0.0), Some(0.0)));
        assert_eq!(api.get("/api/v5/characters/1/expectation").await.status, 200);
        assert_eq!(worker.write(1, 2).await.status, 404, "a worker answers no requests");
        assert_eq!(worker.get("/health/ready").await.status, 200);
        api.stop().await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_worker_that_is_not_released_in_time_gives_its_leases_back() {
    for lab in Lab::each().await {
        let redis = RedisServer::start(&[]).await;
        let (api, mut first) = (api(&lab, &redis).await, worker(&lab, &redis, "worker-1.1").await);
        first.control.hold("worker.leased").await;
        api.write(1, 1).await;
        assert_eq!(first.control.held("worker.leased").await, 3);
        first.shutdown.cancel();
        within_deadline("the end", &mut first.ended).await.unwrap().unwrap();
        // Long before the lease of 5 s expires, and without a failed attempt to its name.
        assert_eq!(api.metric("buffer_leased{").await, Some(0.0));
        assert_eq!(api.metric("buffer_size{").await, Some(3.0));
        let envelope: String = redis.ask(&["LINDEX", "{expectation:write:buffer}", "0"]).await;
        assert!(envelope.starts_with("0:"), "{envelope}");
        let second = worker(&lab, &redis, "worker-2.1").await;
        api.has_rows(3).await;
        assert!(api.rows().await.iter().all(|row| row.written_by == "worker-2.1"));
        api.stop().await;
        second.stop().await;
    }
}

#[tokio::test]
async fn a_worker_told_to_stop_finishes_its_batch_and_leaves_the_rest_to_others() {
    for lab in Lab::each().await {
        let redis = RedisServer::start(&[]).await;
        let (api, mut worker) = (api(&lab, &redis).await, worker(&lab, &redis, "worker-1.1").await);
        worker.control.hold("worker.leased").await;
        api.write(1, 1).await;
        worker.control.held("worker.leased").await;
        api.write(2, 1).await;
        worker.shutdown.cancel();
        // Told before it is released: the batch of the second write is never begun.
        eventually("readiness is gone", || async { worker.try_get("/health/ready").await != Some(200) }).await;
        worker.control.release("worker.leased").await;
        within_deadline("the end", &mut worker.ended).await.unwrap().unwrap();
        let written = lab.database.rows().await;
        assert_eq!(written.iter().map(|row| row.key).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(api.metric("buffer_leased{").await, Some(0.0));
        assert_eq!(api.metric("buffer_size{").await, Some(3.0));
        api.stop().await;
    }
}

/// As a killed process would: no shutdown, its leases stay until they expire.
#[tokio::test]
async fn what_a_dead_worker_held_is_redriven_by_another() {
    let (lab, redis) = (Lab::new(), RedisServer::start(&[]).await);
    let short = "worker: { lease: 400ms, redrive_scan: 50ms }";
    let mut first = lab.serve(&instance(&redis, "worker-1.1", "worker", short)).await;
    let second = lab.serve(&instance(&redis, "worker-2.1", "worker", short)).await;
    let api = api(&lab, &redis).await;
    first.control.hold("worker.leased").await;
    let mut key = 0;
    let mut offer_until_held = async || {
        while first.control.poll_event().await.is_none() {
            key += 1;
            assert_eq!(api.write(key, 1).await.status, 202);
        }
    };
    within_deadline("the first worker leases something", offer_until_held()).await;
    first.ended.abort();
    api.has_rows(key as usize * 3).await;
    assert!(api.rows().await.iter().all(|row| row.written_by == "worker-2.1"));
    eventually("nothing is leased", || async { api.metric("buffer_leased{").await == Some(0.0) }).await;
    assert_eq!(api.metric("buffer_dead{").await, Some(0.0));
    api.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_gone_is_not_stored_and_a_silent_one_is_unknown() {
    let (lab, redis) = (Lab::new(), RedisServer::start(&[]).await);
    let api = api(&lab, &redis).await;
    redis.freeze();
    let answer = api.write(1, 1).await;
    assert_eq!((answer.status, answer.json().get("stored")), (504, None), "{}", answer.text);
    redis.thaw();
    eventually("Redis is back", || async { api.write(2, 1).await.status == 202 }).await;
    redis.kill();
    // The first offer may still run into the connection that broke: nobody can know. Then it is plain.
    eventually("a plain refusal", || async { api.write(3, 1).await.status == 503 }).await;
    let answer = api.write(3, 2).await;
    assert_eq!((answer.status, &answer.json()["stored"]), (503, &false.into()));
    assert_eq!(api.metric("buffer_size{").await, None, "what cannot be read is not 0");
    assert_eq!(api.get("/health/ready").await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_worker_outlives_its_redis() {
    let (lab, mut redis) = (Lab::new(), RedisServer::start(&[]).await);
    let (api, worker) = (api(&lab, &redis).await, worker(&lab, &redis, "worker-1.1").await);
    redis.kill();
    eventually("a plain refusal", || async { api.write(1, 1).await.status == 503 }).await;
    redis.restart().await;
    eventually("Redis is back", || async { api.write(1, 2).await.status == 202 }).await;
    eventually("the newest row", || async { api.rows().await.first().is_some_and(|row| row.seq == 2) }).await;
    api.stop().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_missing_or_unsafe_is_no_mistake_in_the_configuration() {
    let (lab, redis) =
        (Lab::new(), RedisServer::start(&["--maxmemory-policy", "allkeys-lru", "--maxmemory", "64mb"]).await);
    let missing = "buffer: { strategy: redis, redis: { url: 'redis://127.0.0.1:1' } }";
    for sections in [missing, &instance(&redis, "api-1.1", "api", "")] {
        let shutdown = tokio_util::sync::CancellationToken::new();
        let error = testbed::serve(lab.config(sections), None, shutdown).await.unwrap_err();
        assert!(!error.is_configuration(), "{error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
