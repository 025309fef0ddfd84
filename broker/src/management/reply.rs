//! JSON replies, and errors in RabbitMQ's shape: `{"error": kind, "reason": text}`.

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use std::fmt;

use axum::response::{IntoResponse, Response};
use leveret_spec::ReplyCode;
use serde_json::{Value, json};

use crate::failure::{Failure, Hard, Soft};

/// What every reply bears: it is not to be kept, framed, guessed at or run.
const SECURITY_HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    kind: &'static str,
    reason: Value,
    /// True if the caller should say who he is.
    challenge: bool,
}

/// What handlers return.
pub(super) type Reply = Result<Response, Error>;

impl Error {
    fn new(status: StatusCode, kind: &'static str, reason: impl Into<Value>) -> Self {
        Error { status, kind, reason: reason.into(), challenge: false }
    }

    pub(super) fn not_found() -> Self {
        Error::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    pub(super) fn missing(what: impl Into<String>) -> Self {
        Error::new(StatusCode::NOT_FOUND, "not_found", what.into())
    }

    pub(super) fn bad_request(reason: impl Into<Value>) -> Self {
        Error::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    pub(super) fn bad_page(reason: String) -> Self {
        Error::new(StatusCode::BAD_REQUEST, "invalid_pagination_parameters", reason)
    }

    /// The caller is known and may not do it.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Error::new(StatusCode::UNAUTHORIZED, "not_authorised", reason.into())
    }

    /// The caller is not known.
    pub(super) fn login_failed() -> Self {
        Error { challenge: true, ..Error::new(StatusCode::UNAUTHORIZED, "not_authorized", "Login failed") }
    }

    pub(super) fn too_large() -> Self {
        Error::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "the request's body is too large")
    }

    pub(super) fn too_slow() -> Self {
        Error::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the request took too long")
    }

    pub(super) fn internal() -> Self {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", "the request could not be finished")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Value::String(reason) => f.write_str(reason),
            reason => write!(f, "{reason}"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = with_status(self.status, &json!({"error": self.kind, "reason": self.reason}));
        if self.challenge {
            let realm = HeaderValue::from_static("Basic realm=\"Leveret Management\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// As RabbitMQ maps the failures of the AMQP methods that its HTTP API calls.
impl From<Soft> for Error {
    fn from(soft: Soft) -> Self {
        match soft.code {
            ReplyCode::NotFound => Error::missing(soft.text),
            ReplyCode::AccessRefused => Error::refused(soft.to_string()),
            _ => Error::bad_request(soft.text),
        }
    }
}

impl From<Hard> for Error {
    fn from(hard: Hard) -> Self {
        Error::bad_request(hard.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Soft(soft) => soft.into(),
            Failure::Hard(hard) => hard.into(),
        }
    }
}

/// 200 with a value.
pub(super) fn ok(value: &Value) -> Response {
    with_status(StatusCode::OK, value)
}

pub(super) fn with_status(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 201 for what is new, 204 for what was there.
pub(super) fn put(new: bool) -> Response {
    if new { StatusCode::CREATED.into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

/// 204.
pub(super) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Gives errors that no handler has written RabbitMQ's shape, and every reply its headers.
pub(super) fn finish(mut response: Response) -> Response {
    let status = response.status();
    if status.is_client_error() && !response.headers().contains_key(header::CONTENT_TYPE)
        || response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/"))
    {
        let body = match status {
            StatusCode::NOT_FOUND => json!({"error": "Object Not Found", "reason": "Not Found"}),
            _ => json!({"error": "bad_request", "reason": status.canonical_reason().unwrap_or_default()}),
        };
        let allow = response.headers_mut().remove(header::ALLOW);
        response = with_status(status, &body);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
