//! The answers, one type for each thing that a caller may conclude: stored, not stored, unknown, or no rows to show.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::StoredPreset;
use crate::strategy::Durability;

/// 202: the buffer has the tasks.
#[derive(Debug, Serialize)]
pub struct Accepted<'a> {
    pub accepted: bool,
    pub key: i64,
    pub seq: u64,
    pub durability: Durability,
    pub instance: &'a str,
}

impl IntoResponse for Accepted<'_> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

/// 400, 408 or 503: surely not stored.
#[derive(Debug)]
pub struct NotStored {
    status: StatusCode,
    reason: String,
    retry_after: Option<Duration>,
}

const SOON: Duration = Duration::from_secs(1);

impl NotStored {
    pub fn bad_request(reason: String) -> Self {
        NotStored { status: StatusCode::BAD_REQUEST, reason, retry_after: None }
    }

    pub fn too_slow() -> Self {
        let reason = "the body did not arrive in time".into();
        NotStored { status: StatusCode::REQUEST_TIMEOUT, reason, retry_after: None }
    }

    pub fn full(retry_after: Duration) -> Self {
        Self::later("the buffer is full", retry_after)
    }

    pub fn shutting_down() -> Self {
        Self::later("this instance is shutting down", SOON)
    }

    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::later(reason, SOON)
    }

    fn later(reason: impl Into<String>, retry_after: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        NotStored { status, reason: reason.into(), retry_after: Some(retry_after) }
    }
}

impl IntoResponse for NotStored {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            accepted: bool,
            stored: bool,
            reason: String,
        }
        let body = Json(Body { accepted: false, stored: false, reason: self.reason });
        let mut response = (self.status, body).into_response();
        if let Some(delay) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(delay).into());
        }
        response
    }
}

/// `Retry-After` counts in seconds: at least one, and never too early.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_millis().div_ceil(1000).max(1) as u64
}

/// 504: the tasks may be stored, or not. The body says nothing about it.
#[derive(Debug, Serialize)]
pub struct Unknown {
    accepted: bool,
    reason: String,
}

impl Unknown {
    pub fn because(reason: impl Into<String>) -> Self {
        Unknown { accepted: false, reason: reason.into() }
    }
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        (StatusCode::GATEWAY_TIMEOUT, Json(self)).into_response()
    }
}

/// A read that shows no rows, and why.
#[derive(Debug)]
pub struct Unreadable {
    status: StatusCode,
    reason: String,
}

impl Unreadable {
    pub fn because(status: StatusCode, reason: impl ToString) -> Self {
        Unreadable { status, reason: reason.to_string() }
    }
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            reason: String,
        }
        (self.status, Json(Body { reason: self.reason })).into_response()
    }
}

/// 200 with the rows of one character, or 404.
pub fn lane(key: i64, presets: &[StoredPreset]) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        key: i64,
        presets: &'a [StoredPreset],
    }
    if presets.is_empty() {
        return Unreadable::because(StatusCode::NOT_FOUND, format!("no rows of character {key}")).into_response();
    }
    Json(Body { key, presets }).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_whole_seconds_and_never_too_early() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
