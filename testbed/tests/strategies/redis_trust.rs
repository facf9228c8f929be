//! Which Redis is trusted with tasks, and what an answer then promises.

use testbed::strategy::config::{BufferConfig, RedisConfig};
use testbed::strategy::{Durability, Offered, RedisBufferStrategy, WriteBackBufferStrategy, build};

use crate::lab::RedisServer;
use crate::lab::strategies::{context, eventually, on, request};

async fn refusal(config: &BufferConfig) -> String {
    let built = build(config, &context("api-1.1")).await;
    built.map(|_| ()).expect_err("it is not to be trusted").to_string()
}

fn accepting(server: &RedisServer) -> BufferConfig {
    BufferConfig { redis: RedisConfig { accept_data_loss: true, ..server.config() }, ..on(server) }
}

async fn promised(config: &BufferConfig) -> Durability {
    let buffer = build(config, &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    match buffer.offer(request(1, 1, 3)).await {
        Offered::Accepted { durability } if durability == buffer.durability() => durability,
        other => panic!("{other:?} where {:?} was said", buffer.durability()),
    }
}

#[tokio::test]
async fn a_redis_that_may_evict_tasks_is_refused_with_the_remedy() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let refusal = refusal(&on(&server)).await;
    assert!(refusal.contains("maxmemory-policy allkeys-lru may evict tasks"), "{refusal}");
    assert!(refusal.contains("CONFIG SET maxmemory-policy noeviction"), "{refusal}");
    assert!(refusal.contains("buffer.redis.accept_data_loss: true"), "{refusal}");
    assert_eq!(promised(&accepting(&server)).await, Durability::Persisted);
}

#[tokio::test]
async fn a_redis_without_append_only_file_is_refused_or_promises_little() {
    let server = RedisServer::start(&["--appendonly", "no"]).await;
    let refusal = refusal(&on(&server)).await;
    assert!(refusal.contains("CONFIG SET appendonly yes"), "{refusal}");
    assert_eq!(promised(&accepting(&server)).await, Durability::Received);
}

#[tokio::test]
async fn only_an_fsync_before_the_answer_is_called_persisted() {
    let always = RedisServer::start(&[]).await;
    assert_eq!(promised(&on(&always)).await, Durability::Persisted);
    let everysec = RedisServer::start(&["--appendfsync", "everysec"]).await;
    assert_eq!(promised(&on(&everysec)).await, Durability::Received);
}

#[tokio::test]
async fn a_redis_that_does_not_show_its_settings_promises_received() {
    let server = RedisServer::start(&["--rename-command", "CONFIG", ""]).await;
    assert_eq!(promised(&on(&server)).await, Durability::Received);
}

#[tokio::test]
async fn a_user_who_may_not_read_the_settings_is_promised_received() {
    let server = RedisServer::start(&[]).await;
    let _: () = server.ask(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-config"]).await;
    let url = server.url().replace("redis://", "redis://app:secret@");
    let redis = RedisConfig { url, ..server.config() };
    assert_eq!(promised(&BufferConfig { redis, ..on(&server) }).await, Durability::Received);
}

#[tokio::test]
async fn settings_that_change_under_way_are_noticed() {
    let server = RedisServer::start(&[]).await;
    let buffer =
        RedisBufferStrategy::connect(&on(&server), &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    let _: () = server.ask(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let promise = Offered::Accepted { durability: Durability::Received };
    eventually("a smaller promise", async || buffer.offer(request(1, 1, 1)).await == promise).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).await;
    let refused = async || matches!(buffer.offer(request(1, 1, 1)).await, Offered::Unavailable { .. });
    eventually("no more trust", refused).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    eventually("trust again", async || buffer.offer(request(1, 1, 1)).await == promise).await;
}

#[tokio::test]
async fn a_restarted_redis_is_looked_at_again() {
    let mut server = RedisServer::start(&[]).await;
    let buffer =
        RedisBufferStrategy::connect(&on(&server), &context("api-1.1")).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(buffer.durability(), Durability::Persisted);
    server.kill();
    server.restart_with(&["--appendfsync", "everysec"]).await;
    let promise = Offered::Accepted { durability: Durability::Received };
    eventually("a smaller promise", async || buffer.offer(request(1, 1, 1)).await == promise).await;
    assert_eq!(buffer.durability(), Durability::Received);
}

#[tokio::test]
async fn a_redis_that_cannot_be_reached_is_named_without_its_password() {
    let server = RedisServer::start(&[]).await;
    server.kill();
    let url = server.url().replace("redis://", "redis://app:secret@");
    let redis = RedisConfig { url: url.clone(), ..server.config() };
    let refusal = refusal(&BufferConfig { redis, ..on(&server) }).await;
    let address = url.rsplit_once('@').expect("it has one").1;
    assert!(refusal.starts_with(&format!("reach Redis at {address}: ")), "{refusal}");
    assert!(!refusal.contains("secret"), "{refusal}");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    let config = BufferConfig {
        strategy: "redis".into(),
        redis: RedisConfig { url: "http://me:secret@127.0.0.1".into(), ..RedisConfig::default() },
        ..BufferConfig::default()
    };
    let refusal = refusal(&config).await;
    assert!(refusal.starts_with("use buffer.redis.url = http://***@127.0.0.1: "), "{refusal}");
}
