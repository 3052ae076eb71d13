//! Requests of a kind that waited for somebody's lock for too long: for a while they have only half of the connections, so
//! that a lock on one table does not keep those out who do not need it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For so long after one of them had waited in vain.
const FOR: Duration = Duration::from_secs(10);

tokio::task_local! {
    static KIND: usize;
}

/// Answers a request of this kind: its route.
pub async fn of_kind<F: Future>(kind: usize, work: F) -> F::Output {
    KIND.scope(kind, work).await
}

/// The kind of the request that is answered; `None`: it is none, but a task of the service.
pub(super) fn kind() -> Option<usize> {
    KIND.try_with(|kind| *kind).ok()
}

/// Which kinds are held up.
#[derive(Debug, Default)]
pub(super) struct HeldUp {
    since: Mutex<HashMap<usize, Instant>>,
}

impl HeldUp {
    pub(super) fn add(&self, kind: usize) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.insert(kind, Instant::now());
    }

    pub(super) fn has(&self, kind: usize) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get(&kind).is_some_and(|since| since.elapsed() < FOR)
    }
}
