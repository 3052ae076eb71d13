//! Holding an `Idempotency-Key` for work that takes many transactions, or waits for others.

use std::{convert::Infallible, sync::Arc};

use super::{
    error::ApiError,
    idempotent::{self, Answer, Begun, Lease, RENEW_EVERY, Scope},
};
use crate::{db::DbError, state::State};

/// Takes the key, or gives the answer that is stored under it.
///
/// # Errors
/// As [`idempotent::begin`].
pub async fn begin(state: &State, scope: Scope, body: Vec<u8>) -> Result<Begun, ApiError> {
    let (keys, holder) = (Arc::clone(&state.keys), state.clock.new_id());
    let now = state.clock.now();
    state
        .db
        .transaction(move |connection| {
            idempotent::begin(connection, scope, &body, &keys, holder, now)
        })
        .await
}

/// Renews a lease for as long as it is wanted.
pub async fn keep(state: &State, lease: &Arc<Lease>) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let (lease, clock) = (Arc::clone(lease), state.clock.clone());
        // Whether it is still ours is seen when the answer is stored.
        let _ = state
            .db
            .transaction(move |connection| lease.renew(connection, clock.now()))
            .await;
    }
}

/// Stores the answer and gives the key back. What was done stays done where that fails: the answer is given all the same, and a
/// repeat would do it again.
pub async fn settle(state: &State, lease: &Arc<Lease>, answer: Answer) {
    let (lease, now) = (Arc::clone(lease), state.clock.now());
    let stored = state
        .db
        .transaction(move |connection| lease.settle(connection, &answer, now))
        .await;
    if let Err(error) = stored {
        tracing::warn!(code = error.code, "an answer cannot be kept for a repeat");
    }
}

/// Gives the key back without an answer: the work may be tried again.
pub async fn give_back(state: &State, lease: Arc<Lease>) {
    // If this fails too, the lease ends by itself.
    let _ = state
        .db
        .transaction(move |connection| Ok::<_, DbError>(lease.release(connection)?))
        .await;
}
