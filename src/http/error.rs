//! What a client is told when a request fails: RFC 9457 problem details, without any HTTP library.

use std::{error::Error, fmt};

use crate::model::wire::{Fault, Faults};
use uuid::Uuid;

/// A failed request: what to answer, and for the log what was behind it.
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The last part of `urn:enlist:problem:<code>`.
    pub code: &'static str,
    /// What went wrong and what to do about it.
    pub detail: Box<str>,
    /// Every fault of the request, not only the first.
    pub faults: Vec<Fault>,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u32>,
    /// What only few problems say.
    pub more: Option<Box<More>>,
    /// For the log only: never sent.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What only few problems say.
#[derive(Debug, Default)]
pub struct More {
    /// The methods that the path does know, for `Allow`.
    pub allow: Option<Box<str>>,
    /// What it is about, where it is something that was made before.
    pub id: Option<Uuid>,
    /// Set where the request's own id is out of reach: after a panic.
    pub request_id: Option<Box<str>>,
}

impl ApiError {
    /// Any problem; the constructors below are the usual ones.
    pub fn new(status: u16, code: &'static str, detail: impl Into<Box<str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            faults: Vec::new(),
            retry_after: None,
            more: None,
            source: None,
        }
    }

    /// 404: nothing is here. Also for an id that is none.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "not_found", format!("There is no such {what}."))
    }

    /// 405: the path knows only the methods in `allow`.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self {
            more: Some(Box::new(More {
                allow: Some(allow.into()),
                ..More::default()
            })),
            ..Self::new(
                405,
                "method_not_allowed",
                "This path does not know that method; `Allow` lists those that it does.",
            )
        }
    }

    /// 422 with every fault that was found.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} things are wrong; `errors` lists them.", many.len()),
        };
        Self {
            faults,
            ..Self::new(422, "validation_failed", detail)
        }
    }

    /// 409 with the fields that clash.
    pub fn conflict(code: &'static str, detail: &'static str, faults: Vec<Fault>) -> Self {
        Self {
            faults,
            ..Self::new(409, code, detail)
        }
    }

    /// 412: `If-Match` names another version than the one that is stored.
    pub fn precondition_failed() -> Self {
        Self::new(
            412,
            "precondition_failed",
            "It has changed since you read it: get it again and apply your change to what is there now.",
        )
    }

    /// 503: the database is away or too busy. `after` is in seconds.
    pub fn unavailable(after: u32, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            retry_after: Some(after),
            source: Some(source.into()),
            ..Self::new(
                503,
                "unavailable",
                "The service cannot reach its database just now. Nothing was changed; try again shortly.",
            )
        }
    }

    /// 503: the connection to the database broke, perhaps while it was committing.
    pub fn uncertain(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: "outcome_unknown",
            detail: "The connection to the database broke, and it is not certain whether this was done. \
                     Look, or repeat it with the same Idempotency-Key."
                .into(),
            ..Self::unavailable(2, source)
        }
    }

    /// 500: our fault. The source is logged and never sent.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(
                500,
                "internal",
                "Something went wrong on our side. The log has more under the request id.",
            )
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Vec<Fault>> for ApiError {
    fn from(faults: Vec<Fault>) -> Self {
        Self::invalid(faults)
    }
}

impl From<Faults> for ApiError {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults.0)
    }
}
