//! HTTP: `/api/v4` and `/api/v5` are one handler, because the buffer decides, never the URL.
//!
//! In: requests. Out: answers; every answer to a write says whether the tasks were stored, or that nobody can know.

mod answer;
mod body;
mod l1_cache;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::{Instant, timeout_at};

use crate::lifecycle::Phase;
use crate::metrics::BufferReading;
use crate::pause::Point;
use crate::service::Service;
use crate::store::StoreError;
use crate::strategy::Offered;
use answer::{Accepted, NotStored, Unknown, Unreadable};
use body::Write;
pub use l1_cache::L1Cache;
use l1_cache::Lane;

/// Three presets of five amounts are about 700 bytes.
const BODY_LIMIT: usize = 16 * 1024;

const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Health and metrics, and, where the role answers requests, the API.
pub fn router(service: Arc<Service>) -> Router {
    let mut router = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics));
    if service.config.role.answers_requests() {
        for version in ["v4", "v5"] {
            let path = format!("/api/{version}/characters/{{characterId}}/expectation");
            router = router.route(&path, get(read).post(write));
        }
    }
    router.layer(middleware::from_fn_with_state(service.clone(), say_goodbye)).with_state(service)
}

/// Once the shutdown has begun, no connection outlives its answer: its client finds another instance.
async fn say_goodbye(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if service.lifecycle.phase() >= Phase::Leaving {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn live() -> &'static str {
    "live\n"
}

/// # Why the buffer is not asked
/// When a shared buffer is down, it is down for every instance: all of them would leave the rotation at once, and
/// nobody would be left to answer 503.
async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, &'static str) {
    match service.lifecycle.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Leaving | Phase::Refusing => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let limit = Instant::now() + service.config.server.request_timeout;
    let size = timeout_at(limit, service.buffer.size()).await.ok().and_then(Result::ok);
    let (buffer_type, durability) = (service.buffer.buffer_type(), service.buffer.durability());
    let text = service.metrics.render(BufferReading { buffer_type, durability, size });
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}

async fn read(State(service): State<Arc<Service>>, Path(character): Path<String>) -> Response {
    let Ok(key) = body::character_key(&character) else {
        return Unreadable::because(StatusCode::BAD_REQUEST, "the character id is no number").into_response();
    };
    let limit = Instant::now() + service.config.server.request_timeout;
    match timeout_at(limit, read_lane(&service, key)).await {
        Ok(Ok(presets)) => answer::lane(key, &presets),
        Ok(Err(error)) => Unreadable::because(StatusCode::SERVICE_UNAVAILABLE, error).into_response(),
        Err(_) => Unreadable::because(StatusCode::GATEWAY_TIMEOUT, "the database did not answer").into_response(),
    }
}

/// From the L1 cache, else from the database.
async fn read_lane(service: &Service, key: i64) -> Result<Lane, StoreError> {
    let kept = service.l1_cache.get(key);
    service.metrics.looked_up(kept.is_some());
    if let Some(lane) = kept {
        return Ok(lane);
    }
    let asked = Instant::now();
    let lane = Arc::new(service.store.read(key).await?);
    service.l1_cache.put(key, &lane, asked);
    Ok(lane)
}

async fn write(State(service): State<Arc<Service>>, Path(character): Path<String>, body: Body) -> Response {
    let deadline = Instant::now() + service.config.server.request_timeout;
    match read_write(&character, body, deadline).await {
        Ok(write) => offer(&service, write, deadline).await,
        Err(refused) => refused.into_response(),
    }
}

async fn read_write(character: &str, body: Body, deadline: Instant) -> Result<Write, NotStored> {
    let key = body::character_key(character).map_err(NotStored::bad_request)?;
    let bytes = timeout_at(deadline, axum::body::to_bytes(body, BODY_LIMIT))
        .await
        .map_err(|_| NotStored::too_slow())?
        .map_err(|error| NotStored::bad_request(format!("the body could not be read: {error}")))?;
    body::parse(key, &bytes).map_err(NotStored::bad_request)
}

/// Counted as in flight from the first line to the last: a shutdown waits for it.
async fn offer(service: &Service, write: Write, deadline: Instant) -> Response {
    let Some(_in_flight) = service.lifecycle.register() else {
        return NotStored::shutting_down().into_response();
    };
    let (key, seq, tasks) = (write.key, write.seq, write.tasks);
    let asked = timeout_at(deadline, service.pause.at(Point::OfferRegistered, tasks.len())).await;
    if asked.is_err() {
        return NotStored::unavailable("the time for this request was over before the buffer was asked")
            .into_response();
    }
    let (began, count) = (Instant::now(), tasks.len());
    let offered = timeout_at(deadline, service.buffer.offer(tasks)).await;
    service.metrics.offered(began.elapsed());
    let durability = match offered {
        Ok(Offered::Accepted { durability }) => durability,
        Ok(Offered::Backpressure { retry_after }) => return NotStored::full(retry_after).into_response(),
        Ok(Offered::ShuttingDown) => return NotStored::shutting_down().into_response(),
        Ok(Offered::Unavailable { why }) => return NotStored::unavailable(why).into_response(),
        Ok(Offered::Indeterminate { why }) => return Unknown::because(why).into_response(),
        Err(_) => return Unknown::because("the buffer did not answer in time").into_response(),
    };
    service.pause.at(Point::OfferStored, count).await;
    Accepted { accepted: true, key, seq, durability, instance: &service.config.instance }.into_response()
}
