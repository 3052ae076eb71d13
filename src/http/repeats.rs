//! What is said of an `Idempotency-Key` whose first answer is not given again.

use uuid::Uuid;

use super::error::{ApiError, More};

pub(super) fn in_flight() -> ApiError {
    ApiError {
        retry_after: Some(1),
        ..ApiError::new(
            409,
            "idempotency_key_in_flight",
            "A request with this key is still running; repeat it in a moment for its answer.",
        )
    }
}

/// What the answer told of is gone. Its key is not free: what came of it must not come to be again.
pub(super) fn forgotten(user: Option<Uuid>) -> ApiError {
    ApiError {
        more: Some(Box::new(More {
            id: user,
            ..More::default()
        })),
        ..ApiError::new(
            409,
            "already_done",
            "This request was done before, and the user whom its answer told of was deleted since. Use a new key to do it anew.",
        )
    }
}

pub(super) fn reused() -> ApiError {
    ApiError::new(
        422,
        "idempotency_key_reused",
        "This key came with another body before; use a new key for a new request.",
    )
}
