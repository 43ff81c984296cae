//! Answers as Harbor gives them: `{"errors":[{"code":…,"message":…}]}` with the status that belongs to the code.

use axum::Json;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
}

pub(crate) type Answer = Result<Response, Fault>;

impl Fault {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UNPROCESSABLE_ENTITY", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION", message)
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

/// What went wrong inside is logged and not told.
impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("{error:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "internal server error")
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) {
            return Self::conflict("resource conflict: it exists already");
        }
        Self::from(anyhow::anyhow!("database: {}", crate::database::causes(&error)))
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::from(anyhow::anyhow!("database: {}", crate::database::causes(&error)))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code, "message": self.message}]});
        (self.status, Json(body)).into_response()
    }
}

/// A body by its type: 400 where it is no JSON, 422 where it is not of the type.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| Fault::bad_request(format!("the body is no JSON: {error}")))?;
    serde_json::from_value(value).map_err(|error| Fault::unprocessable(format!("the body is ill-formed: {error}")))
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a handler answers")]
pub(crate) fn ok(value: impl Into<Value>) -> Answer {
    Ok(Json(value.into()).into_response())
}

/// 200 without a body.
#[expect(clippy::unnecessary_wraps, reason = "it is what a handler answers")]
pub(crate) fn done() -> Answer {
    Ok(StatusCode::OK.into_response())
}

/// 201 with the place of what was made.
#[expect(clippy::unnecessary_wraps, reason = "it is what a handler answers")]
pub(crate) fn created(location: &str, body: Option<Value>) -> Answer {
    let location = [(hyper::header::LOCATION, location.to_owned())];
    Ok(match body {
        Some(body) => (StatusCode::CREATED, location, Json(body)).into_response(),
        None => (StatusCode::CREATED, location).into_response(),
    })
}
