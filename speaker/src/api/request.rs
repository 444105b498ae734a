//! What a request says: its path, its query and its body, each refused as a problem when it cannot be understood.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::lease::Lease;
use super::problem::Problem;
use crate::config::{Name, parse_prefix};

/// The largest request body. The longest that makes sense, a service with some hundred addresses,
/// is a tenth of it.
pub(super) const MAX_BODY: usize = 64 * 1024;

pub(super) type Answer<T> = Result<T, Problem>;

/// A request's body, refused as a problem when it is too long.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        refuse_other_than_json(request.headers())?;
        let limit = request.extensions().get().map(Lease::limits);
        let limit = limit.unwrap_or_default().body;
        let body = timeout(limit, Bytes::from_request(request, state)).await;
        let body = body.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the request's body must be there within {limit:?}"),
            )
        })?;
        match body {
            Ok(body) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the request's body must have at most {MAX_BODY} octets"),
                ))
            }
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// Whoever says what the body is must mean JSON.
fn refuse_other_than_json(headers: &HeaderMap) -> Answer<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("Content-Type: found {text:?}; must be application/json, as curl --json says it"),
    ))
}

/// A name in the request's path, refused as a problem when it is no text.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// What follows the question mark, refused as a problem when it says something else.
pub(super) struct Options<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Options<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(options)) => Ok(Self(options)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

pub(super) fn named<N: From<Name>>(text: &str) -> Answer<N> {
    Name::new(text)
        .map(N::from)
        .ok_or_else(|| invalid(format!("name: found {text:?}; must be {}", Name::EXPECTED)))
}

pub(super) fn prefixed(text: &str) -> Answer<ipnet::IpNet> {
    parse_prefix(text)
        .map_err(|expected| invalid(format!("prefix: found {text:?}; must be {expected}")))
}

pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            // It is no JSON at all.
            Category::Io | Category::Syntax | Category::Eof => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, format!("the request's JSON: {error}"))
    })
}

pub(super) fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
