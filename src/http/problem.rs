//! `application/problem+json` (RFC 9457): the one envelope of every error.

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{error::ApiError, request_id};
use crate::{
    db::DbError,
    model::wire::Fault,
    secrets::{line::Crowded, password::HashError},
};

/// Problem details of a failed request (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// `urn:enlist:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(examples("urn:enlist:problem:not_found"))]
    kind: String,
    /// What went wrong, for programs.
    code: &'a str,
    /// What went wrong in general: the same for every problem of this status.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time, and what to do about it.
    detail: &'a str,
    /// The request's id, as in `X-Request-Id` and in the log.
    request_id: String,
    /// What it is about, where it is something that was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    /// Every fault of a bad body or query.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let more = self.more.as_deref();
        let request_id = more
            .and_then(|more| more.request_id.as_deref())
            .map_or_else(request_id::current, str::to_owned);
        let problem = Problem {
            kind: format!("urn:enlist:problem:{}", self.code),
            code: self.code,
            title: status.canonical_reason().unwrap_or("Error"),
            status: self.status,
            detail: &self.detail,
            request_id,
            id: more.and_then(|more| more.id),
            errors: &self.faults,
        };
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        if let Ok(id) = HeaderValue::from_str(&problem.request_id) {
            response.insert_header((header::HeaderName::from_static("x-request-id"), id));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"enlist\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = more.and_then(|more| more.allow.as_deref()) {
            response.insert_header((header::ALLOW, allow));
        }
        response.json(&problem)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(reason) => Self::unavailable(2, reason),
            DbError::Crowded => Self {
                detail: "As many large requests (previews, sends, exports, counts) are being answered as may at once. \
                         Nothing was done; try again shortly."
                    .into(),
                ..Self::unavailable(5, DbError::Crowded)
            },
            DbError::HeldUp => Self {
                detail: "Requests of this kind wait for a lock that somebody else holds in the database. \
                         Nothing was done; try again shortly."
                    .into(),
                ..Self::unavailable(5, DbError::HeldUp)
            },
            error @ DbError::Uncertain(_) => Self::uncertain(error),
            error if error.is_read_only() => Self {
                detail: "The database takes no writes just now. Nothing was changed; try again shortly.".into(),
                ..Self::unavailable(2, error)
            },
            error if error.is_away() => Self::unavailable(2, error),
            error if error.is_busy() => Self {
                detail: "Others are changing the same rows and it took too long. Nothing was changed; try again shortly.".into(),
                ..Self::unavailable(2, error)
            },
            error => Self::internal(error),
        }
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<Crowded> for ApiError {
    fn from(_: Crowded) -> Self {
        // No fault of ours: what strangers do is no error in the log, and rings nobody.
        Self {
            retry_after: Some(5),
            ..Self::new(
                429,
                "rate_limited",
                "Too many PINs and passwords are given at once, here or elsewhere. It was no try; try again after \
                 `Retry-After` seconds.",
            )
        }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self {
                detail: "Too many passwords are being looked at at once. Nothing was changed; try again shortly.".into(),
                ..Self::unavailable(5, error)
            },
            HashError::Crowded(crowded) => crowded.into(),
            HashError::Failed(reason) => Self::internal(reason),
        }
    }
}
